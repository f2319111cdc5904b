//! What a journal says of its run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::record::{Access, Key, Record, Start, Unfinished};
use crate::events::Status;

/// Modules that cordon nodes; their results say which in `name`.
pub const DRAINS: [&str; 2] = ["k8s_drain", "kubectl_drain"];

/// A run as its journal tells it.
#[derive(Debug, Default)]
pub struct History {
    pub start: Option<Start>,
    /// All records that could be read, for people.
    pub records: Vec<Record>,
    done: HashMap<Key, Done>,
    begun: IndexMap<Key, Unfinished>,
    /// How hosts ended tasks.
    tasks: HashMap<Key, (Status, bool)>,
    /// Nodes that are cordoned by the run still, by cluster, and since when.
    pub cordons: BTreeMap<(String, String), String>,
    /// Clusters whose lock the run had taken.
    pub locked: BTreeSet<Access>,
    /// Drains that are in vain when their node is put back.
    drains: HashMap<String, Vec<Key>>,
    /// Blocks that have to be done again from their beginning.
    undone: HashSet<Key>,
    /// Guards of the batch that hosts are in.
    guards: Vec<Key>,
    /// Hosts whose play a failure has ended since the run was started or resumed, each with
    /// what it has done since.
    ended: HashMap<String, Vec<Key>>,
    /// The exit code of its last end; none after another start.
    pub code: Option<u8>,
}

/// What came of a task.
#[derive(Clone, Debug)]
pub struct Done {
    pub name: String,
    pub module: String,
    pub result: Map<String, Json>,
    pub variables: Option<Map<String, Json>>,
    pub facts: Option<Map<String, Json>>,
    pub delegated_to: Option<String>,
    again: bool,
    withheld: bool,
    needed: bool,
    survived: bool,
}

impl Done {
    /// Whether it does no harm to do it again.
    pub fn may_run_again(&self) -> bool {
        self.again
    }
}

