//! The callbacks that are enabled beside the one that writes results (CALLBACKS_ENABLED).

use super::profile::{Order, ProfileReporter, Shown};
use super::timer::TimerReporter;
use super::{Reporter, Settings};
use crate::source;

/// A callback that only adds to what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extra {
    Timer,
    Profile(Shown),
}

/// Those that are asked for, each once, and a warning for each that is not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enabled {
    pub extras: Vec<Extra>,
    pub warnings: Vec<String>,
}

impl Enabled {
    /// Reads the names, and the settings of those that have some.
    ///
    /// # Errors
    /// A setting of a value that it cannot have.
    pub fn read(
        names: &[String],
        setting: &impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let mut enabled = Self::default();
        for name in names {
            let extra = match name.strip_prefix("ansible.posix.").unwrap_or(name) {
                "timer" => Extra::Timer,
                "profile_tasks" => Extra::Profile(tasks(setting)?),
                "profile_roles" => Extra::Profile(roles(setting)),
                _ => {
                    let text = format!("Skipping callback plugin '{name}', unable to load");
                    enabled.warnings.push(text);
                    continue;
                }
            };
            if !enabled.extras.contains(&extra) {
                enabled.extras.push(extra);
            }
        }
        Ok(enabled)
    }

    /// The reporters, at work from now on.
    pub fn start(&self, settings: &Settings) -> Vec<Box<dyn Reporter>> {
        let start = |extra: &Extra| -> Box<dyn Reporter> {
            match extra {
                Extra::Timer => Box::new(TimerReporter::start(settings)),
                Extra::Profile(shown) => Box::new(ProfileReporter::start(settings, shown.clone())),
            }
        };
        self.extras.iter().map(start).collect()
    }
}

fn tasks(setting: &impl Fn(&str) -> Option<String>) -> Result<Shown, String> {
    let order = match setting("PROFILE_TASKS_SORT_ORDER").as_deref() {
        None | Some("descending") => Order::Descending,
        Some("ascending") => Order::Ascending,
        Some("none") => Order::None,
        Some(other) => {
            return Err(format!(
                "the sort_order of profile_tasks is descending, ascending or none, not '{other}'"
            ));
        }
    };
    let limit = match setting("PROFILE_TASKS_TASK_OUTPUT_LIMIT").as_deref() {
        None | Some("all") => None,
        Some(text) => Some(text.trim().parse().map_err(|_| {
            format!("the output_limit of profile_tasks is a number or all, not '{text}'")
        })?),
    };
    let summary_only = flag(setting, "PROFILE_TASKS_SUMMARY_ONLY");
    Ok(Shown { by_role: false, summary_only, order, limit })
}

fn roles(setting: &impl Fn(&str) -> Option<String>) -> Shown {
    let summary_only = flag(setting, "PROFILE_ROLES_SUMMARY_ONLY");
    Shown { by_role: true, summary_only, order: Order::Descending, limit: None }
}

fn flag(setting: &impl Fn(&str) -> Option<String>, name: &str) -> bool {
    setting(name).and_then(|text| source::boolean(&text)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(names: &[&str], pairs: &[(&str, &str)]) -> Result<Enabled, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Enabled::read(&names, &|name: &str| {
            let given = pairs.iter().find(|(key, _)| *key == name);
            given.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn full_names_are_the_same_callbacks() {
        let enabled = read(&["timer", "ansible.posix.timer"], &[]).expect("callbacks");
        assert_eq!(enabled.extras, [Extra::Timer]);
    }

    #[test]
    fn a_callback_that_is_not_here_is_a_warning() {
        let enabled = read(&["foo.bar.timer"], &[]).expect("callbacks");
        assert_eq!(enabled.warnings, ["Skipping callback plugin 'foo.bar.timer', unable to load"]);
    }

    #[test]
    fn a_wrong_limit_is_an_error() {
        let error = read(&["profile_tasks"], &[("PROFILE_TASKS_TASK_OUTPUT_LIMIT", "few")]);
        assert!(error.is_err_and(|text| text.contains("'few'")));
    }
}
