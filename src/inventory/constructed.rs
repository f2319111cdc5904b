//! `plugin: constructed`: variables and groups made of what is known of each host so far.

use std::path::PathBuf;
use std::sync::Arc;

use minijinja::value::ValueKind;

use super::address::short_name;
use super::load::Reader;
use super::options::Options;
use super::reading::plain;
use super::vars_files;
use crate::source::{Error, Node, Yaml};
use crate::template::{
    self, Layer, Layers, Scope, Templar, TemplateError, Value, Variable, python_text, stacked,
};

const OPTIONS: &[&str] = &[
    "plugin",
    "compose",
    "groups",
    "keyed_groups",
    "strict",
    "leading_separator",
    "use_extra_vars",
    "use_vars_plugins",
];

const KEYED_GROUP: &[&str] =
    &["key", "prefix", "separator", "parent_group", "default_value", "trailing_separator"];

/// What the file says.
struct Config<'a> {
    /// An expression that fails is an error, else it is passed over: what it needs may be a
    /// fact that is not known.
    strict: bool,
    leading_separator: bool,
    use_extra_vars: bool,
    use_vars_plugins: bool,
    compose: &'a [(Node, Node)],
    groups: &'a [(Node, Node)],
    keyed_groups: Vec<KeyedGroup<'a>>,
}

/// Groups named by the value of an expression.
struct KeyedGroup<'a> {
    key: &'a Node,
    prefix: String,
    separator: String,
    parent_group: Option<&'a Node>,
    /// Stands for an empty value.
    default_value: Option<String>,
    /// Whether the separator stays before an empty value.
    trailing_separator: bool,
}

/// Reads the configuration and applies it to every host.
pub fn read(reader: &mut Reader<'_>, document: &Node) -> Result<(), Error> {
    let config = Config::read(reader, document)?;
    // Expressions of variables and names of groups may ask for nothing outside of them.
    let templar = reader.reading.templar.without_lookups();
    for host in reader.inventory.host_names() {
        let maker = Maker { config: &config, host: &host, templar: &templar };
        maker.compose(reader)?;
        // With the variables that were just made.
        let scope = maker.scope(reader)?;
        maker.groups(reader, &scope)?;
        maker.keyed_groups(reader, &scope)?;
    }
    Ok(())
}

impl<'a> Config<'a> {
    fn read(reader: &mut Reader<'_>, document: &'a Node) -> Result<Self, Error> {
        let options = Options::of(document, OPTIONS, reader.warnings);
        let mut keyed_groups = Vec::new();
        for entry in options.list("keyed_groups")? {
            keyed_groups.push(KeyedGroup::read(entry, reader)?);
        }
        Ok(Self {
            strict: options.flag("strict", false)?,
            leading_separator: options.flag("leading_separator", true)?,
            use_extra_vars: options.flag("use_extra_vars", reader.reading.use_extra_vars)?,
            use_vars_plugins: options.flag("use_vars_plugins", false)?,
            compose: options.map("compose")?,
            groups: options.map("groups")?,
            keyed_groups,
        })
    }
}

impl<'a> KeyedGroup<'a> {
    fn read(entry: &'a Node, reader: &mut Reader<'_>) -> Result<Self, Error> {
        if entry.as_map().is_none_or(<[_]>::is_empty) {
            return Err(entry.span.error(format!(
                "Invalid keyed group entry, it must be a dictionary, not {}",
                entry.kind()
            )));
        }
        let options = Options::of(entry, KEYED_GROUP, reader.warnings);
        let key = options.get("key").ok_or_else(|| {
            entry.span.error("a keyed group needs 'key', the expression that names the group")
        })?;
        let default_value = options.text("default_value");
        if let (Some(separator), Some(_)) = (options.get("trailing_separator"), &default_value) {
            return Err(separator.span.error(
                "parameters are mutually exclusive for keyed groups: \
                 default_value|trailing_separator",
            ));
        }
        Ok(Self {
            key,
            prefix: options.text("prefix").unwrap_or_default(),
            separator: options.text("separator").unwrap_or_else(|| "_".to_owned()),
            parent_group: options.get("parent_group"),
            default_value,
            trailing_separator: options.flag("trailing_separator", true)?,
        })
    }

