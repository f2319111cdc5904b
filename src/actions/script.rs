//! `script`: a script of the operator's, run on the host.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::{Action, Context, Error, Outcome, files};
use crate::modules::args::Flag;
use crate::modules::words;
use crate::transport::FileSource;

/// Sends a script to the host and runs it there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The script, looked for in `files/` and beside the playbook, and its arguments.
    #[serde(rename = "_raw_params")]
    raw_params: Option<String>,
    /// The same, when the task is written as a mapping.
    cmd: Option<String>,
    /// A file on the host: if it exists, the script is not run.
    creates: Option<String>,
    /// A file on the host: if it does not exist, the script is not run.
    removes: Option<String>,
    /// Change into this folder first.
    chdir: Option<String>,
    /// What runs the script, in place of its first line.
    executable: Option<String>,
    /// Taken for compatibility: there are no encrypted files.
    #[serde(default, rename = "decrypt")]
    _decrypt: Flag,
}

impl Action for Script {
    const NAME: &'static str = "script";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let line = self.raw_params.or(self.cmd).unwrap_or_default();
        let name = words::split(&line).map_err(Error::failed)?.into_iter().next();
        let name = name
            .ok_or_else(|| Error::failed("one of the following is required: _raw_params, cmd"))?;
        let path = files::find(context, "files", &name)?;
        let mut arguments =
            Map::from_iter([("command".to_owned(), json!(line)), ("name".to_owned(), json!(name))]);
        for (key, value) in [
            ("creates", self.creates),
            ("removes", self.removes),
            ("chdir", self.chdir),
            ("executable", self.executable),
        ] {
            if let Some(value) = value {
                arguments.insert(key.to_owned(), json!(value));
            }
        }
        let files = vec![("script".to_owned(), FileSource::Path(path))];
        context.module("script", arguments, files).await
    }
}
