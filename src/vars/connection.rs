//! What a task knows of its connection though no variable says it: the other name of a
//! variable that is set, the task's keyword, the settings.

use std::sync::Arc;

use super::TaskScope;
use crate::playbook::Keywords;
use crate::secret::Secret;
use crate::source::Node;
use crate::template::{Scope, Value, Variable};

/// The settings of the run that tasks see as variables of their connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionVars {
    pub connection: Option<String>,
    pub user: Option<String>,
    pub port: Option<u16>,
    /// Seconds to wait for a connection.
    pub timeout: u64,
    pub private_key: Option<String>,
    /// That of the login, which was typed or is in a file.
    pub password: Option<Secret>,
}

/// Names of one thing; a task sees both when one is set.
const ALIASES: &[(&str, &str)] = &[
    ("ansible_host", "ansible_ssh_host"),
    ("ansible_user", "ansible_ssh_user"),
    ("ansible_password", "ansible_ssh_pass"),
    ("ansible_port", "ansible_ssh_port"),
    ("ansible_timeout", "ansible_ssh_timeout"),
    ("ansible_private_key_file", "ansible_ssh_private_key_file"),
    ("ansible_pipelining", "ansible_ssh_pipelining"),
];

/// All that a connection tells.
const NAMES: &[&str] = &[
    "ansible_connection",
    "ansible_connection_user",
    "ansible_host",
    "ansible_password",
    "ansible_pipelining",
    "ansible_port",
    "ansible_private_key_file",
    "ansible_shell_executable",
    "ansible_ssh_host",
    "ansible_ssh_pass",
    "ansible_ssh_pipelining",
    "ansible_ssh_port",
    "ansible_ssh_private_key_file",
    "ansible_ssh_timeout",
    "ansible_ssh_user",
    "ansible_timeout",
    "ansible_user",
];

/// The value of a variable that is not set; `hostvars` do not have it.
pub fn lookup(scope: &TaskScope, keywords: &Arc<Keywords>, name: &str) -> Option<Variable> {
    if !NAMES.contains(&name) {
        return None;
    }
    let other = ALIASES.iter().find_map(|(one, other)| match name {
        name if name == *one => Some(*other),
        name if name == *other => Some(*one),
        _ => None,
    });
    let target = scope.target();
    let names = [Some(name), other];
    if let Some(set) = names.into_iter().flatten().find_map(|name| target.lookup_set(name)) {
        return Some(set);
    }
    let run = &scope.manager().run().connection;
    let keyword = |node: &Option<Node>| {
        // Not in this scope: the keyword may name the variable that it gives.
        let plain: Arc<dyn Scope> = Arc::new(scope.outside_task());
        let value = scope.manager().templar().render(node.as_ref()?, &plain).ok()?;
        Some(value).filter(|value| !value.is_none())
    };
    let value = match name {
        "ansible_connection" => keyword(&keywords.connection)
            .unwrap_or_else(|| Value::from(run.connection.as_deref().unwrap_or("ssh"))),
        "ansible_host" | "ansible_ssh_host" => Value::from(target.host()),
        "ansible_user" | "ansible_ssh_user" => match keyword(&keywords.remote_user) {
            Some(user) => user,
            None => Value::from(run.user.clone()?),
        },
        "ansible_connection_user" => return scope.lookup("ansible_user"),
        // The variable would win over the keyword.
        "ansible_port" | "ansible_ssh_port" if keywords.port.is_none() => Value::from(run.port?),
        "ansible_timeout" | "ansible_ssh_timeout" => Value::from(run.timeout),
        "ansible_private_key_file" | "ansible_ssh_private_key_file" => {
            Value::from(run.private_key.clone()?)
        }
        "ansible_password" | "ansible_ssh_pass" => Value::from(run.password.as_ref()?.expose()),
        "ansible_pipelining" | "ansible_ssh_pipelining" => Value::from(false),
        "ansible_shell_executable" => Value::from("/bin/sh"),
        _ => return None,
    };
    Some(Variable::Data(value))
}
