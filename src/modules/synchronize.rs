//! `synchronize`: rsync, where it is called. The action says from where to where.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, HostPath, Number, Text, TextList};
use super::process::Process;
use super::{Context, Failure, Module, Outcome, tools};

/// Calls rsync.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Synchronize {
    src: Text,
    dest: Text,
    /// Whether the controller's files go to the host or the host's come here.
    #[serde(default, rename = "mode")]
    _mode: Mode,
    dest_port: Option<Number>,
    /// Delete what the source has not.
    #[serde(default)]
    delete: Flag,
    private_key: Option<HostPath>,
    /// What is called on the other side.
    rsync_path: Option<Text>,
    #[serde(default = "Flag::yes")]
    archive: Flag,
    #[serde(default)]
    checksum: Flag,
    #[serde(default = "Flag::yes")]
    compress: Flag,
    #[serde(default)]
    existing_only: Flag,
    #[serde(default)]
    dirs: Flag,
    recursive: Option<Flag>,
    links: Option<Flag>,
    #[serde(default)]
    copy_links: Flag,
    perms: Option<Flag>,
    times: Option<Flag>,
    owner: Option<Flag>,
    group: Option<Flag>,
    /// For the controller's half: whether the host's user stands before its name.
    #[serde(rename = "set_remote_user")]
    _set_remote_user: Option<Flag>,
    #[serde(default)]
    rsync_timeout: Number,
    #[serde(default)]
    rsync_opts: TextList,
    /// For the controller's half: whether ssh gets the arguments of the connection.
    #[serde(default, rename = "use_ssh_args")]
    _use_ssh_args: Flag,
    /// Arguments of ssh, from the controller's half.
    _ssh_args: Option<Text>,
    #[serde(default)]
    ssh_connection_multiplexing: Flag,
    #[serde(default)]
    partial: Flag,
    #[serde(default)]
    verify_host: Flag,
    #[serde(default = "Flag::yes")]
    delay_updates: Flag,
    #[serde(default)]
    link_dest: TextList,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Pull,
    #[default]
    Push,
}

/// What stands before each change that rsync lists.
const MARK: &str = "<<CHANGED>>";

impl Module for Synchronize {
    const NAME: &'static str = "synchronize";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let program = tools::program(context, "rsync")?.display().to_string();
        let mut arguments = self.options(context)?;
        arguments.push(format!("--out-format={MARK}%i %n%L"));
        arguments.extend([self.src.0.clone(), self.dest.0.clone()]);
        let line = shown(&program, &arguments);
        let output = Process::new(&program).args(&arguments).in_context(context).run()?;
        if !output.success() {
            return Err(Failure::new(output.stderr).with("rc", output.rc).with("cmd", line));
        }
        let changed = match self.link_dest.0.is_empty() {
            true => output.stdout.contains(MARK),
            false => !output.stdout.contains(&format!("{MARK}.")),
        };
        let text = output.stdout.replace(MARK, "");
        let lines: Vec<&str> = text.split('\n').filter(|line| !line.is_empty()).collect();
        let mut outcome = Outcome::changed(changed)
            .with("rc", 0)
            .with("cmd", line)
            .with("stdout_lines", json!(lines))
            .with("msg", text.clone());
        if context.diff {
            outcome = outcome.with("diff", json!({"prepared": text}));
        }
        if self.rsync_opts.0.iter().any(String::is_empty) {
            let warning = "The empty string is present in rsync_opts which will cause rsync to \
                           transfer the current working directory. If this is intended, use \".\" \
                           instead to get rid of this warning. If this is unintended, check for \
                           problems in your playbook leading to empty string in rsync_opts.";
            outcome = outcome.with("warnings", json!([warning]));
        }
        Ok(outcome)
    }
}

