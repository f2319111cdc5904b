//! `unarchive`: an archive of the operator's for the host to unpack.

use serde_json::{Map, Value as Json, json};

use super::uri::is_on_host;
use super::{Context, Error, Files, Sends, files};
use crate::modules::unarchive;
use crate::source;
use crate::transport::FileSource;
use crate::vault;

/// Sends `src` unless it is on the host.
pub struct Unarchive;

impl Sends for Unarchive {
    type Module = unarchive::Unarchive;

    fn prepare(arguments: &mut Map<String, Json>, context: &Context) -> Result<Files, Error> {
        if let Some(copy) = arguments.remove("copy") {
            if arguments.contains_key("remote_src") {
                let msg = "parameters are mutually exclusive: ('copy', 'remote_src')";
                return Err(Error::failed(msg));
            }
            arguments.insert("remote_src".to_owned(), json!(!is_true(&copy)));
        }
        let decrypt = arguments.remove("decrypt").is_none_or(|value| is_true(&value));
        if !arguments.contains_key("src") || !arguments.contains_key("dest") {
            return Err(Error::failed("src (or content) and dest are required"));
        }
        if is_on_host(arguments) {
            return Ok(Vec::new());
        }
        let src = arguments.get("src").and_then(Json::as_str).unwrap_or_default();
        let path = files::find(context, "files", src)?;
        let unreadable = |error: std::io::Error| {
            Error::failed(format!("{} cannot be read on the controller: {error}", path.display()))
        };
        let encrypted = decrypt && vault::is_encrypted_file(&path).map_err(unreadable)?;
        let file = match encrypted {
            true => FileSource::Bytes(vault::read(&path).map_err(unreadable)?),
            false => FileSource::Path(path),
        };
        Ok(vec![("src".to_owned(), file)])
    }
}

fn is_true(value: &Json) -> bool {
    match value {
        Json::Bool(value) => *value,
        Json::String(text) => source::boolean(text).unwrap_or(false),
        other => other.as_i64() == Some(1),
    }
}
