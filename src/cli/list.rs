//! `--list-hosts`, `--list-tasks`, `--list-tags` and `--syntax-check`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use indexmap::IndexSet;

use super::exit;
use super::playbook::Options;
use crate::engine::{Prepared, play_hosts, play_title};
use crate::playbook::{Play, Task, Tasks};
use crate::report;
use crate::source::Node;

/// Prints what was asked for; returns the exit code.
pub fn print(prepared: &Prepared, options: &Options) -> u8 {
    let mut out = String::new();
    let mut told = IndexSet::new();
    for (path, plays) in &prepared.playbooks {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "\nplaybook: {}", path.display());
        for (index, play) in plays.iter().enumerate() {
            if let Ok((_, warnings)) = play_hosts(prepared, play) {
                told.extend(warnings);
            }
            let lists = options.common.list_hosts || options.list_tasks || options.list_tags;
            if !lists || options.common.syntax_check {
                continue;
            }
            if let Err(error) = list_play(&mut out, prepared, options, index, play) {
                eprintln!("ERROR! {error}");
                return exit::ERROR;
            }
        }
    }
    for text in told {
        eprintln!("{}", report::warning(&text, options.common.columns()));
    }
    print!("{out}");
    0
}

fn list_play(
    out: &mut String,
    prepared: &Prepared,
    options: &Options,
    index: usize,
    play: &Play,
) -> Result<(), String> {
    let (name, pattern) = play_title(prepared, play);
    let _ = writeln!(
        out,
        "\n  play #{} ({}): {name}\tTAGS: [{}]",
        index + 1,
        pattern.join(","),
        play.keywords.tags.join(",")
    );
    if options.common.list_hosts {
        let hosts: BTreeSet<_> = play_hosts(prepared, play)?.0.into_iter().collect();
        let shown: Vec<_> = pattern.iter().map(|part| format!("'{part}'")).collect();
        let _ = writeln!(out, "    pattern: [{}]", shown.join(", "));
        let _ = writeln!(out, "    hosts ({}):", hosts.len());
        for host in hosts {
            let _ = writeln!(out, "      {host}");
        }
    }
    let tasks = tasks_of(prepared, play);
    if options.list_tasks {
        let _ = writeln!(out, "    tasks:");
        for (task, tags) in &tasks {
            let name = match task.name.as_ref().and_then(Node::as_str) {
                Some(name) => task.title(Some(name)),
                None => task.written_module.clone(),
            };
            let _ = writeln!(out, "      {name}\tTAGS: [{}]", tags.join(", "));
        }
    }
    if options.list_tags {
        let of_tasks = tasks.iter().flat_map(|(_, tags)| tags.iter());
        let tags = of_tasks.chain(&play.keywords.tags).map(String::as_str);
        let tags: BTreeSet<&str> = tags.collect();
        let tags: Vec<_> = tags.into_iter().collect();
        let _ = writeln!(out, "      TASK TAGS: [{}]", tags.join(", "));
    }
    Ok(())
}

/// The selected tasks of a play with their tags; what rescues and handlers do is not listed.
fn tasks_of<'a>(prepared: &Prepared, play: &'a Play) -> Vec<(&'a Task, Cow<'a, [String]>)> {
    [&play.pre_tasks, &play.tasks, &play.post_tasks]
        .into_iter()
        .flatten()
        .flat_map(|item| item.tasks(Tasks::Listed))
        .map(|task| (&**task, prepared.tags_of(play, task)))
        .filter(|(_, tags)| prepared.selection.selects(tags))
        .collect()
}
