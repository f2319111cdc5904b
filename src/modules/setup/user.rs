//! Who we are on the host.

use serde_json::{Map, Value as Json, json};

use super::text;
use crate::modules::users::{Database, entry_of};

pub fn gather(facts: &mut Map<String, Json>) {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    let entry = entry_of(Database::Users, uid).unwrap_or_default();
    let fields: Vec<_> = entry.split(':').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let mut add = |name: &str, value: Json| facts.insert(name.to_owned(), value);
    add("user_id", json!(if entry.is_empty() { uid.to_string() } else { field(0).to_owned() }));
    add("user_uid", json!(uid));
    add("user_gid", json!(field(3).parse().unwrap_or(gid)));
    add("user_gecos", json!(field(4)));
    add("user_dir", json!(field(5)));
    add("user_shell", json!(field(6)));
    add("real_user_id", json!(uid));
    add("real_group_id", json!(gid));
    add("effective_user_id", json!(rustix::process::geteuid().as_raw()));
    add("effective_group_id", json!(rustix::process::getegid().as_raw()));
    for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
        let key = text(&format!("/etc/ssh/ssh_host_{kind}_key.pub"));
        let mut words = key.split_whitespace();
        if let (Some(keytype), Some(public)) = (words.next(), words.next()) {
            add(&format!("ssh_host_key_{kind}_public"), json!(public));
            add(&format!("ssh_host_key_{kind}_public_keytype"), json!(keytype));
        }
    }
}
