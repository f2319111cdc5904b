//! `synchronize`: rsync between the controller, or the host that the task is delegated
//! to, and the host.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::{Action, Context, Error, Outcome};
use crate::modules::{self, Context as HostContext, Module, synchronize};
use crate::source;
use crate::transport::{ConnectionKind, Endpoint};

use schemars::JsonSchema;
use serde::Deserialize;

/// Keeps a folder the same here and there. Its arguments are those of the host module.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Synchronize(Map<String, Json>);

impl JsonSchema for Synchronize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Synchronize".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        synchronize::Synchronize::json_schema(generator)
    }
}

impl Action for Synchronize {
    const NAME: &'static str = "synchronize";

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let mut arguments = self.0;
        arguments.retain(|_, value| !value.is_null());
        let text = |name: &str| arguments.get(name).and_then(Json::as_str).map(str::to_owned);
        let (Some(src), Some(dest)) = (text("src"), text("dest")) else {
            return Err(Error::failed("synchronize requires both src and dest parameters are set"));
        };
        let pull = text("mode").as_deref() == Some("pull");
        let endpoint = &context.remote.endpoint;
        let delegated = is_delegated(context);
        let own = context.remote.host == context.host;
        let local = own && (delegated || endpoint.connection == ConnectionKind::Local);
        let here = |path: &str| absolute(context, path);
        let (src, dest) = if local {
            (here(&src), here(&dest))
        } else {
            let there = match delegated {
                true => Place::of_host(context)?,
                false => Place::of_endpoint(endpoint),
            };
            let named = is_on(&arguments, "set_remote_user", true);
            if is_on(&arguments, "use_ssh_args", false) && !endpoint.ssh_args.is_empty() {
                let line = shlex::try_join(endpoint.ssh_args.iter().map(String::as_str));
                let line = line.map_err(|error| Error::failed(error.to_string()))?;
                arguments.insert("_ssh_args".to_owned(), json!(line));
            }
            if let Some(port) = there.port {
                arguments.entry("dest_port").or_insert(json!(port));
            }
            if let Some(key) = &endpoint.private_key {
                arguments.entry("private_key").or_insert(json!(key));
            }
            as_other_user(&mut arguments, context);
            let remote = |path: &str| there.path(path, named);
            match pull {
                true => (remote(&src), here(&dest)),
                false => (here(&src), remote(&dest)),
            }
        };
        arguments.insert("src".to_owned(), json!(src));
        arguments.insert("dest".to_owned(), json!(dest));
        match local || delegated {
            true => context.module("synchronize", arguments, Vec::new()).await,
            false => on_controller(arguments, context).await,
        }
    }
}

/// A task may be delegated to its own host: then rsync runs there, from there to there.
fn is_delegated(context: &Context) -> bool {
    let asked = "{{ ansible_delegated_vars is defined }}";
    let answer = context.templar.render_text(asked, None, &context.scope);
    context.remote.host != context.host || answer.is_ok_and(|value| value.is_true())
}

/// rsync becomes the other user on its own.
fn as_other_user(arguments: &mut Map<String, Json>, context: &Context) {
    if let Some(become_) = context.remote.become_.as_ref().filter(|b| b.method == "sudo") {
        let path = format!("sudo -u {} rsync", become_.user);
        arguments.entry("rsync_path").or_insert(json!(path));
    }
}

async fn on_controller(arguments: Map<String, Json>, context: &Context) -> Result<Outcome, Error> {
    let host = HostContext {
        check: context.check,
        diff: context.diff,
        environment: context.environment.clone(),
        ..HostContext::default()
    };
    let run = move || {
        let module: synchronize::Synchronize =
            serde_json::from_value(modules::coerced::<synchronize::Synchronize>(Json::Object(
                arguments,
            )))
            .map_err(|error| Error::failed(format!("wrong arguments for synchronize: {error}")))?;
        module.run(&host).map_err(Error::from)
    };
    let done = tokio::task::spawn_blocking(run).await;
    done.unwrap_or_else(|error| Err(Error::failed(format!("rsync broke off: {error}"))))
}

fn is_on(arguments: &Map<String, Json>, name: &str, default: bool) -> bool {
    match arguments.get(name) {
        Some(Json::Bool(value)) => *value,
        Some(Json::String(text)) => source::boolean(text).unwrap_or(default),
        _ => default,
    }
}

/// The other side of the line.
struct Place {
    address: String,
    user: Option<String>,
    port: Option<u16>,
}

impl Place {
    fn of_endpoint(endpoint: &Endpoint) -> Self {
        let (address, user) = (endpoint.address.clone(), endpoint.user.clone());
        Self { address, user, port: endpoint.port }
    }

    /// The host that the task is for, as another host is to reach it.
    fn of_host(context: &Context) -> Result<Self, Error> {
        let own = |expression: &str| {
            let value = context.templar.render_text(expression, None, &context.scope);
            value.map(|value| value.to_string()).map_err(Error::from)
        };
        let host = &context.host;
        let address = match context.remote.host == *host {
            true => "127.0.0.1".to_owned(),
            false => {
                own(&format!("{{{{ hostvars['{host}'].ansible_host | default('{host}') }}}}"))?
            }
        };
        let user = own(&format!("{{{{ hostvars['{host}'].ansible_user | default('') }}}}"))?;
        let port = own(&format!("{{{{ hostvars['{host}'].ansible_port | default('') }}}}"))?;
        let user = Some(user).filter(|user| !user.is_empty());
        Ok(Self { address, user, port: port.trim().parse().ok() })
    }

    /// `user@host:path`; a path that names its host stays.
    fn path(&self, path: &str, named: bool) -> String {
        if path.starts_with("rsync://") {
            return path.to_owned();
        }
        let user = self.user.as_ref().filter(|_| named).map(|user| format!("{user}@"));
        let user = user.unwrap_or_default();
        match (path.contains(':'), path.contains('@')) {
            (true, true) => path.to_owned(),
            (true, false) => format!("{user}{path}"),
            (false, _) if self.address.contains(':') => format!("[{user}{}]:{path}", self.address),
            (false, _) => format!("{user}{}:{path}", self.address),
        }
    }
}

/// A path of the operator's: in `files/`, or beside the playbook.
fn absolute(context: &Context, path: &str) -> String {
    if path.contains(':') || path.starts_with('/') {
        return path.to_owned();
    }
    let expanded = super::files::expand_home(path);
    if expanded.is_absolute() {
        return expanded.display().to_string() + if path.ends_with('/') { "/" } else { "" };
    }
    let base = context.search.first().map_or_else(|| Path::new(".").to_owned(), Clone::clone);
    let in_files = base.join("files").join(path);
    let found = if in_files.exists() { in_files } else { base.join(path) };
    found.display().to_string()
}
