//! A task's action: which module, with which arguments.

use super::keywords::defaults_of;
use super::load::{Loader, Place};
use super::names::Module;
use super::task::{is_task_keyword, task_keywords};
use super::values::is_template;
use super::{groups, key_value};
use crate::source::{Error, Node, Yaml, boolean, suggest};

/// Prefixes of full names whose modules are known here by their short ones.
const COLLECTIONS: &[&str] = &[
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.posix.",
    "kubernetes.core.",
    "community.general.",
];

/// Modules of Ansible's, by their short names, that are not built in here yet. A task with
/// one of them is no mistake; it fails if it ever runs.
const ELSEWHERE: &[&str] = &[
    "apk",
    "apt_rpm",
    "capabilities",
    "dnf5",
    "filesystem",
    "firewalld",
    "helm",
    "htpasswd",
    "interfaces_file",
    "java_cert",
    "lvg",
    "lvol",
    "make",
    "mount_facts",
    "npm",
    "openssl_certificate",
    "openssl_csr",
    "openssl_privatekey",
    "pacman",
    "pam_limits",
    "parted",
    "patch",
    "seboolean",
    "sefcontext",
    "selinux",
    "subversion",
    "sysvinit",
    "ufw",
    "xml",
    "yum",
    "zypper",
    "zypper_repository",
];

/// Namespaces of the collections that Ansible's package brings.
const NAMESPACES: &[&str] = &[
    "amazon",
    "ansible",
    "arista",
    "awx",
    "azure",
    "check_point",
    "cisco",
    "cloudscale_ch",
    "community",
    "containers",
    "cyberark",
    "dellemc",
    "f5networks",
    "fortinet",
    "google",
    "grafana",
    "hetzner",
    "ibm",
    "infinidat",
    "junipernetworks",
    "kubernetes",
    "lowlydba",
    "microsoft",
    "netapp",
    "netbox",
    "openstack",
    "ovirt",
    "purestorage",
    "telekom_mms",
    "theforeman",
    "vmware",
    "vultr",
    "wti",
];

/// What a task does.
pub(super) struct Action {
    /// The key of the task that it was read from.
    pub key: String,
    pub module: String,
    pub written: String,
    pub arguments: Option<Node>,
    pub free_form: Option<Node>,
    /// `local_action`
    pub local: bool,
}

/// The short name of a module, `_` between words.
pub fn normalise(name: &str) -> String {
    let short = COLLECTIONS.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    short.replace('-', "_")
}

