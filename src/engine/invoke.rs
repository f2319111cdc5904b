//! From a task to what is run: the module found, its arguments templated.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::connection::text_variable;
use super::fact_modules::FactModules;
use super::interrupt::Interrupt;
use super::result::{self, Result as TaskResult};
use super::{Run, catalogue};
use crate::actions::{self, ActionSpec, Context, Failure};
use crate::modules::ModuleSpec;
use crate::playbook::{Task, normalise};
use crate::source::{Node, Yaml};
use crate::template::{self, Scope, Templar, TemplateError};
use crate::transport::FileSource;

/// What an include names.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// With the arguments beside the name of the file.
    Tasks {
        file: String,
        arguments: Map<String, Json>,
    },
    Role {
        name: String,
        arguments: Map<String, Json>,
    },
}

impl Target {
    /// The name of a file of tasks as the playbook has it.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Tasks { file, .. } => Some(file),
            Self::Role { .. } => None,
        }
    }
}

/// What a task comes down to.
pub enum Invocation {
    Action {
        spec: &'static ActionSpec,
        arguments: Map<String, Json>,
    },
    Module {
        spec: &'static ModuleSpec,
        arguments: Map<String, Json>,
    },
    /// An executable of the operator's, run on the host.
    External {
        name: String,
        path: PathBuf,
        /// The host's Python, if its variables name one.
        python: Option<String>,
        arguments: Map<String, Json>,
    },
    /// gather_facts
    Facts(FactModules),
    /// include_tasks: a file; include_role: the arguments, templated.
    Include(Target),
}

impl Invocation {
    /// `there` has the variables of the host that it runs on.
    pub fn of(
        run: &Run,
        task: &Task,
        templar: &Templar,
        scope: &Arc<dyn Scope>,
        there: &Arc<dyn Scope>,
    ) -> Result<Self, Failure> {
        let name = module_name(task, templar, scope)?;
        let Some(found) = run.catalogue.find(&name) else {
            return Err(Failure::new(
                task.span
                    .error(format!("the module '{name}' is not built into kup-play"))
                    .with_help(
                        "an executable of that name in library/ beside the playbook is taken for it",
                    )
                    .to_string(),
            ));
        };
        if task.arguments.as_ref().is_some_and(|given| given.as_str().is_some()) {
            run.warn(
                "Using a variable for a task's 'args' is unsafe in some situations (see \
                 https://docs.ansible.com/ansible/devel/reference_appendices/faq.html#argsplat-unsafe)",
            );
        }
        let mut arguments = arguments_of(task, found.free_form(), templar, scope)?;
        known_arguments(task, &found, &arguments)?;
        Ok(match found {
            catalogue::Found::Include => {
                let file = arguments.get("file").or_else(|| arguments.get("_raw_params"));
                match file.and_then(Json::as_str) {
                    Some(file) => {
                        let file = file.to_owned();
                        arguments.shift_remove("file");
                        arguments.shift_remove("_raw_params");
                        Self::Include(Target::Tasks { file, arguments })
                    }
                    None => return Err(Failure::new("include_tasks needs the name of a file")),
                }
            }
            catalogue::Found::IncludeRole => {
                let name = arguments.get("name").or_else(|| arguments.get("role"));
                match name.and_then(Json::as_str).map(str::to_owned) {
                    Some(name) => Self::Include(Target::Role { name, arguments }),
                    None => {
                        let missing = "'name' is a required field for include_role.";
                        return Err(Failure::new(missing));
                    }
                }
            }
            catalogue::Found::Facts => {
                Self::Facts(FactModules::of(run, task, arguments, templar, scope, there)?)
            }
            catalogue::Found::Meta => return Err(Failure::new("meta tasks are not run on hosts")),
            catalogue::Found::Action(spec) => Self::Action { spec, arguments },
            catalogue::Found::Module(spec) => {
                if !spec.null_is_meant {
                    arguments.retain(|_, value| !value.is_null());
                }
                if spec.name == "async_status"
                    && let Some(folder) = text_variable(templar, there, &["ansible_async_dir"])?
                {
                    arguments.insert("_async_dir".to_owned(), json!(folder));
                }
                Self::Module { spec, arguments }
            }
            catalogue::Found::External(path) => {
                Self::external(name.into_owned(), path, arguments, templar, there)
            }
        })
    }

    /// A module that runs on the host, by its short name.
    pub fn on_host(
        run: &Run,
        name: &str,
        arguments: Map<String, Json>,
        templar: &Templar,
        there: &Arc<dyn Scope>,
    ) -> Result<Self, Failure> {
        match run.catalogue.find(name) {
            Some(catalogue::Found::Module(spec)) => Ok(Self::Module { spec, arguments }),
            Some(catalogue::Found::External(path)) => {
                Ok(Self::external(name.to_owned(), path, arguments, templar, there))
            }
            _ => Err(Failure::new(format!(
                "The module {name} was not found in configured module paths"
            ))),
        }
    }

