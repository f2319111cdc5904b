//! YAML inventories: groups with `hosts`, `children` and `vars`.

use super::data::text_of;
use super::load::Reader;
use crate::source::{Error, Node, Span, Yaml, suggest};
use crate::template::Variable;
use std::sync::Arc;

pub fn read(reader: &mut Reader<'_>, document: &Node) -> Result<(), Error> {
    let entries = match &document.value {
        Yaml::Map(entries) => entries,
        Yaml::Null => {
            return Err(document.span.error("Parsed empty YAML file").with_help(
                "an inventory names groups, and hosts in them: all: {hosts: {cp1: {}}}",
            ));
        }
        _ => {
            return Err(document.span.error(format!(
                "YAML inventory has invalid structure, it should be a dictionary, got: {}",
                document.kind()
            )));
        }
    };
    if let Some(plugin) = document.get("plugin").filter(|node| node.as_str().is_some()) {
        return Err(plugin
            .span
            .error("Plugin configuration YAML file, not YAML inventory")
            .with_help(
                "it is read where ANSIBLE_INVENTORY_ENABLED names auto, from a file whose name \
                 ends with .yml or .yaml",
            ));
    }
    for (key, value) in entries {
        let name = name_of(key)?;
        group(reader, &name, value)?;
    }
    Ok(())
}

fn group(reader: &mut Reader<'_>, name: &str, node: &Node) -> Result<(), Error> {
    reader.inventory.declare_group(name);
    let entries = match &node.value {
        Yaml::Null => return Ok(()),
        Yaml::Map(entries) => entries,
        _ => {
            return Err(node.span.error(format!(
                "the group '{name}' must be a dictionary of hosts, children and vars, not {}",
                node.kind()
            )));
        }
    };
    for (key, _) in entries {
        let section = name_of(key)?;
        if !matches!(section.as_str(), "hosts" | "children" | "vars") {
            return Err(unexpected(key, &section, name));
        }
    }
    // In the order of the file: what stands later wins.
    for (section, value) in entries {
        let section = name_of(section)?;
        for (key, value) in entries_of(value, &section, name)? {
            match section.as_str() {
                "vars" => {
                    let variable = variable_name(reader, &key)?;
                    reader.inventory.set_group_variable(name, &variable, value)?;
                }
                "children" => {
                    let child = name_of(&key)?;
                    let added = reader.inventory.declare_child(name, &child);
                    added.map_err(|error| key.span.error(error))?;
                    group(reader, &child, &value)?;
                }
                _ => hosts(reader, name, &key, &value)?,
            }
        }
    }
    Ok(())
}

fn hosts(reader: &mut Reader<'_>, group: &str, key: &Node, vars: &Node) -> Result<(), Error> {
    let pattern = key.as_str().ok_or_else(|| {
        let written = text_of(&key.value).unwrap_or_else(|| key.kind().to_owned());
        key.span.error(format!(
            "Host pattern {written} must be a string. Enclose integers/floats in quotation marks."
        ))
    })?;
    let names = reader.hosts(pattern, group, &key.span)?;
    match &vars.value {
        Yaml::Null => {}
        Yaml::Map(entries) => {
            for (variable, value) in entries {
                let variable = variable_name(reader, variable)?;
                let value = Variable::Source(Arc::new(value.clone()));
                for name in &names {
                    reader.inventory.set_host_variable(name, &variable, value.clone());
                }
            }
        }
        _ => {
            return Err(vars.span.error(format!(
                "the variables of the host '{pattern}' must be a dictionary, not {}",
                vars.kind()
            )));
        }
    }
    Ok(())
}

/// The entries of a section; one name alone stands for itself with nothing.
fn entries_of(value: &Node, section: &str, group: &str) -> Result<Vec<(Node, Node)>, Error> {
    match &value.value {
        Yaml::Null => Ok(Vec::new()),
        Yaml::Map(entries) => Ok(entries.clone()),
        Yaml::Str(_) if section != "vars" => {
            Ok(vec![(value.clone(), Node::new(Yaml::Null, value.span.clone()))])
        }
        _ => {
            let error = value.span.error(format!(
                "Invalid \"{section}\" entry for \"{group}\" group, requires a dictionary, found \
                 {} instead.",
                value.kind()
            ));
            Err(match (&value.value, section) {
                (Yaml::Seq(_), "hosts" | "children") => error.with_help(format!(
                    "write each of the {section} as a key: 'cp1:', not '- cp1'"
                )),
                _ => error,
            })
        }
    }
}

/// Names of groups and variables may look like numbers.
fn name_of(key: &Node) -> Result<String, Error> {
    text_of(&key.value).ok_or_else(|| no_name(key))
}

fn variable_name(reader: &mut Reader<'_>, key: &Node) -> Result<String, Error> {
    reader.inventory.variable_name(key).ok_or_else(|| no_name(key))
}

fn no_name(key: &Node) -> Error {
    key.span.error(format!("a name must be a string, not {}", key.kind()))
}

fn unexpected(key: &Node, section: &str, group: &str) -> Error {
    let error = expected_sections(&key.span, section, group);
    match suggest(section, ["hosts", "children", "vars"]) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error.with_help(format!(
            "a group below '{group}' is written under 'children', a host under 'hosts', a variable \
             under 'vars'"
        )),
    }
}

fn expected_sections(span: &Span, section: &str, group: &str) -> Error {
    span.error(format!(
        "unexpected key ({section}) in group ({group}), only \"vars\", \"children\" and \"hosts\" \
         are valid"
    ))
}
