//! Modules that no playbook may use: the file that `plugin_filters_cfg` names.

use std::collections::BTreeSet;
use std::path::Path;

use super::LoadError;
use crate::playbook::normalise;
use crate::settings::Config;
use crate::source;

/// Read where the configuration names none.
const DEFAULT: &str = "/etc/ansible/plugin_filters.yml";

/// The names in `module_rejectlist`. Of another version of such files nothing is known.
pub fn modules(config: &Config) -> Result<BTreeSet<String>, LoadError> {
    let path = config.path("PLUGIN_FILTERS_CFG").unwrap_or_else(|| Path::new(DEFAULT).into());
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    let document = source::load(&path)?;
    let version = document.get("filter_version").map(|node| node.to_json().to_string());
    if version.as_deref().map(|text| text.trim_matches('"')) != Some("1.0") {
        return Err(LoadError::of_settings(
            document.span.error("filter_version must be 1.0: no other form of this file is known"),
        ));
    }
    let names = document.get("module_rejectlist").and_then(|node| node.as_seq());
    let names = names.unwrap_or_default().iter();
    let mut rejected = BTreeSet::new();
    for node in names {
        let Some(name) = node.as_str() else {
            let problem = node.span.error("module_rejectlist is a list of names of modules");
            return Err(LoadError::of_settings(problem));
        };
        if name == "stat" {
            let problem = node.span.error(format!(
                "The stat module was specified in the module reject list file, {}, but Ansible \
                 will not function without the stat module.  Please remove stat from the reject \
                 list.",
                path.display()
            ));
            return Err(problem.refused().into());
        }
        rejected.insert(normalise(name));
    }
    Ok(rejected)
}
