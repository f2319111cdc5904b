//! The objects that the arguments of `k8s` describe.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::super::template::Syntax;
use super::super::{Context, Error, files};
use super::K8s;
use crate::source;
use crate::vault;

/// A template file with marks of its own.
#[derive(Deserialize)]
struct TemplateFile {
    path: String,
    #[serde(flatten)]
    syntax: Syntax,
}

/// The objects, complete and in their order.
pub fn of(arguments: &K8s, context: &Context) -> Result<Vec<Json>, Error> {
    let sources = [
        ("definition", arguments.definition.is_some()),
        ("src", arguments.src.is_some()),
        ("template", arguments.template.is_some()),
    ];
    let given: Vec<_> = sources.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if given.len() > 1 {
        let names = given.join("|");
        return Err(Error::failed(format!("parameters are mutually exclusive: {names}")));
    }
    let objects = match (&arguments.definition, &arguments.src, &arguments.template) {
        (Some(definition), ..) => of_definition(definition)?,
        (_, Some(src), _) => {
            let path = files::find(context, "files", src)?;
            let text = vault::read_text(&path)
                .map_err(|e| Error::failed(format!("{} cannot be read: {e}", path.display())))?;
            of_text(&text, &path)?
        }
        (_, _, Some(template)) => of_templates(template, context)?,
        _ => vec![json!({})],
    };
    let objects = objects.into_iter().filter(|object| !object.is_null()).flat_map(of_list);
    objects.map(|object| complete(arguments, object)).collect()
}

/// A mapping, a list of such, or YAML text; a list may have texts in it.
fn of_definition(definition: &Json) -> Result<Vec<Json>, Error> {
    match definition {
        Json::String(text) => of_text(text, Path::new("definition")),
        Json::Array(list) => {
            Ok(list.iter().map(of_definition).collect::<Result<Vec<_>, _>>()?.concat())
        }
        object => Ok(vec![object.clone()]),
    }
}

fn of_text(text: &str, path: &Path) -> Result<Vec<Json>, Error> {
    let documents =
        source::load_all_str(text, path).map_err(|error| Error::failed(error.to_string()))?;
    Ok(documents.iter().map(source::Node::to_json).filter(|object| !object.is_null()).collect())
}

/// One template or a list of them, by name or as a mapping with `path`.
fn of_templates(template: &Json, context: &Context) -> Result<Vec<Json>, Error> {
    let (src, syntax) = match template {
        Json::Array(templates) => {
            let each = templates.iter().map(|template| of_templates(template, context));
            return Ok(each.collect::<Result<Vec<_>, _>>()?.concat());
        }
        Json::String(path) => (path.clone(), Syntax::default()),
        mapping => {
            let file: TemplateFile = serde_json::from_value(mapping.clone())
                .map_err(|error| Error::failed(format!("wrong template: {error}")))?;
            (file.path, file.syntax)
        }
    };
    let (path, text) = syntax.render(context, &src, None)?;
    of_text(&text, &path)
}

/// The objects of a `List`, or the one.
fn of_list(object: Json) -> Vec<Json> {
    let is_list = object.get("kind").and_then(Json::as_str) == Some("List");
    match object.get("items").and_then(Json::as_array) {
        Some(items) if is_list => items.clone(),
        _ => vec![object],
    }
}

/// With what the arguments say and the object does not.
fn complete(arguments: &K8s, mut object: Json) -> Result<Json, Error> {
    if !object.is_object() {
        return Err(Error::failed("an object is a mapping with apiVersion, kind and metadata"));
    }
    let mut default = |pointer: &[&str], value: &Option<String>| {
        let Some(value) = value else {
            return;
        };
        let mut place = &mut object;
        for key in pointer {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[*key];
        }
        if place.is_null() {
            *place = json!(value);
        }
    };
    default(&["apiVersion"], &arguments.api_version);
    default(&["kind"], &arguments.kind);
    default(&["metadata", "name"], &arguments.name);
    default(&["metadata", "namespace"], &arguments.namespace);
    if object.get("apiVersion").is_none() {
        object["apiVersion"] = json!("v1");
    }
    for pointer in ["/kind", "/metadata/name"] {
        if object.pointer(pointer).and_then(Json::as_str).is_none() {
            let name = pointer.trim_start_matches('/').replace('/', ".");
            return Err(Error::failed(format!("an object needs {name}")));
        }
    }
    Ok(object)
}
