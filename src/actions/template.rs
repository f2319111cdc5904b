//! `template`: a Jinja2 file of the operator's, rendered for the host.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::copy::{Placement, Put};
use super::{Action, Ask, Context, Error, Outcome, files};
use crate::modules::args::Flag;
use crate::template::{Charset, Delimiters, FileOptions};
use crate::vault;

/// Renders a template and puts the result on the host.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Template {
    /// The template, looked for in `templates/` and beside the playbook.
    src: String,
    #[serde(flatten)]
    syntax: Syntax,
    /// The encoding of the result under Python's name for it; UTF-8 where none is given.
    output_encoding: Option<String>,
    #[serde(flatten)]
    placement: Placement,
}

/// How templates are marked in a file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct Syntax {
    block_start_string: Option<String>,
    block_end_string: Option<String>,
    variable_start_string: Option<String>,
    variable_end_string: Option<String>,
    comment_start_string: Option<String>,
    comment_end_string: Option<String>,
    /// Remove the newline after a block.
    trim_blocks: Option<Flag>,
    /// Remove blanks before a block.
    lstrip_blocks: Option<Flag>,
    /// `\n`, `\r` or `\r\n`.
    newline_sequence: Option<String>,
}

impl Action for Template {
    const NAME: &'static str = "template";
    const GOES_AHEAD: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        self.put(context)?.place(context).await
    }

    fn ahead(&self, context: &Context) -> Result<Option<Ask>, Error> {
        self.put(context)?.ask(context)
    }
}

impl Template {
    fn put(&self, context: &Context) -> Result<Put, Error> {
        let destination = Some(self.placement.dest.clone());
        let (path, text) = self.syntax.render(context, &self.src, destination)?;
        let mut extra = Map::new();
        if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
            extra.insert("original_basename".to_owned(), json!(name));
        }
        extra.insert("diff_header".to_owned(), json!(path.display().to_string()));
        let placement = self.placement.with_mode_of(&path)?;
        Ok(Put { placement, source: self.encoded(text)?.into(), extra })
    }

    fn encoded(&self, text: String) -> Result<Vec<u8>, Error> {
        let name = self.output_encoding.as_ref().filter(|name| !name.is_empty());
        let Some(name) = name else { return Ok(text.into_bytes()) };
        let bytes = Charset::named(name)?.encode(&text);
        bytes.ok_or_else(|| Error::failed(format!("the text has characters that {name} has not")))
    }
}

impl Syntax {
    /// The operator's file of this name, and what its template gives.
    pub fn render(
        &self,
        context: &Context,
        src: &str,
        destination: Option<String>,
    ) -> Result<(PathBuf, String), Error> {
        let path = files::find(context, "templates", src)?;
        let source = vault::read_text(&path)
            .map_err(|e| Error::failed(format!("{} cannot be read: {e}", path.display())))?;
        let options = FileOptions {
            path: Some(path.clone()),
            written_path: Some(src.to_owned()),
            destination,
            search_path: context.search.clone(),
            ..self.options()?
        };
        let text = context.templar.render_file(&source, &options, &context.scope)?;
        Ok((path, text))
    }

    fn options(&self) -> Result<FileOptions, Error> {
        let defaults = FileOptions::default();
        let or = |given: &Option<String>, default: String| given.clone().unwrap_or(default);
        let Delimiters { variable, block, comment } = defaults.delimiters;
        Ok(FileOptions {
            trim_blocks: self.trim_blocks.map_or(defaults.trim_blocks, |flag| flag.0),
            lstrip_blocks: self.lstrip_blocks.map_or(defaults.lstrip_blocks, |flag| flag.0),
            newline_sequence: self.line_end()?.unwrap_or(defaults.newline_sequence),
            delimiters: Delimiters {
                variable: (
                    or(&self.variable_start_string, variable.0),
                    or(&self.variable_end_string, variable.1),
                ),
                block: (or(&self.block_start_string, block.0), or(&self.block_end_string, block.1)),
                comment: (
                    or(&self.comment_start_string, comment.0),
                    or(&self.comment_end_string, comment.1),
                ),
            },
            ..FileOptions::default()
        })
    }

    /// As characters, or as their names: YAML keeps `'\r\n'` as it is written.
    fn line_end(&self) -> Result<Option<String>, Error> {
        Ok(Some(match self.newline_sequence.as_deref() {
            None => return Ok(None),
            Some("\n" | "\\n") => "\n".to_owned(),
            Some("\r" | "\\r") => "\r".to_owned(),
            Some("\r\n" | "\\r\\n") => "\r\n".to_owned(),
            Some(_) => {
                let msg = "newline_sequence needs to be one of: \\n, \\r or \\r\\n";
                return Err(Error::failed(msg));
            }
        }))
    }
}
