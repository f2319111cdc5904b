//! One case: its files copied, kup-play run on the copy, the output compared.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::compare::{self, Mode};

/// What a run printed, or what is recorded of one.
pub struct Output {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

pub fn names() -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder().join("cases"))
        .expect("the folder of cases")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Runs the case; an error tells what differs from Ansible.
pub fn run(name: &str) -> Result<(), String> {
    let old = recording("2.18", name)
        .ok_or_else(|| format!("nothing is recorded: tests/conformance/record {name}"))?;
    let new = recording("current", name);
    let source = folder().join("cases").join(name);
    let ours = play(&source).map_err(|error| format!("kup-play cannot be run: {error}"))?;
    let mode = Mode::read(text(&source.join("compare")).trim());
    compare::outputs(mode, &ours, &old, new.as_ref())
}

fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn recording(reference: &str, name: &str) -> Option<Output> {
    let file = folder().join("expected").join(reference).join(name);
    let text = fs::read_to_string(file).ok()?;
    let (exit, rest) = text.strip_prefix("exit: ")?.split_once("\n--- stdout\n")?;
    let (stdout, stderr) = rest.split_once("--- stderr\n")?;
    Some(Output { exit: exit.parse().ok()?, stdout: stdout.to_owned(), stderr: stderr.to_owned() })
}

fn play(source: &Path) -> std::io::Result<Output> {
    let temporary = tempfile::Builder::new().prefix("kup-case-").tempdir()?;
    let (work, home) = (temporary.path().join("case"), temporary.path().join("home"));
    copy(source, &work)?;
    fs::create_dir(&home)?;
    if work.join("prepare").exists() {
        let mut prepare = Command::new("sh");
        surroundings(&mut prepare, &work, &home).arg("./prepare").status()?;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    let stdin = match fs::File::open(work.join("stdin")) {
        Ok(file) => Stdio::from(file),
        Err(_) => Stdio::null(),
    };
    let output = surroundings(&mut command, &work, &home)
        .arg0(program(&work).unwrap_or_else(|| "kup-play".to_owned()))
        .args(arguments(&work))
        .stdin(stdin)
        .output()?;
    let masked = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .replace(&*work.to_string_lossy(), "$DIR")
            .replace(&*home.to_string_lossy(), "$HOME")
            .replace(&*folder().to_string_lossy(), "$CASES")
    };
    Ok(Output {
        exit: output.status.code().unwrap_or(-1),
        stdout: masked(&output.stdout),
        stderr: masked(&output.stderr),
    })
}

/// The environment that `record` gives to Ansible.
fn surroundings<'a>(command: &'a mut Command, work: &Path, home: &Path) -> &'a mut Command {
    let variables = text(&folder().join("environment")) + &text(&work.join("env"));
    let pairs = variables.lines().filter(|line| !line.starts_with('#'));
    command
        .current_dir(work)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("ANSIBLE_ASYNC_DIR", home.join("async"))
        .envs(pairs.filter_map(|line| line.split_once('=')))
}

/// The program of Ansible's that the case runs, where it is not ansible-playbook.
fn program(work: &Path) -> Option<String> {
    Some(text(&work.join("program")).trim().to_owned()).filter(|name| !name.is_empty())
}

/// The arguments that `record` gives to the program.
fn arguments(work: &Path) -> Vec<String> {
    let own = shlex::split(&text(&work.join("args"))).unwrap_or_default();
    let mut all = Vec::new();
    if !own.iter().any(|word| word.starts_with("-i")) {
        let found = ["inventory", "inventory.yml", "inventory.ini"]
            .map(|name| work.join(name))
            .into_iter()
            .find(|file| file.exists())
            .unwrap_or_else(|| folder().join("inventory.ini"));
        all.extend(["-i".to_owned(), found.to_string_lossy().into_owned()]);
    }
    if text(&work.join("compare")).trim() != "text" {
        all.push("-v".to_owned());
    }
    all.extend(own);
    if program(work).is_none() {
        all.push("site.yml".to_owned());
    }
    all
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
