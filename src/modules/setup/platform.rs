//! The minimum: what the host is, who we are on it, what time it is there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::{local, text, user};

pub fn gather(
    facts: &mut Map<String, Json>,
    fact_path: &str,
    environment: &BTreeMap<String, String>,
) {
    let mut add = |name: &str, value: Json| facts.insert(name.to_owned(), value);
    let system = rustix::system::uname();
    let part = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let machine = part(system.machine());
    let node = part(system.nodename());
    let fqdn = fqdn(&node);
    add("system", json!(part(system.sysname())));
    add("kernel", json!(part(system.release())));
    add("kernel_version", json!(part(system.version())));
    add("machine", json!(machine));
    add("architecture", json!(machine));
    add("userspace_bits", json!(if machine.ends_with("64") { "64" } else { "32" }));
    add("nodename", json!(node));
    add("hostname", json!(node.split('.').next()));
    add("domain", json!(fqdn.split_once('.').map_or("", |(_, domain)| domain)));
    add("fqdn", json!(fqdn));
    add("machine_id", json!(text("/etc/machine-id")));
    add("cmdline", cmdline());
    add("proc_cmdline", cmdline());
    add("userspace_architecture", json!(machine));
    let mut family = String::new();
    for (name, value) in distribution() {
        if name == "os_family" {
            family = value.as_str().unwrap_or_default().to_owned();
        }
        add(name, value);
    }
    add("pkg_mgr", json!(package_manager(&family)));
    add("service_mgr", json!(service_manager()));
    add("selinux", selinux());
    add(
        "apparmor",
        json!({"status": if Path::new("/sys/kernel/security/apparmor").exists() { "enabled" } else { "disabled" }}),
    );
    let mut env: BTreeMap<String, String> = std::env::vars().collect();
    env.extend(environment.clone());
    add("env", json!(env));
    add("date_time", date_time());
    add("local", local::gather(fact_path));
    add("lsb", lsb());
    add("fips", json!(text("/proc/sys/crypto/fips_enabled") == "1"));
    add("loadavg", loadavg());
    user::gather(facts);
}

/// Programs, and Ansible's name for what they belong to.
const PACKAGE_MANAGERS: [(&str, &str); 8] = [
    ("/usr/bin/dnf5", "dnf5"),
    ("/usr/bin/dnf", "dnf"),
    ("/usr/bin/yum", "yum"),
    ("/usr/bin/apt-get", "apt"),
    ("/usr/bin/zypper", "zypper"),
    ("/sbin/apk", "apk"),
    ("/usr/bin/pacman", "pacman"),
    ("/usr/bin/rpm-ostree", "atomic_container"),
];

/// The distribution's own comes before any other that is installed there.
fn package_manager(family: &str) -> &'static str {
    let exists = |path: &str| Path::new(path).exists();
    if family == "Debian" && exists("/usr/bin/apt-get") {
        return "apt";
    }
    let known = PACKAGE_MANAGERS.iter().find(|(path, _)| exists(path));
    known.map_or("unknown", |(_, name)| *name)
}

/// systemd when it runs; otherwise what the first process is called.
fn service_manager() -> String {
    if Path::new("/run/systemd/system").exists() {
        return "systemd".to_owned();
    }
    match text("/proc/1/comm").as_str() {
        "" | "init" => "service".to_owned(),
        other => other.to_owned(),
    }
}

/// The full name that /etc/hosts gives, as a lookup would find it.
fn fqdn(node: &str) -> String {
    if node.contains('.') {
        return node.to_owned();
    }
    let hosts = text("/etc/hosts");
    let named = hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>())
        .filter(|names| names.contains(&node))
        .find_map(|names| {
            names.into_iter().find(|name| name.starts_with(&format!("{node}."))).map(str::to_owned)
        });
    named.unwrap_or_else(|| node.to_owned())
}

fn cmdline() -> Json {
    text("/proc/cmdline")
        .split_whitespace()
        .map(|word| match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), json!(value)),
            None => (word.to_owned(), json!(true)),
        })
        .collect::<Map<_, _>>()
        .into()
}

