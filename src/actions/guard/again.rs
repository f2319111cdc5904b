//! The lock of a run that is resumed. It takes it again where it had taken it, although the
//! task that did is done: what is left of the run may change the cluster too, and a Lease that
//! the run could not give up when it ended is given up by nobody else.

use std::sync::Arc;

use tokio::time::timeout;

use super::lock::RELEASE;
use super::{Guard, enter, enter_or_lock_file};
use crate::actions::{Context, Failure};
use crate::journal::{Access, DRAINS};

/// Modules before whose tasks the lock is taken.
const LOCKING: [&str; 6] =
    ["etcd_snapshot", "host_state", "k8s_restore", "kubeadm", "static_pods", "upgrade_guard"];

/// Locks of the run before it was resumed.
#[derive(Default)]
pub struct Had {
    /// Not taken again yet.
    left: Vec<Access>,
    /// Those whose API did not answer, with what it takes to ask again.
    silent: Vec<(Access, Arc<Context>)>,
}

impl Had {
    pub fn of(left: Vec<Access>) -> Self {
        Self { left, silent: Vec::new() }
    }
}

impl Guard {
    /// Whether a task that was done before the run was resumed is one to take its lock again.
    pub async fn had_locked(&self, module: &str) -> bool {
        let locks = LOCKING.contains(&module) || DRAINS.contains(&module);
        locks && !self.had.lock().await.left.is_empty()
    }
}

/// Takes the locks that the run had, with the privileges of the task that took them. Only a
/// lock that somebody else holds is an error.
pub async fn enter_again(context: Context) -> Result<(), Failure> {
    let context = Arc::new(context);
    let guard = &context.session.guard;
    // Held meanwhile, so that no other host goes on before the locks are taken.
    let mut had = guard.had.lock().await;
    for access in std::mem::take(&mut had.left) {
        if !guard.has_entered(&access).await && !enter_or_lock_file(&context, &access).await? {
            had.silent.push((access, context.clone()));
        }
    }
    Ok(())
}

/// At the end of the run: a cluster whose API did not answer may have the Lease of before
/// still. It is this run's when it is taken, and can be given up.
pub async fn settle(guard: &Guard) {
    let silent = std::mem::take(&mut guard.had.lock().await.silent);
    for (access, context) in silent {
        if guard.refused().is_none() && !guard.has_entered(&access).await {
            let (kubeconfig, name) = (access.kubeconfig.as_deref(), access.context.as_deref());
            // One that does not answer now either keeps its Lease.
            let _ = timeout(RELEASE, enter(&context, kubeconfig, name)).await;
        }
    }
}
