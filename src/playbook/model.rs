//! What a playbook consists of. Values that may hold templates stay nodes.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Keywords, Role, RoleTasks};
use crate::source::{Node, Span};
use crate::template::Layer;

/// A play: hosts, and what is done on them.
#[derive(Debug)]
pub struct Play {
    /// As written, else the pattern of its hosts.
    pub name: String,
    /// A pattern, or a list of patterns.
    pub hosts: Node,
    /// Its own and those of the imports around it; inherited by its tasks.
    pub keywords: Arc<Keywords>,
    pub gather_facts: Option<Node>,
    pub gather_subset: Option<Node>,
    pub gather_timeout: Option<Node>,
    pub fact_path: Option<Node>,
    /// Sizes of batches: numbers or percentages; the last one repeats.
    pub serial: Vec<Node>,
    pub strategy: Option<Node>,
    pub order: Option<Node>,
    pub max_fail_percentage: Option<Node>,
    pub force_handlers: Option<Node>,
    /// Level 12; those of an import win over the play's own.
    pub vars: Arc<Layer>,
    pub vars_prompt: Vec<Prompt>,
    /// Names of files; an entry may be a list of which the first that exists counts.
    pub vars_files: Vec<Node>,
    pub pre_tasks: Vec<Item>,
    /// Those of its roles come first.
    pub tasks: Vec<Item>,
    pub post_tasks: Vec<Item>,
    /// Those of roles come first.
    pub handlers: Vec<Item>,
    /// Roles whose variables all tasks see, in the order in which they are used.
    pub roles: Vec<Arc<Role>>,
    pub span: Span,
}

/// A variable that is asked for when the run begins.
#[derive(Clone, Debug)]
pub struct Prompt {
    pub name: String,
    /// The question; the name when there is none.
    pub prompt: Option<Node>,
    pub default: Option<Node>,
    /// Whether what is typed stays hidden (the default).
    pub private: bool,
    /// Whether it has to be typed twice.
    pub confirm: bool,
    /// Whether what is typed is never a template.
    pub unsafe_: bool,
    /// How to hash what is typed as a password (`sha512_crypt` and the like).
    pub encrypt: Option<String>,
    pub salt: Option<String>,
    pub salt_size: Option<i64>,
    pub span: Span,
}

/// What a list of tasks holds.
#[derive(Debug)]
pub enum Item {
    Task(Arc<Task>),
    Block(Block),
    Role(RoleTasks),
}

impl Item {
    /// The role, if it is one.
    pub fn role(&self) -> Option<&Arc<Role>> {
        match self {
            Self::Role(tasks) => Some(&tasks.role),
            _ => None,
        }
    }

    /// Its tasks in order.
    pub fn tasks(&self, which: Tasks) -> Vec<&Arc<Task>> {
        let parts = match self {
            Self::Task(task) => return vec![task],
            Self::Role(tasks) => vec![&tasks.items],
            Self::Block(block) => match which {
                Tasks::All => vec![&block.block, &block.rescue, &block.always],
                Tasks::Unfailing => vec![&block.block, &block.always],
                Tasks::Listed => vec![&block.block],
            },
        };
        parts.into_iter().flatten().flat_map(|item| item.tasks(which)).collect()
    }
}

/// Which tasks of blocks are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tasks {
    All,
    /// Those that run when none fails.
    Unfailing,
    /// Those that Ansible lists: neither those of `rescue` nor of `always`.
    Listed,
}

/// Tasks with what happens when one of them fails. Its keywords are in its tasks.
#[derive(Debug)]
pub struct Block {
    pub name: Option<Node>,
    pub block: Vec<Item>,
    pub rescue: Vec<Item>,
    pub always: Vec<Item>,
    pub span: Span,
}

