//! `ipaddr(query)`: whether a value is an address or network, and what is asked of it.

use minijinja::value::ValueKind;

use super::super::super::{TemplateError, Value, python};
use super::network::Network;

/// What a value that was recognised is.
#[derive(Clone, Debug)]
pub struct Subject {
    pub network: Network,
    /// Written with a prefix.
    pub has_prefix: bool,
    /// The value as it is given back when it passes.
    pub text: String,
}

impl Subject {
    /// Reads an address, a network, a number, or `number/prefix`.
    pub fn read(value: &Value, version: Option<i64>) -> Option<Self> {
        let text = python::text(value);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number: u128 = text.parse().ok()?;
            let four =
                (version != Some(6)).then(|| Network::of_number(number, false, 32)).flatten();
            let network = four.or_else(|| Network::of_number(number, true, 128))?;
            return Some(Self { network, has_prefix: false, text: network.to_string() });
        }
        if let Some(network) = Network::read(&text) {
            return Some(Self { network, has_prefix: text.contains('/'), text });
        }
        let (number, prefix) = text.split_once('/')?;
        let (number, prefix) = (number.parse().ok()?, prefix.parse().ok()?);
        let network = Network::of_number(number, false, prefix)
            .or_else(|| Network::of_number(number, true, prefix))?;
        Some(Self { network, has_prefix: true, text: network.to_string() })
    }
}

/// `false`, as the filters answer for what is not asked for.
pub fn no() -> Value {
    Value::from(false)
}

fn none() -> Value {
    Value::from(())
}

fn text(text: Option<String>) -> Value {
    text.map_or_else(none, Value::from)
}

pub fn number(number: u128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// The filter itself; of a list it leaves those that pass.
pub fn ipaddr(
    value: &Value,
    query: &str,
    version: Option<i64>,
    alias: &str,
) -> Result<Value, TemplateError> {
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let mut passed = Vec::new();
        for item in python::items(value)? {
            let answer = ipaddr(&item, query, version, alias)?;
            if answer.is_true() {
                passed.push(answer);
            }
        }
        return Ok(Value::from(passed));
    }
    if !value.is_true() || value.kind() == ValueKind::Bool {
        return Ok(no());
    }
    let Some(subject) = Subject::read(value, version) else { return Ok(no()) };
    if version.is_some_and(|version| version != subject.network.version()) {
        return Ok(no());
    }
    subject.answer(query, alias)
}

impl Subject {
    fn answer(&self, query: &str, alias: &str) -> Result<Value, TemplateError> {
        let n = &self.network;
        let passes = |passes: bool| if passes { Value::from(self.text.as_str()) } else { none() };
        Ok(match query {
            "" if self.has_prefix => Value::from(n.to_string()),
            "" => Value::from(n.own_address()),
            "bool" => Value::from(true),
            "cidr" => Value::from(n.to_string()),
            "version" => Value::from(n.version()),
            "prefix" => Value::from(n.prefix),
            "size" => number(n.size()),
            "size_usable" => number(match n.size() {
                1 => 0,
                2 => 2,
                size => size - 2,
            }),
            "type" => Value::from(match n.size() > 1 && n.is_network() {
                true => "network",
                false => "address",
            }),
            "int" if self.has_prefix => Value::from(format!("{}/{}", n.ip, n.prefix)),
            "int" => number(n.ip),
            "revdns" => Value::from(reverse_name(n)),
            "6to4" => self.six_to_four(),
            "ipv4" | "v4" => self.as_four(),
            "ipv6" | "v6" => self.as_six(),
            "wrap" => self.wrapped(),
            "private" => passes(!is_global(n)),
            "public" => passes(self.is_public()),
            "unicast" => passes(!is_multicast(n)),
            "multicast" => passes(is_multicast(n)),
            "loopback" | "lo" => passes(within(n.ip, n.six, &["127.0.0.0/8", "::1/128"])),
            "link-local" => passes(within(n.ip, n.six, &["169.254.0.0/16", "fe80::/10"])),
            _ => match self.part(query) {
                Some(part) => part,
                None => return self.usable_part(query, alias),
            },
        })
    }

