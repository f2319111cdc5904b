//! Settings: the environment wins over `ansible.cfg`, and that over the defaults.

mod entries;
mod ini;

use std::path::{Path, PathBuf};

use entries::ENTRIES;
pub use entries::{Entry, Kind};
use serde_json::{Value as Json, json};

use crate::source::{self, Error};
use ini::{Sections, Written};

/// Which variables of groups win.
const PRECEDENCE: &str = "VARIABLE_PRECEDENCE";

/// The settings of a run, and where each comes from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The `ansible.cfg` that was read.
    file: Option<PathBuf>,
    sections: Sections,
    pub warnings: Vec<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    Environment(&'static str),
    File(PathBuf),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => write!(f, "env: {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Config {
    /// Reads the first `ansible.cfg` that there is: `$ANSIBLE_CONFIG`, here, at home, in /etc.
    /// What it says of the reading of YAML holds from here on.
    pub fn load() -> Result<Self, Error> {
        let mut config = Self::default();
        let here = std::env::current_dir().unwrap_or_default();
        match config.find(&here) {
            None => config.check_all()?,
            Some(path) => config = Self { warnings: config.warnings, ..Self::of_file(&path)? },
        }
        // Hosts would get other values than the operator expects, so it is told.
        if config.list(PRECEDENCE) != words(Self::entry(PRECEDENCE).map_or("", |it| it.default)) {
            config.warnings.push(format!(
                "{PRECEDENCE} has no effect: variables of groups keep their usual precedence"
            ));
        }
        if let Some(word) = config.text("DUPLICATE_YAML_DICT_KEY") {
            source::set_duplicates(word.parse().map_err(Error::new)?);
        }
        Ok(config)
    }

    /// Reads this file, and checks what it and the environment say.
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let sections = ini::parse(&source::read(path)?, path)?;
        let config = Self { file: Some(path.to_owned()), sections, warnings: Vec::new() };
        config.check_all()?;
        Ok(config)
    }

    fn check_all(&self) -> Result<(), Error> {
        ENTRIES.iter().try_for_each(|entry| self.check(entry))
    }

    fn find(&mut self, here: &Path) -> Option<PathBuf> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        if let Some(named) = std::env::var_os("ANSIBLE_CONFIG").filter(|name| !name.is_empty()) {
            let named = here.join(expand(&named.to_string_lossy(), here));
            let path = if named.is_dir() { named.join("ansible.cfg") } else { named };
            if path.is_file() {
                return Some(path);
            }
        }
        let local = here.join("ansible.cfg");
        if local.is_file() {
            if !is_world_writable(here) {
                return Some(local);
            }
            self.warnings.push(format!(
                "Ansible is being run in a world writable directory ({}), ignoring it as an \
                 ansible.cfg source.",
                here.display()
            ));
        }
        let others =
            [home.map(|home| home.join(".ansible.cfg")), Some("/etc/ansible/ansible.cfg".into())];
        others.into_iter().flatten().find(|path| path.is_file())
    }

    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Prints which file it is.
    pub fn tell_file(&self) {
        match &self.file {
            Some(path) => println!("Using {} as config file", path.display()),
            None => println!("No config file found; using defaults"),
        }
    }

    pub fn entries() -> &'static [Entry] {
        ENTRIES
    }

    /// A wrong value is found before it is needed.
    fn check(&self, entry: &Entry) -> Result<(), Error> {
        let (text, origin) = self.text_of(entry);
        let right = match entry.kind {
            Kind::Bool => text.is_empty() || source::boolean(&text).is_some(),
            Kind::Int => text.is_empty() || text.trim().parse::<i64>().is_ok(),
            _ => true,
        };
        if right {
            return Ok(());
        }
        let wanted = if entry.kind == Kind::Int { "a whole number" } else { "a boolean" };
        let error = Error::new(format!(
            "Invalid type for configuration option setting: {} (from {origin}): '{text}' is not {wanted}",
            entry.name
        ));
        let written = matches!(origin, Origin::File(_)).then(|| self.written(entry)).flatten();
        Err(Error { span: written.map(|written| written.span.clone()), ..error })
    }

    /// The value that the file has for a setting.
    fn written(&self, entry: &Entry) -> Option<&Written> {
        let mut places = entry.ini.iter().rev();
        places.find_map(|(section, key)| self.sections.get(*section)?.get(*key))
    }

    /// The value as written, and its origin.
    pub fn text_of(&self, entry: &Entry) -> (String, Origin) {
        for name in entry.environment.iter().rev() {
            // A variable that is set to nothing is not taken for a wish, but for lists.
            if let Ok(value) = std::env::var(name)
                && (!value.is_empty() || entry.kind == Kind::Text)
            {
                return (value, Origin::Environment(name));
            }
        }
        if let Some(written) = self.written(entry) {
            let value = written.text.trim_matches(['"', '\'']).to_owned();
            return (value, Origin::File(self.file.clone().unwrap_or_default()));
        }
        (entry.default.to_owned(), Origin::Default)
    }

    /// The value with its type; none when there is no setting of this name.
    pub fn value(&self, name: &str) -> Option<Json> {
        let entry = Self::entry(name)?;
        let (text, _) = self.text_of(entry);
        Some(match entry.kind {
            Kind::Bool => json!(source::boolean(&text).unwrap_or(false)),
            Kind::Int => text.trim().parse::<i64>().map_or(Json::Null, Json::from),
            Kind::Paths | Kind::PathList => {
                let paths = self.paths(entry.name);
                json!(paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())
            }
            Kind::List => json!(self.list(entry.name)),
            Kind::Text | Kind::Path | Kind::Secret if text.is_empty() => Json::Null,
            Kind::Secret => json!("********"),
            Kind::Text | Kind::Path => json!(text),
        })
    }

    fn entry(name: &str) -> Option<&'static Entry> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }

    /// The text of a setting; none when it has no value.
    pub fn text(&self, name: &str) -> Option<String> {
        let (text, _) = self.text_of(Self::entry(name)?);
        Some(text).filter(|text| !text.is_empty())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name).and_then(|text| source::boolean(&text)).unwrap_or(false)
    }

    /// Where its value comes from; none when there is no setting of this name.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        Some(self.text_of(Self::entry(name)?).1)
    }

    /// Whether somebody has set it.
    pub fn said(&self, name: &str) -> bool {
        self.origin(name).is_some_and(|origin| origin != Origin::Default)
    }

    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// A path; one that is not absolute starts at the file that names it.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.paths(name).into_iter().next()
    }

    /// Paths of a setting, or words as paths.
    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        let Some(entry) = Self::entry(name) else {
            return Vec::new();
        };
        let (text, origin) = self.text_of(entry);
        let base = match origin {
            Origin::File(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
            _ => std::env::current_dir().unwrap_or_default(),
        };
        let separator = match entry.kind {
            Kind::Paths => ':',
            Kind::PathList | Kind::List => ',',
            _ => '\0',
        };
        let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| expand(part, &base)).collect()
    }

    /// Words with commas between.
    pub fn list(&self, name: &str) -> Vec<String> {
        words(&self.text(name).unwrap_or_default())
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// `~`, `$NAME` and `{{CWD}}` as Ansible reads them in paths.
fn expand(path: &str, base: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.replace("{{CWD}}", &here.to_string_lossy());
    let path = match path.strip_prefix('$').and_then(|rest| rest.split_once('/')) {
        Some((name, rest)) => match std::env::var(name.trim_matches(['{', '}'])) {
            Ok(value) => format!("{value}/{rest}"),
            Err(_) => path,
        },
        None => path,
    };
    base.join(crate::actions::files::expand_home(&path))
        .components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect()
}

fn is_world_writable(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    folder.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let path = Path::new("/etc/x/ansible.cfg");
        let sections = ini::parse(text, path).unwrap();
        Config { file: Some(path.to_owned()), sections, warnings: Vec::new() }
    }

    #[test]
    fn the_file_wins_over_the_defaults() {
        let config =
            config("[defaults]\ninventory_ignore_patterns = a, b\nany_errors_fatal = yes\n");
        assert!(config.flag("ANY_ERRORS_FATAL"));
        assert_eq!(config.number("CACHE_PLUGIN_TIMEOUT"), Some(86400));
        assert_eq!(config.list("INVENTORY_IGNORE_PATTERNS"), ["a", "b"]);
    }

    #[test]
    fn paths_start_at_the_file_that_names_them() {
        let config = config("[defaults]\nroles_path = ./r:/abs\n");
        let paths = [PathBuf::from("/etc/x/r"), PathBuf::from("/abs")];
        assert_eq!(config.paths("DEFAULT_ROLES_PATH"), paths);
    }

    #[test]
    fn a_value_of_a_wrong_type_is_refused() {
        let config = config("[defaults]\npoll_interval = soon\n");
        let entry = Config::entry("DEFAULT_POLL_INTERVAL").unwrap();
        let message = config.check(entry).unwrap_err().to_string();
        assert!(message.contains("DEFAULT_POLL_INTERVAL"), "{message}");
    }
}
