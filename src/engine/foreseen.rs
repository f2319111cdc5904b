//! What a run may come to read while it runs: files that includes bring in, templates and
//! files of variables. A template in a name may stand for anything, so that what is foreseen
//! is rather too much than too little.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::recorder::changes_clusters;
use crate::modules::glob;
use crate::playbook::{Play, Task, Tasks, normalise};
use crate::source::{self, Node, Yaml};

/// Files of the operator's, and whether one of the tasks in them changes clusters.
#[derive(Debug, Default)]
pub struct Foreseen {
    pub files: BTreeSet<PathBuf>,
    pub for_clusters: bool,
}

/// Where things are looked for.
pub struct Places<'a> {
    /// The playbook's folder.
    pub playbook: Option<&'a Path>,
    pub roles: &'a [PathBuf],
}

impl Foreseen {
    /// What plays may bring in beside what is known of them.
    pub fn of<'a>(plays: impl Iterator<Item = &'a Play>, places: &Places<'_>) -> Self {
        let mut foreseen = Self::default();
        for play in plays {
            for node in &play.vars_files {
                let alternatives = node.as_seq().unwrap_or(std::slice::from_ref(node));
                for name in alternatives.iter().filter_map(Node::as_str) {
                    foreseen.add(play.span.path(), "vars", name, places);
                }
            }
            let sections = [&play.pre_tasks, &play.tasks, &play.post_tasks, &play.handlers];
            for task in sections.into_iter().flatten().flat_map(|item| item.tasks(Tasks::All)) {
                foreseen.follow_task(task, places);
            }
        }
        foreseen
    }

    fn follow_task(&mut self, task: &Task, places: &Places<'_>) {
        let path = task.span.path();
        let free = task.free_form.as_ref().and_then(Node::as_str);
        self.follow(path, &task.module, free, task.arguments.as_ref(), places);
    }

    /// What a task of the file at `path` names.
    fn follow(
        &mut self,
        path: &Path,
        module: &str,
        free: Option<&str>,
        arguments: Option<&Node>,
        places: &Places<'_>,
    ) {
        let argument = |names: &[&str]| {
            let given = names.iter().find_map(|name| arguments?.get(name)?.as_str());
            given.or(free).map(str::to_owned)
        };
        match module {
            "include_tasks" | "import_tasks" => {
                if let Some(name) = argument(&["file"]) {
                    for file in self.add(path, "tasks", &name, places) {
                        self.read(&file, places);
                    }
                }
            }
            "include_role" | "import_role" => {
                if let Some(name) = argument(&["name", "role"]) {
                    self.role(&name, places);
                }
            }
            "include_vars" => {
                if let Some(name) = argument(&["file"]) {
                    self.add(path, "vars", &name, places);
                }
            }
            "template" => {
                if let Some(name) = argument(&["src"]) {
                    self.add(path, "templates", &name, places);
                }
            }
            _ => {}
        }
    }

    /// The files that a name may mean; those that were not known yet.
    fn add(&mut self, of: &Path, folder: &str, name: &str, places: &Places<'_>) -> Vec<PathBuf> {
        let own = of.parent().into_iter().flat_map(|own| [Some(own), own.parent()]).flatten();
        let bases: BTreeSet<PathBuf> = own
            .chain(places.playbook)
            .flat_map(|base| [base.to_owned(), base.join(folder)])
            .collect();
        let found = bases.iter().flat_map(|base| matching(&base.join(pattern_of(name))));
        let files: BTreeSet<_> = found.filter(|path| path.is_file()).collect();
        files.into_iter().filter(|file| self.files.insert(file.clone())).collect()
    }

    fn role(&mut self, name: &str, places: &Places<'_>) {
        let beside = places.playbook.map(|folder| folder.join("roles"));
        let folders = beside.iter().chain(places.roles).map(|folder| folder.join(pattern_of(name)));
        let roles: BTreeSet<_> = folders.flat_map(|role| matching(&role)).collect();
        for role in roles {
            for part in ["tasks", "handlers", "defaults", "vars", "meta", "templates"] {
                for file in below(&role.join(part)) {
                    if self.files.insert(file.clone()) && matches!(part, "tasks" | "handlers") {
                        self.read(&file, places);
                    }
                }
            }
        }
    }

    /// Follows what a file of tasks names. One that cannot be read is an error when it is
    /// included.
    fn read(&mut self, path: &Path, places: &Places<'_>) {
        if let Ok(document) = source::load(path) {
            self.walk(path, &document, places);
        }
    }

    fn walk(&mut self, path: &Path, node: &Node, places: &Places<'_>) {
        match &node.value {
            Yaml::Seq(items) => items.iter().for_each(|item| self.walk(path, item, places)),
            Yaml::Map(entries) => {
                for (key, value) in entries {
                    let module = normalise(key.as_str().unwrap_or_default());
                    self.for_clusters |= changes_clusters(&module, value.as_str());
                    self.follow(path, &module, value.as_str(), Some(value), places);
                    self.walk(path, value, places);
                }
            }
            _ => {}
        }
    }
}