    /// The names that follow the prefix and the separator.
    fn names(&self, value: &Value) -> Option<Vec<String>> {
        let named = |value: &Value| match &self.default_value {
            Some(default) if value.as_str() == Some("") => default.clone(),
            _ => python_text(value),
        };
        Some(match value.kind() {
            ValueKind::Map => value
                .try_iter()
                .ok()?
                .map(|key| {
                    let item = value.get_item(&key).unwrap_or_default();
                    let empty = item.as_str() == Some("");
                    match (empty, &self.default_value, self.trailing_separator) {
                        (true, None, false) => python_text(&key),
                        _ => format!("{}{}{}", python_text(&key), self.separator, named(&item)),
                    }
                })
                .collect(),
            ValueKind::Seq => value.try_iter().ok()?.map(|item| named(&item)).collect(),
            ValueKind::String => vec![named(value)],
            _ => return None,
        })
    }
}

/// Applies a configuration to one host.
struct Maker<'a> {
    config: &'a Config<'a>,
    host: &'a str,
    templar: &'a Templar,
}

impl Maker<'_> {
    fn compose(&self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let scope = self.scope_with_extra(reader)?;
        for (name, expression) in self.config.compose {
            let name = text_of(name);
            match self.evaluate(self.templar, expression, &scope) {
                Ok(value) => {
                    reader.inventory.set_host_variable(self.host, &name, Variable::Data(value));
                }
                Err(error) => self.failed(
                    expression,
                    format!("Could not set {name} for host {}", self.host),
                    &error,
                )?,
            }
        }
        Ok(())
    }

    fn groups(&self, reader: &mut Reader<'_>, scope: &Arc<dyn Scope>) -> Result<(), Error> {
        for (name, condition) in self.config.groups {
            let name = text_of(name);
            match self.evaluate(&reader.reading.templar, condition, scope) {
                Ok(value) if value.is_true() => {
                    reader.inventory.declare_host(self.host, &plain(&name), None);
                }
                Ok(_) => {}
                Err(error) => self.failed(
                    condition,
                    format!("Could not add host {} to group {name}", self.host),
                    &error,
                )?,
            }
        }
        Ok(())
    }

    fn keyed_groups(&self, reader: &mut Reader<'_>, scope: &Arc<dyn Scope>) -> Result<(), Error> {
        let scope = match self.config.use_extra_vars {
            true => &self.scope_with_extra(reader)?,
            false => scope,
        };
        for keyed in &self.config.keyed_groups {
            let value = match self.evaluate(self.templar, keyed.key, scope) {
                Ok(value) => value,
                Err(error) => {
                    let what = format!(
                        "Could not generate group for host {} from {} entry",
                        self.host,
                        text_of(keyed.key)
                    );
                    self.failed(keyed.key, what, &error)?;
                    continue;
                }
            };
            // Numbers name groups as their texts do.
            let value = match value.kind() {
                ValueKind::Number => Value::from(python_text(&value)),
                _ => value,
            };
            self.keyed_group(reader, keyed, &value, scope)?;
        }
        Ok(())
    }

    fn keyed_group(
        &self,
        reader: &mut Reader<'_>,
        keyed: &KeyedGroup<'_>,
        value: &Value,
        scope: &Arc<dyn Scope>,
    ) -> Result<(), Error> {
        let empty_text = value.as_str() == Some("");
        let stands = value.is_true() || (empty_text && keyed.default_value.is_some());
        if !stands {
            // A list or mapping of nothing names no groups; all else is a slip.
            let nothing = matches!(value.kind(), ValueKind::Seq | ValueKind::Map);
            return match self.config.strict && !nothing {
                true => Err(keyed.key.span.error(format!(
                    "No key or key resulted empty for {} in host {}, invalid entry",
                    text_of(keyed.key),
                    self.host
                ))),
                false => Ok(()),
            };
        }
        let parent = match self.parent(reader, keyed, scope) {
            Ok(parent) => parent,
            Err(error) => {
                let what = format!("Could not generate parent group for host {}", self.host);
                return self.failed(keyed.key, what, &error);
            }
        };
        let names = keyed.names(value).ok_or_else(|| {
            keyed.key.span.error(format!(
                "Invalid group name format, expected a string or a list of them or dictionary, \
                 got: {}",
                template::python_type(value)
            ))
        })?;
        let leads = !keyed.prefix.is_empty() || self.config.leading_separator;
        let separator = if leads { keyed.separator.as_str() } else { "" };
        for name in names {
            let group = plain(&format!("{}{separator}{name}", keyed.prefix)).into_owned();
            if group.is_empty() {
                return Err(keyed.key.span.error("Invalid empty/false group name provided"));
            }
            reader.inventory.declare_host(self.host, &group, None);
            if let Some(parent) = &parent {
                reader.inventory.declare_group(parent);
                let added = reader.inventory.declare_child(parent, &group);
                added.map_err(|error| keyed.key.span.error(error))?;
            }
        }
        Ok(())
    }

    fn parent(
        &self,
        reader: &Reader<'_>,
        keyed: &KeyedGroup<'_>,
        scope: &Arc<dyn Scope>,
    ) -> Result<Option<String>, TemplateError> {
        let Some(parent) = keyed.parent_group else {
            return Ok(None);
        };
        let name = python_text(&reader.reading.templar.render(parent, scope)?);
        Ok(Some(plain(&name).into_owned()).filter(|name| !name.is_empty()))
    }

    /// Expressions may be written as numbers or booleans too.
    fn evaluate(
        &self,
        templar: &Templar,
        expression: &Node,
        scope: &Arc<dyn Scope>,
    ) -> Result<Value, TemplateError> {
        templar.evaluate(&text_of(expression), Some(&expression.span), scope)
    }

    fn failed(&self, node: &Node, what: String, error: &TemplateError) -> Result<(), Error> {
        if !self.config.strict {
            return Ok(());
        }
        let span = error.span.as_ref().unwrap_or(&node.span);
        let told = span.error(format!("{what}: {}", error.message));
        Err(Error { help: error.help.clone(), ..told })
    }

    fn scope_with_extra(&self, reader: &Reader<'_>) -> Result<Arc<dyn Scope>, Error> {
        let mut known = self.known(reader)?;
        if self.config.use_extra_vars {
            known.push(reader.reading.extra.clone());
        }
        Ok(self.stack(reader, &known))
    }

    fn scope(&self, reader: &Reader<'_>) -> Result<Arc<dyn Scope>, Error> {
        Ok(self.stack(reader, &self.known(reader)?))
    }

    fn stack(&self, reader: &Reader<'_>, layers: &[Arc<Layer>]) -> Arc<dyn Scope> {
        let all = stacked(layers, reader.reading.merge_hashes);
        Arc::new(Layers(vec![Arc::new(all)]))
    }

    /// What is known of the host so far, lowest first.
    fn known(&self, reader: &Reader<'_>) -> Result<Vec<Arc<Layer>>, Error> {
        let folders = if self.config.use_vars_plugins { &*reader.folders } else { &[] };
        let files = |kind: &str, name: &str| {
            let read = |folder: &PathBuf| {
                vars_files::read(&folder.join(kind), name, reader.reading.merge_hashes)
                    .map(Arc::new)
            };
            folders.iter().map(read).collect::<Result<Vec<_>, Error>>()
        };
        let inventory = &reader.inventory;
        let all = inventory.groups.get("all").filter(|_| inventory.holds("all", self.host));
        let mut groups: Vec<_> = all.map(|all| ("all", &all.vars)).into_iter().collect();
        groups.extend(inventory.ordered_groups(self.host));
        let mut known: Vec<_> = groups.iter().map(|(_, vars)| vars.inline.clone()).collect();
        for (name, _) in groups {
            known.extend(files("group_vars", name)?);
        }
        known.extend(inventory.hosts.get(self.host).map(|host| host.vars.inline.clone()));
        known.push(Arc::new(self.magic(reader)));
        known.extend(files("host_vars", self.host)?);
        let facts = reader.reading.facts.as_ref().and_then(|facts| facts(self.host));
        known.extend(facts.map(Arc::new));
        Ok(known)
    }

    /// What Ansible itself knows of a host while sources are read.
    fn magic(&self, reader: &Reader<'_>) -> Layer {
        let inventory = &reader.inventory;
        let text = |text: Option<String>| text.map_or(Value::from(()), Value::from);
        let groups: Value = inventory.group_names(self.host).into_iter().map(Value::from).collect();
        [
            ("inventory_hostname", Value::from(self.host)),
            ("inventory_hostname_short", Value::from(short_name(self.host))),
            ("group_names", groups),
            ("inventory_file", text(inventory.source_file(self.host))),
            ("inventory_dir", text(inventory.source_dir(self.host))),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Variable::Data(value)))
        .collect()
    }
}

fn text_of(node: &Node) -> String {
    match &node.value {
        Yaml::Str(text) | Yaml::Unsafe(text) => text.clone(),
        _ => python_text(&template::from_json(&node.to_json())),
    }
}
