//! `dpkg_selections`: what dpkg is to do with a package.

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::Text;
use super::dpkg;
use super::process::Process;
use super::{Context, Failure, Module, Outcome};

/// Sets a package's selection.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DpkgSelections {
    name: Text,
    selection: Selection,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Selection {
    Install,
    Hold,
    Deinstall,
    Purge,
}

impl Selection {
    fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Hold => "hold",
            Self::Deinstall => "deinstall",
            Self::Purge => "purge",
        }
    }
}

impl Module for DpkgSelections {
    const NAME: &'static str = "dpkg_selections";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let name = &self.name.0;
        let get = Process::new("dpkg").in_context(context).args(["--get-selections", name]);
        let listed = dpkg::must(get, "dpkg --get-selections failed")?;
        let before = selection_in(&listed.stdout).ok_or_else(|| {
            Failure::new(format!(
                "Failed to find package '{name}' to perform selection '{}'.",
                self.selection.word()
            ))
        })?;
        let wanted = self.selection.word();
        let changed = before != wanted;
        if changed && !context.check {
            let set = || {
                Process::new("dpkg")
                    .in_context(context)
                    .arg("--set-selections")
                    .stdin(format!("{name} {wanted}\n"))
            };
            let output = dpkg::unlocked(dpkg::LOCK_TIMEOUT, set)?;
            if !output.success() {
                return Err(dpkg::explained("dpkg --set-selections failed", &output));
            }
        }
        Ok(Outcome::changed(changed).with("before", before).with("after", wanted))
    }
}

/// `name<TAB>hold`.
fn selection_in(listed: &str) -> Option<String> {
    listed.lines().next()?.split_whitespace().nth(1).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selection_is_the_second_word() {
        assert_eq!(selection_in("kubelet\t\t\t\thold\n").as_deref(), Some("hold"));
        assert_eq!(selection_in(""), None);
    }
}
