//! The cluster that Kubernetes actions talk to.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::tunnels::Tunnels;
use super::{Context, Error, Failure, Remote, files};
use crate::agent::protocol::Request;
use crate::kubernetes::{Api, ApiError, Source, connect};
use crate::secret::Secret;
use crate::template::Variable;

/// Groups whose first host is asked, by the names that inventories give them.
const CONTROL_PLANES: &[&str] =
    &["kube_control_plane", "kube-master", "control_plane", "control_planes", "masters", "master"];
/// How long an attempt of a task that is retried waits for the API: with the patience of the
/// others its retries would add up to hours.
const PATIENCE_OF_ATTEMPT: Duration = Duration::from_secs(10);
const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        let status = error.code().and_then(|code| http::StatusCode::from_u16(code).ok());
        let failure = Failure::new(error.to_string());
        match status.and_then(|status| status.canonical_reason()) {
            Some(reason) => failure.with("reason", reason).into(),
            None => failure.into(),
        }
    }
}

/// The cluster of a kubeconfig: the task's own, the one that K8S_AUTH_KUBECONFIG names,
/// or else admin.conf of the first control plane that is reached, through an ssh tunnel.
/// Connections are shared by all tasks of the run.
pub async fn of(
    context: &Context,
    kubeconfig: Option<&str>,
    kube_context: Option<&str>,
) -> Result<Api, Error> {
    let api = lasting(context, kubeconfig, kube_context).await?;
    Ok(match context.is_retried {
        true => api.with_patience(PATIENCE_OF_ATTEMPT),
        false => api,
    })
}

/// The same for what outlives an attempt: the lock, and what is undone at the end of the run.
pub async fn lasting(
    context: &Context,
    kubeconfig: Option<&str>,
    kube_context: Option<&str>,
) -> Result<Api, Error> {
    let named = kubeconfig.map(str::to_owned).or_else(|| std::env::var("K8S_AUTH_KUBECONFIG").ok());
    let key = format!("{named:?} {kube_context:?}");
    // Held while connecting, so that hosts of one batch do not connect one by one.
    let mut clusters = context.session.clusters.lock().await;
    if let Some(api) = clusters.get(&key) {
        return Ok(api.clone());
    }
    let api = match named {
        Some(path) => {
            let context = kube_context.map(str::to_owned);
            connect(&Source::File { path: files::expand_home(&path), context }).await?
        }
        None => Tunnels::open(control_planes(context)?).await?,
    };
    clusters.insert(key, api.clone());
    Ok(api)
}

/// Whether the cluster's API answers, asked once and without patience.
pub async fn is_up(
    context: &Context,
    kubeconfig: Option<&str>,
    kube_context: Option<&str>,
) -> Result<(), Error> {
    let api = of(context, kubeconfig, kube_context).await?;
    Ok(api.text("/readyz").await.map(drop)?)
}

/// The first control plane, with the privileges that the task has.
pub fn control_plane(context: &Context) -> Result<Remote, Error> {
    Ok(control_planes(context)?.swap_remove(0))
}

/// All of them, the first one first.
fn control_planes(context: &Context) -> Result<Vec<Remote>, Error> {
    let hosts = &context.session.hosts;
    let names = CONTROL_PLANES.iter().map(|group| hosts.group(group));
    let names = names.into_iter().find(|names| !names.is_empty()).ok_or_else(|| {
        Error::failed(format!(
            "no kubeconfig is given, and the inventory has none of the groups {}: name one with \
             the argument kubeconfig or in K8S_AUTH_KUBECONFIG",
            CONTROL_PLANES.join(", ")
        ))
    })?;
    names.iter().map(|name| remote(context, name)).collect()
}

/// The apiserver of one control plane at its own address, past every load balancer.
pub async fn apiserver(
    context: &Context,
    host: &str,
    address: &str,
    port: u16,
) -> Result<Api, Error> {
    let kubeconfig = admin_conf(&control_plane(context)?).await?;
    let remote = remote(context, host)?;
    let address = remote.pool.forward(&remote.endpoint, address, port).await?;
    Ok(connect(&Source::Tunnel { kubeconfig, address }).await?)
}

/// Another host, with the privileges that the task has.
pub fn remote(context: &Context, host: &str) -> Result<Remote, Error> {
    if context.remote.host == host {
        return Ok(context.remote.clone());
    }
    let mut remote = context.session.hosts.remote(host)?;
    // Whom the task becomes here it becomes there too.
    remote.become_ = remote.become_.or_else(|| context.remote.become_.clone());
    Ok(remote)
}

/// The hosts that a magic variable lists (`ansible_play_batch`).
pub fn hosts_in(context: &Context, variable: &str) -> Vec<String> {
    let Some(Variable::Data(hosts)) = context.scope.lookup(variable) else {
        return Vec::new();
    };
    let names = hosts.try_iter().into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

pub(super) async fn admin_conf(remote: &Remote) -> Result<Secret, Error> {
    let request = Request {
        module: "slurp".to_owned(),
        arguments: Map::from_iter([("src".to_owned(), json!(ADMIN_CONF))]),
        ..Request::default()
    };
    let result = remote.call(request, Vec::new()).await?;
    let content = result.get("content").and_then(Json::as_str);
    let text = content.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    text.map(Secret::new).ok_or_else(|| {
        let why = result.get("msg").and_then(Json::as_str).unwrap_or("it is not text");
        Error::failed(format!(
            "{ADMIN_CONF} cannot be read on {} ({why}): become root there, or name a kubeconfig",
            remote.host
        ))
    })
}
