//! Interfaces, addresses and routes, as `ip -j` tells them.

use serde_json::{Map, Value as Json, json};

use super::text;
use crate::modules::process::Process;

pub fn gather(facts: &mut Map<String, Json>) {
    // Both at the same time: each takes a few milliseconds.
    let route6 = std::thread::spawn(|| ip(&["-6", "route", "show", "default"]));
    let route4 = std::thread::spawn(|| ip(&["route", "show", "default"]));
    let links = ip(&["addr"]);
    let mut names = Vec::new();
    let (mut all4, mut all6) = (Vec::new(), Vec::new());
    for link in links.as_array().into_iter().flatten() {
        let Some(name) = link.get("ifname").and_then(Json::as_str) else {
            continue;
        };
        let interface = interface(link, name, &mut all4, &mut all6);
        facts.insert(name.replace(['-', ':', '.'], "_"), interface);
        names.push(name.to_owned());
    }
    facts.insert("interfaces".to_owned(), json!(names));
    facts.insert("all_ipv4_addresses".to_owned(), json!(all4));
    facts.insert("all_ipv6_addresses".to_owned(), json!(all6));
    let routes = |joined: std::thread::Result<Json>| joined.unwrap_or_default();
    facts.insert("default_ipv4".to_owned(), default_ipv4(&links, &routes(route4.join())));
    facts.insert("default_ipv6".to_owned(), default_ipv6(&links, &routes(route6.join())));
    facts.insert("dns".to_owned(), dns());
}

/// Empty when the host has no `ip` that speaks JSON.
fn ip(words: &[&str]) -> Json {
    let output = Process::new("ip").arg("-j").args(words).run();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_else(|_| json!([]))
}

fn interface(link: &Json, name: &str, all4: &mut Vec<String>, all6: &mut Vec<String>) -> Json {
    let mut interface = json!({
        "device": name,
        "active": link.get("operstate").and_then(Json::as_str) != Some("DOWN"),
        "mtu": link.get("mtu"),
        "macaddress": link.get("address"),
        "type": kind(name, link),
        "promisc": promiscuous(name),
    });
    if let Ok(speed) = text(&format!("/sys/class/net/{name}/speed")).parse::<i64>()
        && speed > 0
    {
        interface["speed"] = json!(speed);
    }
    let members = members(name);
    if !members.is_empty() {
        interface["interfaces"] = json!(members);
    }
    let mut ipv6 = Vec::new();
    for address in link.get("addr_info").and_then(Json::as_array).into_iter().flatten() {
        let local = address.get("local").and_then(Json::as_str).unwrap_or_default();
        let prefix = address.get("prefixlen").and_then(Json::as_u64).unwrap_or(0);
        match address.get("family").and_then(Json::as_str) {
            Some("inet") => {
                let address = ipv4(local, prefix, address);
                if interface.get("ipv4").is_none() {
                    interface["ipv4"] = address;
                } else if let Some(more) = interface["ipv4_secondaries"].as_array_mut() {
                    more.push(address);
                } else {
                    interface["ipv4_secondaries"] = json!([address]);
                }
                if !local.starts_with("127.") {
                    all4.push(local.to_owned());
                }
            }
            Some("inet6") => {
                ipv6.push(json!({"address": local, "prefix": prefix.to_string(), "scope": address.get("scope")}));
                if local != "::1" {
                    all6.push(local.to_owned());
                }
            }
            _ => {}
        }
    }
    if !ipv6.is_empty() {
        interface["ipv6"] = json!(ipv6);
    }
    interface
}

fn kind(name: &str, link: &Json) -> &'static str {
    let has = |what: &str| std::path::Path::new("/sys/class/net").join(name).join(what).exists();
    if has("bridge") {
        return "bridge";
    }
    if has("bonding") {
        return "bonding";
    }
    match link.get("link_type").and_then(Json::as_str) {
        Some("loopback") => "loopback",
        Some("infiniband") => "infiniband",
        Some("ether") => "ether",
        _ => "unknown",
    }
}

/// IFF_PROMISC of the interface's flags.
fn promiscuous(name: &str) -> bool {
    let flags = text(&format!("/sys/class/net/{name}/flags"));
    u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|flags| flags & 0x100 != 0)
}

/// The interfaces of a bridge.
fn members(name: &str) -> Vec<String> {
    let folder = format!("/sys/class/net/{name}/brif");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn ipv4(local: &str, prefix: u64, address: &Json) -> Json {
    let bits = u32::MAX.checked_shl(32 - prefix.min(32) as u32).unwrap_or(0);
    let netmask = std::net::Ipv4Addr::from(bits);
    let network = local
        .parse::<std::net::Ipv4Addr>()
        .map(|ip| std::net::Ipv4Addr::from(u32::from(ip) & bits).to_string())
        .unwrap_or_default();
    json!({
        "address": local, "prefix": prefix.to_string(), "netmask": netmask.to_string(),
        "network": network, "broadcast": address.get("broadcast").and_then(Json::as_str).unwrap_or_default(),
    })
}

fn default_ipv6(links: &Json, routes: &Json) -> Json {
    let Some(route) = routes.get(0) else {
        return json!({});
    };
    let device = route.get("dev").and_then(Json::as_str).unwrap_or_default();
    let mut default = json!({"interface": device, "gateway": route.get("gateway")});
    let found = links.as_array().into_iter().flatten();
    let link =
        found.into_iter().find(|link| link.get("ifname").and_then(Json::as_str) == Some(device));
    if let Some(link) = link {
        let interface = interface(link, device, &mut Vec::new(), &mut Vec::new());
        for key in ["mtu", "macaddress", "type"] {
            default[key] = interface[key].clone();
        }
        let addresses = interface.get("ipv6").and_then(Json::as_array).into_iter().flatten();
        let global = addresses.into_iter().find(|address| address["scope"] == "global");
        for (key, value) in global.and_then(Json::as_object).into_iter().flatten() {
            default[key] = value.clone();
        }
    }
    default
}

fn default_ipv4(links: &Json, routes: &Json) -> Json {
    let Some(route) = routes.get(0) else {
        return json!({});
    };
    let device = route.get("dev").and_then(Json::as_str).unwrap_or_default();
    let link = links
        .as_array()
        .into_iter()
        .flatten()
        .find(|link| link.get("ifname").and_then(Json::as_str) == Some(device));
    let mut default = json!({"interface": device, "gateway": route.get("gateway")});
    if let Some(link) = link {
        let interface = interface(link, device, &mut Vec::new(), &mut Vec::new());
        default["alias"] = json!(device);
        default["mtu"] = interface["mtu"].clone();
        default["macaddress"] = interface["macaddress"].clone();
        default["type"] = interface["type"].clone();
        for key in ["address", "prefix", "netmask", "network", "broadcast"] {
            default[key] =
                interface.pointer(&format!("/ipv4/{key}")).cloned().unwrap_or(Json::Null);
        }
    }
    default
}

fn dns() -> Json {
    let mut dns = Map::new();
    for line in text("/etc/resolv.conf").lines() {
        let mut words = line.split_whitespace();
        let (key, plural) = match words.next() {
            Some("nameserver") => ("nameservers", true),
            Some("search") => ("search", true),
            Some("domain") => ("domain", false),
            _ => continue,
        };
        if plural {
            let list = dns.entry(key).or_insert_with(|| json!([]));
            if let Json::Array(list) = list {
                list.extend(words.map(Json::from));
            }
        } else {
            dns.insert(key.to_owned(), json!(words.next()));
        }
    }
    Json::Object(dns)
}
