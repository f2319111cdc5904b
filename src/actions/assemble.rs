//! `assemble`: a file of all the files in a folder, which may be the operator's.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::copy::{Placement, Put, arguments_of};
use super::{Action, Context, Error, Outcome, files};
use crate::modules::args::{Flag, Text};
use crate::modules::assemble::Choice;
use crate::vault;

/// Puts the files of a folder together, in the order of their names.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Assemble {
    /// The folder: on the host, or with `remote_src: false` on the controller.
    src: String,
    /// What stands between two files.
    delimiter: Option<Text>,
    /// Which files: those whose names this matches.
    regexp: Option<Text>,
    #[serde(default)]
    ignore_hidden: Flag,
    #[serde(default = "Flag::yes")]
    remote_src: Flag,
    /// Whether encrypted files are decrypted on the way.
    #[serde(default = "Flag::yes")]
    decrypt: Flag,
    #[serde(flatten)]
    placement: Placement,
}

impl Action for Assemble {
    const NAME: &'static str = "assemble";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if context.check {
            let msg = "This action (assemble) does not support check mode.";
            return Ok(Outcome::default().with("skipped", true).with("msg", msg));
        }
        if self.remote_src.0 {
            let mut arguments = arguments_of(&self.placement);
            arguments.insert("src".to_owned(), json!(self.src));
            arguments.insert("ignore_hidden".to_owned(), json!(self.ignore_hidden));
            for (name, value) in [("delimiter", &self.delimiter), ("regexp", &self.regexp)] {
                if let Some(value) = value {
                    arguments.insert(name.to_owned(), json!(value));
                }
            }
            return context.module("assemble", arguments, Vec::new()).await;
        }
        let src = files::find(context, "files", &self.src)?;
        if !src.is_dir() {
            return Err(Error::failed(format!("Source ({}) is not a directory", src.display())));
        }
        let choice = Choice::of(self.delimiter.as_ref(), self.regexp.as_ref(), self.ignore_hidden)?;
        let text = choice.assembled(&src, |path| match self.decrypt.0 {
            true => vault::read(path).map_err(std::io::Error::other),
            false => std::fs::read(path),
        });
        let text = text.map_err(|error| {
            Error::failed(format!("{} cannot be read on the controller: {error}", src.display()))
        })?;
        let put = Put { placement: self.placement, source: text.into(), extra: Map::new() };
        put.place(context).await
    }
}
