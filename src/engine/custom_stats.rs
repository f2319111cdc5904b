//! What `set_stats` counts: numbers, texts, lists and mappings of the run's or a host's own.

use serde_json::{Map, Value as Json, json};

use crate::events::{CustomStats, RUN};
use crate::template;

/// Takes in what a result says under `ansible_stats`.
pub fn take_in(stats: &mut CustomStats, host: &str, result: &Map<String, Json>) {
    let Some(told) = result.get("ansible_stats") else { return };
    let Some(Json::Object(data)) = told.get("data") else { return };
    let is = |key: &str| told.get(key).and_then(Json::as_bool).unwrap_or(false);
    let own = stats.entry(if is("per_host") { host } else { RUN }.to_owned()).or_default();
    for (name, value) in data {
        match own.get_mut(name) {
            Some(known) if is("aggregate") => add(known, value),
            _ => {
                own.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Numbers are summed, texts and lists joined, mappings merged; of another type nothing
/// can be added.
fn add(known: &mut Json, value: &Json) {
    match (&mut *known, value) {
        (Json::Number(a), Json::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => *known = json!(a.saturating_add(b)),
            _ => {
                if let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) {
                    *known = json!(a + b);
                }
            }
        },
        (Json::String(a), Json::String(b)) => a.push_str(b),
        (Json::Array(a), Json::Array(b)) => a.extend(b.iter().cloned()),
        (Json::Object(_), Json::Object(_)) => template::merge_json(known, value.clone()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stats: &mut CustomStats, data: Json, per_host: bool, aggregate: bool) {
        let result =
            json!({"ansible_stats": {"data": data, "per_host": per_host, "aggregate": aggregate}});
        take_in(stats, "h", result.as_object().expect("a map"));
    }

    #[test]
    fn what_is_told_twice_is_added_up() {
        let mut stats = CustomStats::default();
        told(&mut stats, json!({"n": 10, "t": "a", "l": [1], "m": {"a": 1}}), false, true);
        told(&mut stats, json!({"n": 15, "t": "b", "l": [2], "m": {"b": 1}}), false, true);
        told(&mut stats, json!({"n": "x"}), false, true);
        let run = json!({"n": 25, "t": "ab", "l": [1, 2], "m": {"a": 1, "b": 1}});
        assert_eq!(Json::Object(stats[RUN].clone()), run);
    }

    #[test]
    fn without_aggregate_the_last_one_counts_and_hosts_have_their_own() {
        let mut stats = CustomStats::default();
        told(&mut stats, json!({"n": 1}), true, false);
        told(&mut stats, json!({"n": 2}), true, false);
        assert_eq!(Json::Object(stats["h"].clone()), json!({"n": 2}));
        assert!(!stats.contains_key(RUN));
    }
}