impl History {
    /// Reads a journal. A last line that is not whole, and any other that is no record,
    /// is left out: what it would have said is not relied upon.
    pub fn read(text: &[u8]) -> Self {
        let mut history = Self::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Some(line) = line.strip_suffix(b"\n")
                && let Ok(record) = serde_json::from_slice::<Record>(line)
            {
                history.take(&record);
                history.records.push(record);
            }
        }
        history.forget_in_vain();
        history
    }

    fn take(&mut self, record: &Record) {
        match record {
            Record::Run(start) => self.start = Some(start.clone()),
            Record::Resumed { .. } => {
                self.forget_in_vain();
                self.code = None;
            }
            Record::Begun { key, name, module, again, .. } => {
                self.done.remove(key);
                let (key, name, module) = (key.clone(), name.clone(), module.clone());
                let unfinished =
                    Unfinished { key: key.clone(), name, module, again: *again, ended: false };
                self.begun.insert(key, unfinished);
            }
            Record::Ended { .. } => self.take_end(record),
            Record::Task { key, status, rescued, .. } => {
                self.tasks.insert(key.clone(), (*status, *rescued));
                if !survives(*status, *rescued) {
                    self.ended.entry(key.host.clone()).or_default();
                }
            }
            Record::Cordoned { at, node, cluster, .. } => {
                self.cordons.insert((cluster.clone(), node.clone()), at.clone());
            }
            Record::Uncordoned { node, cluster, early, .. } => {
                self.cordons.remove(&(cluster.clone(), node.clone()));
                if !early {
                    self.drains.remove(node);
                }
            }
            Record::Block { key, undone: true, .. } => {
                // What `always` does there now is done again too, though the host may only have
                // failed with another one.
                self.ended.entry(key.host.clone()).or_default();
                self.undone.insert(key.clone());
            }
            Record::Block { key, undone: false, .. } => {
                self.undone.remove(key);
            }
            Record::Locked { access, .. } => {
                self.locked.insert(access.clone());
            }
            Record::End { code, .. } => self.code = Some(*code),
            // The batch is through, unless it has a host that has to go back to it.
            Record::Play { .. } if self.ended.is_empty() => self.guards.clear(),
            Record::Play { .. } | Record::Note { .. } => {}
        }
    }

    fn take_end(&mut self, record: &Record) {
        let Record::Ended {
            key,
            name,
            module,
            again,
            result,
            variables,
            facts,
            delegated_to,
            withheld,
            needed,
            survived,
            ..
        } = record
        else {
            return;
        };
        self.begun.shift_remove(key);
        if DRAINS.contains(&module.as_str())
            && let Some(node) = result.get("name").and_then(Json::as_str)
            && self.cordons.keys().any(|(_, cordoned)| cordoned == node)
        {
            self.drains.entry(node.to_owned()).or_default().push(key.clone());
        }
        if module == "upgrade_guard" {
            self.guards.push(key.clone());
        }
        // A task that runs once for all ends the play of all.
        let host = if self.ended.contains_key("*") { "*" } else { key.host.as_str() };
        if let Some(since) = self.ended.get_mut(host) {
            since.push(key.clone());
        }
        let done = Done {
            name: name.clone(),
            module: module.clone(),
            result: result.clone(),
            variables: variables.clone(),
            facts: facts.clone(),
            delegated_to: delegated_to.clone(),
            again: *again,
            withheld: *withheld,
            needed: *needed,
            survived: *survived,
        };
        self.done.insert(key.clone(), done);
    }

    /// What was done but has to be done again: failures that ended a host's play, and what
    /// `always` did after them; drains of nodes that were not put back by the playbook (since
    /// then somebody may have); guards of a batch that is not through; and results that are
    /// needed but were not kept.
    fn forget_in_vain(&mut self) {
        let since = std::mem::take(&mut self.ended).into_values().flatten();
        let guards = std::mem::take(&mut self.guards);
        let drains = self.drains.values().flatten().cloned();
        let in_vain: HashSet<Key> = drains.chain(since).chain(guards).collect();
        let tasks = &self.tasks;
        let begun = &mut self.begun;
        self.done.retain(|key, done| {
            let whole = Key { item: None, ..key.clone() };
            let lost = ["failed", "unreachable"]
                .iter()
                .any(|flag| done.result.get(*flag).and_then(Json::as_bool).unwrap_or(false))
                && !done.survived
                && !tasks.get(&whole).is_some_and(|(status, rescued)| survives(*status, *rescued));
            if lost || in_vain.contains(key) {
                return false;
            }
            if done.withheld && done.needed {
                let (name, module) = (done.name.clone(), done.module.clone());
                let key = key.clone();
                let again = done.again;
                let unfinished = Unfinished { key: key.clone(), name, module, again, ended: true };
                begun.insert(key, unfinished);
                return false;
            }
            true
        });
    }

    pub fn begun_at(&self) -> Option<jiff::Timestamp> {
        self.start.as_ref()?.at.parse().ok()
    }

    /// What came of a task that need not be run again.
    pub fn done(&self, key: &Key) -> Option<&Done> {
        self.done.get(key)
    }

    /// Whether a block failed on its host, and what it did was undone, or may have been.
    pub fn is_undone(&self, block: &Key) -> bool {
        self.undone.contains(block)
    }

    pub fn count_undone(&self) -> usize {
        self.undone.len()
    }

    pub fn count_done(&self) -> usize {
        self.done.len()
    }

    /// Tasks whose end is not known and that may do harm when they are run again.
    pub fn in_doubt(&self) -> Vec<Unfinished> {
        self.begun.values().filter(|unfinished| !unfinished.again).cloned().collect()
    }

    /// Takes a task whose end is not known for done.
    pub fn assume_done(&mut self, key: &Key) {
        if let Some(unfinished) = self.begun.shift_remove(key) {
            let result = Map::from_iter([
                ("changed".to_owned(), Json::Bool(true)),
                ("msg".to_owned(), Json::from("taken for done when the run was resumed")),
            ]);
            let done = Done {
                name: unfinished.name,
                module: unfinished.module,
                result,
                variables: None,
                facts: None,
                delegated_to: None,
                again: unfinished.again,
                withheld: false,
                needed: false,
                survived: false,
            };
            self.done.insert(key.clone(), done);
        }
    }
}