/// A name with a star in the place of each template.
fn pattern_of(name: &str) -> String {
    let mut pattern = String::new();
    let mut rest = name;
    while let Some((before, template)) = rest.split_once("{{") {
        pattern += before;
        pattern.push('*');
        rest = template.split_once("}}").map_or("", |(_, after)| after);
    }
    pattern + rest
}

/// The paths that a path with stars stands for; a star is within one name.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        found = match component {
            Component::Normal(_) if text.contains('*') => {
                found.iter().flat_map(|folder| named(folder, &text)).collect()
            }
            Component::ParentDir => {
                found.iter().filter_map(|path| path.parent().map(PathBuf::from)).collect()
            }
            _ => found.into_iter().map(|path| path.join(component)).collect(),
        };
    }
    found.retain(|path| path.exists());
    found
}

fn named(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let matches = |entry: &fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| glob::matches(pattern, name))
    };
    entries.filter(matches).map(|entry| entry.path()).collect()
}

/// All files below a folder.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // What a link leads to may be anywhere.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(below(&path)),
            _ if path.is_file() => files.push(path),
            _ => {}
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, path: &str, text: &str) -> PathBuf {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn a_template_in_a_name_stands_for_anything() {
        assert_eq!(pattern_of("tasks/{{ a }}-x.yml"), "tasks/*-x.yml");
        assert_eq!(pattern_of("plain.yml"), "plain.yml");
        assert_eq!(pattern_of("{{ open"), "*");
    }

    #[test]
    fn includes_are_followed_through_files_and_roles() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let site = write(root, "site.yml", "");
        let first = write(root, "tasks/install-apt.yml", "- include_tasks: deeper.yml\n");
        let deeper = write(root, "tasks/deeper.yml", "- block:\n  - include_role: {name: node}\n");
        let role = write(
            root,
            "roles/node/tasks/main.yml",
            "- kubernetes.core.k8s: {src: a.yml}\n- template: {src: t.j2, dest: /x}\n",
        );
        let template = write(root, "roles/node/templates/t.j2", "x");
        write(root, "tasks/other.yml", "- debug:\n");
        let mut foreseen = Foreseen::default();
        let places = Places { playbook: Some(root), roles: &[] };
        foreseen.follow(&site, "include_tasks", Some("tasks/install-{{ pkg }}.yml"), None, &places);
        let expected = BTreeSet::from([first, deeper, role, template]);
        assert_eq!(foreseen.files, expected);
        assert!(foreseen.for_clusters);
    }

    #[test]
    fn files_that_include_each_other_are_read_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let site = write(folder.path(), "site.yml", "");
        write(folder.path(), "a.yml", "- include_tasks: b.yml\n");
        write(folder.path(), "b.yml", "- include_tasks: a.yml\n");
        let mut foreseen = Foreseen::default();
        let places = Places { playbook: Some(folder.path()), roles: &[] };
        foreseen.follow(&site, "include_tasks", Some("a.yml"), None, &places);
        assert_eq!(foreseen.files.len(), 2);
        assert!(!foreseen.for_clusters);
    }
}
