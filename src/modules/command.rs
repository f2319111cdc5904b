//! `command`: a program with arguments, without a shell.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use jiff::ZonedDateTime;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::lenient;
use super::process::{Output, Process};
use super::words::{expand_user, expand_variables, files_matching, split};
use super::{Context, Failure, Module, Outcome};

/// Runs a command. No shell reads it: there are no pipes, redirections or `&&`; use `shell` for them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The command as text, split into words at blanks that are not quoted.
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    /// The command as text, when the task is written as a mapping.
    cmd: Option<String>,
    /// The command as a list of words, taken as they are.
    argv: Option<Vec<Json>>,
    /// Change into this folder first.
    chdir: Option<String>,
    /// A file (or pattern): if it exists, the command is not run.
    creates: Option<String>,
    /// A file (or pattern): if it does not exist, the command is not run.
    removes: Option<String>,
    /// Not used, as in Ansible.
    executable: Option<String>,
    /// What the command reads on its standard input.
    stdin: Option<String>,
    /// End `stdin` with a newline.
    #[serde(default = "yes", deserialize_with = "lenient::boolean")]
    stdin_add_newline: bool,
    /// Take line ends off the end of the output.
    #[serde(default = "yes", deserialize_with = "lenient::boolean")]
    strip_empty_ends: bool,
    /// Replace `$NAME` and a leading `~` in the words.
    #[serde(default = "yes", deserialize_with = "lenient::boolean")]
    expand_argument_vars: bool,
}

pub(super) fn yes() -> bool {
    true
}

impl Module for Command {
    const NAME: &'static str = "command";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let text = self.raw_params.or(self.cmd).filter(|text| !text.trim().is_empty());
        let argv = self.argv.filter(|words| !words.is_empty());
        let words = match (text, argv) {
            (None, None) => return Err(refused("no command given")),
            (Some(_), Some(_)) => {
                return Err(refused("only command or argv can be given, not both"));
            }
            (Some(text), None) => split(&text).map_err(refused)?,
            (None, Some(argv)) => argv.iter().map(as_word).collect(),
        };
        let mut outcome = Invocation {
            shown: json!(words),
            chdir: self.chdir,
            creates: self.creates,
            removes: self.removes,
            stdin: self.stdin,
            stdin_add_newline: self.stdin_add_newline,
            strip_empty_ends: self.strip_empty_ends,
        }
        .run(context, |environment| {
            let expand = |word: &String| {
                if !self.expand_argument_vars {
                    return word.clone();
                }
                expand_user(&expand_variables(word, environment), environment)
            };
            let mut words = words.iter().map(expand);
            Process::new(words.next().unwrap_or_default()).args(words)
        })?;
        if let Some(executable) = self.executable {
            let warning = format!(
                "As of Ansible 2.4, the parameter 'executable' is no longer supported with the \
                 'command' module. Not using '{executable}'."
            );
            outcome = outcome.with("warnings", json!([warning]));
        }
        Ok(outcome)
    }
}

/// What `command` and `shell` have in common: everything but the way to the program.
pub(super) struct Invocation {
    /// The command as the result shows it.
    pub shown: Json,
    pub chdir: Option<String>,
    pub creates: Option<String>,
    pub removes: Option<String>,
    pub stdin: Option<String>,
    pub stdin_add_newline: bool,
    pub strip_empty_ends: bool,
}

