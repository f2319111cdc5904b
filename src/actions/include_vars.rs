//! `include_vars`: variables from a file, or from the files of a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fancy_regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{Action, Context, Effect, Error, Failure, Outcome, SECRET, files};
use crate::modules::args::{Flag, Number, TextList};
use crate::source::{self, Node, Yaml};
use crate::template::{self, Variable, layer_of};
use crate::vault;

/// Reads variables from YAML or JSON files on the controller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncludeVars {
    /// The file, looked for in `vars/` and beside the playbook.
    #[serde(alias = "_raw_params")]
    file: Option<String>,
    /// A folder whose files are read in the order of their names.
    dir: Option<String>,
    /// How many levels of folders to read; 0: all.
    #[serde(default)]
    depth: Number,
    /// Only files whose names this expression matches.
    files_matching: Option<String>,
    /// Files to leave out: names, or expressions that a name ends with.
    #[serde(default)]
    ignore_files: TextList,
    /// Leave out files with other endings, which are an error otherwise.
    #[serde(default)]
    ignore_unknown_extensions: Flag,
    /// `merge` puts mappings into those that are there, `replace` takes their place.
    hash_behaviour: Option<HashBehaviour>,
    /// Put the variables into a mapping of this name.
    name: Option<String>,
    /// Endings of the files to read from a folder.
    #[serde(default = "default_extensions")]
    extensions: Extensions,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum HashBehaviour {
    Replace,
    Merge,
}

/// The empty text stands for files without an ending.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Extensions {
    One(String),
    Many(Vec<String>),
}

fn default_extensions() -> Extensions {
    Extensions::Many(["yaml", "yml", "json"].map(str::to_owned).to_vec())
}

impl Action for IncludeVars {
    const NAME: &'static str = "include_vars";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let paths = self.paths(context)?;
        let mut entries = Vec::new();
        let (mut span, mut secret) = (None, false);
        for path in &paths {
            secret |= vault::is_encrypted_file(path).unwrap_or(false);
            let node = source::load(path).map_err(|e| failed(e.to_string()))?;
            match node.value {
                Yaml::Map(found) => entries.extend(found),
                Yaml::Null => {}
                _ => {
                    let error = node.span.error("must be stored as a dictionary/hash");
                    return Err(failed(error.to_string()));
                }
            }
            span = Some(node.span);
        }
        let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let mut facts = Map::new();
        if let Some(span) = span {
            let node = Node::new(Yaml::Map(entries), span);
            let (variables, shown) = self.variables(node, context)?;
            facts = shown;
            context.effect(Effect::Included(variables));
        }
        let outcome = Outcome::default()
            .with("ansible_facts", facts)
            .with("ansible_included_var_files", shown);
        // What stands in an encrypted file is for nobody's eyes.
        Ok(if secret { outcome.with(SECRET, true) } else { outcome })
    }
}

/// A failure says why under both names that Ansible uses.
fn failed(message: String) -> Error {
    Failure::new(message.clone())
        .with("message", message)
        .with("ansible_facts", json!({}))
        .with("ansible_included_var_files", json!([]))
        .into()
}

type Variables = Vec<(String, Variable)>;

impl IncludeVars {
    /// What the task sets, and how the result shows it.
    fn variables(
        &self,
        node: Node,
        context: &Context,
    ) -> Result<(Variables, Map<String, Json>), Error> {
        let json = node.to_json();
        let variables: Variables = match &self.name {
            Some(name) => vec![(name.clone(), Variable::Source(Arc::new(node)))],
            None => layer_of(&node).into_iter().collect(),
        };
        let shown = match (&self.name, json) {
            (Some(name), json) => Map::from_iter([(name.clone(), json)]),
            (None, Json::Object(map)) => map,
            (None, _) => Map::new(),
        };
        if self.hash_behaviour != Some(HashBehaviour::Merge) {
            return Ok((variables, shown));
        }
        let merged = variables
            .into_iter()
            .map(|(name, variable)| Ok((name.clone(), merged(&name, variable, context)?)))
            .collect::<Result<Variables, Error>>()?;
        let shown = merged.iter().map(|(name, variable)| {
            let whole = match variable {
                Variable::Data(value) => template::to_json(value).unwrap_or_default(),
                Variable::Source(node) => node.to_json(),
            };
            (name.clone(), whole)
        });
        let shown = shown.collect();
        Ok((merged, shown))
    }

