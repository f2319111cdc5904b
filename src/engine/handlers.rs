//! Handlers: what was notified, and in what order they run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use indexmap::IndexSet;

use crate::playbook::{Item, Play, Task, Tasks};
use crate::vars::Layer;

/// The names of handlers, those that can be told.
pub type Titles = [Option<String>];

/// The handlers of a play, in the order in which they run.
pub struct Handlers {
    entries: Vec<Entry>,
    /// What hosts have notified since their handlers ran last. Which handlers these names
    /// mean is seen when they are flushed: an include may bring other ones meanwhile.
    notifications: HashMap<String, IndexSet<String>>,
}

struct Entry {
    task: Arc<Task>,
    includes: Vec<Arc<Layer>>,
    /// The list that it came in: the play's own, or that of a role, at one of the times that
    /// handlers were taken in.
    list: usize,
    notified: HashSet<String>,
}

impl Handlers {
    pub fn of(play: &Play) -> Self {
        let mut handlers = Self { entries: Vec::new(), notifications: HashMap::new() };
        handlers.add(&play.handlers, &[]);
        handlers
    }

    /// Takes in what an include brings, with the variables that it gives.
    pub fn add(&mut self, items: &[Item], includes: &[Arc<Layer>]) {
        let role = |task: &Task| task.role.as_ref().map(|role| role.identity.clone());
        let mut list = self.entries.last().map_or(0, |last| last.list + 1);
        let mut last = None;
        for task in items.iter().flat_map(|item| item.tasks(Tasks::Listed)) {
            if last.replace(role(task)).is_some_and(|before| before != role(task)) {
                list += 1;
            }
            self.entries.push(Entry {
                task: task.clone(),
                includes: includes.to_vec(),
                list,
                notified: HashSet::new(),
            });
        }
    }

    /// A handler, and the variables of the includes that brought it.
    pub fn get(&self, index: usize) -> Option<(Arc<Task>, Vec<Arc<Layer>>)> {
        self.entries.get(index).map(|entry| (entry.task.clone(), entry.includes.clone()))
    }

    pub fn all(&self) -> impl Iterator<Item = (&Task, &[Arc<Layer>])> {
        self.entries.iter().map(|entry| (&*entry.task, entry.includes.as_slice()))
    }

    /// Notes that `host` wants what has this name or listens to it; false when nothing does.
    /// While handlers run it is for this time, else for the next. `titles` are the names of
    /// the handlers.
    pub fn notify(&mut self, name: &str, host: &str, running: bool, titles: &Titles) -> bool {
        let wanted = self.resolve(name, titles);
        if running {
            self.mark(&wanted, host);
        } else if !wanted.is_empty() {
            self.notifications.entry(host.to_owned()).or_default().insert(name.to_owned());
        }
        !wanted.is_empty()
    }

    /// Whether the host has notified anything since its handlers ran last.
    pub fn has_notices(&self, host: &str) -> bool {
        self.notifications.contains_key(host)
    }

    /// The handlers are about to run for this host: what it has notified is settled.
    pub fn settle(&mut self, host: &str, titles: &Titles) {
        for name in self.notifications.remove(host).unwrap_or_default() {
            let wanted = self.resolve(&name, titles);
            self.mark(&wanted, host);
        }
    }

    pub fn is_notified(&self, index: usize, host: &str) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.notified.contains(host))
    }

    /// The handler runs for this host now.
    pub fn take(&mut self, index: usize, host: &str) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.notified.remove(host);
        }
    }

    /// It did not run for this host after all.
    pub fn give_back(&mut self, index: usize, host: &str) {
        self.mark(&[index], host);
    }

    fn mark(&mut self, wanted: &[usize], host: &str) {
        for index in wanted {
            if let Some(entry) = self.entries.get_mut(*index) {
                entry.notified.insert(host.to_owned());
            }
        }
    }

    /// The one that has the name, and those that listen to it. Of several lists the last one
    /// counts, and in it the first handler; of listening handlers of one name as well.
    fn resolve(&self, name: &str, titles: &Titles) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|index| {
            let list = self.entries.get(*index).map_or(0, |entry| entry.list);
            (std::cmp::Reverse(list), *index)
        });
        let entries = || order.iter().filter_map(|index| Some((*index, self.entries.get(*index)?)));
        let title_of = |index: usize| titles.get(index)?.as_ref();
        // `role : name` names what is in that role; one of a collection has a short name too.
        let means = |entry: &Entry, text: &str| {
            text == name
                || entry.task.role.as_ref().is_some_and(|role| {
                    let whole = &*role.body.name;
                    let short = crate::playbook::short_role_name(whole);
                    let prefix = name.strip_suffix(text).and_then(|rest| rest.strip_suffix(" : "));
                    prefix.is_some_and(|prefix| prefix == whole || prefix == short)
                })
        };
        let is_named = |(index, entry): &(usize, &Entry)| {
            title_of(*index).is_some_and(|title| means(entry, title))
        };
        let named = entries().find(is_named).map(|(index, _)| index);
        let mut wanted: Vec<usize> = named.into_iter().collect();
        let mut seen = HashSet::new();
        for (index, entry) in entries() {
            let listens = entry.task.listen.iter().any(|topic| means(entry, topic));
            if listens && title_of(index).is_none_or(|title| seen.insert(title)) {
                wanted.push(index);
            }
        }
        wanted
    }
}