impl Loader<'_> {
    pub(super) fn action(&self, task: &Node, place: &Place) -> Result<Action, Error> {
        let (key, value) = self.action_key(task)?;
        let name = key.as_str().unwrap_or_default();
        let mut action = match name {
            "action" | "local_action" => action_keyword(key, name, value)?,
            _ => named(name, name, value),
        };
        if let Some(node) = templated_name(key, &action.module) {
            self.names.check_template(&node)?;
            add_args(task, &mut action)?;
            split_templated(&mut action);
            return Ok(action);
        }
        let module = self.module(key, &action)?;
        add_args(task, &mut action)?;
        let expected = may_fail(task, place);
        split_free_form(&mut action, &module, expected)?;
        if let Some(own) = task.get("module_defaults") {
            add_defaults(&mut action, &defaults_of(own)?);
        }
        add_defaults(&mut action, &place.keywords.module_defaults);
        self.check_arguments(key, &action, &module, expected)?;
        Ok(action)
    }

    /// The one key of a task that is no keyword, and its value.
    fn action_key<'a>(&self, task: &'a Node) -> Result<(&'a Node, &'a Node), Error> {
        let mut found: Option<(&'a Node, &'a Node)> = None;
        for (key, value) in task.as_map().unwrap_or_default() {
            let Some(name) = key.as_str() else {
                return Err(key
                    .span
                    .error(format!("a keyword of a task must be a string, not {}", key.kind())));
            };
            if is_task_keyword(name) && !matches!(name, "action" | "local_action") {
                continue;
            }
            if let Some((other, _)) = found {
                return Err(self.conflict(other, key));
            }
            found = Some((key, value));
        }
        found.ok_or_else(|| {
            task.span
                .error("no module/action detected in task.")
                .with_help("a task names a module (command, copy, kubeadm …) with its arguments")
        })
    }

    /// Two keys that could be modules: most often one is a mistyped keyword.
    fn conflict(&self, first: &Node, second: &Node) -> Error {
        let text = |key: &Node| key.as_str().unwrap_or_default().to_owned();
        let message = format!("conflicting action statements: {}, {}", text(first), text(second));
        let stranger = [second, first]
            .into_iter()
            .find(|key| self.names.module(&normalise(&text(key))).is_none());
        let Some(stranger) = stranger else {
            return second
                .span
                .error(message)
                .with_help("a task has one module; make two tasks of it");
        };
        let name = text(stranger);
        let error = stranger.span.error(message);
        match suggest(&name, task_keywords()) {
            Some(nearest) => {
                error.with_help(format!("'{name}' is no module; did you mean '{nearest}'?"))
            }
            None => error.with_help(format!("'{name}' is neither a module nor a keyword of tasks")),
        }
    }

    fn module(&self, key: &Node, action: &Action) -> Result<Module, Error> {
        if action.module == "import_tasks" {
            return Ok(Module {
                free_form: Some("_raw_params"),
                arguments: &["file", "_raw_params"],
                validate: Box::new(|_| Ok(())),
            });
        }
        if action.module == "import_role" {
            return Ok(Module {
                free_form: None,
                arguments: super::role_tasks::ARGUMENTS,
                validate: Box::new(|_| Ok(())),
            });
        }
        if let Some(module) = self.names.module(&action.module) {
            return Ok(module);
        }
        if is_elsewhere(action) {
            return Ok(Module {
                free_form: Some("_raw_params"),
                arguments: &[],
                validate: Box::new(|_| Ok(())),
            });
        }
        Err(self.unknown_module(key, action))
    }

    fn unknown_module(&self, key: &Node, action: &Action) -> Error {
        let written = &action.written;
        let error = key.span.error(format!(
            "couldn't resolve module/action '{written}'. This often indicates a misspelling, \
             missing collection, or incorrect module path."
        ));
        if action.module == "include" {
            return error.with_help("'include' became 'include_tasks' and 'import_tasks'");
        }
        let names = self.names.modules();
        let candidates = names.iter().map(String::as_str).chain(task_keywords());
        match suggest(&action.module, candidates) {
            Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
            None => error.with_help(
                "executables in modules/ or in library/ beside the playbook are modules too",
            ),
        }
    }
}

/// Whether Ansible has the module; of the widespread collections it is not known what
/// they hold.
fn is_elsewhere(action: &Action) -> bool {
    let parts: Vec<&str> = action.written.split('.').collect();
    let of_collection = match parts.as_slice() {
        ["ansible", "builtin" | "legacy", _] => false,
        [namespace, _, _] => NAMESPACES.contains(namespace),
        _ => false,
    };
    of_collection || ELSEWHERE.contains(&action.module.as_str())
}

fn named(key: &str, module: &str, value: &Node) -> Action {
    let (arguments, free_form) = match &value.value {
        Yaml::Map(_) => (Some(value.clone()), None),
        Yaml::Null => (None, None),
        _ => (None, Some(value.clone())),
    };
    Action {
        key: key.to_owned(),
        module: if module.contains("{{") { module.to_owned() } else { normalise(module) },
        written: module.to_owned(),
        arguments,
        free_form,
        local: key == "local_action",
    }
}

