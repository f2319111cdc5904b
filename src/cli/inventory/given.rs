//! Variables as they were given, templates in them not filled in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::LoadError;
use crate::inventory::{Inventory, Level};
use crate::source::{Error, Node, Span, Yaml};
use crate::template::yaml::Ciphertext;
use crate::template::{Layer, Value, Variable, stacked};
use crate::vars::Manager;
use crate::vault;

/// What Ansible sets itself and does not show.
const INTERNAL: &[&str] = &[
    "ansible_async_path",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "omit",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
    "role_uuid",
];

/// How values are written that are more than data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Ciphertexts and texts that are no templates under keys of Ansible's.
    Json,
    /// Ciphertexts with a tag.
    Yaml,
    /// There are no ciphertexts.
    Toml,
    /// Ciphertexts are decrypted.
    Text,
}

/// The variables of hosts and groups.
pub struct Given {
    manager: Arc<Manager>,
    form: Form,
    /// Those of a host are only what is given for itself.
    pub export: bool,
    /// What is in files beside the playbook is given too.
    playbook_files: bool,
    /// Values by what they were made of: what two hosts have of one group is one value.
    values: RefCell<HashMap<usize, (Arc<Node>, Value)>>,
}

impl Given {
    /// `playbook_files`: whether exported variables may come from files beside a playbook.
    pub fn new(manager: Arc<Manager>, form: Form, export: bool, playbook_files: bool) -> Self {
        let values = RefCell::default();
        Self { manager, form, export, playbook_files: playbook_files || !export, values }
    }

    pub fn form(&self) -> Form {
        self.form
    }

    pub fn inventory(&self) -> Arc<Inventory> {
        self.manager.inventory()
    }

    pub fn of_host(&self, host: &str) -> Result<Value, LoadError> {
        if self.export {
            let layers = self.inventory().layers(host).into_iter();
            return self.shown(&self.own(layers.filter(|(level, _)| *level >= Level::HostSource)));
        }
        let Some(scope) = self.manager.host_scope(host) else {
            return Ok(Value::from_pairs(Vec::<(String, Value)>::new()));
        };
        let mut given = scope.given();
        if self.form == Form::Json {
            mark_facts(&mut given, &self.manager.facts(host));
        }
        self.shown(&given)
    }

    pub fn of_group(&self, group: &str) -> Result<Value, LoadError> {
        let inventory = self.inventory();
        let mut given = self.own(inventory.group_layers(group).into_iter());
        if let Some(priority) = inventory.own_priority(group) {
            let name = "ansible_group_priority".to_owned();
            given.insert(name, Variable::Data(Value::from(priority)));
        }
        self.shown(&given)
    }

    fn own(&self, layers: impl Iterator<Item = (Level, Arc<Layer>)>) -> Layer {
        let beside_playbook = [Level::PlaybookGroup, Level::PlaybookHost];
        let layers =
            layers.filter(|(level, _)| self.playbook_files || !beside_playbook.contains(level));
        let layers: Vec<_> = layers.map(|(_, layer)| layer).collect();
        stacked(&layers, self.manager.run().merge_hashes)
    }

    fn shown(&self, given: &Layer) -> Result<Value, LoadError> {
        let inventory = self.inventory();
        let shown = given.iter().filter(|(name, _)| !INTERNAL.contains(&name.as_str()));
        let shown = shown.map(|(name, variable)| {
            let name = match inventory.odd_name(name) {
                Some(written) => self.node(written)?,
                None => Value::from(name.as_str()),
            };
            Ok((name, self.value(variable)?))
        });
        Ok(Value::from_pairs(shown.collect::<Result<Vec<_>, LoadError>>()?))
    }

    fn value(&self, variable: &Variable) -> Result<Value, LoadError> {
        let node = match variable {
            Variable::Data(value) => return Ok(value.clone()),
            Variable::Source(node) => node,
        };
        let address = Arc::as_ptr(node) as usize;
        if let Some((_, value)) = self.values.borrow().get(&address) {
            return Ok(value.clone());
        }
        let value = self.node(node)?;
        self.values.borrow_mut().insert(address, (node.clone(), value.clone()));
        Ok(value)
    }

    fn node(&self, node: &Node) -> Result<Value, LoadError> {
        let tagged = |key: &str, text: &str| Value::from_pairs([(key, Value::from(text))]);
        Ok(match &node.value {
            Yaml::Null => Value::from(()),
            Yaml::Bool(value) => Value::from(*value),
            Yaml::Int(value) => Value::from(*value),
            Yaml::Float(value) => Value::from(*value),
            Yaml::Unsafe(text) if self.form == Form::Json => tagged("__ansible_unsafe", text),
            Yaml::Str(text) | Yaml::Unsafe(text) => Value::from(text.as_str()),
            Yaml::Vault(text) => match self.form {
                Form::Json => tagged("__ansible_vault", text),
                Form::Yaml => Value::from_object(Ciphertext(text.clone())),
                Form::Toml => return Err(unrepresentable(&node.span, "an encrypted text").into()),
                Form::Text => {
                    let secret = vault::of_this_run().reveal(text);
                    let secret = secret.map_err(|error| node.span.error(error.to_string()))?;
                    Value::from(secret.expose())
                }
            },
            Yaml::Seq(items) => {
                let items = items.iter().map(|item| self.node(item));
                Value::from(items.collect::<Result<Vec<_>, _>>()?)
            }
            Yaml::Map(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| Ok((self.node(key)?, self.node(value)?)));
                Value::from_pairs(entries.collect::<Result<Vec<_>, LoadError>>()?)
            }
        })
    }
}

fn unrepresentable(span: &Span, what: &str) -> Error {
    span.error(format!(
        "The source inventory contains a value that cannot be represented in TOML: {what}"
    ))
}

/// Texts that came from a host are no templates: they are marked as such, like `!unsafe` ones.
fn mark_facts(given: &mut Layer, facts: &Layer) {
    for (name, variable) in given.iter_mut() {
        if let (Variable::Data(value), Some(Variable::Data(fact))) = (&*variable, facts.get(name))
            && value == fact
        {
            *variable = Variable::Data(marked(value));
        }
    }
}

fn marked(value: &Value) -> Value {
    use minijinja::value::ValueKind;
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::String => Value::from_pairs([("__ansible_unsafe", value.clone())]),
        ValueKind::Seq => items().map(|item| marked(&item)).collect(),
        ValueKind::Map => Value::from_pairs(items().map(|key| {
            let item = value.get_item(&key).unwrap_or_default();
            (key, marked(&item))
        })),
        _ => value.clone(),
    }
}
