//! Tunnels through the control planes to the apiserver that their admin.conf names.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::cluster::admin_conf;
use super::{Error, Remote};
use crate::kubernetes::{Api, ApiError, Source, Ways, client, server_of};
use crate::secret::Secret;

/// For a way to be found and answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// The ways to one cluster: one through each of its control planes.
pub struct Tunnels {
    planes: Vec<Remote>,
    kubeconfig: Secret,
    /// As the control planes see it.
    server: (String, u16),
    taken: Mutex<Taken>,
}

/// The way that is taken.
struct Taken {
    plane: usize,
    address: (String, u16),
}

impl Tunnels {
    /// Through the first control plane that can be reached.
    pub async fn open(planes: Vec<Remote>) -> Result<Api, Error> {
        let mut first_error = None;
        for plane in 0..planes.len() {
            match Self::through(&planes, plane).await {
                Ok((tunnels, client)) => return Ok(Api::with_ways(client, Box::new(tunnels))),
                Err(Error::Unreachable(error)) => {
                    first_error.get_or_insert(Error::Unreachable(error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(first_error.unwrap_or_else(|| Error::failed("there is no control plane")))
    }

    async fn through(planes: &[Remote], plane: usize) -> Result<(Self, kube::Client), Error> {
        let remote = &planes[plane];
        let kubeconfig = admin_conf(remote).await?;
        let server = server_of(&kubeconfig)?;
        let address = remote.pool.forward(&remote.endpoint, &server.0, server.1).await?;
        let source = Source::Tunnel { kubeconfig: kubeconfig.clone(), address: address.clone() };
        let client = client(&source).await?;
        let taken = Mutex::new(Taken { plane, address });
        Ok((Self { planes: planes.to_vec(), kubeconfig, server, taken }, client))
    }

    /// A client through this control plane that is answered, unless that is the way of now.
    async fn try_plane(&self, plane: usize, taken: &mut Taken) -> Option<kube::Client> {
        let remote = &self.planes[plane];
        let (host, port) = &self.server;
        let address = remote.pool.forward(&remote.endpoint, host, *port).await.ok()?;
        if address == taken.address {
            return None;
        }
        let kubeconfig = self.kubeconfig.clone();
        let client = client(&Source::Tunnel { kubeconfig, address: address.clone() }).await.ok()?;
        // Whatever the apiserver says, it is there.
        match Api::new(client.clone()).text("/readyz").await {
            Ok(_) | Err(ApiError::Status { .. }) => {}
            Err(_) => return None,
        }
        *taken = Taken { plane, address };
        Some(client)
    }
}

impl Ways for Tunnels {
    /// The next control planes first: the one of now may be what is the matter.
    fn another(&self) -> BoxFuture<'_, Option<kube::Client>> {
        async move {
            let mut taken = self.taken.lock().await;
            let (count, now) = (self.planes.len(), taken.plane);
            for plane in (1..=count).map(|step| (now + step) % count) {
                let client = timeout(PATIENCE, self.try_plane(plane, &mut taken)).await;
                if let Ok(Some(client)) = client {
                    return Some(client);
                }
            }
            None
        }
        .boxed()
    }
}
