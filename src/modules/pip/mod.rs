//! `pip`: packages of Python's.

mod requirement;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, HostPath, Text, TextList};
use super::process::{Output, Process};
use super::words;
use super::{Context, Failure, Module, Outcome, tools};
use requirement::{Requirement, names};

/// Installs or removes packages, if need be into an environment of their own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pip {
    name: Option<TextList>,
    version: Option<Text>,
    /// A file of requirements.
    requirements: Option<Text>,
    #[serde(default)]
    state: State,
    /// A folder for an environment, made when it is not there.
    virtualenv: Option<HostPath>,
    #[serde(default)]
    virtualenv_site_packages: Flag,
    #[serde(default = "virtualenv")]
    virtualenv_command: Text,
    virtualenv_python: Option<Text>,
    extra_args: Option<Text>,
    #[serde(default)]
    editable: Flag,
    chdir: Option<HostPath>,
    executable: Option<HostPath>,
    umask: Option<Text>,
    #[serde(default)]
    break_system_packages: Flag,
}

fn virtualenv() -> Text {
    Text("virtualenv".to_owned())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
    Latest,
    ForceReinstall,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Latest => "latest",
            Self::ForceReinstall => "forcereinstall",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Present => &["install"],
            Self::Absent => &["uninstall", "-y"],
            Self::Latest => &["install", "-U"],
            Self::ForceReinstall => &["install", "-U", "--force-reinstall"],
        }
    }
}

impl Module for Pip {
    const NAME: &'static str = "pip";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        let mut job = Job::of(&self, context)?;
        let mut made = false;
        if let Some(folder) = job.environment.clone().filter(|f| !f.join("bin/activate").exists()) {
            if context.check {
                return Ok(Outcome::changed(true));
            }
            job.make_environment(&folder)?;
            made = true;
        }
        let pip = job.pip()?;
        let packages = self.packages()?;
        let extra = self.extra()?;
        let mut command = pip.clone();
        command.extend(self.state.arguments().iter().map(|word| (*word).to_owned()));
        command.extend(extra.clone());
        match (&packages, &self.requirements) {
            (Some(packages), _) => command.extend(packages.iter().map(Requirement::text)),
            (None, Some(file)) => command.extend(["-r".to_owned(), file.0.clone()]),
            (None, None) => {}
        }
        if context.check {
            return job.would_change(&pip, packages.as_deref(), !extra.is_empty());
        }
        let from_sources = self.name.iter().flat_map(|names| &names.0).any(|name| is_source(name));
        let compare = self.requirements.is_some() || from_sources;
        let before = if compare { Some(job.listed(&pip)?.1) } else { None };
        let output = job.run(&command)?;
        job.add(&output);
        let gone = output.rc == 1
            && self.state == State::Absent
            && (output.stdout.contains("not installed") || output.stderr.contains("not installed"));
        if output.rc != 0 && !gone {
            return Err(job.failed(&command));
        }
        let changed = match (&before, self.state) {
            (_, State::Absent) => output.stdout.contains("Successfully uninstalled"),
            (None, _) => output.stdout.contains("Successfully installed"),
            (Some(before), _) => *before != job.listed(&pip)?.1,
        };
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        Ok(Outcome::changed(changed || made)
            .with("cmd", json!(command))
            .with("name", json!(self.name.as_ref().map(|names| &names.0)))
            .with("version", text(&self.version))
            .with("state", self.state.word())
            .with("requirements", text(&self.requirements))
            .with("virtualenv", job.environment.as_ref().map(|path| path.display().to_string()))
            .with("stdout", job.out.clone())
            .with("stderr", job.err.clone()))
    }
}

/// Packages that a version control system has.
fn is_source(name: &str) -> bool {
    ["svn", "git", "hg", "bzr"].iter().any(|vcs| {
        let rest = name.strip_prefix(vcs);
        rest.is_some_and(|rest| rest.starts_with('+') || rest.starts_with("://"))
    })
}

