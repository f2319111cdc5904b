//! `systemd` and `service`: units started, stopped, enabled.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::{Flag, Number, Text};
use super::process::{Output, Process};
use super::{Context, Failure, Module, Outcome};

/// Controls units of systemd.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Systemd {
    /// The unit; `.service` unless it says otherwise.
    #[serde(alias = "service", alias = "unit")]
    name: Option<String>,
    state: Option<State>,
    enabled: Option<Flag>,
    masked: Option<Flag>,
    /// Read changed unit files first.
    #[serde(default, alias = "daemon-reload")]
    daemon_reload: Flag,
    /// Start systemd itself anew.
    #[serde(default, alias = "daemon-reexec")]
    daemon_reexec: Flag,
    #[serde(default)]
    force: Flag,
    /// Do not wait until the job is done.
    #[serde(default)]
    no_block: Flag,
    scope: Option<Scope>,
    /// Seconds between stop and start of a restart.
    sleep: Option<Number>,
    // Taken from the arguments of `service`; systemd needs none of them.
    #[serde(default, rename = "use")]
    _use: Option<Text>,
    #[serde(default, rename = "pattern")]
    _pattern: Option<Text>,
    #[serde(default, rename = "arguments", alias = "args")]
    _arguments: Option<Text>,
    #[serde(default, rename = "runlevel")]
    _runlevel: Option<Text>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Started,
    Stopped,
    Restarted,
    Reloaded,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    System,
    User,
    Global,
}

impl Module for Systemd {
    const NAME: &'static str = "systemd";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        if !context.check {
            for (wanted, verb) in
                [(self.daemon_reload.0, "daemon-reload"), (self.daemon_reexec.0, "daemon-reexec")]
            {
                if wanted {
                    self.must(context, &[verb], &format!("failure during {verb}"))?;
                }
            }
        }
        let Some(name) = &self.name else {
            if self.state.is_some() || self.enabled.is_some() || self.masked.is_some() {
                return Err(Failure::new("'name' is required with state, enabled and masked"));
            }
            return Ok(Outcome::default());
        };
        let shown = self.show(context, name)?;
        let offline = shown.is_none();
        let status = shown.unwrap_or_default();
        let mut outcome = Outcome::default().with("name", name.clone());
        let mut changed = self.mask(context, name)?;
        let known = match status.get("LoadState") {
            Some(state) => state != "not-found",
            None => offline && self.has_file(context, name)?,
        };
        if !known && (self.enabled.is_some() || self.state.is_some()) {
            return Err(Failure::new(format!("Could not find the requested service {name}: host")));
        }
        if let Some(enabled) = self.enabled {
            changed |= self.enable(context, name, enabled.0)?;
            outcome = outcome.with("enabled", enabled.0);
        }
        if let Some(state) = self.state.filter(|_| offline) {
            let warning = "Target is a chroot or systemd is offline. This can lead to false \
                           positives or prevent the init system tools from working.";
            let word = format!("{state:?}").to_lowercase();
            outcome = outcome.with("state", word).with("warnings", json!([warning]));
        } else if let Some(state) = self.state {
            changed |= self.set_state(context, name, state, &status)?;
            let word = if state == State::Stopped { "stopped" } else { "started" };
            outcome = outcome.with("state", word);
        }
        outcome.changed = changed;
        Ok(outcome.with("status", json!(status)))
    }
}

impl Systemd {
    fn systemctl(&self, context: &Context, words: &[&str]) -> Result<Output, Failure> {
        let scope = match self.scope {
            Some(Scope::User) => &["--user"][..],
            Some(Scope::Global) => &["--global"],
            _ => &[],
        };
        Process::new("systemctl").args(scope).args(words).in_context(context).run()
    }

    fn must(&self, context: &Context, words: &[&str], what: &str) -> Result<Output, Failure> {
        let output = self.systemctl(context, words)?;
        if output.success() {
            return Ok(output);
        }
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Err(Failure::new(format!("{what}: {}", said.trim()))
            .with("rc", output.rc)
            .with("stdout", output.stdout.clone())
            .with("stderr", output.stderr.clone()))
    }

