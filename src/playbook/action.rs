//! A task's action: which module, with which arguments.

use super::load::{Loader, Module};
use super::task::{is_task_keyword, task_keywords};
use crate::source::{Error, Node, Yaml, suggest};

/// Prefixes of full names whose modules are known here by their short ones.
const COLLECTIONS: &[&str] = &[
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.posix.",
    "kubernetes.core.",
    "community.general.",
];

/// What a task does.
pub struct Action<'a> {
    pub module: String,
    pub written: String,
    pub arguments: Option<Node>,
    pub free_form: Option<Node>,
    /// `local_action`
    pub local: bool,
    /// The keys of the task that this was read from.
    pub keys: Vec<&'a str>,
}

/// The short name of a module, `_` between words.
pub fn normalise(name: &str) -> String {
    let short = COLLECTIONS.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    short.replace('-', "_")
}

impl Loader<'_> {
    pub(super) fn action<'a>(&self, task: &'a Node) -> Result<Action<'a>, Error> {
        let mut found: Option<(&'a Node, &'a str, &'a Node)> = None;
        for (key, value) in task.as_map().unwrap_or_default() {
            let Some(name) = key.as_str() else {
                return Err(key.span.error("a keyword of a task must be a string"));
            };
            let is_action = matches!(name, "action" | "local_action");
            if is_task_keyword(name) && !is_action {
                continue;
            }
            if let Some((_, other, _)) = found {
                return Err(self.conflict(key, name, other));
            }
            found = Some((key, name, value));
        }
        let Some((key, name, value)) = found else {
            return Err(task
                .span
                .error("no module/action detected in task.")
                .with_help("a task names a module (command, copy, kubeadm …) with its arguments"));
        };
        let mut action = match name {
            "action" | "local_action" => action_keyword(key, name, value)?,
            _ => named(name, value, vec![name]),
        };
        let module = self.module(key, &action)?;
        self.add_args(task, &mut action, &module)?;
        self.split_free_form(&mut action, &module)?;
        self.check_arguments(key, &action, &module)?;
        Ok(action)
    }

    /// Two keys that could be modules: most often one is a mistyped keyword.
    fn conflict(&self, key: &Node, name: &str, other: &str) -> Error {
        let known = |name: &str| self.names.module(&normalise(name)).is_some();
        let error = key.span.error(format!("conflicting action statements: {other}, {name}"));
        let stranger = [name, other].into_iter().find(|name| !known(name));
        match stranger.and_then(|name| Some((name, suggest(name, task_keywords())?))) {
            Some((name, nearest)) => {
                error.with_help(format!("'{name}' is no module; did you mean '{nearest}'?"))
            }
            None => error.with_help("a task has one module; make two tasks of it"),
        }
    }

    fn module(&self, key: &Node, action: &Action<'_>) -> Result<Module, Error> {
        if action.module == "import_tasks" {
            return Ok(Module {
                free_form: Some("_raw_params"),
                arguments: &["file", "_raw_params"],
                validate: Box::new(|_| Ok(())),
            });
        }
        self.names.module(&action.module).ok_or_else(|| {
            let error =
                key.span.error(format!("couldn't resolve module/action '{}'", action.written));
            let names = self.names.modules();
            let candidates = names.iter().map(String::as_str).chain(task_keywords());
            match suggest(&action.module, candidates) {
                Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
                None => error.with_help(
                    "executables in modules/ or in library/ beside the playbook are modules too",
                ),
            }
        })
    }

    /// `args:` beside the module gives further arguments.
    fn add_args(&self, task: &Node, action: &mut Action<'_>, module: &Module) -> Result<(), Error> {
        let Some(args) = task.get("args") else {
            return Ok(());
        };
        let Some(more) = args.as_map() else {
            return Err(args.span.error(format!(
                "'args' must be a mapping of the arguments of {}, not {}",
                action.written,
                args.kind()
            )));
        };
        let own = action.arguments.as_ref().and_then(Node::as_map).unwrap_or_default();
        let mut all = more.to_vec();
        all.retain(|(key, _)| !own.iter().any(|(other, _)| other.value == key.value));
        all.extend(own.iter().cloned());
        action.arguments = Some(Node::new(Yaml::Map(all), args.span.clone()));
        // A module without free form takes nothing else.
        let _ = module;
        Ok(())
    }

    /// `copy: src=a dest=b`: arguments in one line.
    fn split_free_form(&self, action: &mut Action<'_>, module: &Module) -> Result<(), Error> {
        let Some(node) = &action.free_form else {
            return Ok(());
        };
        let Some(text) = node.as_str() else {
            if module.free_form.is_none() {
                return Err(node.span.error(format!(
                    "the arguments of {} must be a mapping, not {}",
                    action.written,
                    node.kind()
                )));
            }
            return Ok(());
        };
        let known = |name: &str| module.arguments.is_empty() || module.arguments.contains(&name);
        let (pairs, rest) = split_pairs(text, |name| known(name) && !name.starts_with('_'));
        if module.free_form.is_none() && !rest.is_empty() {
            return Err(node.span.error(format!(
                "this task '{}' has extra params, which is only allowed in modules with a free form: {rest}",
                action.written
            )));
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let span = node.span.clone();
        let string = |text: String| Node::new(Yaml::Str(text), span.clone());
        let mut entries =
            action.arguments.as_ref().and_then(Node::as_map).unwrap_or_default().to_vec();
        entries.extend(pairs.into_iter().map(|(key, value)| (string(key), string(value))));
        let free_form = (!rest.is_empty()).then(|| string(rest));
        action.arguments = Some(Node::new(Yaml::Map(entries), span.clone()));
        action.free_form = free_form;
        Ok(())
    }

    fn check_arguments(
        &self,
        key: &Node,
        action: &Action<'_>,
        module: &Module,
    ) -> Result<(), Error> {
        let mut dynamic = false;
        if let Some(node) = &action.free_form {
            self.names.check_template(node)?;
            dynamic |= has_template(node);
        }
        let entries = action.arguments.as_ref().and_then(Node::as_map).unwrap_or_default();
        for (name_node, value) in entries {
            self.names.check_template(value)?;
            dynamic |= has_template(value);
            let Some(name) = name_node.as_str() else {
                return Err(name_node.span.error("the name of an argument must be a string"));
            };
            if module.arguments.is_empty() || module.arguments.contains(&name) {
                continue;
            }
            let error = name_node
                .span
                .error(format!("Unsupported parameters for ({}) module: {name}", action.written));
            return Err(match suggest(name, module.arguments.iter().copied()) {
                Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
                None => {
                    let known = module.arguments.iter().filter(|name| !name.starts_with('_'));
                    let known: Vec<_> = known.copied().collect();
                    error.with_help(format!("supported are: {}", known.join(", ")))
                }
            });
        }
        if dynamic {
            return Ok(());
        }
        let mut arguments = match action.arguments.as_ref().map(Node::to_json) {
            Some(serde_json::Value::Object(map)) => map,
            _ => serde_json::Map::new(),
        };
        arguments.retain(|_, value| !value.is_null());
        if let (Some(node), Some(name)) = (&action.free_form, module.free_form) {
            arguments.insert(name.to_owned(), node.to_json());
        }
        (module.validate)(arguments.into())
            .map_err(|error| key.span.error(format!("{}: {error}", action.written)))
    }
}