    /// Parts of an address and its network as texts.
    fn part(&self, query: &str) -> Option<Value> {
        let n = &self.network;
        let with_prefix = || format!("{}/{}", n.own_address(), n.prefix);
        let of_host = n.size() == 2 || (n.size() > 1 && !n.is_network());
        Some(text(match query {
            "address" | "ip" => (n.six || n.is_host()).then(|| n.own_address()),
            "host" => n.is_host().then(with_prefix),
            "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
                if n.size() > 2 && [n.first(), n.last()].contains(&n.ip) {
                    return Some(no());
                }
                Some(with_prefix())
            }
            "ip/prefix" => of_host.then(with_prefix),
            "ip_netmask" => {
                of_host.then(|| format!("{} {}", n.own_address(), n.address(n.netmask())))
            }
            "net" => (n.size() > 1 && n.is_network()).then(with_prefix),
            "network" | "network_id" => Some(n.address(n.first())),
            "network/prefix" | "subnet" => Some(n.cidr().to_string()),
            "netmask" => Some(n.address(n.netmask())),
            "hostmask" | "wildcard" => Some(n.address(n.hostmask())),
            "network_netmask" => {
                Some(format!("{} {}", n.address(n.first()), n.address(n.netmask())))
            }
            "network_wildcard" => {
                Some(format!("{} {}", n.address(n.first()), n.address(n.hostmask())))
            }
            "broadcast" => n.broadcast().map(|ip| n.address(ip)),
            _ => return None,
        }))
    }

    /// What only a network has; then networks to be in, and numbers of addresses.
    fn usable_part(&self, query: &str, alias: &str) -> Result<Value, TemplateError> {
        let n = &self.network;
        if let "first_usable" | "last_usable" | "next_usable" | "previous_usable" | "range_usable"
        | "peer" = query
            && !self.has_prefix
        {
            return Err(TemplateError::new("Not a network address"));
        }
        let usable = n.usable();
        let within = |ip: &u128| usable.is_some_and(|(first, last)| (first..=last).contains(ip));
        Ok(text(match query {
            "first_usable" => usable.map(|(first, _)| n.address(first)),
            "last_usable" => usable.map(|(_, last)| n.address(last)),
            "next_usable" => n.offset(n.ip, 1).filter(within).map(|ip| n.address(ip)),
            "previous_usable" => n.offset(n.ip, -1).filter(within).map(|ip| n.address(ip)),
            "range_usable" => {
                usable.map(|(first, last)| format!("{}-{}", n.address(first), n.address(last)))
            }
            "peer" => Some(self.peer()?),
            _ => return self.numbered(query, alias),
        }))
    }

    fn numbered(&self, query: &str, alias: &str) -> Result<Value, TemplateError> {
        let n = &self.network;
        if let Ok(index) = query.trim().parse::<i64>() {
            if n.size() == 1 {
                return self.answer("", alias);
            }
            let from = if index < 0 { n.offset(n.last(), 1) } else { Some(n.first()) };
            // Behind the last address of all there is nothing to count back from.
            let found = match from {
                Some(from) => n.offset(from, index),
                None => n.offset(n.last(), index + 1),
            };
            let found = found.filter(|ip| (n.first()..=n.last()).contains(ip));
            return Ok(
                found.map_or_else(no, |ip| Value::from(format!("{}/{}", n.address(ip), n.prefix)))
            );
        }
        match Network::read(query) {
            Some(outer) if outer.contains(n) => Ok(Value::from(self.text.as_str())),
            Some(_) => Ok(none()),
            None => Err(TemplateError::new(format!("{alias}: unknown filter type: {query}"))),
        }
    }

    /// The other end of a network of two hosts.
    fn peer(&self) -> Result<String, TemplateError> {
        let n = &self.network;
        let refused = |message: &str| Err(TemplateError::new(message));
        match (n.size(), n.ip % 4) {
            (2, _) => Ok(n.address(n.ip ^ 1)),
            (4, 0) => refused("Network address of /30 has no peer"),
            (4, 3) => refused("Broadcast address of /30 has no peer"),
            (4, _) => Ok(n.address(n.ip ^ 3)),
            _ => refused("Not a point-to-point network"),
        }
    }

    fn six_to_four(&self) -> Value {
        let n = &self.network;
        if n.six {
            let inside = within(n.ip, true, &["2002::/16"]);
            let asked = !self.has_prefix || !n.is_network();
            return if inside && asked { Value::from(self.text.as_str()) } else { no() };
        }
        let host = n.size() == 1 || !n.is_network();
        if !host || (is_global(n) && !self.is_public()) {
            return no();
        }
        Value::from(format!("2002:{:04x}:{:04x}::1/48", n.ip >> 16, n.ip & 0xffff))
    }

    fn as_four(&self) -> Value {
        let n = &self.network;
        if !n.six {
            return Value::from(self.text.as_str());
        }
        let prefix = n.prefix.checked_sub(96);
        let inner = prefix.filter(|_| matches!(n.ip >> 32, 0 | 0xffff));
        inner.map_or_else(no, |prefix| {
            let four = Network { six: false, ip: n.ip & u128::from(u32::MAX), prefix };
            Value::from(four.to_string())
        })
    }

    fn as_six(&self) -> Value {
        let n = &self.network;
        if n.six {
            return Value::from(self.text.as_str());
        }
        let six = Network { six: true, ip: n.ip | 0xffff << 32, prefix: n.prefix + 96 };
        Value::from(six.to_string())
    }

    fn wrapped(&self) -> Value {
        let n = &self.network;
        Value::from(match (n.six, self.has_prefix) {
            (false, _) => self.text.clone(),
            (true, false) => format!("[{}]", n.own_address()),
            (true, true) => format!("[{}]/{}", n.own_address(), n.prefix),
        })
    }

    fn is_public(&self) -> bool {
        let n = &self.network;
        let own = Network::single(n.six, n.ip);
        let all = if n.six { u128::MAX } else { u128::from(u32::MAX) };
        let low_ones = |mask: u128| mask & mask.wrapping_add(1) == 0;
        !is_multicast(&own)
            && is_global(n)
            && !within(n.ip, n.six, &["127.0.0.0/8", "::1/128"])
            && !low_ones(n.ip)
            && !low_ones(n.ip ^ all)
    }
}

