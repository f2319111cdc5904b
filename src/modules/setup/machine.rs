//! The machine: what its firmware says, its disks.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::text;

/// Facts and the files of /sys/class/dmi/id that they come from.
const FIRMWARE: [(&str, &str); 18] = [
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("form_factor", "chassis_type"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

pub fn gather(facts: &mut Map<String, Json>) {
    for (fact, file) in FIRMWARE {
        let value = text(&format!("/sys/class/dmi/id/{file}"));
        let value = if value.trim().is_empty() { "NA".to_owned() } else { value };
        facts.insert(fact.to_owned(), json!(value));
    }
    facts.insert("devices".to_owned(), devices());
}

fn devices() -> Json {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let devices: Map<_, _> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let device = device(&entry.path(), &name);
            (name, device)
        })
        .collect();
    Json::Object(devices)
}

fn device(path: &Path, name: &str) -> Json {
    let read = |file: &str| text(&path.join(file).to_string_lossy());
    let some = |file: &str| Some(read(file)).filter(|text| !text.is_empty());
    let number = |file: &str| read(file).parse::<u64>().unwrap_or(0);
    let partitions: Map<_, _> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|part| part.starts_with(name))
        .map(|part| {
            let sectors = number(&format!("{part}/size"));
            let start = read(&format!("{part}/start"));
            let value = json!({"start": start, "sectors": sectors, "size": human(sectors * 512)});
            (part, value)
        })
        .collect();
    let sectors = number("size");
    json!({
        "model": some("device/model"), "vendor": some("device/vendor"),
        "removable": read("removable"), "rotational": read("queue/rotational"),
        "sectors": sectors, "sectorsize": read("queue/hw_sector_size"),
        "size": human(sectors * 512), "partitions": partitions,
    })
}

/// `252.00 GB`, as Ansible writes sizes.
fn human(bytes: u64) -> String {
    let units = [("TB", 1u64 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.2} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}.00 Bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_ansible_writes_them() {
        assert_eq!(human(270_582_939_648), "252.00 GB");
        assert_eq!(human(0), "0.00 Bytes");
    }
}