/// Whether the host went on after a failure of this kind.
fn survives(status: Status, rescued: bool) -> bool {
    match status {
        Status::Failed | Status::Unreachable => rescued && status == Status::Failed,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(task: &str) -> Key {
        Key { host: "w1".to_owned(), task: task.to_owned(), turn: 0, item: None }
    }

    fn begun(task: &str, again: bool) -> Json {
        json!({"record": "begun", "at": "", "host": "w1", "task": task, "turn": 0,
            "name": task, "module": "m", "again": again})
    }

    fn ended(task: &str, module: &str, result: Json) -> Json {
        json!({"record": "ended", "at": "", "host": "w1", "task": task, "turn": 0,
            "name": task, "module": module, "again": true, "result": result})
    }

    fn cordon(record: &str) -> Json {
        json!({"record": record, "at": "", "node": "w1", "cluster": "c", "before": false})
    }

    fn read(records: &[Json], torn: &str) -> History {
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        History::read(format!("{lines}{torn}").as_bytes())
    }

    #[test]
    fn half_a_line_at_the_end_is_left_out() {
        let whole = ended("a", "copy", json!({"changed": true}));
        let torn = ended("b", "copy", json!({})).to_string();
        let history = read(&[whole], &torn);
        assert!(history.done(&key("a")).is_some());
        assert!(history.done(&key("b")).is_none());
    }

    #[test]
    fn what_has_begun_and_may_not_run_twice_is_in_doubt() {
        let history = read(&[begun("a", true), begun("b", false)], "");
        let doubted: Vec<_> = history.in_doubt().into_iter().map(|task| task.name).collect();
        assert_eq!(doubted, ["b"]);
        let history = read(&[begun("b", false), ended("b", "m", json!({}))], "");
        assert!(history.in_doubt().is_empty());
    }

    #[test]
    fn a_drain_counts_as_done_only_when_the_playbook_has_put_the_node_back() {
        let drained = ended("drain", "kubectl_drain", json!({"name": "w1"}));
        let cut_short = [cordon("cordoned"), drained.clone()];
        assert!(read(&cut_short, "").done(&key("drain")).is_none());
        let mut undone = cut_short.to_vec();
        let mut early = cordon("uncordoned");
        early["early"] = json!(true);
        undone.push(early);
        let history = read(&undone, "");
        assert!(history.done(&key("drain")).is_none() && history.cordons.is_empty());
        let put_back = [cordon("cordoned"), drained, cordon("uncordoned")];
        assert!(read(&put_back, "").done(&key("drain")).is_some());
    }

    #[test]
    fn the_locks_that_a_run_had_are_known_after_any_number_of_resumptions() {
        let locked = |named: Json| {
            let mut record = json!({"record": "locked", "at": ""});
            record
                .as_object_mut()
                .expect("a record")
                .extend(named.as_object().cloned().expect("names"));
            record
        };
        let resumed = json!({"record": "resumed", "at": "", "operator": "somebody"});
        let own = locked(json!({}));
        let other = locked(json!({"kubeconfig": "b", "context": "c"}));
        let history = read(&[own.clone(), other, resumed.clone(), own, resumed], "");
        let other = Access { kubeconfig: Some("b".to_owned()), context: Some("c".to_owned()) };
        assert_eq!(history.locked.into_iter().collect::<Vec<_>>(), [Access::default(), other]);
    }

    #[test]
    fn what_always_did_after_a_failure_is_done_again_however_often_the_run_is_resumed() {
        let failure = ended("drain", "kubectl_drain", json!({"name": "w1", "failed": true}));
        let mut through = json!({"record": "task", "at": "", "host": "w1", "task": "drain",
            "turn": 0, "name": "drain", "status": "failed", "rescued": false});
        let put_back = ended("put back", "kubectl_drain", json!({"name": "w1"}));
        let resumed = json!({"record": "resumed", "at": "", "operator": "somebody"});
        let drained = ended("drain", "kubectl_drain", json!({"name": "w1"}));
        let failed = [failure.clone(), through.clone(), put_back.clone()];
        assert!(read(&failed, "").done(&key("put back")).is_none());
        let killed_after_the_drain = [&failed[..], &[resumed, drained]].concat();
        assert!(read(&killed_after_the_drain, "").done(&key("put back")).is_none());
        through["rescued"] = json!(true);
        let rescued = [failure, through, put_back];
        assert!(read(&rescued, "").done(&key("put back")).is_some());
    }

    #[test]
    fn a_block_that_failed_is_undone_until_it_came_through() {
        let block = |undone: bool| {
            json!({"record": "block", "at": "", "host": "w1", "task": "block", "turn": 0,
                "undone": undone})
        };
        let put_back = ended("put back", "kubectl_drain", json!({"name": "w1"}));
        let resumed = json!({"record": "resumed", "at": "", "operator": "somebody"});
        // The host failed with another one: there is no failure of its own.
        let failed = [block(true), put_back.clone(), resumed.clone()];
        let history = read(&failed, "");
        assert!(history.is_undone(&key("block")) && history.done(&key("put back")).is_none());
        let through = [&failed[..], &[block(false), put_back, resumed]].concat();
        let history = read(&through, "");
        assert!(!history.is_undone(&key("block")) && history.done(&key("put back")).is_some());
    }

    #[test]
    fn a_guard_holds_until_its_batch_is_through() {
        let guard = ended("guard", "upgrade_guard", json!({}));
        let play = json!({"record": "play", "at": "", "name": "p", "hosts": ["w2"]});
        let failed = json!({"record": "task", "at": "", "host": "w1", "task": "a", "turn": 0,
            "name": "a", "status": "failed", "rescued": false});
        let resumed = json!({"record": "resumed", "at": "", "operator": "somebody"});
        assert!(read(std::slice::from_ref(&guard), "").done(&key("guard")).is_none());
        assert!(read(&[guard.clone(), play.clone()], "").done(&key("guard")).is_some());
        assert!(read(&[guard.clone(), failed, play.clone()], "").done(&key("guard")).is_none());
        assert!(read(&[guard, resumed, play], "").done(&key("guard")).is_none());
    }

    #[test]
    fn a_failure_that_ended_the_hosts_play_is_run_again() {
        let failed = ended("a", "copy", json!({"failed": true}));
        assert!(read(std::slice::from_ref(&failed), "").done(&key("a")).is_none());
        let mut survived = failed;
        survived["survived"] = json!(true);
        assert!(read(&[survived], "").done(&key("a")).is_some());
    }
}