impl Pip {
    fn validate(&self) -> Result<(), Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg));
        if self.name.is_none() && self.requirements.is_none() {
            return refuse("one of the following is required: name, requirements");
        }
        if self.name.is_some() && self.requirements.is_some() {
            return refuse("parameters are mutually exclusive: name|requirements");
        }
        if self.executable.is_some() && self.virtualenv.is_some() {
            return refuse("parameters are mutually exclusive: executable|virtualenv");
        }
        if self.umask.as_ref().is_some_and(|mask| u32::from_str_radix(&mask.0, 8).is_err()) {
            return refuse("umask must be an octal integer");
        }
        if self.state == State::Latest && self.version.is_some() {
            return refuse("version is incompatible with state=latest");
        }
        Ok(())
    }

    /// The packages that are named, with the version that is given apart.
    fn packages(&self) -> Result<Option<Vec<Requirement>>, Failure> {
        let Some(given) = self.name.as_ref().filter(|given| !given.0.is_empty()) else {
            return Ok(None);
        };
        let mut packages: Vec<_> =
            names(&given.0).iter().map(|name| Requirement::read(name)).collect();
        if let Some(version) = &self.version {
            if packages.len() > 1 {
                return Err(Failure::new(
                    "'version' argument is ambiguous when installing multiple package \
                     distributions. Please specify version restrictions next to each package in \
                     'name' argument.",
                ));
            }
            let only = packages.pop();
            if only.as_ref().is_some_and(Requirement::has_version) {
                return Err(Failure::new(
                    "The 'version' argument conflicts with any version specifier provided along \
                     with a package name. Please keep the version specifier, but remove the \
                     'version' argument.",
                ));
            }
            packages.extend(only.map(|only| only.with_version(&version.0)));
        }
        Ok(Some(packages))
    }

    fn extra(&self) -> Result<Vec<String>, Failure> {
        let text = self.extra_args.as_ref().map(|text| text.0.as_str()).unwrap_or_default();
        let mut extra = words::split(text).map_err(Failure::new)?;
        if self.editable.0 && !extra.iter().any(|word| word == "-e") {
            extra.push("-e".to_owned());
        }
        Ok(extra)
    }
}

/// One run, and what its commands have printed.
struct Job<'a> {
    task: &'a Pip,
    context: &'a Context,
    environment: Option<PathBuf>,
    folder: PathBuf,
    out: String,
    err: String,
}

impl<'a> Job<'a> {
    fn of(task: &'a Pip, context: &'a Context) -> Result<Self, Failure> {
        let folder = task.chdir.as_ref().map(|folder| folder.0.clone());
        let environment = task.virtualenv.as_ref().map(|environment| match &folder {
            Some(folder) => folder.join(&environment.0),
            None => environment.0.clone(),
        });
        let folder = folder.unwrap_or_else(std::env::temp_dir);
        Ok(Self { task, context, environment, folder, out: String::new(), err: String::new() })
    }

