//! A file as a source: which plugins read it, by what it is called and what it holds.

use std::cell::OnceCell;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::load::Reader;
use super::reading::Plugin;
use super::{constructed, generator, ini, script, toml, yaml};
use crate::source::{self, Error, Node, SourceFile, Yaml};

/// A file, read and parsed once for all plugins.
struct File<'a> {
    path: &'a Path,
    extension: &'a str,
    text: OnceCell<Result<String, Error>>,
    document: OnceCell<Result<Node, Error>>,
}

impl File<'_> {
    fn text(&self) -> Result<&str, Error> {
        let text = self.text.get_or_init(|| source::read(self.path));
        text.as_deref().map_err(Clone::clone)
    }

    fn document(&self) -> Result<&Node, Error> {
        let document = self.document.get_or_init(|| source::load_str(self.text()?, self.path));
        document.as_ref().map_err(Clone::clone)
    }

    fn may_be_yaml(&self) -> bool {
        matches!(self.extension, "" | "yml" | "yaml" | "json")
    }

    /// Whether a file without an extension is YAML or JSON and not INI: INI is a text, a
    /// list or nothing at all to a YAML reader.
    fn holds_groups(&self) -> bool {
        let groups = self.document().ok().and_then(Node::as_map).unwrap_or_default();
        let is_group = |node: &Node| matches!(node.value, Yaml::Map(_) | Yaml::Null);
        !groups.is_empty() && groups.iter().all(|(_, group)| is_group(group))
    }

    /// The plugin whose configuration it is.
    fn plugin(&self) -> Option<&Node> {
        self.document().ok()?.get("plugin").filter(|name| name.as_str().is_some())
    }

    /// Whether it is no INI, be it right or wrong.
    fn is_yaml(&self) -> bool {
        match self.extension {
            "" => self.holds_groups(),
            "json" => true,
            _ => self.may_be_yaml() && self.document().is_ok_and(|all| all.as_map().is_some()),
        }
    }
}

/// What the plugins that try the file come to, in their order; none after the first that
/// can read it.
pub fn read(reader: &mut Reader<'_>, path: &Path) -> Vec<(&'static str, Result<(), Error>)> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let (text, document) = Default::default();
    let file = File { path, extension: extension.unwrap_or_default(), text, document };
    let reading = reader.reading;
    for name in &reading.unknown_plugins {
        reader.warnings.push(format!("Failed to load inventory plugin, skipping {name}"));
    }
    let plugins = &reading.plugins;
    if plugins.is_empty() {
        let text = "No inventory plugins available to generate inventory, make sure you have at \
                    least one enabled.";
        return vec![("", Err(Error::new(text)))];
    }
    // An executable that fails is no inventory of another kind.
    if plugins.contains(&Plugin::Script) && is_script(path) {
        return vec![(Plugin::Script.name(), script::read(reader, path))];
    }
    let mut attempts = Vec::new();
    for plugin in plugins {
        if let Some(attempt) = attempt(reader, *plugin, &file) {
            let read = attempt.is_ok();
            attempts.push((plugin.name(), attempt));
            if read {
                break;
            }
        }
    }
    attempts
}

/// None: the file is nothing for this plugin.
fn attempt(reader: &mut Reader<'_>, plugin: Plugin, file: &File<'_>) -> Option<Result<(), Error>> {
    match plugin {
        Plugin::HostList | Plugin::Script => None,
        Plugin::Auto => {
            let wanted = file.plugin().filter(|_| matches!(file.extension, "yml" | "yaml"))?;
            Some(configured(reader, wanted, file))
        }
        Plugin::Constructed | Plugin::Generator => {
            let fits = file.may_be_yaml() || file.extension == "config";
            let wanted = file.plugin().filter(|_| fits)?;
            let named = Plugin::named(wanted.as_str()?) == Some(plugin);
            named.then(|| configured(reader, wanted, file))
        }
        Plugin::Yaml if file.extension.is_empty() && !file.holds_groups() => None,
        Plugin::Yaml if file.may_be_yaml() => {
            Some(file.document().and_then(|document| yaml::read(reader, document)))
        }
        Plugin::Yaml => None,
        Plugin::Toml if file.extension == "toml" => {
            Some(file.text().and_then(|text| toml::read(reader, text, file.path)))
        }
        Plugin::Toml => None,
        // Lines of hosts under a YAML file's name, but no YAML that is wrong.
        Plugin::Ini if file.extension == "toml" || file.is_yaml() => None,
        Plugin::Ini => {
            let text = file.text().map(|text| SourceFile::new(file.path, text));
            Some(text.and_then(|text| ini::read(reader, &text)))
        }
    }
}

/// A file that names its plugin.
fn configured(reader: &mut Reader<'_>, wanted: &Node, file: &File<'_>) -> Result<(), Error> {
    let document = file.document()?;
    let name = wanted.as_str().unwrap_or_default();
    match Plugin::named(name) {
        Some(Plugin::Constructed) => constructed::read(reader, document),
        Some(Plugin::Generator) => generator::read(reader, document),
        _ => {
            let error = wanted.span.error(format!(
                "inventory config '{}' specifies unknown plugin '{name}'",
                file.path.display()
            ));
            Err(error.with_help(
                "there are constructed and generator; what another plugin finds can come from \
                 an executable that answers --list",
            ))
        }
    }
}

/// Executable, and begins as programs do: an inventory on a file system that makes
/// every file executable is still read as text.
fn is_script(path: &Path) -> bool {
    let executable = path
        .metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    executable && {
        let mut start = [0; 4];
        let read = std::fs::File::open(path)
            .and_then(|mut file| std::io::Read::read(&mut file, &mut start))
            .unwrap_or(0);
        let start = start.get(..read).unwrap_or_default();
        start.starts_with(b"#!") || start == b"\x7fELF"
    }
}
