//! Hardware: processors, memory, mounts, time since boot.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::text;

pub fn gather(facts: &mut Map<String, Json>) {
    let mut add = |name: &str, value: Json| facts.insert(name.to_owned(), value);
    let cpuinfo = text("/proc/cpuinfo");
    let values = |key: &str| -> Vec<&str> {
        let named = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        named.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).collect()
    };
    let processors = values("processor").len().max(1);
    let sockets = values("physical id").into_iter().collect::<BTreeSet<_>>().len().max(1);
    let cores = values("cpu cores").first().and_then(|n| n.parse().ok()).unwrap_or(1usize);
    let models: Vec<_> = values("model name");
    let mut described = Vec::new();
    for index in 0..processors {
        described.push(index.to_string());
        described.extend(values("vendor_id").get(index).map(|s| (*s).to_owned()));
        described.extend(models.get(index).map(|s| (*s).to_owned()));
    }
    add("processor", json!(described));
    add("processor_count", json!(sockets));
    add("processor_cores", json!(cores));
    add("processor_threads_per_core", json!((processors / (sockets * cores)).max(1)));
    add("processor_vcpus", json!(processors));
    add("processor_nproc", json!(processors));
    let meminfo = text("/proc/meminfo");
    let mb = |key: &str| -> u64 {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0) / 1024
    };
    let (total, free) = (mb("MemTotal"), mb("MemFree"));
    let nocache = free + mb("Cached") + mb("Buffers");
    add("memtotal_mb", json!(total));
    add("memfree_mb", json!(free));
    add("swaptotal_mb", json!(mb("SwapTotal")));
    add("swapfree_mb", json!(mb("SwapFree")));
    add(
        "memory_mb",
        json!({
            "real": {"total": total, "used": total.saturating_sub(free), "free": free},
            "nocache": {"free": nocache, "used": total.saturating_sub(nocache)},
            "swap": {
                "total": mb("SwapTotal"), "free": mb("SwapFree"), "cached": mb("SwapCached"),
                "used": mb("SwapTotal").saturating_sub(mb("SwapFree")),
            },
        }),
    );
    let uptime = text("/proc/uptime");
    let seconds = uptime.split(['.', ' ']).next().and_then(|s| s.parse::<u64>().ok());
    add("uptime_seconds", json!(seconds.unwrap_or(0)));
    add("mounts", mounts());
}

/// Mounts of devices, with their sizes.
fn mounts() -> Json {
    let table = text("/proc/self/mounts");
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let [device, mount, fstype, options, dump, passno, ..] = fields.as_slice() else {
                return None;
            };
            let real = device.starts_with('/') || *fstype == "overlay" || device.contains(":/");
            real.then(|| {
                let mut entry = entry(device, &mount.replace("\\040", " "), fstype, options);
                entry["dump"] = json!(dump.parse::<u8>().unwrap_or(0));
                entry["passno"] = json!(passno.parse::<u8>().unwrap_or(0));
                entry
            })
        })
        .collect()
}

fn entry(device: &str, mount: &str, fstype: &str, options: &str) -> Json {
    let mut entry = json!({"device": device, "mount": mount, "fstype": fstype, "options": options});
    entry["uuid"] = json!(uuid_of(device).unwrap_or_else(|| "N/A".to_owned()));
    if let Ok(stat) = rustix::fs::statvfs(mount) {
        entry["size_total"] = json!(stat.f_blocks * stat.f_frsize);
        entry["size_available"] = json!(stat.f_bavail * stat.f_frsize);
        entry["block_size"] = json!(stat.f_bsize);
        entry["block_total"] = json!(stat.f_blocks);
        entry["block_available"] = json!(stat.f_bavail);
        entry["block_used"] = json!(stat.f_blocks.saturating_sub(stat.f_bavail));
        entry["inode_used"] = json!(stat.f_files.saturating_sub(stat.f_favail));
        entry["inode_total"] = json!(stat.f_files);
        entry["inode_available"] = json!(stat.f_favail);
    }
    entry
}

/// udev's link to the device.
fn uuid_of(device: &str) -> Option<String> {
    let device = std::fs::canonicalize(device).ok()?;
    let links = std::fs::read_dir("/dev/disk/by-uuid").ok()?.flatten();
    links
        .filter(|link| std::fs::canonicalize(link.path()).is_ok_and(|target| target == device))
        .map(|link| link.file_name().to_string_lossy().into_owned())
        .next()
}