/// One task, or one handler.
#[derive(Clone, Debug)]
pub struct Task {
    pub name: Option<Node>,
    /// Short name, `_` between words.
    pub module: String,
    /// As the playbook writes it, for the output of tasks without a name.
    pub written_module: String,
    /// The arguments that are given by name; a mapping.
    pub arguments: Option<Node>,
    /// The text behind `command:` and its like.
    pub free_form: Option<Node>,
    /// Its own keywords over those it inherits.
    pub keywords: Arc<Keywords>,
    /// Only what it inherits: what the tasks of a file that it includes inherit.
    pub outer: Arc<Keywords>,
    pub loop_: Option<Loop>,
    pub loop_control: LoopControl,
    pub register: Option<String>,
    pub until: Vec<Node>,
    pub retries: Option<Node>,
    pub delay: Option<Node>,
    pub changed_when: Vec<Node>,
    pub failed_when: Vec<Node>,
    pub async_: Option<Node>,
    pub poll: Option<Node>,
    pub notify: Vec<Node>,
    /// Topics that a handler answers to beside its name.
    pub listen: Vec<String>,
    pub handler: bool,
    /// A block around it has a rescue.
    pub rescued: bool,
    /// The role that it belongs to.
    pub role: Option<Arc<Role>>,
    /// Where it begins.
    pub span: Span,
}

/// `loop`, or `with_` and a lookup.
#[derive(Clone, Debug)]
pub struct Loop {
    /// `loop`, or the name of the lookup (`items` of `with_items`).
    pub kind: String,
    pub node: Node,
}

#[derive(Clone, Debug)]
pub struct LoopControl {
    pub loop_var: Option<String>,
    pub index_var: Option<String>,
    pub label: Option<Node>,
    /// Seconds between two items.
    pub pause: Option<Node>,
    pub extended: bool,
    pub extended_allitems: bool,
    /// Conditions after which no further item is taken.
    pub break_when: Vec<Node>,
}

impl Default for LoopControl {
    fn default() -> Self {
        Self {
            loop_var: None,
            index_var: None,
            label: None,
            pause: None,
            extended: false,
            extended_allitems: true,
            break_when: Vec::new(),
        }
    }
}

impl Play {
    /// The folder of its file, where files and templates are looked for.
    pub fn directory(&self) -> PathBuf {
        self.span.path().parent().map(PathBuf::from).unwrap_or_default()
    }
}

impl Task {
    /// Whether it is tried more than once.
    pub fn is_retried(&self) -> bool {
        !self.until.is_empty() || self.retries.is_some()
    }

    /// A task that does nothing but run `module`.
    pub fn new(module: &str, keywords: Arc<Keywords>, span: Span) -> Self {
        Self {
            name: None,
            module: module.to_owned(),
            written_module: module.to_owned(),
            arguments: None,
            free_form: None,
            outer: keywords.clone(),
            keywords,
            loop_: None,
            loop_control: LoopControl::default(),
            register: None,
            until: Vec::new(),
            retries: None,
            delay: None,
            changed_when: Vec::new(),
            failed_when: Vec::new(),
            async_: None,
            poll: None,
            notify: Vec::new(),
            listen: Vec::new(),
            handler: false,
            rescued: false,
            role: None,
            span,
        }
    }

    /// What it is called while it runs, given its rendered name.
    pub fn title(&self, name: Option<&str>) -> String {
        if self.module == "include_role" {
            let role = self.arguments.as_ref();
            let role = role.and_then(|node| node.get("name").or_else(|| node.get("role")));
            let role = role.and_then(Node::as_str).unwrap_or_default();
            return name.map_or_else(|| format!("{} : {role}", self.written_module), str::to_owned);
        }
        let name = name.unwrap_or(&self.written_module);
        match &self.role {
            Some(role) => format!("{} : {name}", role.body.name),
            None => name.to_owned(),
        }
    }

    /// Its own tags and the inherited ones, sorted.
    pub fn tags(&self) -> &[String] {
        &self.keywords.tags
    }
}
