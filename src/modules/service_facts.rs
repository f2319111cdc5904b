//! `service_facts`: the host's services as facts.

use std::path::Path;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Context, Failure, Module, Outcome, tools};

/// Puts the state of all services into `ansible_facts.services`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFacts {}

type Services = Map<String, Json>;

/// States of units that say more than whether they are enabled.
const BAD: [&str; 3] = ["not-found", "masked", "failed"];

impl Module for ServiceFacts {
    const NAME: &'static str = "service_facts";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let mut services = Services::new();
        let mut warnings = Vec::new();
        old_scripts(context, &mut services, &mut warnings)?;
        if tools::find(context, "systemctl").is_some() && Path::new("/run/systemd/system").exists()
        {
            units(context, &mut services, &mut warnings)?;
        }
        let outcome = Outcome::default();
        if services.is_empty() {
            let msg = "Failed to find any services. This can be due to privileges or some other \
                       configuration issue.";
            return Ok(outcome.with("skipped", true).with("msg", msg));
        }
        let outcome = outcome.with("ansible_facts", json!({"services": services}));
        Ok(if warnings.is_empty() { outcome } else { outcome.with("warnings", json!(warnings)) })
    }
}

/// Scripts of /etc/init.d, where nothing else knows of them.
fn old_scripts(
    context: &Context,
    services: &mut Services,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let others = ["chkconfig", "rc-status"];
    if tools::find(context, "service").is_none()
        || others.iter().any(|name| tools::find(context, name).is_some())
    {
        return Ok(());
    }
    let output = tools::command(context, "service")?.arg("--status-all").run()?;
    if output.rc == 4 && !Path::new("/etc/init.d").exists() {
        return Ok(());
    }
    if output.rc != 0 {
        let (rc, stderr) = (output.rc, &output.stderr);
        warnings.push(format!("Unable to query 'service' tool ({rc}): {stderr}"));
    }
    services.extend(scripts(&output.stdout));
    Ok(())
}

/// ` [ + ]  ssh`
fn scripts(listing: &str) -> Services {
    let pattern = Regex::new(r"(?m)^\s*\[ (\+|-) \]\s+(.+)$");
    let lines = pattern.iter().flat_map(|pattern| pattern.captures_iter(listing));
    let entries = lines.filter_map(|found| {
        let (mark, name) = (found.get(1)?.as_str(), found.get(2)?.as_str());
        let state = if mark == "+" { "running" } else { "stopped" };
        Some((name.to_owned(), json!({"name": name, "state": state, "source": "sysv"})))
    });
    entries.collect()
}

fn units(
    context: &Context,
    services: &mut Services,
    warnings: &mut Vec<String>,
) -> Result<(), Failure> {
    let list = ["list-units", "--no-pager", "--type", "service", "--all", "--plain"];
    let output = tools::command(context, "systemctl")?.args(list).run()?;
    if !output.success() {
        warnings.push(format!("Could not list units from systemd: {}", output.stderr));
    }
    services.extend(running(&output.stdout));
    let list = ["list-unit-files", "--no-pager", "--type", "service", "--all"];
    let output = tools::command(context, "systemctl")?.args(list).run()?;
    if !output.success() {
        warnings.push(format!("Could not get unit files data from systemd: {}", output.stderr));
    }
    let files: Vec<_> = unit_files(&output.stdout).collect();
    let known: Vec<_> = files.iter().filter(|(name, _)| services.contains_key(*name)).collect();
    for (name, status) in known {
        let service = services.get_mut(*name).and_then(Json::as_object_mut);
        let Some(service) = service else { continue };
        let bad = service.get("status").and_then(Json::as_str).is_some_and(|s| BAD.contains(&s));
        if !bad {
            service.insert("status".to_owned(), json!(status));
        }
    }
    let others: Vec<_> =
        files.into_iter().filter(|(name, _)| !services.contains_key(*name)).collect();
    let states = active_states(context, &others)?;
    for ((name, status), state) in others.into_iter().zip(states) {
        let entry = json!({"name": name, "state": state, "status": status, "source": "systemd"});
        services.insert(name.to_owned(), entry);
    }
    Ok(())
}

/// `ssh.service loaded active running OpenBSD Secure Shell server`
fn running(listing: &str) -> Services {
    let lines = listing.lines().filter(|line| line.contains(".service"));
    let entries = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = *fields.first()?;
        let (_, but_last) = fields.split_last()?;
        let bad = BAD.iter().find(|bad| but_last.contains(*bad));
        let status = bad.or(fields.get(2)).copied().unwrap_or("unknown");
        let state = if fields.get(3) == Some(&"running") { "running" } else { "stopped" };
        let entry = json!({"name": name, "state": state, "status": status, "source": "systemd"});
        Some((name.to_owned(), entry))
    });
    entries.collect()
}

fn unit_files(listing: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = listing.lines().filter(|line| line.contains(".service"));
    lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some((fields.next()?, fields.next()?))
    })
}

/// Whether units are active that no list shows; one call for all of them.
fn active_states(context: &Context, units: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    let unknown = || vec!["unknown".to_owned(); units.len()];
    // A template is no unit: systemctl refuses to show it.
    let shown: Vec<_> = units.iter().map(|(name, _)| *name).filter(|n| !n.contains("@.")).collect();
    if shown.is_empty() {
        return Ok(unknown());
    }
    let command = tools::command(context, "systemctl")?.arg("show").args(&shown);
    let output = command.arg("--property=ActiveState").run()?;
    let mut states = output.stdout.lines().filter_map(|line| line.strip_prefix("ActiveState="));
    let state = |(name, _): &(&str, &str)| match name.contains("@.") {
        true => "unknown".to_owned(),
        false => states.next().unwrap_or("unknown").to_owned(),
    };
    Ok(units.iter().map(state).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_a_state_and_a_status() {
        let listing = "  UNIT LOAD ACTIVE SUB DESCRIPTION\n\
                       ssh.service loaded active running OpenBSD server\n\
                       x.service not-found inactive dead x.service\n\
                       y.service loaded failed failed Y\n";
        let services = running(listing);
        let of = |name: &str, key: &str| services[name][key].as_str().expect("a text").to_owned();
        assert_eq!(
            (of("ssh.service", "state"), of("ssh.service", "status")),
            ("running".into(), "active".into())
        );
        assert_eq!(of("x.service", "status"), "not-found");
        assert_eq!(of("y.service", "status"), "failed");
        assert_eq!(
            unit_files("a.service enabled enabled\n\n1 unit files\n").next(),
            Some(("a.service", "enabled"))
        );
    }

    #[test]
    fn scripts_run_or_do_not() {
        let services = scripts(" [ + ]  ssh\n [ - ]  x11-common\n [ ? ]  odd\n");
        assert_eq!(services["ssh"]["state"], "running");
        assert_eq!(services["x11-common"]["state"], "stopped");
        assert_eq!(services.len(), 2);
    }
}