impl Invocation {
    /// `process` makes the command; it is given the environment of the task.
    pub fn run(
        self,
        context: &Context,
        process: impl FnOnce(&BTreeMap<String, String>) -> Process,
    ) -> Result<Outcome, Failure> {
        let folder = self.folder(context)?;
        if let Some((stdout, msg)) = self.not_needed(&folder, context) {
            return Ok(self.outcome(
                false,
                &[("rc", json!(0)), ("stdout", json!(stdout)), ("msg", json!(msg))],
            ));
        }
        if context.check {
            let msg = json!("Command would have run if not in check mode");
            let mut outcome = self.outcome(true, &[("rc", json!(0)), ("msg", msg)]);
            if self.creates.is_none() && self.removes.is_none() {
                outcome.changed = false;
                outcome = outcome.with("skipped", true);
            }
            return Ok(outcome);
        }
        let mut process = process(&context.environment).in_context(context);
        if let Some(folder) = folder {
            process = process.cwd(folder);
        }
        if let Some(mut text) = self.stdin.clone() {
            if self.stdin_add_newline {
                text.push('\n');
            }
            process = process.stdin(text);
        }
        let start = ZonedDateTime::now();
        let output = process.run();
        let end = ZonedDateTime::now();
        let output = output.map_err(|failure| {
            // It was not even started: nothing has changed, and `cmd` is one text.
            let shown = match &self.shown {
                Json::Array(words) => {
                    words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" ")
                }
                other => other.as_str().unwrap_or_default().to_owned(),
            };
            failure.with("cmd", shown).with("stdout", "").with("stderr", "")
        })?;
        self.finished(output, &start, &end)
    }

    fn finished(
        &self,
        output: Output,
        start: &ZonedDateTime,
        end: &ZonedDateTime,
    ) -> Result<Outcome, Failure> {
        let strip = |text: String| {
            if self.strip_empty_ends {
                text.trim_end_matches(['\r', '\n']).to_owned()
            } else {
                text
            }
        };
        let success = output.success();
        let mut outcome = self.outcome(
            true,
            &[
                ("rc", json!(output.rc)),
                ("stdout", json!(strip(output.stdout))),
                ("stderr", json!(strip(output.stderr))),
            ],
        );
        outcome.result.extend(times(start, end));
        if success {
            return Ok(outcome);
        }
        let msg = "non-zero return code".to_owned();
        Err(Failure { msg, changed: true, result: outcome.result })
    }

    /// All keys that a result has, with their empty values where nothing is known.
    fn outcome(&self, changed: bool, known: &[(&str, Json)]) -> Outcome {
        let mut result = Map::new();
        result.insert("cmd".to_owned(), self.shown.clone());
        for (key, value) in [
            ("stdout", json!("")),
            ("stderr", json!("")),
            ("rc", Json::Null),
            ("start", Json::Null),
            ("end", Json::Null),
            ("delta", Json::Null),
            ("msg", json!("")),
        ] {
            result.insert(key.to_owned(), value);
        }
        for (key, value) in known {
            result.insert((*key).to_owned(), value.clone());
        }
        Outcome { changed, result, diff: Vec::new() }
    }

    fn folder(&self, context: &Context) -> Result<Option<PathBuf>, Failure> {
        let Some(folder) = &self.chdir else { return Ok(None) };
        let folder = PathBuf::from(path(folder, context));
        let entered = fs::metadata(&folder).and_then(|metadata| {
            if metadata.is_dir() { Ok(()) } else { Err(rustix::io::Errno::NOTDIR.into()) }
        });
        entered.map(|()| Some(folder.clone())).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or_default();
            let words = error.to_string();
            let words = words.trim_end_matches(&format!(" (os error {errno})"));
            let msg = format!(
                "Unable to change directory before execution: [Errno {errno}] {words}: b'{}'",
                folder.display()
            );
            Failure { msg, changed: false, result: self.outcome(false, &[]).result }
        })
    }

    /// `stdout` and `msg` when `creates` or `removes` make the command unnecessary.
    fn not_needed(&self, folder: &Option<PathBuf>, context: &Context) -> Option<(String, String)> {
        let exists = |pattern: &str| {
            let pattern = PathBuf::from(path(pattern, context));
            let pattern = folder.as_ref().map_or(pattern.clone(), |folder| folder.join(&pattern));
            !files_matching(&pattern).is_empty()
        };
        let verb = if context.check { "Would" } else { "Did" };
        if let Some(file) = self.creates.as_deref().filter(|file| exists(file)) {
            return Some((
                format!("skipped, since {file} exists"),
                format!("{verb} not run command since '{file}' exists"),
            ));
        }
        let file = self.removes.as_deref().filter(|file| !exists(file))?;
        Some((
            format!("skipped, since {file} does not exist"),
            format!("{verb} not run command since '{file}' does not exist"),
        ))
    }
}

fn path(text: &str, context: &Context) -> String {
    expand_user(&expand_variables(text, &context.environment), &context.environment)
}

