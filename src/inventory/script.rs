//! Executable inventories: `--list`, and `--host NAME` when it tells no variables.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::data::text_of;
use super::load::Reader;
use crate::source::{self, Error, Node, Span, Yaml};
use crate::template::Variable;

pub fn read(reader: &mut Reader<'_>, path: &Path) -> Result<(), Error> {
    let answer = run(path, &["--list"])?;
    let Some(groups) = answer.as_map() else {
        return Err(answer.span.error(format!(
            "the inventory script must answer --list with a mapping of groups, not {}",
            answer.kind()
        )));
    };
    for (key, group) in groups {
        let name = name_of(key)?;
        if name != "_meta" {
            read_group(reader, &name, group)?;
        }
    }
    match answer.get("_meta") {
        Some(meta) => {
            let entries = meta.get("hostvars").and_then(Node::as_map).unwrap_or_default();
            for (host, vars) in entries {
                set_host_vars(reader, &name_of(host)?, vars)?;
            }
        }
        None => {
            let from_here: Vec<String> = reader
                .inventory
                .hosts
                .iter()
                .filter(|(_, host)| host.source.as_deref() == Some(path))
                .map(|(name, _)| name.clone())
                .collect();
            for host in from_here {
                let vars = run(path, &["--host", &host])?;
                set_host_vars(reader, &host, &vars)?;
            }
        }
    }
    Ok(())
}

fn read_group(reader: &mut Reader<'_>, name: &str, group: &Node) -> Result<(), Error> {
    reader.inventory.declare_group(name);
    let wrong = |node: &Node, what: &str| {
        Err(node.span.error(format!(
            "You defined a group '{name}' with bad data for {what}, found {}",
            node.kind()
        )))
    };
    let section = |key: &str| group.get(key).filter(|node| node.value != Yaml::Null);
    let hosts = match &group.value {
        Yaml::Seq(_) => Some(group),
        Yaml::Map(_) => section("hosts"),
        _ => return wrong(group, "the group"),
    };
    if let Some(hosts) = hosts {
        let Some(hosts) = hosts.as_seq() else {
            return wrong(hosts, "the host list");
        };
        for host in hosts {
            let host_name = name_of(host)?;
            reader.inventory.declare_host(&host_name, name, Some(host.span.path()));
        }
    }
    if let Some(vars) = section("vars") {
        let Some(entries) = vars.as_map() else {
            return wrong(vars, "variables");
        };
        for (key, value) in entries {
            reader.inventory.set_group_variable(name, &name_of(key)?, value.clone())?;
        }
    }
    if let Some(children) = section("children") {
        let Some(children) = children.as_seq() else {
            return wrong(children, "children");
        };
        for child in children {
            reader
                .inventory
                .declare_child(name, &name_of(child)?)
                .map_err(|error| child.span.error(error))?;
        }
    }
    Ok(())
}

fn set_host_vars(reader: &mut Reader<'_>, host: &str, vars: &Node) -> Result<(), Error> {
    if !reader.inventory.hosts.contains_key(host) {
        reader.inventory.declare_host(host, "ungrouped", Some(vars.span.path()));
    }
    for (key, value) in vars.as_map().unwrap_or_default() {
        let value = Variable::Source(Arc::new(value.clone()));
        reader.inventory.set_host_variable(host, &name_of(key)?, value);
    }
    Ok(())
}

/// The script's answer; places in it count from the start of what it printed.
fn run(path: &Path, arguments: &[&str]) -> Result<Node, Error> {
    let failed =
        |reason: String| Error::new(format!("Inventory script ({}) {reason}", path.display()));
    let output = Command::new(path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("had an execution error: {error}")))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("had an execution error: {}", errors.trim_end())));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| failed("printed what is not UTF-8 text".to_owned()))?;
    let node = source::load_str(&text, path)?;
    match node.value {
        // An answer of nothing is an answer without variables.
        Yaml::Null => Ok(Node::new(Yaml::Map(Vec::new()), node.span)),
        _ => Ok(node),
    }
}

fn name_of(key: &Node) -> Result<String, Error> {
    let wrong = |span: &Span| span.error("names of hosts, groups and variables must be strings");
    text_of(&key.value).ok_or_else(|| wrong(&key.span))
}