    fn run(&self, command: &[String]) -> Result<Output, Failure> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| Failure::new("no command"))?;
        let mut process = match &self.task.umask {
            // Nobody but a shell can set it for one command.
            Some(mask) => Process::shell("umask \"$0\"; exec \"$@\"")
                .arg(&mask.0)
                .arg(program)
                .args(arguments),
            None => Process::new(program).args(arguments),
        };
        process = process.in_context(self.context).env("LC_ALL", "C.UTF-8").cwd(&self.folder);
        if self.task.break_system_packages.0 {
            process = process.env("PIP_BREAK_SYSTEM_PACKAGES", "1");
        }
        if let Some(environment) = &self.environment {
            let own = self.context.environment.get("PATH").cloned();
            let path = own.or_else(|| std::env::var("PATH").ok()).unwrap_or_default();
            process = process.env("PATH", format!("{}:{path}", environment.join("bin").display()));
        }
        process.run()
    }

    fn add(&mut self, output: &Output) {
        self.out += &output.stdout;
        self.err += &output.stderr;
    }

    fn failed(&self, command: &[String]) -> Failure {
        let mut msg = String::new();
        if !self.out.is_empty() {
            msg += &format!("stdout: {}", self.out);
        }
        if !self.err.is_empty() {
            msg += &format!("\n:stderr: {}", self.err);
        }
        Failure::new(msg).with("cmd", json!(command))
    }

    fn make_environment(&mut self, folder: &Path) -> Result<(), Failure> {
        let task = self.task;
        let mut command = words::split(&task.virtualenv_command.0).map_err(Failure::new)?;
        let is_venv = command.first().is_some_and(|program| program.ends_with("pyvenv"))
            || command.windows(2).any(|pair| pair == ["-m", "venv"]);
        if let Some(program) = command.first_mut().filter(|program| !program.contains('/')) {
            *program = tools::program(self.context, program)?.display().to_string();
        }
        if task.virtualenv_site_packages.0 {
            command.push("--system-site-packages".to_owned());
        }
        match (&task.virtualenv_python, is_venv) {
            (Some(_), true) => {
                return Err(Failure::new(
                    "virtualenv_python should not be used when using the venv module or pyvenv as \
                     virtualenv_command",
                ));
            }
            (Some(python), false) => command.push(format!("-p{}", python.0)),
            (None, false) => {
                let python = tools::find(self.context, "python3");
                command.extend(python.map(|python| format!("-p{}", python.display())));
            }
            (None, true) => {}
        }
        command.push(folder.display().to_string());
        // Its own programs are not there yet.
        let environment = self.environment.take();
        let output = self.run(&command);
        self.environment = environment;
        let output = output?;
        self.add(&output);
        if output.success() { Ok(()) } else { Err(self.failed(&command)) }
    }

    /// How pip is called.
    fn pip(&self) -> Result<Vec<String>, Failure> {
        let own = self.task.executable.as_ref().map(|path| path.display().to_string());
        if let Some(path) = own.as_ref().filter(|path| path.starts_with('/')) {
            return Ok(vec![path.clone()]);
        }
        if let Some(environment) = &self.environment {
            let found = ["pip3", "pip"].iter().map(|name| environment.join("bin").join(name));
            let found = found.into_iter().find(|path| path.exists());
            return found.map(|path| vec![path.display().to_string()]).ok_or_else(|| {
                Failure::new(format!(
                    "Unable to find pip in the virtualenv, {}, under any of these names: pip3, \
                     pip. Make sure pip is present in the virtualenv.",
                    environment.display()
                ))
            });
        }
        if own.is_none()
            && let Some(python) = tools::find(self.context, "python3")
            && tools::command(self.context, "python3")?.args(["-c", "import pip"]).run()?.success()
        {
            let python = python.display().to_string();
            return Ok(vec![python, "-m".to_owned(), "pip.__main__".to_owned()]);
        }
        let name = own.unwrap_or_else(|| "pip3".to_owned());
        let found = tools::find(self.context, &name).map(|path| vec![path.display().to_string()]);
        found.ok_or_else(|| {
            Failure::new(format!(
                "Unable to find any of {name} to use.  pip needs to be installed."
            ))
        })
    }

    /// All packages: the command that lists them, and its lines.
    fn listed(&self, pip: &[String]) -> Result<(String, String), Failure> {
        let command = |more: &[&str]| {
            let more = more.iter().map(|word| (*word).to_owned());
            pip.iter().cloned().chain(more).collect::<Vec<_>>()
        };
        let list = command(&["list", "--format=freeze"]);
        let output = self.run(&list)?;
        if output.success() {
            return Ok((list.join(" "), output.stdout));
        }
        let freeze = command(&["freeze"]);
        let output = self.run(&freeze)?;
        match output.success() {
            true => Ok((freeze.join(" "), output.stdout)),
            false => {
                let msg = format!("stdout: {}\n:stderr: {}", output.stdout, output.stderr);
                Err(Failure::new(msg).with("cmd", json!(freeze)))
            }
        }
    }

    fn would_change(
        &mut self,
        pip: &[String],
        packages: Option<&[Requirement]>,
        extra: bool,
    ) -> Result<Outcome, Failure> {
        let Some(packages) = packages.filter(|_| !extra && self.task.state != State::Latest) else {
            return Ok(Outcome::changed(true));
        };
        let (command, listing) = self.listed(pip)?;
        let installed = |package: &Requirement| {
            let mut lines = listing.lines().filter_map(|line| line.split_once("=="));
            lines.any(|(name, version)| package.is_met_by(name, version))
        };
        let changed = packages.iter().any(|package| match self.task.state {
            State::Present => !installed(package),
            State::Absent => installed(package),
            State::Latest | State::ForceReinstall => false,
        });
        Ok(Outcome::changed(changed)
            .with("cmd", command)
            .with("stdout", self.out.clone() + &listing)
            .with("stderr", self.err.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn refused(arguments: Json) -> String {
        let task: Pip = serde_json::from_value(arguments).expect("arguments");
        task.validate().and_then(|()| task.packages().map(drop)).expect_err("refused").msg
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let msg = refused(json!({"name": "a", "requirements": "r"}));
        assert_eq!(msg, "parameters are mutually exclusive: name|requirements");
        let msg = refused(json!({"name": ["a", "b"], "version": "1"}));
        assert!(msg.starts_with("'version' argument is ambiguous"), "{msg}");
        let msg = refused(json!({"name": "a>1", "version": "1"}));
        assert!(msg.starts_with("The 'version' argument conflicts"), "{msg}");
    }

    #[test]
    fn sources_of_version_control_are_known() {
        assert!(is_source("git+https://h/r.git#egg=r") && !is_source("gitpython"));
    }
}