    fn paths(&self, context: &Context) -> Result<Vec<PathBuf>, Error> {
        match (self.file.as_deref().map(str::trim), &self.dir) {
            (Some("None" | "") | None, None) => {
                let file = self.file.as_deref().unwrap_or_default();
                Err(failed(format!("Could not find file on the Ansible Controller: '{file}'")))
            }
            (Some(file), None) => files::find(context, "vars", file)
                .map(|path| vec![path])
                .map_err(|error| match error {
                    Error::Failed(failure) => failed(failure.msg),
                    other => other,
                }),
            (None, Some(dir)) => {
                let dir = files::find(context, "vars", dir)?;
                let mut found = Vec::new();
                self.walk(&dir, 1, &mut found)?;
                Ok(found)
            }
            (Some(_), Some(_)) => {
                Err(failed("include_vars takes one of 'file' and 'dir'".to_owned()))
            }
        }
    }

    /// The files of a folder, then those of the folders in it, by their names.
    fn walk(&self, dir: &Path, level: i64, found: &mut Vec<PathBuf>) -> Result<(), Error> {
        let unreadable = |error: std::io::Error| failed(format!("{}: {error}", dir.display()));
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(unreadable)? {
            entries.push(entry.map_err(unreadable)?.path());
        }
        entries.sort();
        let (folders, files): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|path| path.is_dir());
        for path in files {
            if self.takes(&path)? {
                found.push(path);
            }
        }
        if self.depth.0 == 0 || level < self.depth.0 {
            for folder in folders {
                self.walk(&folder, level + 1, found)?;
            }
        }
        Ok(())
    }

    fn takes(&self, path: &Path) -> Result<bool, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(pattern) = &self.files_matching
            && !matches(pattern, &name)?
        {
            return Ok(false);
        }
        for ignored in &self.ignore_files.0 {
            if *ignored == name || matches(&format!("{ignored}$"), &name)? {
                return Ok(false);
            }
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy()).unwrap_or_default();
        let known = match &self.extensions {
            Extensions::One(one) => one.split(',').any(|known| known.trim() == ending),
            Extensions::Many(many) => many.contains(&ending.to_string()),
        };
        if known || self.ignore_unknown_extensions.0 || self.files_matching.is_some() {
            return Ok(known || self.files_matching.is_some());
        }
        let known = match &self.extensions {
            Extensions::One(one) => one.clone(),
            Extensions::Many(many) => many.join(", "),
        };
        Err(failed(format!("{} does not have a valid extension: {known}", path.display())))
    }
}

/// Whether an expression matches at the start of a name or further on.
fn matches(pattern: &str, name: &str) -> Result<bool, Error> {
    let regex = Regex::new(pattern)
        .map_err(|error| failed(format!("Invalid regular expression: {pattern}: {error}")))?;
    regex.is_match(name).map_err(|error| failed(format!("'{pattern}' failed: {error}")))
}

/// A mapping put into the one that the host has under this name.
fn merged(name: &str, new: Variable, context: &Context) -> Result<Variable, Error> {
    let value = |variable: &Variable| -> Result<Json, Error> {
        let value = match variable {
            Variable::Data(value) => value.clone(),
            Variable::Source(node) => context
                .templar
                .render(node, &context.scope)
                .map_err(|error| failed(error.to_string()))?,
        };
        template::to_json(&value).map_err(|error| failed(error.to_string()))
    };
    let Some(old) = context.scope.lookup(name) else {
        return Ok(new);
    };
    let mut whole = value(&old)?;
    template::merge_json(&mut whole, value(&new)?);
    Ok(Variable::Data(template::from_json(&whole)))
}