/// `action: command ls`, or `action: {module: command, …}`.
fn action_keyword(key: &Node, name: &str, value: &Node) -> Result<Action, Error> {
    match &value.value {
        Yaml::Str(text) => {
            let (module, rest) = first_word(text);
            let rest = match rest.trim() {
                "" => Yaml::Null,
                rest => Yaml::Str(rest.to_owned()),
            };
            Ok(named(name, module.trim(), &Node::new(rest, value.span.clone())))
        }
        Yaml::Map(entries) => {
            let Some(module) = value.get("module").and_then(Node::as_str) else {
                return Err(key.span.error(format!("'{name}' needs a 'module'")));
            };
            let (module, line) = first_word(module);
            let rest = entries.iter().filter(|(key, _)| key.as_str() != Some("module"));
            let rest = Node::new(Yaml::Map(rest.cloned().collect()), value.span.clone());
            let mut action = named(name, module, &rest);
            if !line.trim().is_empty() {
                let line = Yaml::Str(line.trim().to_owned());
                action.free_form = Some(Node::new(line, value.span.clone()));
            }
            Ok(action)
        }
        _ => Err(value.span.error(format!(
            "'{name}' must name a module and its arguments, but is {}",
            value.kind()
        ))),
    }
}

/// A module's name, which may be a template, and what follows it.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let template = text.starts_with("{{").then(|| text.find("}}")).flatten().unwrap_or(0);
    let end = text.get(template..).and_then(|rest| rest.find(char::is_whitespace));
    end.and_then(|end| text.split_at_checked(template + end)).unwrap_or((text, ""))
}

/// Whether the playbook says what is to be done when the task fails: then wrong
/// arguments are a failure like any other, and found when it runs.
pub(super) fn may_fail(task: &Node, place: &Place) -> bool {
    let asks = ["ignore_errors", "failed_when"].iter().any(|name| task.get(name).is_some());
    asks || place.rescued || place.keywords.ignore_errors.is_some()
}

/// `args:` beside the module gives further arguments.
fn add_args(task: &Node, action: &mut Action) -> Result<(), Error> {
    let Some(args) = task.get("args").filter(|args| args.value != Yaml::Null) else {
        return Ok(());
    };
    match &args.value {
        Yaml::Map(more) => {
            put_under(action, more, args);
            Ok(())
        }
        _ if is_template(args) && action.arguments.is_none() => {
            action.arguments = Some(args.clone());
            Ok(())
        }
        _ => Err(args.span.error(format!(
            "'args' must be a mapping of the arguments of {}, not {}",
            action.written,
            args.kind()
        ))),
    }
}

/// Adds arguments that win over those that the action has, as do the ones that stand
/// behind the module's name over `args`.
fn put_over(action: &mut Action, more: &[(Node, Node)], place: &Node) {
    let under = action.arguments.take();
    action.arguments = Some(Node::new(Yaml::Map(more.to_vec()), place.span.clone()));
    if let Some(under) = under {
        put_under(action, under.as_map().unwrap_or_default(), &under);
    }
}

/// Adds arguments; those that the action has itself stay. `place` stands for them all
/// when it has none.
fn put_under(action: &mut Action, more: &[(Node, Node)], place: &Node) {
    let own = action.arguments.as_ref().and_then(Node::as_map).unwrap_or_default();
    let mut all = own.to_vec();
    all.extend(
        more.iter()
            .filter(|(key, _)| !own.iter().any(|(other, _)| other.value == key.value))
            .cloned(),
    );
    let span = action.arguments.as_ref().map_or(&place.span, |node| &node.span).clone();
    action.arguments = Some(Node::new(Yaml::Map(all), span));
}