pub fn os_release() -> BTreeMap<String, String> {
    let release = text("/etc/os-release");
    release
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// Ansible's name, family and versions of the distribution.
fn distribution() -> Vec<(&'static str, Json)> {
    let release = os_release();
    let get = |key: &str| release.get(key).cloned().unwrap_or_default();
    let (name, family) = match get("ID").as_str() {
        "debian" => ("Debian", "Debian"),
        "ubuntu" => ("Ubuntu", "Debian"),
        "linuxmint" => ("Linux Mint", "Debian"),
        "rhel" => ("RedHat", "RedHat"),
        "centos" => ("CentOS", "RedHat"),
        "rocky" => ("Rocky", "RedHat"),
        "almalinux" => ("AlmaLinux", "RedHat"),
        "ol" => ("OracleLinux", "RedHat"),
        "amzn" => ("Amazon", "RedHat"),
        "fedora" => ("Fedora", "RedHat"),
        "opensuse-leap" => ("openSUSE Leap", "Suse"),
        "sles" => ("SLES", "Suse"),
        "alpine" => ("Alpine", "Alpine"),
        "arch" => ("Archlinux", "Archlinux"),
        "flatcar" => ("Flatcar", "Flatcar"),
        _ => ("", ""),
    };
    let name = if name.is_empty() { get("NAME") } else { name.to_owned() };
    let family = if family.is_empty() { name.clone() } else { family.to_owned() };
    let mut version = get("VERSION_ID");
    if name == "Debian" {
        let precise = text("/etc/debian_version");
        if precise.starts_with(|c: char| c.is_ascii_digit()) {
            version = precise;
        }
    }
    let mut parts = version.split('.');
    let major = parts.next().unwrap_or_default().to_owned();
    let minor = parts.next().map(str::to_owned);
    vec![
        ("distribution", json!(name)),
        ("distribution_version", json!(version)),
        ("distribution_major_version", json!(major)),
        ("distribution_minor_version", json!(minor)),
        ("distribution_file_parsed", json!(true)),
        ("distribution_file_path", json!("/etc/os-release")),
        ("distribution_file_variety", json!(family)),
        ("distribution_release", json!(get("VERSION_CODENAME"))),
        ("os_family", json!(family)),
    ]
}

fn selinux() -> Json {
    let enforce = text("/sys/fs/selinux/enforce");
    if enforce.is_empty() {
        return json!({"status": "disabled"});
    }
    let config = text("/etc/selinux/config");
    let configured = |key: &str| {
        let mut lines = config.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    json!({
        "status": "enabled",
        "mode": if enforce == "1" { "enforcing" } else { "permissive" },
        "config_mode": configured("SELINUX").unwrap_or_else(|| "unknown".to_owned()),
        "type": configured("SELINUXTYPE").unwrap_or_else(|| "unknown".to_owned()),
        "policyvers": text("/sys/fs/selinux/policyvers").parse().unwrap_or(0),
    })
}

/// As lsb_release would tell it, from the file that it reads.
fn lsb() -> Json {
    let release = os_release();
    let get = |key: &str| release.get(key).cloned().unwrap_or_default();
    let name = match distribution().into_iter().find(|(name, _)| *name == "distribution") {
        Some((_, name)) => name,
        None => Json::Null,
    };
    let version = get("VERSION_ID");
    json!({
        "id": name, "description": get("PRETTY_NAME"), "release": version,
        "major_release": version.split('.').next(), "codename": get("VERSION_CODENAME"),
    })
}

fn loadavg() -> Json {
    let text = text("/proc/loadavg");
    let mut values = text.split_whitespace().map(|value| value.parse::<f64>().unwrap_or(0.0));
    let mut next = || values.next().unwrap_or(0.0);
    json!({"1m": next(), "5m": next(), "15m": next()})
}

fn date_time() -> Json {
    let now = jiff::ZonedDateTime::now();
    let format = |text: &str| now.strftime(text).to_string();
    json!({
        "year": format("%Y"), "month": format("%m"), "day": format("%d"),
        "weekday": format("%A"), "weekday_number": format("%w"), "weeknumber": format("%W"),
        "hour": format("%H"), "minute": format("%M"), "second": format("%S"),
        "epoch": format("%s"), "epoch_int": format("%s"),
        "date": format("%Y-%m-%d"), "time": format("%H:%M:%S"),
        "iso8601": now.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "iso8601_micro": now.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        "iso8601_basic": format("%Y%m%dT%H%M%S%6f"),
        "iso8601_basic_short": format("%Y%m%dT%H%M%S"),
        "tz": format("%Z"), "tz_dst": format("%Z"), "tz_offset": format("%z"),
    })
}
