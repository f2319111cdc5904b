//! How a host is reached: its `ansible_*` variables, the task's keywords, the flags.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;

use super::Settings;
use super::keywords::{keyword_flag, keyword_of, text};
use crate::actions::{Failure, Remote, files::expand_home};
use crate::modules::users::{Database, name_of};
use crate::playbook::Keywords;
use crate::secret::Secret;
use crate::source;
use crate::template::{Scope, Templar, Value, Variable};
use crate::transport::{Become, ConnectionKind, Endpoint, Pool};

/// How another user can be become.
const METHODS: &[&str] = &["sudo", "su"];

/// Reads connection settings for one host in one scope.
pub struct Resolver<'a> {
    pub settings: &'a Settings,
    pub templar: &'a Templar,
    /// The variables of the host that is connected to.
    pub scope: &'a Arc<dyn Scope>,
    /// The variables that the task's keywords see.
    pub of_task: &'a Arc<dyn Scope>,
    /// The task's keywords; none when the host is reached outside of a task.
    pub keywords: Option<&'a Keywords>,
}

impl Resolver<'_> {
    /// Variables win over keywords, keywords over flags.
    pub fn remote(&self, host: &str, pool: &Arc<Pool>) -> Result<Remote, Failure> {
        let endpoint = self.endpoint(host)?;
        let become_ = self.become_()?.filter(|become_| !self.is_already(&endpoint, become_));
        Ok(Remote { host: host.to_owned(), endpoint, become_, pool: pool.clone() })
    }

    fn endpoint(&self, host: &str) -> Result<Endpoint, Failure> {
        let name = self
            .text(&["ansible_connection"])?
            .or(self.keyword(|k| k.connection.as_ref())?)
            .or_else(|| self.settings.connection.clone());
        let connection = match name.as_deref() {
            None | Some("ssh" | "smart" | "ansible.builtin.ssh" | "paramiko") => {
                ConnectionKind::Ssh
            }
            Some("local" | "ansible.builtin.local") => ConnectionKind::Local,
            Some("winrm" | "ansible.builtin.winrm") => ConnectionKind::Missing("winrm"),
            Some("psrp" | "ansible.builtin.psrp") => ConnectionKind::Missing("psrp"),
            Some(other) => {
                return Err(Failure::new(format!(
                    "{host}: the connection plugin '{other}' was not found; there are ssh and local"
                )));
            }
        };
        let port = match self.variable(&["ansible_port", "ansible_ssh_port"])? {
            Some(value) => Some(port(host, &value)?),
            None => match self.keyword(|k| k.port.as_ref())? {
                Some(text) => Some(port(host, &Value::from(text))?),
                None => self.settings.port,
            },
        };
        let settings = self.settings;
        let mut ssh_args = Vec::new();
        for (name, setting) in [
            ("ansible_ssh_args", &settings.ssh_args),
            ("ansible_ssh_common_args", &settings.ssh_common_args),
            ("ansible_ssh_extra_args", &settings.ssh_extra_args),
        ] {
            if let Some(text) = self.text(&[name])?.or_else(|| setting.clone()) {
                let words = shlex::split(&text).ok_or_else(|| {
                    Failure::new(format!("{host}: a quote in {name} is not closed: {text}"))
                })?;
                ssh_args.extend(words);
            }
        }
        let timeout = match self.variable(&["ansible_timeout", "ansible_ssh_timeout"])? {
            Some(value) => number(host, "ansible_timeout", &value)?,
            None => settings.timeout,
        };
        let retries = match self.variable(&["ansible_ssh_retries"])? {
            Some(value) => number(host, "ansible_ssh_retries", &value)?,
            None => settings.ssh_retries,
        };
        Ok(Endpoint {
            connection,
            address: self
                .text(&["ansible_host", "ansible_ssh_host"])?
                .unwrap_or_else(|| host.to_owned()),
            port,
            user: self
                .text(&["ansible_user", "ansible_ssh_user"])?
                .or(self.keyword(|k| k.remote_user.as_ref())?)
                .or_else(|| self.settings.user.clone()),
            private_key: self
                .text(&["ansible_private_key_file", "ansible_ssh_private_key_file"])?
                .map(|path| expand_home(&path))
                .or_else(|| settings.private_key.clone()),
            password: self
                .text(&["ansible_password", "ansible_ssh_pass", "ansible_ssh_password"])?
                .map(Secret::new)
                .or_else(|| settings.password.clone()),
            ssh: self
                .text(&["ansible_ssh_executable"])?
                .or_else(|| settings.ssh_executable.clone())
                .map_or_else(|| PathBuf::from("ssh"), |path| expand_home(&path)),
            ssh_args,
            timeout: Duration::from_secs(timeout),
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
            host_key_checking: self.host_key_checking()?,
        })
    }

    fn host_key_checking(&self) -> Result<bool, Failure> {
        let names = ["ansible_host_key_checking", "ansible_ssh_host_key_checking"];
        if let Some(value) = self.variable(&names)? {
            return Ok(truth(&value));
        }
        Ok(self.settings.host_key_checking)
    }

    fn become_(&self) -> Result<Option<Become>, Failure> {
        let wanted = match self.variable(&["ansible_become"])? {
            Some(value) => truth(&value),
            None => match self.keywords {
                Some(keywords) => {
                    keyword_flag(self.templar, keywords, |k| k.become_.as_ref(), self.of_task)?
                        .unwrap_or(self.settings.become_)
                }
                None => self.settings.become_,
            },
        };
        if !wanted {
            return Ok(None);
        }
        let settings = self.settings;
        let method = self
            .text(&["ansible_become_method"])?
            .or(self.keyword(|k| k.become_method.as_ref())?)
            .or_else(|| settings.become_method.clone())
            .unwrap_or_else(|| "sudo".to_owned());
        let method = method.strip_prefix("ansible.builtin.").unwrap_or(&method).to_owned();
        if !METHODS.contains(&method.as_str()) {
            return Err(Failure::new(format!(
                "Invalid become method specified, could not find matching plugin: '{method}'. \
                 There are {}.",
                METHODS.join(" and ")
            )));
        }
        // Every method has names of its own beside the common ones, and they win.
        let variable = |common: &[&str], own: &str| {
            let own = format!("ansible_{method}_{own}");
            self.text(&[common, &[own.as_str()]].concat())
        };
        let setting = |option: &str| {
            let own = format!("{}_BECOME_{option}", method.to_uppercase());
            let common = match option {
                "PASS" => "BECOME_PASS".to_owned(),
                option => format!("DEFAULT_BECOME_{option}"),
            };
            [own, common].iter().find_map(|name| settings.config.text(name))
        };
        Ok(Some(Become {
            user: variable(&["ansible_become_user"], "user")?
                .or(self.keyword(|k| k.become_user.as_ref())?)
                .or_else(|| settings.become_user.clone())
                .or_else(|| setting("USER"))
                .unwrap_or_else(|| "root".to_owned()),
            password: variable(&["ansible_become_password", "ansible_become_pass"], "pass")?
                .map(Secret::new)
                .or_else(|| settings.become_password.clone())
                .or_else(|| setting("PASS").map(Secret::new)),
            flags: self
                .set(&["ansible_become_flags", &format!("ansible_{method}_flags")])?
                .map(|flags| flags.to_string())
                .or(self.keyword(|k| k.become_flags.as_ref())?)
                .or_else(|| setting("FLAGS")),
            exe: variable(&["ansible_become_exe"], "exe")?
                .or(self.keyword(|k| k.become_exe.as_ref())?)
                .or_else(|| setting("EXE")),
            method,
        }))
    }

    /// Whether who connects is the one that is to be become: then nothing is asked of sudo,
    /// which a host where everybody is root may not have.
    fn is_already(&self, endpoint: &Endpoint, become_: &Become) -> bool {
        let connects = match endpoint.connection {
            ConnectionKind::Local => name_of(Database::Users, geteuid().as_raw()),
            _ => endpoint.user.clone(),
        };
        !self.settings.config.flag("BECOME_ALLOW_SAME_USER")
            && connects.as_ref() == Some(&become_.user)
    }

    fn keyword(
        &self,
        field: impl Fn(&Keywords) -> Option<&crate::source::Node>,
    ) -> Result<Option<String>, Failure> {
        let Some(keywords) = self.keywords else { return Ok(None) };
        let value = keyword_of(self.templar, keywords, field, self.of_task)?;
        Ok(value.as_ref().and_then(text))
    }

    fn text(&self, names: &[&str]) -> Result<Option<String>, Failure> {
        text_variable(self.templar, self.scope, names)
    }

    fn variable(&self, names: &[&str]) -> Result<Option<Value>, Failure> {
        variable(self.templar, self.scope, names)
    }

    fn set(&self, names: &[&str]) -> Result<Option<Value>, Failure> {
        set_variable(self.templar, self.scope, names)
    }
}

