//! How sources are read: Ansible's settings of it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fancy_regex::Regex;

use crate::python_regex::{self, Flags};
use crate::settings::Config;
use crate::source::{Error, suggest};
use crate::template::{Layer, Settings as TemplateSettings, Templar};

/// Facts of a host that are kept from earlier runs.
pub type KnownFacts = Arc<dyn Fn(&str) -> Option<Layer> + Send + Sync>;

/// What reads sources, by Ansible's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    HostList,
    Script,
    Auto,
    Yaml,
    Ini,
    Toml,
    Constructed,
    Generator,
}

const PLUGINS: &[(&str, Plugin)] = &[
    // Ranges are expanded by either name, so this one is first: messages name it.
    ("advanced_host_list", Plugin::HostList),
    ("host_list", Plugin::HostList),
    ("script", Plugin::Script),
    ("auto", Plugin::Auto),
    ("yaml", Plugin::Yaml),
    ("ini", Plugin::Ini),
    ("toml", Plugin::Toml),
    ("constructed", Plugin::Constructed),
    ("generator", Plugin::Generator),
];

impl Plugin {
    /// The plugin of this name, with or without a collection of Ansible's own before it.
    pub fn named(name: &str) -> Option<Self> {
        let short = name.strip_prefix("ansible.builtin.").or(name.strip_prefix("ansible.legacy."));
        let short = short.unwrap_or(name);
        PLUGINS.iter().find(|(known, _)| *known == short).map(|(_, plugin)| *plugin)
    }

    pub fn name(self) -> &'static str {
        PLUGINS.iter().find(|(_, plugin)| *plugin == self).map_or("", |(name, _)| name)
    }
}

/// What becomes of names of groups that are no names of variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupNames {
    /// They stay, with a warning.
    #[default]
    Kept,
    KeptSilently,
    /// Wrong characters become `_`, with a warning.
    Replaced,
    ReplacedSilently,
}

impl GroupNames {
    /// The name that a group of this name gets.
    pub fn name(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Kept | Self::KeptSilently => Cow::Borrowed(name),
            Self::Replaced | Self::ReplacedSilently => plain(name),
        }
    }
}

/// A name with `_` for every character that a name of a variable cannot have.
pub fn plain(name: &str) -> Cow<'_, str> {
    let right =
        |(at, c): (usize, char)| c == '_' || (c.is_alphanumeric() && !(at == 0 && c.is_numeric()));
    if name.char_indices().all(right) {
        return Cow::Borrowed(name);
    }
    let characters = name.char_indices();
    Cow::Owned(characters.map(|(at, c)| if right((at, c)) { c } else { '_' }).collect())
}

/// What becomes of a pattern that matches nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mismatch {
    #[default]
    Warning,
    Error,
    Ignore,
}

/// The settings of a reading, and what expressions in sources may use.
#[derive(Clone)]
pub struct Reading {
    /// group_vars/ and host_vars/ are looked for here too.
    pub playbook_dir: Option<PathBuf>,
    /// What may read a source; the first that can does.
    pub(super) plugins: Vec<Plugin>,
    /// What is asked for and not here.
    pub(super) unknown_plugins: Vec<String>,
    /// Whether a source that cannot be read is an error. Where nothing is said a source
    /// that is not there is a warning, and one that is wrong is an error.
    pub(super) any_unparsed_fails: Option<bool>,
    /// Whether it is an error if not a single source can be read.
    pub(super) all_unparsed_fails: bool,
    /// Whether that is worth a warning.
    pub(super) unparsed_warning: bool,
    pub(super) group_names: GroupNames,
    pub(super) mismatch: Mismatch,
    /// Ends of names that are passed over in a folder of sources.
    ignored_ends: Vec<String>,
    /// Names that are passed over there.
    ignored: Vec<Regex>,
    /// Extra variables count in expressions of constructed groups that do not say so.
    pub(super) use_extra_vars: bool,
    pub(super) merge_hashes: bool,
    pub templar: Templar,
    /// The variables of `-e`.
    pub extra: Arc<Layer>,
    pub facts: Option<KnownFacts>,
}

impl Reading {
    /// What the settings say; a wrong value is an error.
    pub fn of(config: &Config) -> Result<Self, Error> {
        let (mut plugins, mut unknown_plugins) = (Vec::new(), Vec::new());
        for name in config.list("INVENTORY_ENABLED") {
            match Plugin::named(&name) {
                Some(plugin) => plugins.push(plugin),
                None => unknown_plugins.push(name),
            }
        }
        let any_unparsed = "INVENTORY_ANY_UNPARSED_IS_FAILED";
        Ok(Self {
            playbook_dir: None,
            plugins,
            unknown_plugins,
            any_unparsed_fails: config.said(any_unparsed).then(|| config.flag(any_unparsed)),
            all_unparsed_fails: config.flag("INVENTORY_UNPARSED_IS_FAILED"),
            unparsed_warning: config.flag("INVENTORY_UNPARSED_WARNING"),
            group_names: choice(
                config,
                "TRANSFORM_INVALID_GROUP_CHARS",
                &[
                    ("never", GroupNames::Kept),
                    ("ignore", GroupNames::KeptSilently),
                    ("always", GroupNames::Replaced),
                    ("silently", GroupNames::ReplacedSilently),
                ],
            )?,
            mismatch: choice(
                config,
                "HOST_PATTERN_MISMATCH",
                &[
                    ("warning", Mismatch::Warning),
                    ("error", Mismatch::Error),
                    ("ignore", Mismatch::Ignore),
                ],
            )?,
            ignored_ends: config.list("INVENTORY_IGNORE_EXTS"),
            ignored: config
                .list("INVENTORY_IGNORE_PATTERNS")
                .iter()
                .map(|pattern| python_regex::compile(pattern, Flags::default()))
                .collect::<Result<_, _>>()
                .map_err(|error| Error::new(format!("INVENTORY_IGNORE_PATTERNS: {error}")))?,
            use_extra_vars: config.flag("INVENTORY_USE_EXTRA_VARS"),
            merge_hashes: config.text("DEFAULT_HASH_BEHAVIOUR").as_deref() == Some("merge"),
            templar: Templar::new(TemplateSettings::default()),
            extra: Arc::default(),
            facts: None,
        })
    }

    /// Whether an entry of a folder of sources is passed over.
    pub(super) fn ignores(&self, path: &Path) -> bool {
        let name = &*path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.')
            || matches!(name, "group_vars" | "host_vars" | "vars_plugins")
            || self.ignored_ends.iter().any(|end| name.ends_with(end.as_str()))
            || self.ignored.iter().any(|pattern| pattern.is_match(name).unwrap_or(false))
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Extra variables may be secret.
        f.debug_struct("Reading").field("plugins", &self.plugins).finish_non_exhaustive()
    }
}

fn choice<T: Copy>(config: &Config, name: &str, choices: &[(&str, T)]) -> Result<T, Error> {
    let wanted = config.text(name).unwrap_or_default();
    if let Some((_, value)) = choices.iter().find(|(known, _)| *known == wanted) {
        return Ok(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
    let error = Error::new(format!("Invalid value '{wanted}' for {name}"));
    Err(error.with_help(match suggest(&wanted, names.iter().copied()) {
        Some(nearest) => format!("did you mean '{nearest}'?"),
        None => format!("there are {}", names.join(", ")),
    }))
}
