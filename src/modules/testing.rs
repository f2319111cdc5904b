//! Modules that edit a file, as tests run them.

use serde_json::{Value as Json, json};

use super::{Context, Module, Outcome};

/// The file after the module, and what the module said of it.
pub fn edited<M: Module>(before: &str, mut arguments: Json) -> (String, Outcome) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("f");
    std::fs::write(&path, before).expect("written");
    arguments["path"] = json!(path);
    let module: M = serde_json::from_value(arguments).expect("arguments");
    let outcome = module.run(&Context::default()).expect("edited");
    (std::fs::read_to_string(&path).expect("read"), outcome)
}