/// The last of these variables that is set, as text.
pub fn text_variable(
    templar: &Templar,
    scope: &Arc<dyn Scope>,
    names: &[&str],
) -> Result<Option<String>, Failure> {
    Ok(variable(templar, scope, names)?.map(|value| value.to_string()))
}

/// As [`set_variable`], an empty one counts as not set.
fn variable(
    templar: &Templar,
    scope: &Arc<dyn Scope>,
    names: &[&str],
) -> Result<Option<Value>, Failure> {
    Ok(set_variable(templar, scope, names)?.filter(|value| value.as_str() != Some("")))
}

/// The last of these variables that is set, as Ansible takes them; a null one is not.
fn set_variable(
    templar: &Templar,
    scope: &Arc<dyn Scope>,
    names: &[&str],
) -> Result<Option<Value>, Failure> {
    for name in names.iter().rev() {
        let value = match scope.lookup(name) {
            None => continue,
            Some(Variable::Data(value)) => value,
            Some(Variable::Source(node)) => {
                templar.render(&node, scope).map_err(|error| Failure::new(error.to_string()))?
            }
        };
        let unset = value.is_none() || value.is_undefined() || crate::template::is_omit(&value);
        if !unset {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

fn port(host: &str, value: &Value) -> Result<u16, Failure> {
    value.to_string().parse().map_err(|_| Failure::new(format!("{host}: '{value}' is not a port")))
}

fn number(host: &str, name: &str, value: &Value) -> Result<u64, Failure> {
    value.to_string().parse().map_err(|_| {
        Failure::new(format!("{host}: {name} must be a whole number of seconds, not '{value}'"))
    })
}

/// What Ansible's configuration takes for true.
pub fn truth(value: &Value) -> bool {
    match value.as_str() {
        Some(text) => source::boolean(text) == Some(true),
        None => value.is_true(),
    }
}
