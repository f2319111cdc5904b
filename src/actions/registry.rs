//! The actions by name.

use futures::future::{BoxFuture, FutureExt};
use serde_json::Value as Json;

use super::{
    Action, Ask, Context, Error, Outcome, Sends, add_host, assemble, assert, copy, debug,
    etcd_snapshot, fail, fetch, group_by, include_vars, k8s, k8s_export, k8s_info, k8s_restore,
    kubectl_drain, pause, precheck, raw, reboot, rollback_plan, script, set_fact, set_stats,
    synchronize, template, unarchive, upgrade_guard, uri, validate_argument_spec,
    wait_for_connection,
};
use crate::modules::{Module, ModuleSpec, args, argument_names, coerced};

type Ahead = fn(Json, &Context) -> Result<Option<Ask>, Error>;
type Run = for<'a> fn(Json, &'a Context) -> BoxFuture<'a, Result<Outcome, Error>>;

/// An action as the registry knows it: everything about it but its type.
#[derive(Clone, Copy)]
pub struct ActionSpec {
    pub name: &'static str,
    pub free_form: Option<&'static str>,
    pub once: bool,
    pub interruptible: bool,
    /// The names of all arguments, aliases included; empty when any name will do (set_fact).
    pub arguments: fn() -> &'static [&'static str],
    /// Whether these arguments (no templates in them) are right; the error is serde's text.
    pub validate: fn(Json) -> Result<(), String>,
    pub run: Run,
    /// What the host is asked for, where that may be all there is to it.
    pub ahead: Option<Ahead>,
    pub schema: fn() -> schemars::Schema,
}

impl ActionSpec {
    const fn of<A: Action>() -> Self {
        Self {
            name: A::NAME,
            free_form: A::FREE_FORM,
            once: A::ONCE,
            interruptible: A::INTERRUPTIBLE,
            arguments: argument_names::<A>,
            validate: |arguments| {
                serde_json::from_value::<A>(coerced::<A>(arguments))
                    .map(drop)
                    .map_err(|e| e.to_string())
            },
            run: |arguments, context| {
                async move { action::<A>(arguments)?.run(context).await }.boxed()
            },
            ahead: match A::GOES_AHEAD {
                true => Some(|arguments, context| action::<A>(arguments)?.ahead(context)),
                false => None,
            },
            schema: || schemars::schema_for!(A),
        }
    }
}

fn action<A: Action>(arguments: Json) -> Result<A, Error> {
    serde_json::from_value(coerced::<A>(arguments)).map_err(|e| args::wrong(A::NAME, &e).into())
}

impl ActionSpec {
    /// The host module itself takes and checks the arguments.
    const fn sending<S: Sends>() -> Self {
        Self {
            name: S::Module::NAME,
            free_form: S::Module::FREE_FORM,
            once: false,
            interruptible: false,
            arguments: ModuleSpec::of::<S::Module>().arguments,
            validate: ModuleSpec::of::<S::Module>().validate,
            run: |arguments, context| {
                async move {
                    if context.check && !S::CHECKS {
                        let name = S::Module::NAME;
                        let msg = format!("This action ({name}) does not support check mode.");
                        return Ok(Outcome::default().with("skipped", true).with("msg", msg));
                    }
                    let Json::Object(mut arguments) = arguments else {
                        return Err(Error::failed("the arguments are no mapping"));
                    };
                    arguments.retain(|_, value| !value.is_null());
                    let files = S::prepare(&mut arguments, context)?;
                    context.module(S::Module::NAME, arguments, files).await
                }
                .boxed()
            },
            ahead: None,
            schema: ModuleSpec::of::<S::Module>().schema,
        }
    }
}

/// Every action; a new one is added here and nowhere else.
static ACTIONS: &[ActionSpec] = &[
    ActionSpec::of::<add_host::AddHost>(),
    ActionSpec::of::<assemble::Assemble>(),
    ActionSpec::of::<assert::Assert>(),
    ActionSpec::of::<copy::Copy>(),
    ActionSpec::of::<debug::Debug>(),
    ActionSpec::of::<etcd_snapshot::EtcdSnapshot>(),
    ActionSpec::of::<fail::Fail>(),
    ActionSpec::of::<fetch::Fetch>(),
    ActionSpec::of::<group_by::GroupBy>(),
    ActionSpec::of::<include_vars::IncludeVars>(),
    ActionSpec::of::<k8s::K8s>(),
    ActionSpec::of::<k8s::K8sClusterInfo>(),
    ActionSpec::of::<k8s::K8sJsonPatch>(),
    ActionSpec::of::<k8s::K8sLog>(),
    ActionSpec::of::<k8s::K8sRollback>(),
    ActionSpec::of::<k8s::K8sScale>(),
    ActionSpec::of::<k8s::K8sTaint>(),
    ActionSpec::of::<k8s_export::K8sExport>(),
    ActionSpec::of::<k8s_info::K8sInfo>(),
    ActionSpec::of::<k8s_restore::K8sRestore>(),
    ActionSpec::of::<kubectl_drain::K8sDrain>(),
    ActionSpec::of::<kubectl_drain::KubectlDrain>(),
    ActionSpec::of::<pause::Pause>(),
    ActionSpec::of::<precheck::Precheck>(),
    ActionSpec::of::<raw::Raw>(),
    ActionSpec::of::<reboot::Reboot>(),
    ActionSpec::of::<rollback_plan::RollbackPlan>(),
    ActionSpec::of::<script::Script>(),
    ActionSpec::of::<set_fact::SetFact>(),
    ActionSpec::of::<set_stats::SetStats>(),
    ActionSpec::of::<synchronize::Synchronize>(),
    ActionSpec::of::<template::Template>(),
    ActionSpec::sending::<unarchive::Unarchive>(),
    ActionSpec::sending::<uri::Uri>(),
    ActionSpec::of::<upgrade_guard::UpgradeGuard>(),
    ActionSpec::of::<validate_argument_spec::ValidateArgumentSpec>(),
    ActionSpec::of::<wait_for_connection::WaitForConnection>(),
];

/// The action of this short name (`_` between words).
pub fn find(name: &str) -> Option<&'static ActionSpec> {
    ACTIONS.iter().find(|spec| spec.name == name)
}

pub fn names() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|spec| spec.name)
}
