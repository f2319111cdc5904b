//! What all file modules take besides owner, group and mode: the SELinux context, the
//! attributes of ext filesystems, and whether files may be written in place.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::args::Flag;
use super::process::Process;
use super::{Context, Failure, Outcome, files};

/// The arguments that are taken here.
pub const ARGUMENTS: &[&str] =
    &["seuser", "serole", "setype", "selevel", "attributes", "attr", UNSAFE_WRITES];

const UNSAFE_WRITES: &str = "unsafe_writes";

/// Parts of an SELinux context, in the order in which it is written.
const CONTEXT: [&str; 4] = ["seuser", "serole", "setype", "selevel"];

const XATTR: &str = "security.selinux";

/// Takes its arguments out of a module's.
pub fn take(arguments: &mut Json) -> Map<String, Json> {
    let Json::Object(map) = arguments else { return Map::new() };
    let given = ARGUMENTS.iter().filter_map(|name| map.remove(*name).map(|value| (*name, value)));
    let given = given.filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Whether the arguments, or else the task's environment, allow files to be written in place.
pub fn unsafe_writes(given: &Map<String, Json>, context: &Context) -> bool {
    let told = context.environment.get("ANSIBLE_UNSAFE_WRITES").cloned().map(Json::String);
    let told = given.get(UNSAFE_WRITES).cloned().or(told);
    told.and_then(|told| serde_json::from_value::<Flag>(told).ok()).is_some_and(|flag| flag.0)
}

/// Sets what is asked for on the file that a module has put right.
pub fn apply(given: &Map<String, Json>, outcome: &mut Outcome, check: bool) -> Result<(), Failure> {
    if given.is_empty() {
        return Ok(());
    }
    let path = ["dest", "path"].iter().find_map(|key| outcome.result.get(*key)?.as_str());
    let Some(path) = path.map(Path::new).filter(|path| path.exists()) else {
        return Ok(());
    };
    let mut changed = context(given, path, check)?;
    changed |= attributes(given, path, check)?;
    outcome.changed |= changed;
    Ok(())
}

/// A host without SELinux has no contexts, and none are set there.
fn context(given: &Map<String, Json>, path: &Path, check: bool) -> Result<bool, Failure> {
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        return Ok(false);
    }
    let mut value = vec![0; 1024];
    let length = rustix::fs::getxattr(path, XATTR, &mut value).map_err(|error| {
        files::failed("its SELinux context cannot be read", path, &error.into())
    })?;
    let old = String::from_utf8_lossy(value.get(..length).unwrap_or_default())
        .trim_end_matches('\0')
        .to_owned();
    let new = with_parts(&old, given);
    if new == old {
        return Ok(false);
    }
    if !check {
        rustix::fs::setxattr(path, XATTR, new.as_bytes(), rustix::fs::XattrFlags::empty())
            .map_err(|error| files::failed("set selinux context failed", path, &error.into()))?;
    }
    Ok(true)
}

/// The context with the parts that are given; `_default` leaves a part to the host.
fn with_parts(old: &str, given: &Map<String, Json>) -> String {
    let mut parts: Vec<&str> = old.splitn(CONTEXT.len(), ':').collect();
    for (index, name) in CONTEXT.iter().enumerate() {
        let wanted = given.get(*name).and_then(Json::as_str).filter(|part| *part != "_default");
        if let (Some(wanted), Some(part)) = (wanted, parts.get_mut(index)) {
            *part = wanted;
        }
    }
    parts.join(":")
}

/// `+i`, `-a` or `=ae`, as chattr takes them.
fn attributes(given: &Map<String, Json>, path: &Path, check: bool) -> Result<bool, Failure> {
    let wanted = given.get("attributes").or_else(|| given.get("attr")).and_then(Json::as_str);
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        return Ok(false);
    };
    let listed = Process::new("lsattr").arg("-d").arg(path).run()?;
    let old = listed.stdout.split_whitespace().next().unwrap_or_default().replace('-', "");
    let (operator, flags) = match wanted.split_at_checked(1) {
        Some((operator @ ("+" | "-" | "="), flags)) => (operator, flags),
        _ => ("=", wanted),
    };
    let has = |flag: char| old.contains(flag);
    let differs = match operator {
        "+" => !flags.chars().all(has),
        "-" => flags.chars().any(has),
        _ => flags.len() != old.len() || !flags.chars().all(has),
    };
    if differs && !check {
        let done = Process::new("chattr").arg(format!("{operator}{flags}")).arg(path).run()?;
        if done.rc != 0 {
            let msg = format!("chattr failed: {}", done.stderr.trim());
            return Err(Failure::new(msg)
                .with("rc", done.rc)
                .with("path", path.display().to_string()));
        }
    }
    Ok(differs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Json) -> Map<String, Json> {
        match value {
            Json::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn the_parts_that_are_given_replace_those_of_the_context() {
        let old = "system_u:object_r:user_home_t:s0:c1,c2";
        let given = map(json!({"setype": "etc_t", "seuser": "_default"}));
        assert_eq!(with_parts(old, &given), "system_u:object_r:etc_t:s0:c1,c2");
        let level = map(json!({"selevel": "s0"}));
        assert_eq!(with_parts(old, &level), "system_u:object_r:user_home_t:s0");
    }

    #[test]
    fn its_arguments_are_taken_out_of_the_modules() {
        let mut arguments = json!({"path": "/x", "setype": "etc_t", "seuser": null});
        assert_eq!(take(&mut arguments), map(json!({"setype": "etc_t"})));
        assert_eq!(arguments, json!({"path": "/x"}));
    }
}
