//! `--graph`: groups with their groups and hosts as a tree.

use super::given::Given;
use crate::engine::LoadError;
use crate::template::{Value, python_text};

/// The tree from a group on.
pub fn draw(given: &Given, group: &str, vars: bool) -> Result<String, LoadError> {
    let mut tree = Tree { given, vars, lines: Vec::new() };
    tree.group(group, 0)?;
    Ok(tree.lines.join("\n"))
}

struct Tree<'a> {
    given: &'a Given,
    vars: bool,
    lines: Vec<String>,
}

impl Tree<'_> {
    fn line(&mut self, text: &str, depth: usize) {
        let branch = if depth > 0 { "  |".repeat(depth) + "--" } else { String::new() };
        self.lines.push(branch + text);
    }

    fn group(&mut self, name: &str, depth: usize) -> Result<(), LoadError> {
        let inventory = self.given.inventory();
        self.line(&format!("@{name}:"), depth);
        for child in inventory.children(name) {
            self.group(child, depth + 1)?;
        }
        // The hosts of `all` stand in the groups below it.
        for host in inventory.own_hosts(name).filter(|_| name != "all") {
            self.line(host, depth + 1);
            if self.vars {
                self.variables(&self.given.of_host(host)?, depth + 2);
            }
        }
        if self.vars {
            self.variables(&self.given.of_group(name)?, depth + 1);
        }
        Ok(())
    }

    fn variables(&mut self, variables: &Value, depth: usize) {
        let names = variables.try_iter().into_iter().flatten();
        let mut names: Vec<_> = names.filter_map(|key| key.as_str().map(str::to_owned)).collect();
        names.sort();
        for name in names {
            let value = variables.get_attr(&name).unwrap_or_default();
            self.line(&format!("{{{name} = {}}}", python_text(&value)), depth);
        }
    }
}
