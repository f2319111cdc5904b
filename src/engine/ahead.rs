//! Items of a loop that are sent to the host ahead of their turn: when nothing on the
//! controller is needed between them, a loop costs one round trip, not one per item.

use std::collections::VecDeque;
use std::sync::Arc;

use super::host_task::{HostTask, Once};
use super::invoke::{self, Invocation};
use super::loops;
use super::recorder::Subject;
use super::result;
use crate::actions::{self, Context, Error, Failure, Remote, guard};
use crate::agent::protocol::Request;
use crate::playbook::LoopControl;
use crate::source::Node;
use crate::template::{self, Scope, Value, Variable};
use crate::transport::Pending;
use crate::vars::{Layer, TaskScope};

/// How many items are sent at once.
const WINDOW: usize = 256;

/// What became of an item ahead of its turn.
pub(super) struct Ahead {
    index: usize,
    once: Once,
    /// None when it needs nothing of the host: its condition is false, or it failed before.
    answer: Option<(Invocation, Result<Pending, Error>)>,
}

/// An item as it would be sent.
struct Prepared {
    index: usize,
    once: Once,
    request: Option<(Remote, Request, Invocation)>,
}

impl HostTask<'_> {
    /// Whether an item never waits for what came of the one before, as far as the task's
    /// own words go.
    pub fn goes_ahead(&self) -> bool {
        let task = self.task;
        let control = &task.loop_control;
        !task.is_retried()
            && task.async_.is_none()
            && control.pause.is_none()
            && control.break_when.is_empty()
            && !self.asks_for_own_result()
            && self.run.catalogue.is_host_module(&task.module)
            && self.run.recorder.lets_go_ahead(task)
            // They first take the cluster's lock.
            && !guard::LOCKS.contains(&&*task.module)
    }

    /// Whether the task names the variable that it registers: an item sees there what came
    /// of the one before.
    fn asks_for_own_result(&self) -> bool {
        let Some(name) = &self.task.register else { return false };
        let task = self.task;
        let keywords = &task.keywords;
        let nodes =
            [&task.arguments, &task.free_form, &keywords.delegate_to, &keywords.become_user];
        let lists = [&keywords.when, &keywords.environment, &task.notify];
        let mut nodes = nodes.into_iter().flatten().chain(lists.into_iter().flatten());
        let of_layer = |layer: &Layer| {
            layer.values().any(|variable| match variable {
                Variable::Source(node) => mentions(node, name),
                Variable::Data(_) => false,
            })
        };
        nodes.any(|node| mentions(node, name)) || keywords.vars.iter().any(|l| of_layer(l))
    }

    /// Sends the items from `from` on, the first one in any case. Also tells whether it is
    /// worth trying with those behind them.
    pub(super) async fn send_ahead(
        &self,
        control: &LoopControl,
        items: &[Value],
        from: usize,
        no_log: bool,
    ) -> (VecDeque<Ahead>, bool) {
        let mut prepared = Vec::new();
        let mut go_on = true;
        for index in from..items.len().min(from + WINDOW) {
            let asked = template::lookups_asked();
            let Some(next) = self.prepare(control, items, index, &prepared) else { break };
            // What was looked up may be another after the item before: only who is next may look.
            go_on = template::lookups_asked() == asked;
            if go_on || index == from {
                prepared.push(next);
            }
            if !go_on {
                break;
            }
        }
        (self.send(prepared, no_log).await, go_on)
    }

    /// None when it is not for the same host and user as those before, or was done before
    /// this run was resumed.
    fn prepare(
        &self,
        control: &LoopControl,
        items: &[Value],
        index: usize,
        before: &[Prepared],
    ) -> Option<Prepared> {
        if self.is_done(index) {
            return None;
        }
        let locals = loops::locals(control, items, index);
        let scope = self.scope.with_locals(locals);
        let target = self.target(&scope);
        let scope: Arc<dyn Scope> = Arc::new(self.with_delegate(&scope, target.as_deref()));
        let mut once = Once { delegated_to: target, ..Once::default() };
        let request = match self.request_of(&scope, &mut once) {
            Ok(request) => request,
            Err(failure) => {
                once.result = result::of_failure(failure);
                None
            }
        };
        let first = before.iter().find_map(|prepared| prepared.request.as_ref());
        if let (Some((remote, ..)), Some((first, ..))) = (&request, first)
            && (remote.endpoint != first.endpoint || remote.become_ != first.become_)
        {
            return None;
        }
        Some(Prepared { index, once, request })
    }

    fn request_of(
        &self,
        scope: &Arc<dyn Scope>,
        once: &mut Once,
    ) -> Result<Option<(Remote, Request, Invocation)>, Failure> {
        if let Some(condition) = self.false_condition(scope)? {
            once.delegated_to = None;
            once.result = result::skipped(&condition);
            return Ok(None);
        }
        self.delegate(scope, once)?;
        once.notices = self.notices(scope)?;
        let there = self.there(scope, once);
        let templar = self.run.templar();
        let invocation = Invocation::of(self.run, self.task, templar, scope, &there)?;
        let context: Context = self.context(scope, once)?;
        Ok(match invoke::request(&invocation) {
            Some((name, arguments, files)) if files.is_empty() => {
                let request = context.request(name, arguments);
                Some((context.remote, request, invocation))
            }
            _ => return Err(Failure::new("the module is not run on the host")),
        })
    }

    async fn send(&self, prepared: Vec<Prepared>, no_log: bool) -> VecDeque<Ahead> {
        let subject = Subject { task: self.task, info: &self.info, no_log };
        let (mut requests, mut remote) = (Vec::new(), None);
        let mut ahead: VecDeque<Ahead> = VecDeque::with_capacity(prepared.len());
        let (mut asking, mut invocations) = (Vec::new(), Vec::new());
        for (place, Prepared { index, mut once, request }) in prepared.into_iter().enumerate() {
            if let Some((to, request, invocation)) = request {
                let key = self.key(Some(index));
                match self.run.recorder.begin(key.as_ref(), &subject, &invocation).await {
                    Ok(()) => {
                        remote.get_or_insert(to);
                        requests.push(request);
                        asking.push(place);
                        invocations.push(invocation);
                    }
                    Err(failure) => once.result = result::of_failure(failure),
                }
            }
            ahead.push_back(Ahead { index, once, answer: None });
        }
        let Some(remote) = remote else { return ahead };
        let count = asking.len();
        let answers: Vec<Result<Pending, Error>> = match remote.call_in_order(requests).await {
            Ok(pending) => pending.into_iter().map(Ok).collect(),
            Err(error) => (0..count).map(|_| Err(error.clone().into())).collect(),
        };
        for (index, sent) in asking.into_iter().zip(invocations.into_iter().zip(answers)) {
            if let Some(item) = ahead.get_mut(index) {
                item.answer = Some(sent);
            }
        }
        ahead
    }

    /// What came of an item that was sent ahead, once its turn has come.
    pub(super) async fn arrived(&self, ahead: Ahead, scope: &TaskScope, no_log: bool) -> Once {
        let Ahead { index, mut once, answer } = ahead;
        if let Some((invocation, answer)) = answer {
            let scope = self.with_delegate(scope, once.delegated_to.as_deref());
            once.result = self.answered(&invocation, answer, &scope).await;
        }
        if result::flag(&once.result, "unreachable") {
            once.address = None;
        }
        let subject = Subject { task: self.task, info: &self.info, no_log };
        let (key, delegated_to) = (self.key(Some(index)), once.delegated_to.as_ref());
        let dynamic: Arc<dyn Scope> = Arc::new(scope.clone());
        let status = self.status(&once.result, &dynamic);
        self.run.recorder.end(key.as_ref(), &subject, &once.result, &[], delegated_to, status);
        once
    }

    async fn answered(
        &self,
        invocation: &Invocation,
        answer: Result<Pending, Error>,
        scope: &TaskScope,
    ) -> result::Result {
        let outcome = match answer {
            Ok(pending) => match pending.response().await {
                Ok(response) => actions::outcome(response.result),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        let mut raw = invoke::result_of(invocation, outcome);
        result::say_whether_failed(&mut raw);
        self.judge(raw, scope).unwrap_or_else(result::of_failure)
    }
}

fn mentions(node: &Node, name: &str) -> bool {
    node.to_json().to_string().contains(name)
}
