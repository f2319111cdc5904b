//! The mistakes that operators make, each with the whole message that is printed for it
//! (`gallery/NAME/expected`; written anew with GALLERY_RECORD=1). A mistake outside of playbooks has the options
//! that it needs in `gallery/NAME/arguments`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

/// A pattern that matches nothing is a warning, as in Ansible; a limit stands in no file.
const WITHOUT_PLACE: &[&str] = &["bad_pattern", "limit_matches_nothing"];

/// What a module finds out on a host has the place of its task.
const PLACE_OF_TASK: &[&str] = &["missing_include", "missing_template"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = names().into_iter().map(|name| Trial::test(name.clone(), move || check(&name)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gallery")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("the folder of the gallery");
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn check(name: &str) -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let usual = "-i host1,host2,";
    let arguments = fs::read_to_string(folder().join(name).join("arguments"));
    let output = Command::new(env!("CARGO_BIN_EXE_kup-play"))
        .args(arguments.as_deref().unwrap_or(usual).split_whitespace())
        .args(["-c", "local", "site.yml"])
        .current_dir(folder().join(name))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home.path())
        .output()?;
    let printed = format!(
        "{}{}exit code {}\n",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        output.status.code().unwrap_or(-1),
    );
    let printed = printed
        .replace(&format!("{}/", folder().join(name).display()), "")
        .replace(&*folder().join(name).to_string_lossy(), ".")
        .replace(&*home.path().to_string_lossy(), "$HOME");
    has_place(name, &printed)?;
    let recorded = folder().join(name).join("expected");
    if std::env::var_os("GALLERY_RECORD").is_some() {
        fs::write(recorded, printed)?;
        return Ok(());
    }
    let expected = fs::read_to_string(recorded)?;
    if printed == expected {
        Ok(())
    } else {
        let diff = similar::TextDiff::from_lines(&expected, &printed);
        Err(diff.unified_diff().header("recorded", "printed").to_string().into())
    }
}

/// A message says where the mistake is and shows the line.
fn has_place(name: &str, printed: &str) -> Result<(), Failed> {
    if WITHOUT_PLACE.contains(&name) {
        return Ok(());
    }
    let pattern = if PLACE_OF_TASK.contains(&name) {
        r"task path: \S+:\d+\n"
    } else {
        r"--> \S+:\d+:\d+\n +\|\n +\d+ \| .*\n +\| *\^"
    };
    if regex::Regex::new(pattern)?.is_match(printed) {
        Ok(())
    } else {
        Err(format!("no place, or no line is shown:\n{printed}").into())
    }
}
