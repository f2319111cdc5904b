//! Modules in any language: an executable that is started with the path of a file
//! of JSON arguments and prints JSON (Ansible's WANT_JSON contract, "Developing
//! modules: non-native want JSON modules").

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::scratch::private_file;
use crate::modules::process::{Output, Process};
use crate::modules::words::plain;
use crate::modules::{Context, Failure};

/// The name under which requests ask for it.
pub const NAME: &str = "external";

/// What a request for an external module carries in its arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct External {
    /// The module's name.
    name: String,
    /// The file that was sent along.
    executable: PathBuf,
    /// What runs a module whose first line names Python.
    python: Option<String>,
    /// It is Python even where it has no first line that says so.
    #[serde(default)]
    is_python: bool,
    /// What the module is to get.
    #[serde(default)]
    arguments: Map<String, Json>,
    /// It reads them as `name=value` words, not as JSON.
    #[serde(default)]
    words: bool,
    /// Its result has what it wrote to stderr too, as that of every job.
    #[serde(default)]
    in_background: bool,
    #[serde(default)]
    no_log: bool,
    #[serde(default)]
    verbosity: u8,
}

/// Runs the executable and returns what it printed, as it is.
pub fn run(arguments: Json, context: &Context) -> Result<Map<String, Json>, Failure> {
    let module: External = serde_json::from_value(arguments)
        .map_err(|error| Failure::new(format!("wrong request for an external module: {error}")))?;
    let output = prepare(&module, context)
        .map_err(|error| Failure::new(format!("cannot prepare module {}: {error}", module.name)))
        .and_then(|(executable, file)| {
            let named = if module.is_python { Some("python3") } else { None };
            let process = match python_for(&executable).or(named) {
                Some(python) => {
                    Process::new(module.python.as_deref().unwrap_or(python)).arg(executable)
                }
                None => Process::new(executable),
            };
            process.arg(file).in_context(context).run()
        })
        .map_err(|failure| explain(failure, &module.name))?;
    let stderr = output.stderr.clone();
    let mut result = interpret(output);
    if module.in_background && !stderr.is_empty() && !result.contains_key("module_stderr") {
        result.insert("stderr".to_owned(), stderr.into());
    }
    Ok(result)
}

/// Makes the file executable under the module's name and writes its arguments beside it.
fn prepare(module: &External, context: &Context) -> io::Result<(PathBuf, PathBuf)> {
    let folder = context.scratch.join("module");
    fs::create_dir(&folder)?;
    let base = Path::new(&module.name).file_name().unwrap_or("module".as_ref());
    let executable = folder.join(base);
    fs::rename(&module.executable, &executable)?;
    fs::set_permissions(&executable, fs::Permissions::from_mode(0o700))?;
    let mut arguments = module.arguments.clone();
    for (key, value) in [
        ("_ansible_check_mode", json!(context.check)),
        ("_ansible_diff", json!(context.diff)),
        ("_ansible_no_log", json!(module.no_log)),
        ("_ansible_debug", json!(false)),
        ("_ansible_verbosity", json!(module.verbosity)),
        ("_ansible_version", json!("2.18.0")),
        ("_ansible_module_name", json!(module.name)),
        ("_ansible_tmpdir", json!(context.scratch)),
        ("_ansible_remote_tmp", json!(context.scratch)),
        ("_ansible_keep_remote_files", json!(false)),
        ("_ansible_shell_executable", json!("/bin/sh")),
        ("_ansible_socket", Json::Null),
        ("_ansible_syslog_facility", json!("LOG_USER")),
        ("_ansible_selinux_special_fs", json!(["fuse", "nfs", "vboxsf", "ramfs", "9p", "vfat"])),
        ("_ansible_string_conversion_action", json!("warn")),
    ] {
        arguments.insert(key.to_owned(), value);
    }
    let path = context.scratch.join("arguments");
    if module.words {
        private_file(&path)?.write_all(words(&arguments).as_bytes())?;
        return Ok((executable, path));
    }
    // A module made with Ansible's own library, where the host has that, reads them here.
    let copy = Json::Object(arguments.clone());
    arguments.insert("ANSIBLE_MODULE_ARGS".to_owned(), copy);
    private_file(&path)?.write_all(&serde_json::to_vec(&arguments)?)?;
    Ok((executable, path))
}

/// Arguments as a shell reads them: `.` of the file sets them as variables.
fn words(arguments: &Map<String, Json>) -> String {
    let quoted = |value: &Json| {
        // Bytes that end a word for the shell's own C are none of a text's.
        let text = plain(value).replace('\0', "");
        shlex::try_quote(&text).map(|word| word.into_owned()).unwrap_or_default()
    };
    arguments.iter().map(|(name, value)| format!("{name}={} ", quoted(value))).collect()
}

/// What runs a module whose first line names Python where no variable says it: that one,
/// or `python3` where the host has it elsewhere.
fn python_for(executable: &Path) -> Option<&'static str> {
    let mut start = [0; 64];
    let read = fs::File::open(executable).and_then(|mut file| file.read(&mut start)).ok()?;
    let text = String::from_utf8_lossy(start.get(..read)?).into_owned();
    let line = text.lines().next()?.strip_prefix("#!")?.trim();
    if !line.contains("python") {
        return None;
    }
    match line {
        "/usr/bin/python" if Path::new("/usr/bin/python").exists() => Some("/usr/bin/python"),
        _ => Some("python3"),
    }
}

