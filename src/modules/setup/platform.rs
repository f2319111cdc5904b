//! The minimum: what the host is, who we are on it, what time it is there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::text;
use crate::modules::users::{Database, name_of};

pub fn gather(facts: &mut Map<String, Json>, fact_path: &str) {
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
    add("userspace_bits", json!("64"));
    add("nodename", json!(node));
    add("hostname", json!(node.split('.').next()));
    add("domain", json!(fqdn.split_once('.').map_or("", |(_, domain)| domain)));
    add("fqdn", json!(fqdn));
    add("machine_id", json!(text("/etc/machine-id")));
    add("cmdline", cmdline());
    for (name, value) in distribution() {
        add(name, value);
    }
    add("pkg_mgr", json!(first_of(&PACKAGE_MANAGERS).unwrap_or("unknown")));
    let systemd = Path::new("/run/systemd/system").exists();
    add("service_mgr", json!(if systemd { "systemd" } else { "service" }));
    add("selinux", json!({"status": selinux()}));
    add(
        "apparmor",
        json!({"status": if Path::new("/sys/kernel/security/apparmor").exists() { "enabled" } else { "disabled" }}),
    );
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    add("user_uid", json!(uid));
    add("user_gid", json!(gid));
    add("effective_user_id", json!(rustix::process::geteuid().as_raw()));
    add("real_user_id", json!(uid));
    add("user_id", json!(name_of(Database::Users, uid).unwrap_or_else(|| uid.to_string())));
    add("user_dir", json!(std::env::var("HOME").unwrap_or_default()));
    add("user_shell", json!(std::env::var("SHELL").unwrap_or_default()));
    add("env", json!(std::env::vars().collect::<BTreeMap<_, _>>()));
    add("date_time", date_time());
    add("local", local(fact_path));
    add("python", json!({}));
    for (kind, name) in [("rsa", "rsa"), ("ecdsa", "ecdsa"), ("ed25519", "ed25519")] {
        let key = text(&format!("/etc/ssh/ssh_host_{kind}_key.pub"));
        if let Some(public) = key.split_whitespace().nth(1) {
            add(&format!("ssh_host_key_{name}_public"), json!(public));
        }
    }
}

const PACKAGE_MANAGERS: [(&str, &str); 7] = [
    ("/usr/bin/dnf5", "dnf5"),
    ("/usr/bin/dnf", "dnf"),
    ("/usr/bin/yum", "yum"),
    ("/usr/bin/apt-get", "apt"),
    ("/usr/bin/zypper", "zypper"),
    ("/sbin/apk", "apk"),
    ("/usr/bin/pacman", "pacman"),
];

fn first_of(candidates: &[(&str, &'static str)]) -> Option<&'static str> {
    candidates.iter().find(|(path, _)| Path::new(path).exists()).map(|(_, name)| *name)
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

fn os_release() -> BTreeMap<String, String> {
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
    let major = version.split('.').next().unwrap_or_default().to_owned();
    vec![
        ("distribution", json!(name)),
        ("distribution_version", json!(version)),
        ("distribution_major_version", json!(major)),
        ("distribution_release", json!(get("VERSION_CODENAME"))),
        ("os_family", json!(family)),
    ]
}

fn selinux() -> &'static str {
    if Path::new("/sys/fs/selinux/enforce").exists() { "enabled" } else { "disabled" }
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

/// Files of facts.d: JSON, or key=value lines under a heading. Programs are not run.
fn local(folder: &str) -> Json {
    let mut local = Map::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "fact")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            local.insert(
                name.to_owned(),
                serde_json::from_str(&text).unwrap_or_else(|_| ini(&text)),
            );
        }
    }
    Json::Object(local)
}

fn ini(text: &str) -> Json {
    let mut sections: Map<String, Json> = Map::new();
    let mut section = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let values = sections.entry(section.clone()).or_insert_with(|| json!({}));
            values[key.trim()] = json!(value.trim());
        }
    }
    Json::Object(sections)
}
