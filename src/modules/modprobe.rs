//! `modprobe`: modules of the kernel, now and after the next boot.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::args::Text;
use super::{Context, Failure, Module, Outcome, files, tools, words};

/// Loads or unloads a module of the kernel.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Modprobe {
    name: Text,
    #[serde(default)]
    state: State,
    /// `name=value`, with blanks between.
    #[serde(default)]
    params: Text,
    /// Whether it is loaded at each boot.
    #[serde(default)]
    persistent: Persistent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Persistent {
    Absent,
    #[default]
    Disabled,
    Present,
}

const LOADED: &str = "/etc/modules-load.d";
const OPTIONS: &str = "/etc/modprobe.d";

impl Module for Modprobe {
    const NAME: &'static str = "modprobe";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        tools::program(context, "modprobe")?;
        let loaded = self.is_loaded()?;
        let mut changed = match (self.state, loaded) {
            (State::Present, false) => self.load(context)?,
            (State::Absent, true) => self.unload(context)?,
            _ => false,
        };
        let boot = Boot::of(&self.name.0, Path::new(LOADED), Path::new(OPTIONS))?;
        changed |= match self.persistent {
            Persistent::Disabled => false,
            Persistent::Present => boot.enable(&self.params.0, context.check)?,
            Persistent::Absent => boot.disable(context.check)?,
        };
        Ok(Outcome { changed, ..self.told() })
    }
}

impl Modprobe {
    fn told(&self) -> Outcome {
        Outcome::default()
            .with("name", self.name.0.clone())
            .with("params", self.params.0.clone())
            .with("state", if self.state == State::Present { "present" } else { "absent" })
    }

    /// As a module, or as a part of the kernel itself.
    fn is_loaded(&self) -> Result<bool, Failure> {
        let failed = |path: &Path, error: &std::io::Error| Failure {
            result: self.told().result,
            ..Failure::new(format!("{}: '{}'", super::http::python_error(error), path.display()))
        };
        let modules = Path::new("/proc/modules");
        let text = fs::read_to_string(modules).map_err(|error| failed(modules, &error))?;
        let start = format!("{} ", self.name.0.replace('-', "_"));
        if text.lines().any(|line| line.starts_with(&start)) {
            return Ok(true);
        }
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let builtin = PathBuf::from(format!("/lib/modules/{release}/modules.builtin"));
        let text = fs::read_to_string(&builtin).map_err(|error| failed(&builtin, &error))?;
        let file = format!("/{}.ko", self.name.0);
        Ok(text.lines().any(|line| line.trim_end().ends_with(&file)))
    }

    fn load(&self, context: &Context) -> Result<bool, Failure> {
        let parameters = words::split(&self.params.0).map_err(Failure::new)?;
        let mut command = tools::command(context, "modprobe")?;
        if context.check {
            command = command.arg("-n");
        }
        self.must(&command.arg(&self.name.0).args(parameters))?;
        Ok(context.check || self.is_loaded()?)
    }

    fn unload(&self, context: &Context) -> Result<bool, Failure> {
        let mut command = tools::command(context, "modprobe")?.arg("-r").arg(&self.name.0);
        if context.check {
            command = command.arg("-n");
        }
        self.must(&command).map(|()| true)
    }

    fn must(&self, command: &super::process::Process) -> Result<(), Failure> {
        let output = command.run()?;
        if output.success() {
            return Ok(());
        }
        let failure = Failure { result: self.told().result, ..Failure::new(output.stderr.clone()) };
        Err(failure
            .with("rc", output.rc)
            .with("stdout", output.stdout)
            .with("stderr", output.stderr))
    }
}

/// What is read at each boot.
struct Boot<'a> {
    name: &'a str,
    loaded: &'a Path,
    options: &'a Path,
    line: Regex,
    option: Regex,
}

