//! `--list` and `--host`: the inventory as a document of JSON, YAML or TOML.

use std::collections::HashSet;

use indexmap::IndexSet;
use minijinja::value::ValueKind;

use super::given::{Form, Given};
use crate::engine::LoadError;
use crate::source::Error;
use crate::template::yaml::{self, Style};
use crate::template::{JsonStyle, TemplateError, Value, write_json};

/// The whole inventory with these hosts, in the shape that the form has for it.
pub fn list(given: &Given, hosts: IndexSet<String>) -> Result<Value, LoadError> {
    let mut lister = Lister { given, hosts, told_hosts: HashSet::new(), told: HashSet::new() };
    match given.form() {
        Form::Yaml => Ok(map(lister.nested("all")?.map(|all| ("all".to_owned(), all)))),
        Form::Toml => lister.tables(),
        Form::Json | Form::Text => lister.flat(),
    }
}

/// The document as a text.
pub fn write(
    document: &Value,
    form: Form,
    warnings: &mut Vec<String>,
) -> Result<String, LoadError> {
    let failed = |error: TemplateError| LoadError::from(Error::new(error.message));
    match form {
        Form::Yaml => {
            let style = Style { flow_leaves: false, anchors: true, ..Style::default() };
            yaml::dump(document, &style).map_err(failed)
        }
        Form::Toml if is_empty(document) => {
            // Ansible ends with this exit code too, and says nothing.
            Err(Error::new("there is nothing to show: a TOML document would be empty").into())
        }
        Form::Toml => Ok(toml::to_string(&table(document)?)
            .map_err(|error| unrepresentable(&error.to_string()))?),
        Form::Json | Form::Text => {
            let style = JsonStyle { indent: Some(4), sorted: true, ascii: false, separators: None };
            write_json(document, &style).or_else(|error| {
                let told = "Could not sort JSON output due to issues while sorting keys";
                warnings.push(format!("{told}: {}", error.message));
                write_json(document, &JsonStyle { sorted: false, ..style }).map_err(failed)
            })
        }
    }
}

fn map<K: Into<Value>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::from_pairs(entries.into_iter().map(|(key, value)| (key.into(), value)))
}

fn is_empty(value: &Value) -> bool {
    value.len() == Some(0)
}

struct Lister<'a> {
    given: &'a Given,
    /// The hosts that are shown.
    hosts: IndexSet<String>,
    /// Whose variables have been told.
    told_hosts: HashSet<String>,
    /// The groups that have been told.
    told: HashSet<String>,
}

