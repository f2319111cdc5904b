//! `uri`: a request from the host, with a body that may be a file of the operator's.

use serde_json::{Map, Value as Json, json};

use super::{Context, Error, Files, Sends, files};
use crate::modules::http::body;
use crate::modules::uri::{self, boundary};
use crate::source;
use crate::transport::FileSource;

/// Sends what `src` names, and forms of several parts, which may name files.
pub struct Uri;

impl Sends for Uri {
    type Module = uri::Uri;
    const CHECKS: bool = false;

    fn prepare(arguments: &mut Map<String, Json>, context: &Context) -> Result<Files, Error> {
        if is_on_host(arguments) {
            return Ok(Vec::new());
        }
        if let Some(src) = arguments.get("src").and_then(Json::as_str) {
            let path = files::find(context, "files", src)?;
            return Ok(vec![("src".to_owned(), FileSource::Path(path))]);
        }
        let several = arguments.get("body_format").is_some_and(|f| f == "form-multipart");
        match arguments.get("body").filter(|_| several).cloned() {
            Some(form) => Ok(vec![("src".to_owned(), parts(form, arguments, context)?)]),
            None => Ok(Vec::new()),
        }
    }
}

/// Whether `src` is a path on the host.
pub fn is_on_host(arguments: &Map<String, Json>) -> bool {
    match arguments.get("remote_src") {
        Some(Json::Bool(value)) => *value,
        Some(Json::String(text)) => source::boolean(text).unwrap_or(false),
        Some(Json::Number(number)) => number.as_i64() == Some(1),
        _ => false,
    }
}

/// The form as it is sent; its files are the operator's.
fn parts(
    mut form: Json,
    arguments: &mut Map<String, Json>,
    context: &Context,
) -> Result<FileSource, Error> {
    let Json::Object(fields) = &mut form else {
        return Err(Error::failed("body must be mapping, cannot be type str"));
    };
    for field in fields.values_mut() {
        let Json::Object(field) = field else { continue };
        let has =
            |name: &str| field.get(name).is_some_and(|v| v.as_str().is_none_or(|t| !t.is_empty()));
        if let Some(name) = field.get("filename").and_then(Json::as_str).filter(|_| !has("content"))
        {
            let path = files::find(context, "files", name)?;
            field.insert("filename".to_owned(), json!(path));
        }
    }
    let (kind, bytes) = body::multipart(&form, &boundary())
        .map_err(|why| Error::failed(format!("failed to parse body as form-multipart: {why}")))?;
    arguments.remove("body");
    arguments.insert("body_format".to_owned(), json!("raw"));
    let headers = arguments.entry("headers").or_insert_with(|| json!({}));
    if let Json::Object(headers) = headers {
        headers.retain(|name, _| !name.eq_ignore_ascii_case("content-type"));
        headers.insert("Content-Type".to_owned(), json!(kind));
    }
    Ok(FileSource::Bytes(bytes))
}