    fn external(
        name: String,
        path: PathBuf,
        arguments: Map<String, Json>,
        templar: &Templar,
        there: &Arc<dyn Scope>,
    ) -> Self {
        let name_of = "{{ ansible_python_interpreter | default('') }}";
        let python = templar.render_text(name_of, None, there).ok();
        let python = python.map(|value| template::python_text(&value));
        let python = python.filter(|name| !name.is_empty() && !name.starts_with("auto"));
        Self::External { name, path, python, arguments }
    }
}

/// The module's name may be a template (`action: "{{ ansible_pkg_mgr }} name=x"`).
fn module_name<'a>(
    task: &'a Task,
    templar: &Templar,
    scope: &Arc<dyn Scope>,
) -> Result<Cow<'a, str>, Failure> {
    if !templar.is_template(&task.module) {
        return Ok(Cow::Borrowed(&task.module));
    }
    let node = Node::new(Yaml::Str(task.module.clone()), task.span.clone());
    let name = templar.render(&node, scope).map_err(Failure::from)?;
    Ok(Cow::Owned(normalise(template::python_text(&name).trim())))
}

/// Actions that call their parameters options.
const OPTIONS: &[&str] = &["reboot", "wait_for_connection"];

/// Arguments that came with a template have not been looked at before.
fn known_arguments(
    task: &Task,
    found: &catalogue::Found,
    arguments: &Map<String, Json>,
) -> Result<(), Failure> {
    let known = found.arguments();
    let strange: Vec<&str> =
        arguments.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if known.is_empty() || strange.is_empty() {
        return Ok(());
    }
    let module = &task.written_module;
    if let ["_raw_params"] = &*strange {
        let text = arguments.get("_raw_params").and_then(Json::as_str).unwrap_or_default();
        return Err(Failure::new(format!(
            "invalid or malformed argument: '{text}'; only modules with a free form take text \
             that is no name=value"
        )));
    }
    if task.module == "shell" {
        // Its own words: it takes what command takes, but for this.
        let strange = strange.join(", ");
        return Err(Failure::new(format!("Unsupported parameters for (shell) module: {strange}")));
    }
    if OPTIONS.contains(&&*task.module) {
        let strange = strange.join(",");
        return Err(Failure::new(format!("Invalid options for {module}: {strange}")));
    }
    let mut supported: Vec<&str> =
        known.iter().copied().filter(|name| !name.starts_with('_')).collect();
    supported.sort_unstable();
    Err(Failure::new(format!(
        "Unsupported parameters for ({module}) module: {}. Supported parameters include: {}.",
        strange.join(", "),
        supported.join(", ")
    )))
}

/// In Ansible's words; the explanation says what is undefined and where.
pub fn of_argument(error: TemplateError) -> Failure {
    let undefined = error.undefined;
    let mut failure = Failure::from(error);
    if undefined {
        failure.msg =
            format!("The task includes an option with an undefined variable.. {}", failure.msg);
    }
    failure
}

fn arguments_of(
    task: &Task,
    free_form: Option<&str>,
    templar: &Templar,
    scope: &Arc<dyn Scope>,
) -> Result<Map<String, Json>, Failure> {
    let failure = of_argument;
    let mut arguments = Map::new();
    let conditions = conditions(task);
    let given = task.arguments.as_ref().map(|given| match &conditions {
        Some(_) => Cow::Owned(given.without("that")),
        None => Cow::Borrowed(given),
    });
    if let Some(node) = given.as_deref() {
        let value = templar.render_arguments(node, scope).map_err(failure)?;
        match template::to_json(&value).map_err(failure)? {
            Json::Object(map) => arguments = map,
            Json::Null => {}
            other => {
                let error = node.span.error(format!("arguments must be a mapping, not {other}"));
                return Err(Failure::new(error.to_string()));
            }
        }
    }
    if let Some(conditions) = conditions {
        arguments.insert("that".to_owned(), conditions);
    }
    let written = task.arguments.as_ref().and_then(|arguments| arguments.get("var"));
    if task.module == "debug"
        && written.and_then(Node::as_str).is_some_and(|text| templar.is_template(text))
    {
        arguments.insert("_rendered".to_owned(), json!(true));
    }
    if let Some(node) = &task.free_form {
        let value = templar.render(node, scope).map_err(failure)?;
        let name = free_form.unwrap_or("_raw_params");
        let text = match template::to_json(&value).map_err(failure)? {
            Json::String(text) => json!(text),
            other => json!(template::python_text(&template::from_json(&other))),
        };
        arguments.insert(name.to_owned(), text);
    }
    Ok(arguments)
}