/// Arguments that `module_defaults` gives. Those of a module that come last, the innermost,
/// replace all that were given for it before; those of its group stand below them.
fn add_defaults(action: &mut Action, defaults: &[Node]) {
    if action.arguments.as_ref().is_some_and(|arguments| arguments.as_map().is_none()) {
        return;
    }
    let last = |is_wanted: &dyn Fn(&str) -> bool| {
        let mut entries =
            defaults.iter().flat_map(|defaults| defaults.as_map().unwrap_or_default());
        entries.rfind(|(key, _)| key.as_str().is_some_and(is_wanted))
    };
    let own = last(&|name| normalise(name) == action.module);
    let of_group = last(&|name| groups::holds(name, &action.module));
    // What `service` calls on a host with systemd has its own defaults.
    let called = if action.module == "service" { last(&|name| is_systemd(name)) } else { None };
    let found: Vec<_> = own.into_iter().chain(called).chain(of_group).collect();
    for (_, arguments) in found {
        put_under(action, arguments.as_map().unwrap_or_default(), arguments);
    }
}

fn is_systemd(name: &str) -> bool {
    matches!(&*normalise(name), "systemd" | "systemd_service")
}

/// A module that is known only when the task runs: `action: "{{ ansible_pkg_mgr }} name=x"`.
fn templated_name(key: &Node, name: &str) -> Option<Node> {
    let node = Node::new(Yaml::Str(name.to_owned()), key.span.clone());
    is_template(&node).then_some(node)
}

/// Pairs are arguments whatever the module will be; the rest is for one with a free form.
fn split_templated(action: &mut Action) {
    let Some(node) = action.free_form.take() else { return };
    let Some(text) = node.as_str() else { return };
    let split = key_value::split_free_form(text, "");
    let string = |text: String| Node::new(Yaml::Str(text), node.span.clone());
    let pairs = split.pairs.into_iter().map(|(key, text)| (string(key), string(text)));
    let pairs: Vec<_> = pairs.collect();
    if !pairs.is_empty() {
        put_over(action, &pairs, &node);
    }
    action.free_form = (!split.rest.is_empty()).then(|| string(split.rest));
}

/// `copy: src=a dest=b`: arguments in one line.
fn split_free_form(action: &mut Action, module: &Module, expected: bool) -> Result<(), Error> {
    let Some(node) = action.free_form.take() else {
        return Ok(());
    };
    let Some(text) = node.as_str() else {
        if module.free_form.is_some() && !matches!(node.value, Yaml::Seq(_)) {
            action.free_form = Some(node);
            return Ok(());
        }
        return Err(node.span.error(format!(
            "the arguments of {} must be a mapping, not {}",
            action.written,
            node.kind()
        )));
    };
    if module.free_form.is_none() && is_template(&node) && key_value::is_one_template(text) {
        action.arguments = Some(node);
        return Ok(());
    }
    let split = match module.free_form {
        Some(_) => key_value::split_free_form(text, &action.module),
        None => key_value::split(text).map_err(|error| node.span.error(error))?,
    };
    if module.free_form.is_none() && !split.rest.is_empty() && !expected {
        return Err(node.span.error(format!(
            "this task '{}' has extra params, which is only allowed in modules with a free form: {}",
            action.written, split.rest
        )));
    }
    let string = |text: String| Node::new(Yaml::Str(text), node.span.clone());
    if !split.pairs.is_empty() {
        let set_fact = action.module == "set_fact";
        let value = |text: String| match boolean(&text) {
            // Ansible reads these words so, as a text has no other way to say it.
            Some(value) if set_fact && text.len() > 1 => {
                Node::new(Yaml::Bool(value), node.span.clone())
            }
            _ => string(text),
        };
        let pairs: Vec<_> =
            split.pairs.into_iter().map(|(key, text)| (string(key), value(text))).collect();
        put_over(action, &pairs, &node);
    }
    action.free_form = (!split.rest.is_empty()).then(|| string(split.rest));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_and_dashes_mean_the_short_name() {
        assert_eq!(normalise("ansible.builtin.copy"), "copy");
        assert_eq!(normalise("apt-hold"), "apt_hold");
        assert_eq!(normalise("my.own.module"), "my.own.module");
    }
}
