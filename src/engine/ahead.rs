//! Items of a loop that are sent to the host ahead of their turn: when nothing on the
//! controller is needed between them, a loop costs one round trip, not one per item.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value as Json;

use super::host_task::{HostTask, Once};
use super::invoke::{self, Invocation};
use super::loops;
use super::recorder::Subject;
use super::result;
use crate::actions::{self, Ask, Context, Error, Failure, Remote, guard};
use crate::agent::protocol::Request;
use crate::playbook::LoopControl;
use crate::source::Node;
use crate::template::{self, Scope, Value, Variable};
use crate::transport::{ConnectionKind, Contents, Pending};
use crate::vars::{Layer, TaskScope};

/// How many items are sent at once, and up to how many bytes of their files.
const WINDOW: usize = 256;
const BYTES: usize = 256 * 1024;

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
    outgoing: Option<Outgoing>,
}

/// What is asked of a host for an item.
struct Outgoing {
    remote: Remote,
    request: Request,
    files: Contents,
    invocation: Invocation,
}

/// What an item comes down to before its turn.
enum Step {
    Send(Box<Outgoing>),
    /// Nothing is asked of the host.
    Nothing,
    /// It has to wait for its turn.
    Wait,
}

impl Outgoing {
    fn bytes(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    fn goes_with(&self, other: &Self) -> bool {
        let (own, other) = (&self.remote, &other.remote);
        own.endpoint == other.endpoint && own.become_ == other.become_
    }
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
            && self.run.catalogue.goes_ahead(&task.module)
            // What is in a template is not looked through for the name.
            && (task.register.is_none() || task.module != "template")
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
        let mut prepared: Vec<Prepared> = Vec::new();
        let mut go_on = true;
        let mut bytes = 0;
        for index in from..items.len().min(from + WINDOW) {
            if bytes > BYTES || self.is_done(index) {
                break;
            }
            let asked = template::lookups_asked();
            let next = self.prepare(control, items, index);
            // What was looked up may be another after the item before: only who is next may look.
            go_on = next.is_some() && template::lookups_asked() == asked;
            let Some(next) = next.filter(|_| go_on || index == from) else { break };
            let first = prepared.iter().find_map(|prepared| prepared.outgoing.as_ref());
            if let (Some(own), Some(first)) = (&next.outgoing, first)
                && !own.goes_with(first)
            {
                break;
            }
            bytes += next.outgoing.as_ref().map_or(0, Outgoing::bytes);
            prepared.push(next);
            if !go_on {
                break;
            }
        }
        (self.send(prepared, no_log).await, go_on)
    }

    /// None when it has to wait for its turn.
    fn prepare(&self, control: &LoopControl, items: &[Value], index: usize) -> Option<Prepared> {
        let locals = loops::locals(control, items, index);
        let scope = self.scope.with_locals(locals);
        let target = self.target(&scope);
        let scope: Arc<dyn Scope> = Arc::new(self.with_delegate(&scope, target.as_deref()));
        let mut once = Once { delegated_to: target, ..Once::default() };
        let outgoing = match self.step(&scope, &mut once) {
            Ok(Step::Send(outgoing)) => Some(*outgoing),
            Ok(Step::Nothing) => None,
            Ok(Step::Wait) => return None,
            Err(failure) => {
                once.result = result::of_failure(failure);
                None
            }
        };
        Some(Prepared { index, once, outgoing })
    }

    fn step(&self, scope: &Arc<dyn Scope>, once: &mut Once) -> Result<Step, Failure> {
        if let Some(condition) = self.false_condition(scope)? {
            once.delegated_to = None;
            once.result = result::skipped(&condition);
            return Ok(Step::Nothing);
        }
        self.delegate(scope, once)?;
        once.notices = self.notices(scope)?;
        let there = self.there(scope, once);
        let templar = self.run.templar();
        let invocation = Invocation::of(self.run, self.task, templar, scope, &there)?;
        let context: Context = self.context(scope, once)?;
        let Some(Ask { module, arguments, files }) = asked(&invocation, &context) else {
            return Ok(Step::Wait);
        };
        let request = context.request(module, arguments);
        let remote = context.remote;
        Ok(Step::Send(Box::new(Outgoing { remote, request, files, invocation })))
    }

    async fn send(&self, prepared: Vec<Prepared>, no_log: bool) -> VecDeque<Ahead> {
        let subject = Subject { task: self.task, info: &self.info, no_log };
        let (mut requests, mut remote) = (Vec::new(), None);
        let mut ahead: VecDeque<Ahead> = VecDeque::with_capacity(prepared.len());
        let (mut asking, mut invocations) = (Vec::new(), Vec::new());
        for (place, Prepared { index, mut once, outgoing }) in prepared.into_iter().enumerate() {
            if let Some(Outgoing { remote: to, request, files, invocation }) = outgoing {
                let key = self.key(Some(index));
                match self.run.recorder.begin(key.as_ref(), &subject, &invocation).await {
                    Ok(()) => {
                        remote.get_or_insert(to);
                        requests.push((request, files));
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

/// What the host is asked for where that is all; an error is for its own turn to tell.
fn asked(invocation: &Invocation, context: &Context) -> Option<Ask> {
    if let Invocation::Action { spec, arguments } = invocation {
        // Files of the controller may be those that items before it put there.
        let is_elsewhere = context.remote.endpoint.connection == ConnectionKind::Ssh;
        let ahead = spec.ahead.filter(|_| is_elsewhere)?;
        return ahead(Json::Object(arguments.clone()), context).ok()?;
    }
    let (module, arguments, files) = invoke::request(invocation)?;
    files.is_empty().then(|| Ask { module, arguments, files: Vec::new() })
}

fn mentions(node: &Node, name: &str) -> bool {
    node.to_json().to_string().contains(name)
}