/// Why a module could not be started, in words that name the likely cause.
fn explain(failure: Failure, name: &str) -> Failure {
    let cause = match failure.result.get("rc").and_then(Json::as_i64) {
        Some(2) => "the interpreter of its first line (#!) is not on this host",
        Some(8) => "it has no #! line, or was built for another architecture",
        Some(13) => "this host does not let it be executed",
        _ => return failure,
    };
    Failure { msg: format!("MODULE FAILURE: module {name} cannot be run: {cause}"), ..failure }
}

/// The JSON that the module printed, or a failed result with what it printed instead.
fn interpret(output: Output) -> Map<String, Json> {
    match parse_output(&output.stdout) {
        Some((mut result, junk)) => {
            if let Some(junk) = junk {
                let warning =
                    format!("Module invocation had junk after the JSON data: {}", junk.trim());
                match result.entry("warnings").or_insert_with(|| json!([])) {
                    Json::Array(list) => list.push(warning.into()),
                    other => *other = json!([warning]),
                }
            }
            let failed_rc = result.get("rc").and_then(Json::as_i64).is_some_and(|rc| rc != 0);
            if failed_rc && !result.contains_key("failed") {
                result.insert("failed".to_owned(), true.into());
            }
            result
        }
        None => {
            let mut result = Map::new();
            for (key, value) in [
                ("failed", json!(true)),
                ("changed", json!(false)),
                ("msg", json!("MODULE FAILURE\nSee stdout/stderr for the exact error")),
                ("module_stdout", json!(output.stdout)),
                ("module_stderr", json!(output.stderr)),
                ("rc", json!(output.rc)),
            ] {
                result.insert(key.to_owned(), value);
            }
            result
        }
    }
}

/// The mapping that begins on the first line with a `{` at its start, and what follows it.
fn parse_output(text: &str) -> Option<(Map<String, Json>, Option<&str>)> {
    let mut start = 0;
    let begin = text.split_inclusive('\n').find_map(|line| {
        let indent = line.len() - line.trim_start().len();
        let here = start + indent;
        start += line.len();
        line.trim_start().starts_with('{').then_some(here)
    })?;
    let rest = text.get(begin..)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Json>>();
    let result = values.next()?.ok()?;
    let junk = rest.get(values.byte_offset()..).filter(|junk| !junk.trim().is_empty());
    Some((result, junk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_script(script: &str, check: bool) -> Result<Map<String, Json>, Failure> {
        run_with(script, check, false)
    }

    fn run_with(script: &str, check: bool, job: bool) -> Result<Map<String, Json>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("blob");
        fs::write(&executable, script).unwrap();
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let context = Context { check, scratch, ..Context::default() };
        let arguments = json!({
            "name": "greet", "executable": executable, "arguments": {"who": "w1"},
            "in_background": job
        });
        run(arguments, &context)
    }

    #[test]
    fn what_a_module_wrote_to_stderr_is_in_the_result_of_a_job_alone() {
        let script = "#!/bin/sh\necho careful >&2\necho '{\"changed\": true}'";
        assert_eq!(run_with(script, false, true).unwrap()["stderr"], "careful\n");
        assert_eq!(run_with(script, false, false).unwrap().get("stderr"), None);
    }

    #[test]
    fn arguments_come_in_a_file_with_the_keys_of_ansible() {
        let script = "#!/bin/sh\ncat > /dev/null\nprintf '{\"changed\": true, \"got\": '\ncat \"$1\"\necho '}'";
        let result = run_script(script, true).unwrap();
        assert_eq!(result["changed"], true);
        assert_eq!(result["got"]["who"], "w1");
        assert_eq!(result["got"]["_ansible_check_mode"], true);
        assert_eq!(result["got"]["_ansible_module_name"], "greet");
    }

    #[test]
    fn words_are_what_a_shell_reads() {
        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("blob");
        let script = "#!/bin/sh\n. \"$1\"\nprintf '{\"msg\": \"%s, %s\"}' \"$greeting\" \"$_ansible_debug\"\n";
        fs::write(&executable, script).unwrap();
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let arguments = json!({
            "name": "greet", "executable": executable, "words": true,
            "arguments": {"greeting": "it's $HOME"}
        });
        let result = run(arguments, &Context { scratch, ..Context::default() }).unwrap();
        assert_eq!(result["msg"], "it's $HOME, False");
    }

    #[test]
    fn junk_around_the_json_is_tolerated() {
        let result =
            run_script("#!/bin/sh\necho Welcome\necho '{\"changed\": false}'\necho bye", false)
                .unwrap();
        assert_eq!(result["changed"], false);
        assert!(result["warnings"][0].as_str().unwrap().ends_with("bye"));
    }

    #[test]
    fn output_that_is_no_json_fails_and_is_shown() {
        let result = run_script("#!/bin/sh\necho oops; echo why >&2; exit 7", false).unwrap();
        assert_eq!(result["failed"], true);
        assert_eq!(result["module_stdout"], "oops\n");
        assert_eq!(result["module_stderr"], "why\n");
        assert_eq!(result["rc"], 7);
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let failure = run_script("#!/no/such/interpreter\n", false).unwrap_err();
        assert!(failure.msg.contains("interpreter"), "{}", failure.msg);
    }
}