impl<'a> Boot<'a> {
    fn of(name: &'a str, loaded: &'a Path, options: &'a Path) -> Result<Self, Failure> {
        let pattern = |text: String| {
            Regex::new(&text).map_err(|error| Failure::new(format!("'{name}': {error}")))
        };
        Ok(Self {
            name,
            loaded,
            options,
            line: pattern(format!("^ *{name} *(?:[#;].*)?$"))?,
            option: pattern(format!(r"^options {name} (\w+=\S+) *(?:[#;].*)?$"))?,
        })
    }

    fn enable(&self, params: &str, check: bool) -> Result<bool, Failure> {
        let mut changed = false;
        if !has(self.loaded, &self.line) {
            changed = true;
            self.write(self.loaded, &format!("{}\n", self.name), check)?;
        }
        let wanted: BTreeSet<String> = params.split_whitespace().map(str::to_owned).collect();
        if wanted != self.parameters() {
            changed = true;
            comment_out(self.options, &self.option, check)?;
            let lines = params.split_whitespace().map(|p| format!("options {} {p}\n", self.name));
            let text: String = lines.collect();
            self.write(self.options, if text.is_empty() { "\n" } else { &text }, check)?;
        }
        Ok(changed)
    }

    fn disable(&self, check: bool) -> Result<bool, Failure> {
        let (loaded, options) = (has(self.loaded, &self.line), !self.parameters().is_empty());
        if loaded {
            comment_out(self.loaded, &self.line, check)?;
        }
        if options {
            comment_out(self.options, &self.option, check)?;
        }
        Ok(loaded || options)
    }

    fn parameters(&self) -> BTreeSet<String> {
        let texts = files_in(self.options).into_iter().filter_map(|f| fs::read_to_string(f).ok());
        let mut found = BTreeSet::new();
        for text in texts {
            let lines = text.lines().filter_map(|line| self.option.captures(line));
            found.extend(lines.filter_map(|line| Some(line.get(1)?.as_str().to_owned())));
        }
        found
    }

    fn write(&self, folder: &Path, text: &str, check: bool) -> Result<(), Failure> {
        if check {
            return Ok(());
        }
        let path = folder.join(format!("{}.conf", self.name));
        files::write(&path, &mut text.as_bytes(), None, false)
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    paths.sort();
    paths
}

fn has(folder: &Path, pattern: &Regex) -> bool {
    let mut texts = files_in(folder).into_iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.any(|text| text.lines().any(|line| pattern.is_match(line)))
}

fn comment_out(folder: &Path, pattern: &Regex, check: bool) -> Result<(), Failure> {
    for path in files_in(folder) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let lines = text.lines().map(|line| match pattern.is_match(line) {
            true => format!("#{line}\n"),
            false => format!("{line}\n"),
        });
        let new: String = lines.collect();
        if !check && text.lines().any(|line| pattern.is_match(line)) {
            files::write(&path, &mut new.as_bytes(), None, false)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_each_boot() {
        let folder = tempfile::tempdir().expect("a folder");
        let (loaded, options) = (folder.path().join("l"), folder.path().join("o"));
        fs::create_dir(&loaded).expect("a folder");
        fs::create_dir(&options).expect("a folder");
        let boot = Boot::of("dummy", &loaded, &options).expect("patterns");
        assert!(boot.enable("numdummies=2", true).expect("checked"));
        assert!(boot.enable("numdummies=2", false).expect("enabled"));
        assert!(!boot.enable("numdummies=2", false).expect("there"));
        let text = |path: PathBuf| fs::read_to_string(path).expect("read");
        assert_eq!(text(loaded.join("dummy.conf")), "dummy\n");
        assert_eq!(text(options.join("dummy.conf")), "options dummy numdummies=2\n");
        assert!(boot.disable(false).expect("disabled"));
        assert!(!boot.disable(false).expect("gone"));
        assert_eq!(text(options.join("dummy.conf")), "#options dummy numdummies=2\n");
    }
}
