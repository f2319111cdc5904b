//! `kup-play resume`: goes on with a run that failed, was interrupted or was killed.

use std::io::IsTerminal;

use clap::{Parser, ValueEnum};

use super::{exit, extra_vars, playbook, recorded, runs};
use crate::journal::{self, History, Record, Recording, Start, State, Store, Unfinished};

/// Continues a run at the hosts and tasks where it stopped.
#[derive(Debug, Parser)]
#[command(name = "kup-play resume", version)]
pub struct Options {
    /// The run, or the beginning of its name; the last one that did not finish unless given
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// What to do with commands whose end is not known
    #[arg(long, value_enum, default_value = "ask", value_name = "WHAT")]
    pub in_doubt: InDoubt,

    /// Go on although playbooks have changed since
    #[arg(long)]
    pub changed: bool,

    /// Extra variables that the journal does not keep, or other values
    #[arg(short, long, value_name = "VARS")]
    pub extra_vars: Vec<String>,

    /// As of a run
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "dead", value_name = "WHEN")]
    pub break_lock: Option<playbook::Breaking>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InDoubt {
    /// Ask on the terminal; without one, refuse
    Ask,
    /// Run them again
    Run,
    /// Take them for done
    Skip,
}

pub fn run(options: Options) -> u8 {
    match prepare(&options) {
        Ok((resumed, recording)) => playbook::run_recorded(resumed, Some(recording)),
        Err(error) => {
            eprintln!("ERROR! {error}");
            exit::ERROR
        }
    }
}

fn prepare(options: &Options) -> Result<(playbook::Options, Recording), String> {
    let unfinished = |state: State| !matches!(state, State::Running | State::Finished);
    let run = runs::choose(runs::find()?, options.run.as_deref(), |run| unfinished(run.state))?;
    if run.state == State::Finished {
        return Err(format!("run {} has finished: there is nothing to resume", run.id));
    }
    let id = run.id;
    // Locked from here on, so what is read now is how the run stands.
    let store = Store::find().map_err(|error| error.to_string())?;
    let mut recording =
        store.reopen(&id).map_err(|error| format!("run {id} cannot be resumed: {error}"))?;
    let start = recording.history.start.clone();
    let start = start.ok_or_else(|| format!("the journal of run {id} has no beginning"))?;
    if start.version > journal::VERSION {
        return Err(format!("run {id} was begun by a later version of kup-play"));
    }
    std::env::set_current_dir(&start.folder)
        .map_err(|error| format!("{}: {error}", start.folder.display()))?;
    if !options.changed {
        unchanged(&start)?;
    }
    let mut resumed = recorded::options(&start)?;
    resumed.common.extra_vars.extend(options.extra_vars.iter().cloned());
    resumed.break_lock = options.break_lock;
    all_given(&start, options)?;
    decide(&mut recording.history, options.in_doubt)?;
    let (at, operator) = (journal::now(), journal::operator());
    recording.journal.put(&Record::Resumed { at, operator });
    let done = recording.history.count_done();
    let but = match recording.history.count_undone() {
        0 => "",
        _ => ", but for those of blocks that failed and whose `always` may have undone them",
    };
    println!("Resuming run {id}: {done} tasks were done and are not run again{but}");
    Ok((resumed, recording))
}

/// Tasks are known by their places, which other files do not have, and what was done
/// followed from what the files said.
fn unchanged(start: &Start) -> Result<(), String> {
    let changed: Vec<_> = start
        .files
        .iter()
        .filter(|file| journal::hash_of(&file.path).as_ref() != Some(*file))
        .map(|file| file.path.display().to_string())
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "changed since the run began: {}\n\
         tasks are known by their places in playbooks, and what they do follows from the \
         other files; if that is what is meant, resume with --changed, else run the playbook \
         again from its beginning",
        changed.join(", ")
    ))
}

fn all_given(start: &Start, options: &Options) -> Result<(), String> {
    let given = extra_vars::parse(&options.extra_vars).map_err(|error| error.to_string())?;
    let missing: Vec<_> =
        start.withheld.iter().filter(|name| !given.contains_key(*name)).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the journal does not keep secrets: give these extra variables again with -e: {}",
        missing.join(", ")
    ))
}

/// Settles what becomes of tasks that can do harm when they are run twice.
fn decide(history: &mut History, wish: InDoubt) -> Result<(), String> {
    for task in history.in_doubt() {
        let skip = match wish {
            InDoubt::Run => false,
            InDoubt::Skip => true,
            InDoubt::Ask if std::io::stdin().is_terminal() => ask(&task)?,
            InDoubt::Ask => {
                return Err(format!(
                    "{}\nlook at the host, then resume with --in-doubt run (run it again) or \
                     --in-doubt skip (take it for done)",
                    told(&task)
                ));
            }
        };
        if skip {
            history.assume_done(&task.key);
        }
    }
    Ok(())
}

fn told(task: &Unfinished) -> String {
    let Unfinished { key, name, module, ended, .. } = task;
    let what = if *ended {
        "ended, but its result is secret and was not kept, and running it again may do harm"
    } else {
        "had begun when the run stopped; whether it ended is not known, and running it again \
         may do harm"
    };
    format!("'{name}' ({module}, {}) on {} {what}", key.task, key.host)
}

/// True: take it for done.
fn ask(task: &Unfinished) -> Result<bool, String> {
    let terminal = console::Term::stderr();
    loop {
        let question = format!("{}\nrun it (a)gain, (s)kip it, or s(t)op? ", told(task));
        let answer = terminal.write_str(&question).and_then(|()| terminal.read_line());
        match answer.map_err(|error| error.to_string())?.trim() {
            "a" | "again" => return Ok(false),
            "s" | "skip" => return Ok(true),
            "t" | "stop" => return Err("stopped".to_owned()),
            _ => {}
        }
    }
}
