//! What the journal says of the command line, and the command line made of it again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::extra_vars;
use super::playbook::Options;
use crate::engine::Prepared;
use crate::journal::{self, FileHash, Recording, Start, Store};
use crate::playbook::{Item, Play, Tasks};
use crate::template::{self, Variable};

/// The journal of a run that is to have one: it changes clusters, or the operator wants it.
pub fn begin(options: &Options, prepared: &Prepared) -> Result<Option<Recording>, String> {
    let wanted = options.journal || prepared.is_for_clusters();
    if options.common.check || !wanted {
        return Ok(None);
    }
    let folder = std::env::current_dir().map_err(|error| error.to_string())?;
    let (extra_vars, withheld) = kept(&options.common.extra_vars)?;
    let mut plain = options.clone();
    plain.common.extra_vars.clear();
    plain.break_lock = None;
    let start = Start {
        version: journal::VERSION,
        id: String::new(),
        at: journal::now(),
        operator: journal::operator(),
        folder,
        options: serde_json::to_value(&plain).map_err(|error| error.to_string())?,
        playbooks: options.playbooks.clone(),
        files: files(&prepared.playbooks),
        extra_vars,
        withheld,
    };
    let store = Store::find().map_err(|error| error.to_string())?;
    store.create(start).map(Some).map_err(|error| error.to_string())
}

/// The options that a journal's first record has.
pub fn options(start: &Start) -> Result<Options, String> {
    let mut options: Options =
        serde_json::from_value(start.options.clone()).map_err(|error| error.to_string())?;
    options.common.extra_vars = start.extra_vars.clone();
    Ok(options)
}

/// `-e` as it may be kept, and the names of variables that may not.
fn kept(arguments: &[String]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut all, mut withheld) = (Vec::new(), Vec::new());
    for argument in arguments {
        if argument.starts_with('@') {
            all.push(argument.clone());
            continue;
        }
        let layer = extra_vars::parse(std::slice::from_ref(argument));
        let layer = layer.map_err(|error| error.to_string())?;
        let values: Map<String, Json> = layer
            .iter()
            .map(|(name, variable)| {
                let value = match variable {
                    Variable::Source(node) => node.to_json(),
                    Variable::Data(value) => template::to_json(value).unwrap_or(Json::Null),
                };
                (name.clone(), value)
            })
            .collect();
        let (values, hidden) = journal::scrubbed_variables(values);
        all.push(Json::Object(values).to_string());
        withheld.extend(hidden);
    }
    Ok((all, withheld))
}

/// The files that plays and tasks stand in, with what is in them now.
fn files(playbooks: &[(PathBuf, Vec<Play>)]) -> Vec<FileHash> {
    let mut paths = BTreeSet::new();
    for (_, plays) in playbooks {
        for play in plays {
            paths.insert(play.span.path().to_owned());
            let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks, &play.handlers];
            let tasks =
                sections.into_iter().flatten().flat_map(|item: &Item| item.tasks(Tasks::All));
            paths.extend(tasks.map(|task| task.span.path().to_owned()));
        }
    }
    paths.iter().filter_map(|path| journal::hash_of(path)).collect()
}
