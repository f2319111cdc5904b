//! Tasks that were done before the run was resumed, and had taken the lock of a cluster.

use std::sync::Arc;

use super::host_task::{HostTask, Once};
use super::result;
use crate::actions::{Failure, guard};
use crate::template::Scope;
use crate::vars::TaskScope;

impl HostTask<'_> {
    /// Takes the lock again that such a task had taken; `once` is what the journal has of it.
    pub(super) async fn relocked(&self, scope: &TaskScope, mut once: Once) -> Once {
        let module = &*self.task.module;
        if result::flag(&once.result, "skipped") || !self.run.session.guard.had_locked(module).await
        {
            return once;
        }
        if let Err(failure) = self.relock(scope, &once).await {
            once.result = result::of_failure(failure);
            once.resumed = false;
        }
        once
    }

    async fn relock(&self, scope: &TaskScope, once: &Once) -> Result<(), Failure> {
        let scope = self.with_delegate(scope, once.delegated_to.as_deref());
        let dynamic: Arc<dyn Scope> = Arc::new(scope);
        let delegated_to = once.delegated_to.clone();
        let mut there = Once { delegated_to, ..Once::default() };
        guard::enter_again(self.context(&dynamic, &mut there)?).await
    }
}