impl Synchronize {
    fn options(&self, context: &Context) -> Result<Vec<String>, Failure> {
        let mut options: Vec<String> = Vec::new();
        let mut add = |wanted: bool, words: &[&str]| {
            if wanted {
                options.extend(words.iter().map(|word| (*word).to_owned()));
            }
        };
        add(self.delay_updates.0, &["--delay-updates", "-F"]);
        add(self.compress.0, &["--compress"]);
        add(self.rsync_timeout.0 != 0, &[&format!("--timeout={}", self.rsync_timeout.0)]);
        add(context.check, &["--dry-run"]);
        add(self.delete.0, &["--delete-after"]);
        add(self.existing_only.0, &["--existing"]);
        add(self.checksum.0, &["--checksum"]);
        add(self.copy_links.0, &["--copy-links"]);
        add(self.archive.0, &["--archive"]);
        for (name, flag) in [
            ("recursive", self.recursive),
            ("links", self.links),
            ("perms", self.perms),
            ("times", self.times),
            ("owner", self.owner),
            ("group", self.group),
        ] {
            match (self.archive.0, flag.map(|flag| flag.0)) {
                (true, Some(false)) => add(true, &[&format!("--no-{name}")]),
                (false, Some(true)) => add(true, &[&format!("--{name}")]),
                _ => {}
            }
        }
        add(self.dirs.0, &["--dirs"]);
        let (src, dest) = (&self.src.0, &self.dest.0);
        let daemon = |path: &str| path.starts_with("rsync://");
        if daemon(src) && daemon(dest) {
            return Err(Failure::new("either src or dest must be a localhost").with("rc", 1));
        }
        let remote = !daemon(src) && !daemon(dest) && (src.contains(':') || dest.contains(':'));
        if remote && !self.rsync_opts.0.iter().any(|option| option.contains("--rsh")) {
            add(true, &[&format!("--rsh={}", self.shell(context)?)]);
        }
        if let Some(path) = self.rsync_path.as_ref().filter(|path| !path.0.is_empty()) {
            add(true, &[&format!("--rsync-path={}", path.0)]);
        }
        self.rsync_opts.0.iter().for_each(|option| add(true, &[option]));
        add(self.partial.0, &["--partial"]);
        add(!self.link_dest.0.is_empty(), &["-H", "-vv"]);
        for path in &self.link_dest.0 {
            let absolute = |path: &str| {
                std::path::absolute(path).map(|p| p.display().to_string()).unwrap_or_default()
            };
            let (link, folder) =
                (absolute(path), absolute(dest.rsplit_once('/').map_or("", |d| d.0)));
            if folder.starts_with(&link) {
                return Err(Failure::new(format!(
                    "Hardlinking into a subdirectory of the source would cause recursion. \
                     {folder} and {dest}"
                )));
            }
            add(true, &[&format!("--link-dest={link}")]);
        }
        Ok(options)
    }

    /// How ssh is called.
    fn shell(&self, context: &Context) -> Result<String, Failure> {
        let mut words = vec![tools::program(context, "ssh")?.display().to_string()];
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        if !self.ssh_connection_multiplexing.0 {
            add(&["-S", "none"]);
        }
        if let Some(key) = &self.private_key {
            add(&["-i", &key.display().to_string()]);
        }
        if let Some(port) = self.dest_port {
            add(&["-o", &format!("Port={}", port.0)]);
        }
        if !self.verify_host.0 {
            add(&["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        }
        let line = shlex::try_join(words.iter().map(String::as_str));
        let line = line.map_err(|error| Failure::new(error.to_string()))?;
        Ok(match &self._ssh_args {
            Some(more) => format!("{line} {}", more.0),
            None => line,
        })
    }
}

/// The command as Ansible shows it: of an option its value is quoted.
fn shown(program: &str, arguments: &[String]) -> String {
    let quoted = |text: &str| match shlex::try_quote(text) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => text.to_owned(),
    };
    let words = arguments.iter().map(|argument| match argument.split_once('=') {
        Some((name, value)) if name.starts_with("--") => format!("{name}={}", quoted(value)),
        _ => quoted(argument),
    });
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value as Json;

    fn module(arguments: Json) -> Synchronize {
        serde_json::from_value(arguments).expect("arguments")
    }

    #[test]
    fn options_as_rsync_wants_them() {
        let all = module(json!({
            "src": "/a/", "dest": "u@h:/b", "delete": true, "owner": false, "dest_port": 22,
            "rsync_opts": ["--exclude=.git"]
        }));
        let options = all.options(&Context { check: true, ..Context::default() });
        let Ok(options) = options else { return };
        let text = options.join(" ");
        let start =
            "--delay-updates -F --compress --dry-run --delete-after --archive --no-owner --rsh=";
        assert!(text.starts_with(start), "{text}");
        assert!(
            text.contains("-S none -o 'Port=22' -o") || text.contains("-S none -o Port=22 -o"),
            "{text}"
        );
        assert!(text.ends_with("--exclude=.git"), "{text}");
    }

    #[test]
    fn a_folder_is_the_same_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path();
        std::fs::create_dir(base.join("a")).expect("a folder");
        std::fs::write(base.join("a/f"), "text").expect("written");
        let run = || {
            let arguments =
                json!({"src": format!("{}/", base.join("a").display()), "dest": base.join("b")});
            module(arguments).run(&Context::default()).expect("done").changed
        };
        assert!(run() && !run() && base.join("b/f").exists());
    }
}