fn as_word(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

/// A command that is refused before anything is tried.
pub(super) fn refused(msg: &str) -> Failure {
    Failure::new(msg).with("rc", 256).with("stdout", "").with("stderr", "")
}

/// A duration as Python prints a `timedelta`: `0:00:00.008084`.
/// When a command was begun and ended, and how long it took, as Python writes them.
pub(super) fn times(start: &ZonedDateTime, end: &ZonedDateTime) -> [(String, Json); 3] {
    let stamp = |time: &ZonedDateTime| json!(time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string());
    let micros = end.timestamp().as_microsecond() - start.timestamp().as_microsecond();
    [("start", stamp(start)), ("end", stamp(end)), ("delta", json!(delta(micros)))]
        .map(|(name, value)| (name.to_owned(), value))
}

fn delta(micros: i64) -> String {
    let micros = micros.max(0);
    let seconds = micros / 1_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    let fraction = match micros % 1_000_000 {
        0 => String::new(),
        fraction => format!(".{fraction:06}"),
    };
    match days {
        0 => format!("{clock}{fraction}"),
        1 => format!("1 day, {clock}{fraction}"),
        days => format!("{days} days, {clock}{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: Json) -> Result<Outcome, Failure> {
        run_in(arguments, &Context::default())
    }

    fn run_in(arguments: Json, context: &Context) -> Result<Outcome, Failure> {
        serde_json::from_value::<Command>(arguments).unwrap().run(context)
    }

    #[test]
    fn a_command_is_run_without_a_shell() {
        let outcome = run(json!({"_raw_params": "echo 'a b' | cat"})).unwrap();
        assert!(outcome.changed);
        assert_eq!(outcome.result["stdout"], "a b | cat");
        assert_eq!(outcome.result["cmd"], json!(["echo", "a b", "|", "cat"]));
        assert_eq!(outcome.result["msg"], "");
        assert!(outcome.result["delta"].as_str().unwrap().starts_with("0:00:0"));
    }

    #[test]
    fn a_failing_command_is_a_changed_failure() {
        let failure = run(json!({"argv": ["sh", "-c", "echo no >&2; exit 3"]})).unwrap_err();
        assert_eq!((failure.msg.as_str(), failure.changed), ("non-zero return code", true));
        assert_eq!((&failure.result["rc"], &failure.result["stderr"]), (&json!(3), &json!("no")));
    }

    #[test]
    fn a_missing_command_has_rc_2() {
        let failure = run(json!({"cmd": "nosuchcmd --help"})).unwrap_err();
        assert_eq!(failure.msg, "[Errno 2] No such file or directory: b'nosuchcmd'");
        assert_eq!(failure.result["cmd"], "nosuchcmd --help");
        assert_eq!((&failure.result["rc"], failure.changed), (&json!(2), false));
    }

    #[test]
    fn creates_and_removes_decide_in_check_mode_too() {
        let context = Context { check: true, ..Context::default() };
        let arguments = json!({"cmd": "false", "creates": "/etc/pass*"});
        let outcome = run_in(arguments, &context).unwrap();
        assert_eq!(outcome.result["msg"], "Would not run command since '/etc/pass*' exists");
        assert!(!outcome.changed);
        let outcome = run_in(json!({"cmd": "true", "creates": "/nosuch"}), &context).unwrap();
        assert!(outcome.changed && !outcome.result.contains_key("skipped"));
        let outcome = run(json!({"cmd": "false", "removes": "nosuch", "chdir": "/etc"})).unwrap();
        assert_eq!(outcome.result["stdout"], "skipped, since nosuch does not exist");
    }

    #[test]
    fn check_mode_skips_what_nothing_decides() {
        let context = Context { check: true, ..Context::default() };
        let outcome = run_in(json!({"cmd": "false"}), &context).unwrap();
        assert_eq!(outcome.result["msg"], "Command would have run if not in check mode");
        assert_eq!((outcome.changed, &outcome.result["skipped"]), (false, &json!(true)));
    }

    #[test]
    fn variables_come_from_the_task_and_can_be_left_alone() {
        let environment = BTreeMap::from([("WHO".to_owned(), "w1".to_owned())]);
        let context = Context { environment, ..Context::default() };
        let outcome = run_in(json!({"cmd": "echo $WHO"}), &context).unwrap();
        assert_eq!(outcome.result["stdout"], "w1");
        let plain = json!({"cmd": "echo $WHO", "expand_argument_vars": "no"});
        assert_eq!(run_in(plain, &context).unwrap().result["stdout"], "$WHO");
    }

    #[test]
    fn stdin_gets_its_newline_and_ends_are_stripped() {
        let outcome = run(json!({"cmd": "cat", "stdin": "x"})).unwrap();
        assert_eq!(outcome.result["stdout"], "x");
        let outcome = run(json!({"cmd": "cat", "stdin": "x", "strip_empty_ends": false})).unwrap();
        assert_eq!(outcome.result["stdout"], "x\n");
    }

    #[test]
    fn a_missing_folder_and_a_missing_command_text_are_told() {
        let failure = run(json!({"cmd": "true", "chdir": "/nosuch"})).unwrap_err();
        assert_eq!(
            failure.msg,
            "Unable to change directory before execution: [Errno 2] No such file or directory: \
             b'/nosuch'"
        );
        assert_eq!(run(json!({})).unwrap_err().msg, "no command given");
    }

    #[test]
    fn durations_look_as_in_python() {
        assert_eq!(delta(8084), "0:00:00.008084");
        assert_eq!(delta(3_723_000_000), "1:02:03");
        assert_eq!(delta(86_400_000_001), "1 day, 0:00:00.000001");
    }
}
