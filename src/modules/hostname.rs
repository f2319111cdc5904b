//! `hostname`: the name of the host.

use std::fs;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::Text;
use super::process::Process;
use super::{Context, Diff, Failure, Module, Outcome, dpkg, files};

const FILE: &str = "/etc/hostname";

/// Sets the host's name, now and for the next start.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hostname {
    name: Text,
    // Taken for compatibility: systemd's way is used where systemd runs.
    #[serde(default, rename = "use")]
    _use: Option<String>,
}

impl Module for Hostname {
    const NAME: &'static str = "hostname";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let name = &self.name.0;
        if !is_name(name) {
            return Err(Failure::new(format!("'{name}' is no name of a host")));
        }
        let system = rustix::system::uname();
        let current = system.nodename().to_string_lossy().into_owned();
        let permanent = fs::read_to_string(FILE).unwrap_or_default().trim().to_owned();
        let changed = current != *name || permanent != *name;
        if changed && !context.check {
            set(context, name)?;
        }
        let mut outcome = Outcome::changed(changed);
        if context.diff && changed {
            outcome = outcome.with_diff(Diff {
                before: format!("hostname = {current}\n").into(),
                after: format!("hostname = {name}\n").into(),
                ..Diff::default()
            });
        }
        let short = name.split('.').next().unwrap_or_default();
        let domain = name.split_once('.').map_or("", |(_, domain)| domain);
        Ok(outcome.with("name", name.clone()).with(
            "ansible_facts",
            json!({
                "ansible_hostname": short, "ansible_nodename": name,
                "ansible_fqdn": name, "ansible_domain": domain,
            }),
        ))
    }
}

fn set(context: &Context, name: &str) -> Result<(), Failure> {
    if std::path::Path::new("/run/systemd/system").exists() {
        let set = Process::new("hostnamectl").in_context(context).args(["set-hostname", name]);
        return dpkg::must(set, "hostnamectl failed").map(drop);
    }
    files::write(FILE.as_ref(), &mut format!("{name}\n").as_bytes(), None, false)?;
    dpkg::must(Process::new("hostname").in_context(context).arg(name), "hostname failed").map(drop)
}

/// Labels of letters, digits and dashes; no more than the kernel's 64 bytes.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    name.len() <= 64 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_letters_digits_and_dashes() {
        assert!(is_name("cp1") && is_name("cp-1.example.org"));
        assert!(!is_name("") && !is_name("-x") && !is_name("a b") && !is_name("a..b"));
    }
}
