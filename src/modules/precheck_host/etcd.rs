//! etcd as the member of this host sees it.

use std::fs;

use serde_json::Value as Json;

use super::facts::{Etcd, Member};
use crate::modules::etcd_snapshot::{Client, Place};
use crate::modules::{Context, Failure};

const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";
/// etcd's own, unless its manifest says otherwise.
const QUOTA: u64 = 2 * 1024 * 1024 * 1024;

/// None on a host without a member.
pub fn look(context: &Context) -> Option<Etcd> {
    let manifest = fs::read_to_string(MANIFEST).ok()?;
    let quota = quota(&manifest);
    Some(match ask(context) {
        Ok(etcd) => Etcd { quota, ..etcd },
        Err(failure) => Etcd { quota, error: Some(failure.msg), ..Etcd::default() },
    })
}

fn quota(manifest: &str) -> u64 {
    let flag = "--quota-backend-bytes=";
    let said = manifest.lines().find_map(|line| line.trim().strip_prefix("- ")?.strip_prefix(flag));
    let said = said.and_then(|number| number.trim_matches('"').parse().ok());
    said.filter(|number| *number > 0).unwrap_or(QUOTA)
}

fn ask(context: &Context) -> Result<Etcd, Failure> {
    let client = Client::find(context, &Place::find(None, None))?;
    let members = client.json(context, &["member", "list"])?;
    // It ends badly when one member is not well, and tells of all of them all the same.
    let health = client.json(context, &["endpoint", "health", "--cluster"])?;
    let status = client.json(context, &["endpoint", "status", "--cluster"])?;
    let alarms = client.json(context, &["alarm", "list"])?;
    Ok(read(&members, &health, &status, &alarms))
}

fn read(members: &Json, health: &Json, status: &Json, alarms: &Json) -> Etcd {
    let list = |value: &Json, key: &str| -> Vec<Json> {
        let list =
            if key.is_empty() { value.as_array() } else { value.get(key).and_then(Json::as_array) };
        list.cloned().unwrap_or_default()
    };
    let (health, status) = (list(health, ""), list(status, ""));
    let members: Vec<_> =
        list(members, "members").iter().map(|member| of_member(member, &health, &status)).collect();
    let alarms = list(alarms, "alarms").iter().map(alarm).collect();
    Etcd { error: None, members, alarms, quota: 0 }
}

fn of_member(member: &Json, health: &[Json], status: &[Json]) -> Member {
    let text = |value: &Json, pointer: &str| {
        value.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
    };
    let urls: Vec<_> =
        member.get("clientURLs").and_then(Json::as_array).into_iter().flatten().collect();
    let mine = |answer: &&Json, key: &str| urls.iter().any(|url| answer.get(key) == Some(*url));
    let health = health.iter().find(|answer| mine(answer, "endpoint"));
    let status = status.iter().find(|answer| mine(answer, "Endpoint"));
    Member {
        name: text(member, "/name"),
        endpoint: urls.first().and_then(|url| url.as_str()).unwrap_or_default().to_owned(),
        healthy: health.is_some_and(|answer| answer.get("health") == Some(&Json::Bool(true))),
        error: match health {
            Some(answer) => text(answer, "/error"),
            None => "it has no address for clients yet: it has not started".to_owned(),
        },
        learner: member.get("isLearner").and_then(Json::as_bool).unwrap_or(false),
        version: status.map(|answer| text(answer, "/Status/version")).unwrap_or_default(),
        database: status
            .and_then(|answer| answer.pointer("/Status/dbSize")?.as_u64())
            .unwrap_or_default(),
        revision: status
            .and_then(|answer| answer.pointer("/Status/header/revision")?.as_i64())
            .unwrap_or_default(),
    }
}

/// An alarm's number, or in newer versions its name, and the member's id.
fn alarm(alarm: &Json) -> String {
    let kind = match alarm.get("alarm") {
        Some(Json::Number(number)) => match number.as_u64() {
            Some(1) => "NOSPACE".to_owned(),
            Some(2) => "CORRUPT".to_owned(),
            _ => format!("alarm {number}"),
        },
        Some(Json::String(name)) => name.clone(),
        _ => "an alarm".to_owned(),
    };
    let id = alarm.get("memberID").and_then(Json::as_u64).unwrap_or_default();
    format!("{kind} of member {id:x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_are_joined_with_their_health_and_status() {
        let members = json!({"members": [
            {"ID": 11, "name": "cp1", "clientURLs": ["https://10.0.0.1:2379"]},
            {"ID": 12_345_678_901_234_567_890_u64, "name": "cp2", "clientURLs": ["https://10.0.0.2:2379"]},
            {"ID": 13, "name": "", "isLearner": true},
        ]});
        let health = json!([
            {"endpoint": "https://10.0.0.1:2379", "health": true, "took": "9ms"},
            {"endpoint": "https://10.0.0.2:2379", "health": false, "error": "context deadline exceeded"},
        ]);
        let status = json!([
            {"Endpoint": "https://10.0.0.1:2379", "Status": {"header": {"revision": 7}, "version": "3.4.13", "dbSize": 4096}},
        ]);
        let alarms = json!({"alarms": [{"memberID": 11, "alarm": 1}]});
        let etcd = read(&members, &health, &status, &alarms);
        let [first, second, third] = etcd.members.as_slice() else { panic!("{etcd:?}") };
        assert!(first.healthy && first.version == "3.4.13" && first.database == 4096);
        assert_eq!((first.revision, second.revision), (7, 0));
        assert!(!second.healthy && second.error == "context deadline exceeded");
        assert!(third.learner && third.error.contains("not started"));
        assert_eq!(etcd.alarms, ["NOSPACE of member b"]);
    }

    #[test]
    fn the_quota_is_etcds_own_or_what_the_manifest_says() {
        assert_eq!(quota("    - --data-dir=/x\n"), QUOTA);
        assert_eq!(quota("    - --quota-backend-bytes=8589934592\n"), 8 << 30);
    }
}