/// The conditions of an `assert` that are written as a list: it evaluates them one after
/// the other, as `when` does, and what is a template in them is so no error before.
fn conditions(task: &Task) -> Option<Json> {
    let that = task.arguments.as_ref().filter(|_| task.module == "assert")?.get("that")?;
    let Yaml::Seq(conditions) = &that.value else { return None };
    let plain = |node: &Node| match &node.value {
        Yaml::Str(text) => Some(json!(text)),
        Yaml::Bool(value) => Some(json!(value)),
        _ => None,
    };
    conditions.iter().map(plain).collect::<Option<Vec<_>>>().map(Json::from)
}

/// Runs it once.
pub async fn run(invocation: &Invocation, context: &Context, interrupt: &Interrupt) -> TaskResult {
    let outcome = match invocation {
        Invocation::Action { spec, arguments } => {
            let action = (spec.run)(Json::Object(arguments.clone()), context);
            if spec.interruptible {
                tokio::select! {
                    outcome = action => outcome,
                    () = interrupt.wait() => Err(actions::Error::failed("interrupted by the operator")),
                    () = context.session.guard.wait_refused() => Err(actions::Error::failed("the cluster is somebody else's")),
                }
            } else {
                action.await
            }
        }
        Invocation::Facts(modules) => return modules.run(context).await,
        Invocation::Module { .. } | Invocation::External { .. } | Invocation::Include(_) => {
            match request(invocation) {
                Some((name, arguments, files)) => context.module(name, arguments, files).await,
                None => Err(actions::Error::failed("an include is not run on a host")),
            }
        }
    };
    result_of(invocation, outcome)
}

/// What came of it, with what it was asked to do.
pub fn result_of(
    invocation: &Invocation,
    outcome: Result<actions::Outcome, actions::Error>,
) -> TaskResult {
    let mut result = match outcome {
        Ok(outcome) => result::of_outcome(outcome),
        Err(error) => result::of_error(error),
    };
    if let Some(Json::Array(diffs)) = result.get_mut("diff")
        && let [diff] = diffs.as_slice()
        && (!SEVERAL_DIFFS.contains(&name_of(invocation)) || diff.get("after_header").is_none())
        && let Some(only) = diffs.pop()
    {
        result.insert("diff".to_owned(), only);
    }
    if let Invocation::Module { spec, arguments } = invocation
        && !result.contains_key("unreachable")
    {
        let mut all = (spec.defaults)().clone();
        all.extend(arguments.clone());
        for secret in spec.secrets {
            if let Some(value) = all.get_mut(*secret).filter(|value| !value.is_null()) {
                *value = json!("VALUE_SPECIFIED_IN_NO_LOG_PARAMETER");
            }
        }
        if matches!(spec.name, "command" | "shell") {
            as_of_command(&mut all, spec.name == "shell");
        }
        result.insert("invocation".to_owned(), json!({ "module_args": all }));
    }
    result
}

/// `shell` is `command` with another argument, for Ansible, and `cmd` is the text.
fn as_of_command(arguments: &mut Map<String, Json>, uses_shell: bool) {
    let text = arguments.shift_remove("cmd").unwrap_or_default();
    if arguments.get("_raw_params").is_none_or(Json::is_null) {
        arguments.insert("_raw_params".to_owned(), text);
    }
    arguments.insert("_uses_shell".to_owned(), json!(uses_shell));
    for (name, value) in [("argv", Json::Null), ("expand_argument_vars", json!(true))] {
        arguments.entry(name).or_insert(value);
    }
}

/// Modules that give a list of changes even where there is one; that of a file's attributes
/// alone, which has no header, is in none.
const SEVERAL_DIFFS: &[&str] = &["blockinfile", "copy", "lineinfile", "template"];

fn name_of(invocation: &Invocation) -> &str {
    match invocation {
        Invocation::Action { spec, .. } => spec.name,
        Invocation::Module { spec, .. } => spec.name,
        Invocation::External { name, .. } => name,
        Invocation::Facts(_) | Invocation::Include(_) => "",
    }
}

/// A module's name, its arguments, and the files that go with them.
pub type HostRequest = (&'static str, Map<String, Json>, Vec<(String, FileSource)>);

/// What a host is asked to do; none for what is done on the controller.
pub fn request(invocation: &Invocation) -> Option<HostRequest> {
    match invocation {
        Invocation::Module { spec, arguments } => Some((spec.name, arguments.clone(), Vec::new())),
        Invocation::External { name, path, python, arguments } => {
            let words = catalogue::takes_words(path);
            let mut arguments = arguments.clone();
            if words {
                for value in arguments.values_mut() {
                    *value = template::python_text(&template::from_json(value)).into();
                }
            }
            let request = json!({
                "name": name, "python": python, "is_python": catalogue::is_python(path),
                "arguments": arguments, "words": words
            });
            let Json::Object(arguments) = request else { return None };
            let files = vec![("executable".to_owned(), FileSource::Path(path.clone()))];
            Some(("external", arguments, files))
        }
        Invocation::Facts(modules) => modules.only().and_then(request),
        Invocation::Action { .. } | Invocation::Include(_) => None,
    }
}