fn within(ip: u128, six: bool, networks: &[&str]) -> bool {
    let own = Network::single(six, ip);
    networks.iter().filter_map(|text| Network::read(text)).any(|network| network.contains(&own))
}

fn is_multicast(network: &Network) -> bool {
    ["224.0.0.0/4", "ff00::/8"]
        .iter()
        .filter_map(|text| Network::read(text))
        .any(|multicast| multicast.contains(network))
}

/// What IANA's registries of special addresses say is not reachable from everywhere.
const NOT_GLOBAL: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "::/127",
    "::ffff:0:0/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
];

/// … and what is, inside of those.
const GLOBAL: &[&str] = &[
    "192.0.0.9/32",
    "192.0.0.10/32",
    "2001:1::1/128",
    "2001:1::2/128",
    "2001:3::/32",
    "2001:4:112::/48",
    "2001:20::/28",
    "2001:30::/28",
];

fn is_global(network: &Network) -> bool {
    !within(network.ip, network.six, NOT_GLOBAL) || within(network.ip, network.six, GLOBAL)
}

fn reverse_name(network: &Network) -> String {
    let mut name = String::new();
    let (step, zone) = if network.six { (4, "ip6.arpa.") } else { (8, "in-addr.arpa.") };
    for shift in (0..network.bits()).step_by(step) {
        let part = network.ip >> shift & ((1 << step) - 1);
        name.push_str(&if network.six { format!("{part:x}.") } else { format!("{part}.") });
    }
    name + zone
}
