//! Which reporter writes, and how: the settings of Ansible's callback plugins.

use super::colour::Colours;
use super::enabled::Enabled;
use crate::settings::Config;
use crate::source;

/// The reporters there are, under the names of Ansible's callback plugins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Callback {
    #[default]
    Default,
    Minimal,
    Oneline,
    Json,
    Yaml,
    Debug,
}

impl Callback {
    /// The callback of this name, with or without its collection.
    pub fn named(name: &str) -> Option<Self> {
        let short = name.rsplit('.').next().unwrap_or(name);
        Some(match short {
            "default" => Self::Default,
            "minimal" => Self::Minimal,
            "oneline" => Self::Oneline,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "debug" => Self::Debug,
            _ => return None,
        })
    }
}

/// How results are written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Yaml,
}

/// What is shown, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    pub callback: Callback,
    /// The callbacks beside it.
    pub enabled: Enabled,
    pub format: Format,
    /// Results over several lines; by default those that are always shown, and all with -vvv.
    pub pretty: Option<bool>,
    pub ok_hosts: bool,
    pub skipped_hosts: bool,
    /// Failures go to stderr.
    pub failed_to_stderr: bool,
    pub per_host_start: bool,
    /// What `set_stats` counted, after the recap.
    pub custom_stats: bool,
    pub check_mode_markers: bool,
    pub task_path_on_failure: bool,
    pub colours: Colours,
    /// Lines of a diff that are shown around each change.
    pub diff_context: usize,
}

impl Look {
    /// What the settings say.
    ///
    /// # Errors
    /// A reporter or format of a name that nobody knows.
    pub fn of(config: &Config) -> Result<Self, String> {
        Self::read(&config.list("CALLBACKS_ENABLED"), |name| config.text(name))
    }

    fn read(enabled: &[String], setting: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let flag = |name: &str| setting(name).and_then(|text| source::boolean(&text));
        let callback = match setting("DEFAULT_STDOUT_CALLBACK").filter(|name| !name.is_empty()) {
            None => Callback::Default,
            Some(name) => Callback::named(&name).ok_or_else(|| {
                format!(
                    "there is no stdout callback '{name}': there are default, minimal, oneline, \
                     json, yaml and debug"
                )
            })?,
        };
        let format = match setting("CALLBACK_RESULT_FORMAT").as_deref() {
            None | Some("" | "json") => Format::Json,
            Some("yaml") => Format::Yaml,
            Some(other) => {
                return Err(format!("the result format is json or yaml, not '{other}'"));
            }
        };
        Ok(Self {
            callback,
            enabled: Enabled::read(enabled, &setting)?,
            format,
            pretty: flag("CALLBACK_FORMAT_PRETTY"),
            ok_hosts: flag("DISPLAY_OK_HOSTS").unwrap_or(true),
            skipped_hosts: flag("DISPLAY_SKIPPED_HOSTS").unwrap_or(true),
            failed_to_stderr: flag("DISPLAY_FAILED_STDERR").unwrap_or(false),
            custom_stats: flag("SHOW_CUSTOM_STATS").unwrap_or(false),
            per_host_start: flag("SHOW_PER_HOST_START").unwrap_or(false),
            check_mode_markers: flag("CHECK_MODE_MARKERS").unwrap_or(false),
            task_path_on_failure: flag("SHOW_TASK_PATH_ON_FAILURE").unwrap_or(false),
            colours: Colours::of(&setting)?,
            diff_context: {
                let lines = setting("DIFF_CONTEXT").unwrap_or_default();
                lines.parse().map_err(|_| {
                    format!("DIFF_CONTEXT is '{lines}', which is no number of lines")
                })?
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pairs: &[(&str, &str)]) -> Result<Look, String> {
        Look::read(&[], |name| {
            let given = pairs.iter().find(|(key, _)| *key == name);
            given.map(|(_, value)| (*value).to_owned()).or_else(|| Config::default().text(name))
        })
    }

    #[test]
    fn nothing_said_is_the_default() {
        let look = look(&[]).expect("a look");
        assert_eq!((look.callback, look.format), (Callback::Default, Format::Json));
        assert!(look.ok_hosts && look.skipped_hosts && !look.failed_to_stderr);
        assert_eq!(look.diff_context, 3);
    }

    #[test]
    fn callbacks_have_full_names_too() {
        let look = look(&[("DEFAULT_STDOUT_CALLBACK", "community.general.yaml")]);
        assert_eq!(look.map(|look| look.callback), Ok(Callback::Yaml));
    }

    #[test]
    fn an_unknown_callback_is_an_error() {
        let error = look(&[("DEFAULT_STDOUT_CALLBACK", "dense")]);
        assert!(error.is_err_and(|text| text.contains("'dense'")));
    }

    #[test]
    fn flags_are_read_as_ansible_reads_them() {
        let look = look(&[("DISPLAY_SKIPPED_HOSTS", "No")]);
        assert_eq!(look.map(|look| look.skipped_hosts), Ok(false));
    }
}
