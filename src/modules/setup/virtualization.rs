//! Whether the host is a guest or a container, and of what.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::text;

/// Words in the machine's own description, and Ansible's name for what it is. The first
/// one that is found counts.
const MACHINES: [(&str, &str); 14] = [
    ("VMware", "VMware"),
    ("VirtualBox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("Parallels", "parallels"),
    ("Xen", "xen"),
    ("Virtual Machine", "VirtualPC"),
    ("RHEV Hypervisor", "RHEV"),
    ("oVirt", "oVirt"),
    ("OpenStack", "openstack"),
    ("Nutanix", "ahv"),
    ("KubeVirt", "KubeVirt"),
    ("Amazon EC2", "kvm"),
    ("Google", "kvm"),
    ("QEMU", "kvm"),
];

pub fn gather(facts: &mut Map<String, Json>) {
    let container = container();
    let machine = machine();
    let guest: Vec<_> = container.iter().chain(&machine).cloned().collect();
    let host = if container.is_none() && Path::new("/dev/kvm").exists() {
        vec!["kvm".to_owned()]
    } else {
        Vec::new()
    };
    let (kind, role) = match (guest.first(), host.first()) {
        (Some(kind), _) => (kind.clone(), "guest"),
        (None, Some(kind)) => (kind.clone(), "host"),
        (None, None) => ("NA".to_owned(), "NA"),
    };
    facts.insert("virtualization_type".to_owned(), json!(kind));
    facts.insert("virtualization_role".to_owned(), json!(role));
    facts.insert("virtualization_tech_guest".to_owned(), json!(guest));
    facts.insert("virtualization_tech_host".to_owned(), json!(host));
}

fn container() -> Option<String> {
    if Path::new("/.dockerenv").exists() {
        return Some("docker".to_owned());
    }
    let environment = std::fs::read("/proc/1/environ").unwrap_or_default();
    let said = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(b"container="))
        .map(|kind| String::from_utf8_lossy(kind).into_owned());
    let kind = said.unwrap_or_else(|| text("/run/systemd/container"));
    match kind.as_str() {
        "" => None,
        "lxc" | "podman" | "docker" => Some(kind),
        _ => Some("container".to_owned()),
    }
}

fn machine() -> Option<String> {
    let read = |name: &str| text(&format!("/sys/class/dmi/id/{name}"));
    let described =
        [read("product_name"), read("sys_vendor"), read("bios_vendor"), read("product_family")]
            .join("\n");
    let known = MACHINES.iter().find(|(word, _)| described.contains(word));
    if let Some((_, kind)) = known {
        return Some((*kind).to_owned());
    }
    let hypervisor = text("/sys/hypervisor/type");
    if hypervisor == "xen" {
        return Some(hypervisor);
    }
    let cpus = text("/proc/cpuinfo");
    let flags = cpus.lines().find(|line| line.starts_with("flags"));
    let is_guest = flags.is_some_and(|flags| flags.split_whitespace().any(|f| f == "hypervisor"));
    is_guest.then(|| "kvm".to_owned())
}
