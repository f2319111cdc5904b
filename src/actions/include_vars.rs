//! `include_vars`: variables from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;

use super::{Action, Context, Effect, Error, Outcome, files};
use crate::modules::args::TextList;
use crate::source::{self, Node, Yaml};
use crate::template::Variable;
use crate::vars::layer_of;

/// Reads variables from YAML or JSON files on the controller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncludeVars {
    /// The file, looked for in `vars/` and beside the playbook.
    #[serde(alias = "_raw_params")]
    file: Option<String>,
    /// A folder whose files are read in the order of their names.
    dir: Option<String>,
    /// Put the variables into a mapping of this name.
    name: Option<String>,
    /// Endings of the files to read from a folder.
    #[serde(default = "default_extensions")]
    extensions: TextList,
}

fn default_extensions() -> TextList {
    TextList(["yaml", "yml", "json"].map(str::to_owned).to_vec())
}

impl Action for IncludeVars {
    const NAME: &'static str = "include_vars";
    const FREE_FORM: Option<&'static str> = Some("file");

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let paths = self.paths(context)?;
        let mut entries = Vec::new();
        let mut span = None;
        for path in &paths {
            let node = source::load(path).map_err(|e| Error::failed(e.to_string()))?;
            match node.value {
                Yaml::Map(found) => entries.extend(found),
                Yaml::Null => {}
                _ => {
                    return Err(Error::failed(
                        node.span.error("a vars file must hold a mapping").to_string(),
                    ));
                }
            }
            span = Some(node.span);
        }
        let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        let mut facts = Map::new();
        if let Some(span) = span {
            let node = Node::new(Yaml::Map(entries), span);
            let json = node.to_json();
            let variables = match self.name {
                Some(name) => {
                    facts.insert(name.clone(), json);
                    vec![(name, Variable::Source(Arc::new(node)))]
                }
                None => {
                    if let serde_json::Value::Object(map) = json {
                        facts = map;
                    }
                    layer_of(&node).into_iter().collect()
                }
            };
            context.effect(Effect::Included(variables));
        }
        Ok(Outcome::default()
            .with("ansible_facts", facts)
            .with("ansible_included_var_files", shown))
    }
}

impl IncludeVars {
    fn paths(&self, context: &Context) -> Result<Vec<PathBuf>, Error> {
        match (&self.file, &self.dir) {
            (Some(file), None) => Ok(vec![files::find(context, "vars", file)?]),
            (None, Some(dir)) => {
                let dir = files::find(context, "vars", dir)?;
                let mut found = Vec::new();
                self.walk(&dir, &mut found)
                    .map_err(|e| Error::failed(format!("{}: {e}", dir.display())))?;
                Ok(found)
            }
            _ => Err(Error::failed("include_vars takes one of 'file' and 'dir'")),
        }
    }

    fn walk(&self, dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
        let mut entries: Vec<_> = std::fs::read_dir(dir)?
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .map(|e| e.path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                self.walk(&path, found)?;
            } else if path
                .extension()
                .and_then(|e| e.to_str())
                .is_some_and(|e| self.extensions.0.iter().any(|wanted| wanted == e))
            {
                found.push(path);
            }
        }
        Ok(())
    }
}