    /// What systemd knows of the unit; none where it does not run, as in a chroot.
    fn show(
        &self,
        context: &Context,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let output = self.must(context, &["show", name], "systemctl show failed")?;
        let ignored =
            |text: &str| text.contains("ignoring request") || text.contains("ignoring command");
        if ignored(&output.stdout) || ignored(&output.stderr) {
            return Ok(None);
        }
        let entries = output.stdout.lines().filter_map(|line| line.split_once('='));
        Ok(Some(entries.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }

    /// Whether there is a file of the unit; systemd need not run for it to be found.
    fn has_file(&self, context: &Context, name: &str) -> Result<bool, Failure> {
        let output = self.systemctl(context, &["list-unit-files", &format!("{name}*")])?;
        Ok(output.stdout.contains(name))
    }

    fn mask(&self, context: &Context, name: &str) -> Result<bool, Failure> {
        let Some(Flag(masked)) = self.masked else {
            return Ok(false);
        };
        let is = self.systemctl(context, &["is-enabled", name])?.stdout.trim() == "masked";
        if is == masked {
            return Ok(false);
        }
        if !context.check {
            let verb = if masked { "mask" } else { "unmask" };
            let what = format!("Failed to {verb} the service ({name})");
            self.must(context, &[verb, name], &what)?;
        }
        Ok(true)
    }

    fn enable(&self, context: &Context, name: &str, enabled: bool) -> Result<bool, Failure> {
        let output = self.systemctl(context, &["is-enabled", "-l", name])?;
        let said = output.stdout.trim();
        // Until the next start alone, or by way of another unit: there is more to enable.
        let partly = matches!(said, "enabled-runtime" | "indirect" | "alias");
        let is = output.success() && !partly;
        // A static unit has nothing to enable.
        if is == enabled || (said == "static" && !enabled) {
            return Ok(false);
        }
        if !context.check {
            let verb = if enabled { "enable" } else { "disable" };
            let mut words = vec![verb];
            if self.force.0 {
                words.push("--force");
            }
            words.push(name);
            self.must(context, &words, &format!("Unable to {verb} service {name}"))?;
        }
        Ok(true)
    }

    fn set_state(
        &self,
        context: &Context,
        name: &str,
        state: State,
        status: &BTreeMap<String, String>,
    ) -> Result<bool, Failure> {
        let active = status
            .get("ActiveState")
            .is_some_and(|state| matches!(state.as_str(), "active" | "activating" | "reloading"));
        let is_ending = status.get("ActiveState").is_some_and(|state| state == "deactivating");
        let verb = match (state, active) {
            (State::Started, false) | (State::Reloaded, false) => "start",
            (State::Stopped, true) => "stop",
            // It waits until that is done.
            (State::Stopped, false) if is_ending => "stop",
            (State::Restarted, _) => "restart",
            (State::Reloaded, true) => "reload",
            (State::Started, true) | (State::Stopped, false) => return Ok(false),
        };
        if context.check {
            return Ok(true);
        }
        match self.sleep {
            Some(Number(seconds)) if verb == "restart" => {
                self.change(context, "stop", name)?;
                std::thread::sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
                self.change(context, "start", name)?;
            }
            _ => self.change(context, verb, name)?,
        }
        Ok(true)
    }

    fn change(&self, context: &Context, verb: &str, name: &str) -> Result<(), Failure> {
        let mut words = vec![verb];
        if self.no_block.0 {
            words.push("--no-block");
        }
        words.push(name);
        self.must(context, &words, &format!("Unable to {verb} service {name}")).map(drop)
    }
}

/// `service`: the same on a host of systemd.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Service(Systemd);

impl Module for Service {
    const NAME: &'static str = "service";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.0.run(context)
    }
}

/// `systemd_service`: the newer name of `systemd`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SystemdService(Systemd);

impl Module for SystemdService {
    const NAME: &'static str = "systemd_service";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        self.0.run(context)
    }
}