fn named<'a>(name: &str, value: &Node, keys: Vec<&'a str>) -> Action<'a> {
    let (arguments, free_form) = match &value.value {
        Yaml::Map(_) => (Some(value.clone()), None),
        Yaml::Null => (None, None),
        _ => (None, Some(value.clone())),
    };
    let local = false;
    Action { module: normalise(name), written: name.to_owned(), arguments, free_form, local, keys }
}

/// `action: command ls`, or `action: {module: command, …}`.
fn action_keyword<'a>(key: &Node, name: &'a str, value: &Node) -> Result<Action<'a>, Error> {
    let mut action = match &value.value {
        Yaml::Str(text) => {
            let (module, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            let rest = match rest.trim() {
                "" => Yaml::Null,
                rest => Yaml::Str(rest.to_owned()),
            };
            named(module, &Node::new(rest, value.span.clone()), vec![name])
        }
        Yaml::Map(entries) => {
            let Some(module) = value.get("module").and_then(Node::as_str) else {
                return Err(key.span.error(format!("'{name}' needs a 'module'")));
            };
            let rest: Vec<_> =
                entries.iter().filter(|(key, _)| key.as_str() != Some("module")).cloned().collect();
            named(module, &Node::new(Yaml::Map(rest), value.span.clone()), vec![name])
        }
        _ => return Err(key.span.error(format!("'{name}' must name a module and its arguments"))),
    };
    action.local = name == "local_action";
    Ok(action)
}

fn has_template(node: &Node) -> bool {
    match &node.value {
        Yaml::Str(text) => text.contains("{{") || text.contains("{%"),
        Yaml::Vault(_) => true,
        Yaml::Seq(items) => items.iter().any(has_template),
        Yaml::Map(entries) => entries.iter().any(|(_, value)| has_template(value)),
        _ => false,
    }
}

/// Words of the form `name=value` whose name is an argument, and the rest of the text.
fn split_pairs(text: &str, is_argument: impl Fn(&str) -> bool) -> (Vec<(String, String)>, String) {
    let mut pairs = Vec::new();
    let mut rest = Vec::new();
    for word in words(text) {
        match word.split_once('=') {
            Some((name, value)) if is_argument(name) => {
                pairs.push((name.to_owned(), unquote(value).to_owned()));
            }
            _ => rest.push(word),
        }
    }
    if pairs.is_empty() {
        return (pairs, text.trim().to_owned());
    }
    (pairs, rest.join(" "))
}

/// Words with their quotes; templates are not cut at their blanks.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut braces = 0usize;
    let mut previous = ' ';
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q && previous != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if braces == 0 => quote = Some(c),
            (None, '{') => braces += 1,
            (None, '}') => braces = braces.saturating_sub(1),
            _ => {}
        }
        let blank = c.is_whitespace() && quote.is_none() && braces == 0;
        match (blank, start) {
            (true, Some(from)) => {
                words.extend(text.get(from..index));
                start = None;
            }
            (false, None) => start = Some(index),
            _ => {}
        }
        previous = c;
    }
    if let Some(from) = start {
        words.extend(text.get(from..));
    }
    words
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_in_one_line_are_told_from_the_command() {
        let argument = |name: &str| matches!(name, "chdir" | "creates");
        let (pairs, rest) = split_pairs("make FOO=1 chdir='/a b' creates={{ x }}/y", argument);
        assert_eq!(rest, "make FOO=1");
        assert_eq!(
            pairs,
            [("chdir", "/a b"), ("creates", "{{ x }}/y")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }

    #[test]
    fn full_names_and_dashes_mean_the_short_name() {
        assert_eq!(normalise("ansible.builtin.copy"), "copy");
        assert_eq!(normalise("apt-hold"), "apt_hold");
    }
}