impl Lister<'_> {
    /// The hosts of a group itself; those of `all` stand in the groups below it.
    fn hosts_of(&self, group: &str) -> Vec<String> {
        let inventory = self.given.inventory();
        let hosts = inventory.own_hosts(group).filter(|_| group != "all");
        hosts.filter(|host| self.hosts.contains(*host)).map(str::to_owned).collect()
    }

    fn children_of(&self, group: &str) -> Vec<String> {
        self.given.inventory().children(group).map(str::to_owned).collect()
    }

    /// What is given for a group, where that is shown beside what is given for hosts.
    fn exported(&self, group: &str) -> Result<Value, LoadError> {
        if self.given.export {
            self.given.of_group(group)
        } else {
            Ok(map([] as [(&str, Value); 0]))
        }
    }

    /// The group and all below it, each before those below it.
    fn groups_from(&mut self, group: &str) -> Vec<String> {
        let mut groups = vec![group.to_owned()];
        for child in self.children_of(group) {
            if self.told.insert(child.clone()) {
                groups.extend(self.groups_from(&child));
            }
        }
        groups
    }

    /// As an inventory script answers: every group beside the others, and the hosts' variables.
    fn flat(&mut self) -> Result<Value, LoadError> {
        let mut all = Vec::new();
        for group in self.groups_from("all") {
            let texts = |texts: Vec<String>| texts.into_iter().map(Value::from).collect::<Value>();
            let parts = [
                ("hosts", texts(self.hosts_of(&group))),
                ("children", texts(self.children_of(&group))),
                ("vars", self.exported(&group)?),
            ];
            let parts = map(parts.into_iter().filter(|(_, part)| !is_empty(part)));
            if !is_empty(&parts) {
                all.push((group, parts));
            }
        }
        let mut variables = Vec::new();
        for host in &self.hosts {
            let given = self.given.of_host(host)?;
            if !is_empty(&given) {
                variables.push((host.as_str(), given));
            }
        }
        all.push(("_meta".to_owned(), map([("hostvars", map(variables))])));
        Ok(map(all))
    }

    /// As a YAML inventory: groups in groups. What was told already is only named again.
    fn nested(&mut self, group: &str) -> Result<Option<Value>, LoadError> {
        let nothing = || map([] as [(&str, Value); 0]);
        let mut children = Vec::new();
        for child in self.children_of(group) {
            if !self.told.contains(&child) {
                children.extend(self.nested(&child)?.map(|content| (child.clone(), content)));
                self.told.insert(child);
            } else {
                children.push((child, nothing()));
            }
        }
        let hosts = self.hosts_with_variables(group)?;
        let parts =
            [("children", map(children)), ("hosts", hosts), ("vars", self.exported(group)?)];
        let parts = map(parts.into_iter().filter(|(_, part)| !is_empty(part)));
        Ok((!is_empty(&parts)).then_some(parts))
    }

    fn hosts_with_variables(&mut self, group: &str) -> Result<Value, LoadError> {
        let mut hosts = Vec::new();
        for host in self.hosts_of(group) {
            let given = match self.told_hosts.insert(host.clone()) {
                true => self.given.of_host(&host)?,
                false => map([] as [(&str, Value); 0]),
            };
            hosts.push((host, given));
        }
        Ok(map(hosts))
    }

    /// As a TOML inventory: a table for each group, `children` by their names.
    fn tables(&mut self) -> Result<Value, LoadError> {
        let mut all = Vec::new();
        for group in self.groups_from("all") {
            let children = self.children_of(&group).into_iter().filter(|_| group != "all");
            let children: Value = children.map(Value::from).collect();
            let hosts = self.hosts_with_variables(&group)?;
            let parts =
                [("children", children), ("hosts", hosts), ("vars", self.exported(&group)?)];
            let parts = map(parts.into_iter().filter(|(_, part)| !is_empty(part)));
            if !is_empty(&parts) {
                all.push((group, parts));
            }
        }
        Ok(map(all))
    }
}

fn unrepresentable(what: &str) -> Error {
    Error::new(format!(
        "The source inventory contains a value that cannot be represented in TOML: {what}"
    ))
}

fn table(value: &Value) -> Result<toml::Value, Error> {
    let items = || value.try_iter().into_iter().flatten();
    Ok(match value.kind() {
        ValueKind::Bool => toml::Value::Boolean(value.is_true()),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(number) if value.is_integer() => toml::Value::Integer(number),
            _ => toml::Value::Float(f64::try_from(value.clone()).unwrap_or_default()),
        },
        ValueKind::String => toml::Value::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Seq => {
            toml::Value::Array(items().map(|item| table(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let entries = items().map(|key| {
                let name = key.as_str().ok_or_else(|| {
                    Error::new(format!(
                        "The source inventory contains a non-string key ({key}) which cannot be \
                         represented in TOML. The specified key will need to be converted to a \
                         string."
                    ))
                    .with_help(
                        "put the key in quotes where it is written; playbooks that look for a \
                         number must then look for a text",
                    )
                })?;
                Ok((name.to_owned(), table(&value.get_item(&key).unwrap_or_default())?))
            });
            toml::Value::Table(entries.collect::<Result<_, Error>>()?)
        }
        ValueKind::None => return Err(unrepresentable("null")),
        _ => return Err(unrepresentable(&value.to_string())),
    })
}
