//! From a kubeconfig to a client.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::{Api, ApiError};
use crate::secret::Secret;

const CONNECT: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(60);

/// Where the access to the cluster comes from.
pub enum Source {
    /// A kubeconfig of the operator's.
    File { path: PathBuf, context: Option<String> },
    /// What $KUBECONFIG names, or else ~/.kube/config.
    Environment { context: Option<String> },
    /// The text of a kubeconfig (admin.conf of a control plane) whose server is reached
    /// through a tunnel; its certificate is still checked for the server's own name.
    Tunnel { kubeconfig: Secret, address: (String, u16) },
}

/// Nothing is sent yet.
pub async fn connect(source: &Source) -> Result<Api, ApiError> {
    client(source).await.map(Api::new)
}

/// Makes the client.
pub async fn client(source: &Source) -> Result<Client, ApiError> {
    let (kubeconfig, context) = match source {
        Source::File { path, context } => {
            let read = Kubeconfig::read_from(path);
            (read.map_err(|error| unread(&error, &path.display().to_string()))?, context.clone())
        }
        Source::Environment { context } => {
            let read = Kubeconfig::read();
            (read.map_err(|error| unread(&error, "$KUBECONFIG"))?, context.clone())
        }
        Source::Tunnel { kubeconfig, .. } => (parse(kubeconfig.expose(), "admin.conf")?, None),
    };
    if let Some(name) = &context {
        has_context(&kubeconfig, name)?;
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| ApiError::Other(format!("the kubeconfig cannot be used: {error}")))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(READ);
    // The client's own retries of 429 grow to minutes and hide what a budget says; `Api`
    // and the drain repeat requests by themselves.
    config.default_retry = false;
    if let Source::Tunnel { address: (host, port), .. } = source {
        let server = host_of(&config.cluster_url).unwrap_or_default().to_owned();
        if config.tls_server_name.is_none() {
            config.tls_server_name = Some(server);
        }
        let url = url(host, *port);
        config.cluster_url =
            url.parse().map_err(|error| ApiError::Other(format!("{url}: {error}")))?;
    }
    Client::try_from(config)
        .map_err(|error| ApiError::Other(format!("the kubeconfig cannot be used: {error}")))
}

/// The host and port of the server that a kubeconfig names.
pub fn server_of(kubeconfig: &Secret) -> Result<(String, u16), ApiError> {
    let wrong = || ApiError::Other("admin.conf names no server".to_owned());
    let parsed = parse(kubeconfig.expose(), "admin.conf")?;
    let server = parsed
        .clusters
        .first()
        .and_then(|cluster| cluster.cluster.as_ref()?.server.clone())
        .ok_or_else(wrong)?;
    let uri: http::Uri = server.parse().map_err(|_| wrong())?;
    Ok((host_of(&uri).ok_or_else(wrong)?.to_owned(), uri.port_u16().unwrap_or(443)))
}

/// The host of a URL. An IPv6 address is in brackets there alone: neither TLS nor a tunnel knows
/// it by them.
fn host_of(uri: &http::Uri) -> Option<&str> {
    Some(uri.host()?.trim_matches(['[', ']']))
}

fn url(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("https://[{host}]:{port}"),
        false => format!("https://{host}:{port}"),
    }
}

fn parse(text: &str, name: &str) -> Result<Kubeconfig, ApiError> {
    Kubeconfig::from_yaml(text).map_err(|error| unread(&error, name))
}

fn unread(error: &KubeconfigError, name: &str) -> ApiError {
    ApiError::Other(match error {
        KubeconfigError::ReadConfig(error, path) => {
            format!("the kubeconfig {} cannot be read: {error}", path.display())
        }
        KubeconfigError::FindPath => "there is no home folder with a .kube/config".to_owned(),
        // The error's text may hold a part of the file, which holds keys.
        _ => format!("{name} is not a kubeconfig that can be read"),
    })
}

fn has_context(kubeconfig: &Kubeconfig, wanted: &str) -> Result<(), ApiError> {
    let names: Vec<&str> = kubeconfig.contexts.iter().map(|known| known.name.as_str()).collect();
    if names.contains(&wanted) {
        return Ok(());
    }
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Err(ApiError::Other(format!("the kubeconfig has no context '{wanted}': there are {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin_conf(server: &str) -> Secret {
        Secret::new(format!(
            "{{apiVersion: v1, kind: Config, current-context: a,\n\
             clusters: [{{name: a, cluster: {{server: \"{server}\"}}}}],\n\
             users: [{{name: a, user: {{}}}}],\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]}}\n"
        ))
    }

    #[test]
    fn an_ipv6_address_has_brackets_in_urls_alone() {
        let server = |url: &str| server_of(&admin_conf(url)).expect("a server");
        assert_eq!(server("https://[fd00::1]:6443"), ("fd00::1".to_owned(), 6443));
        assert_eq!(server("https://api.example"), ("api.example".to_owned(), 443));
        assert_eq!(url("fd00::1", 6443), "https://[fd00::1]:6443");
        assert_eq!(url("10.0.0.1", 6443), "https://10.0.0.1:6443");
    }

    #[tokio::test]
    async fn a_server_with_an_ipv6_address_is_reached_through_a_tunnel_and_without_one() {
        for host in ["127.0.0.1", "fd00::1"] {
            let kubeconfig = admin_conf("https://[fd00::1]:6443");
            let address = (host.to_owned(), 6443);
            let made = client(&Source::Tunnel { kubeconfig, address }).await;
            assert!(made.is_ok(), "through {host}: {:?}", made.err());
        }
    }
}
