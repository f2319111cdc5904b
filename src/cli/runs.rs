//! `kup-play runs` and `kup-play show`: what the journals say.

use std::fmt::Write;

use clap::Parser;

use super::exit;
use crate::journal::{Record, Store, Summary};

/// Lists the runs that have a journal, the newest last.
#[derive(Debug, Parser)]
#[command(name = "kup-play runs", version)]
pub struct ListOptions {}

/// Shows what a run did.
#[derive(Debug, Parser)]
#[command(name = "kup-play show", version)]
pub struct ShowOptions {
    /// The run, or the beginning of its name; the last one unless given
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

pub fn list(_: ListOptions) -> u8 {
    let runs = match find() {
        Ok(runs) => runs,
        Err(error) => return failed(&error),
    };
    let mut out = String::new();
    for run in &runs {
        let playbooks: Vec<_> =
            run.history.start.iter().flat_map(|start| &start.playbooks).collect();
        let playbooks: Vec<_> = playbooks.iter().map(|path| path.display().to_string()).collect();
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "{}  {:<11}  {}", run.id, run.state.word(), playbooks.join(" "));
        let nodes: Vec<_> = run.history.cordons.keys().map(|(_, node)| node.as_str()).collect();
        if !nodes.is_empty() {
            let _ = write!(out, "  (left cordoned: {})", nodes.join(", "));
        }
        out.push('\n');
    }
    print!("{out}");
    0
}

pub fn show(options: ShowOptions) -> u8 {
    let runs = match find() {
        Ok(runs) => runs,
        Err(error) => return failed(&error),
    };
    let run = match choose(runs, options.run.as_deref(), |_| true) {
        Ok(run) => run,
        Err(error) => return failed(&error),
    };
    let mut out = format!("run {}: {}\n", run.id, run.state.word());
    for record in &run.history.records {
        line(&mut out, record);
    }
    for (_, node) in run.history.cordons.keys() {
        let _ = writeln!(out, "node {node} is cordoned by this run still");
    }
    print!("{out}");
    0
}

fn line(out: &mut String, record: &Record) {
    let _ = match record {
        Record::Run(start) => {
            let playbooks: Vec<_> =
                start.playbooks.iter().map(|path| path.display().to_string()).collect();
            writeln!(
                out,
                "{}  begun by {} in {}: {}",
                start.at,
                start.operator,
                start.folder.display(),
                playbooks.join(" ")
            )
        }
        Record::Resumed { at, operator } => writeln!(out, "{at}  resumed by {operator}"),
        Record::Play { at, name, hosts } => {
            writeln!(out, "{at}  play '{name}' on {}", hosts.join(", "))
        }
        Record::Begun { at, key, name, .. } => {
            let item = key.item.map(|item| format!(", item {}", item + 1)).unwrap_or_default();
            writeln!(out, "{at}    {}: '{name}'{item} begins", key.host)
        }
        Record::Task { at, key, name, status, .. } => {
            let status = serde_json::to_value(status).unwrap_or_default();
            let status = status.as_str().unwrap_or_default().replace('_', " ");
            writeln!(out, "{at}    {}: '{name}' {status}", key.host)
        }
        Record::Cordoned { at, node, before, .. } => {
            let before = if *before { " (it was before)" } else { "" };
            writeln!(out, "{at}    node {node} is cordoned{before}")
        }
        Record::Uncordoned { at, node, .. } => {
            writeln!(out, "{at}    node {node} is put back to what it was")
        }
        Record::Locked { at, .. } => writeln!(out, "{at}    the cluster is locked"),
        Record::Note { at, text } => writeln!(out, "{at}  {text}"),
        Record::End { at, code } => writeln!(out, "{at}  ended with exit code {code}"),
        Record::Ended { .. } | Record::Block { .. } => Ok(()),
    };
}

pub fn find() -> Result<Vec<Summary>, String> {
    Store::find().and_then(|store| store.runs()).map_err(|error| error.to_string())
}

/// The run of this name or with a name of this beginning, or the last one that `suits`.
pub fn choose(
    mut runs: Vec<Summary>,
    wanted: Option<&str>,
    suits: impl Fn(&Summary) -> bool,
) -> Result<Summary, String> {
    let Some(wanted) = wanted else {
        return runs.into_iter().rfind(suits).ok_or_else(|| "there is no such run".to_owned());
    };
    runs.retain(|run| run.id.starts_with(wanted));
    match (runs.pop(), runs.is_empty()) {
        (Some(run), true) => Ok(run),
        (Some(_), false) => {
            Err(format!("there are several runs whose names begin with '{wanted}'"))
        }
        (None, _) => Err(format!("there is no run '{wanted}': see kup-play runs")),
    }
}

pub fn failed(error: &str) -> u8 {
    eprintln!("ERROR! {error}");
    exit::ERROR
}
