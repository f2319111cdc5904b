//! The host modules by name.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::de::value::Error as FieldsError;
use serde::de::{self, Deserializer, Visitor};
use serde_json::{Map, Value as Json};

use super::coerce::coerced;
use super::{Context, Failure, Module, Outcome, args, security};

/// A module as the registry knows it: everything about it but its type.
#[derive(Clone, Copy)]
pub struct ModuleSpec {
    pub name: &'static str,
    pub free_form: Option<&'static str>,
    /// An argument that is null is not as one that is not given.
    pub null_is_meant: bool,
    /// Arguments whose values are not shown.
    pub secrets: &'static [&'static str],
    /// The names of all arguments, aliases included.
    pub arguments: fn() -> &'static [&'static str],
    /// Whether these arguments (no templates in them) are right; the error is serde's text.
    pub validate: fn(Json) -> Result<(), String>,
    pub run: fn(Json, &Context) -> Result<Outcome, Failure>,
    pub schema: fn() -> schemars::Schema,
    /// What arguments are that a task does not give; null where that is nothing.
    pub defaults: fn() -> &'static Map<String, Json>,
}

impl ModuleSpec {
    pub const fn of<M: Module>() -> Self {
        Self {
            name: M::NAME,
            free_form: M::FREE_FORM,
            null_is_meant: M::NULL_IS_MEANT,
            secrets: M::SECRETS,
            arguments: module_arguments::<M>,
            validate: |mut arguments| {
                if M::WRITES_FILES {
                    security::take(&mut arguments);
                }
                serde_json::from_value::<M>(coerced::<M>(arguments))
                    .map(drop)
                    .map_err(|e| e.to_string())
            },
            run: |mut arguments, context| {
                let secrets = secret_texts(M::SECRETS, &arguments);
                let security = match M::WRITES_FILES {
                    true => security::take(&mut arguments),
                    false => Map::new(),
                };
                let module: M = serde_json::from_value(coerced::<M>(arguments))
                    .map_err(|e| args::wrong(M::NAME, &e))?;
                let unsafe_writes = security::unsafe_writes(&security, context);
                let done = module.run(&Context { unsafe_writes, ..context.clone() });
                let mut outcome = without_secrets(done, &secrets)?;
                security::apply(&security, &mut outcome, context.check)?;
                Ok(outcome)
            },
            schema: || schemars::schema_for!(M),
            defaults: argument_defaults::<M>,
        }
    }
}

/// The values that are not to be shown.
fn secret_texts(names: &[&str], arguments: &Json) -> Vec<String> {
    let values = names.iter().filter_map(|name| arguments.get(*name)?.as_str());
    values.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// The result with asterisks where it has a secret in it.
fn without_secrets(done: Result<Outcome, Failure>, secrets: &[String]) -> Result<Outcome, Failure> {
    if secrets.is_empty() {
        return done;
    }
    let hide = |text: &mut String| {
        for secret in secrets {
            *text = text.replace(secret, "********");
        }
    };
    match done {
        Ok(mut outcome) => {
            outcome.result.values_mut().for_each(|value| each_text(value, &hide));
            for diff in &mut outcome.diff {
                each_text(&mut diff.before, &hide);
                each_text(&mut diff.after, &hide);
            }
            Ok(outcome)
        }
        Err(mut failure) => {
            hide(&mut failure.msg);
            failure.result.values_mut().for_each(|value| each_text(value, &hide));
            Err(failure)
        }
    }
}

fn each_text(value: &mut Json, change: &impl Fn(&mut String)) {
    match value {
        Json::String(text) => change(text),
        Json::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Json::Object(map) => map.values_mut().for_each(|item| each_text(item, change)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Every host module; a new one is added here and nowhere else.
static MODULES: &[ModuleSpec] = &[
    ModuleSpec::of::<super::alternatives::Alternatives>(),
    ModuleSpec::of::<super::apt::Apt>(),
    ModuleSpec::of::<super::apt_hold::AptHold>(),
    ModuleSpec::of::<super::apt_key::AptKey>(),
    ModuleSpec::of::<super::apt_repository::AptRepository>(),
    ModuleSpec::of::<super::archive::Archive>(),
    ModuleSpec::of::<super::assemble::Assemble>(),
    ModuleSpec::of::<super::async_status::AsyncStatus>(),
    ModuleSpec::of::<super::authorized_key::AuthorizedKey>(),
    ModuleSpec::of::<super::blockinfile::BlockInFile>(),
    ModuleSpec::of::<super::cluster_lock::ClusterLock>(),
    ModuleSpec::of::<super::command::Command>(),
    ModuleSpec::of::<super::copy::Copy>(),
    ModuleSpec::of::<super::cron::Cron>(),
    ModuleSpec::of::<super::deb822_repository::Deb822Repository>(),
    ModuleSpec::of::<super::debconf::Debconf>(),
    ModuleSpec::of::<super::dnf::Dnf>(),
    ModuleSpec::of::<super::dpkg_selections::DpkgSelections>(),
    ModuleSpec::of::<super::etcd_snapshot::EtcdSnapshot>(),
    ModuleSpec::of::<super::etcd_status::EtcdStatus>(),
    ModuleSpec::of::<super::expect::Expect>(),
    ModuleSpec::of::<super::file::File>(),
    ModuleSpec::of::<super::find::Find>(),
    ModuleSpec::of::<super::get_url::GetUrl>(),
    ModuleSpec::of::<super::getent::Getent>(),
    ModuleSpec::of::<super::git::Git>(),
    ModuleSpec::of::<super::group::Group>(),
    ModuleSpec::of::<super::host_state::HostState>(),
    ModuleSpec::of::<super::hostname::Hostname>(),
    ModuleSpec::of::<super::image_pull::ImagePull>(),
    ModuleSpec::of::<super::ini_file::IniFile>(),
    ModuleSpec::of::<super::iptables::Iptables>(),
    ModuleSpec::of::<super::known_hosts::KnownHosts>(),
    ModuleSpec::of::<super::kubeadm::Kubeadm>(),
    ModuleSpec::of::<super::lineinfile::LineInFile>(),
    ModuleSpec::of::<super::modprobe::Modprobe>(),
    ModuleSpec::of::<super::mount::Mount>(),
    ModuleSpec::of::<super::package::Package>(),
    ModuleSpec::of::<super::package_facts::PackageFacts>(),
    ModuleSpec::of::<super::ping::Ping>(),
    ModuleSpec::of::<super::pip::Pip>(),
    ModuleSpec::of::<super::precheck_host::PrecheckHost>(),
    ModuleSpec::of::<super::replace::Replace>(),
    ModuleSpec::of::<super::rpm_key::RpmKey>(),
    ModuleSpec::of::<super::script::Script>(),
    ModuleSpec::of::<super::service_facts::ServiceFacts>(),
    ModuleSpec::of::<super::setup::Setup>(),
    ModuleSpec::of::<super::shell::Shell>(),
    ModuleSpec::of::<super::slurp::Slurp>(),
    ModuleSpec::of::<super::stat::Stat>(),
    ModuleSpec::of::<super::static_pods::StaticPods>(),
    ModuleSpec::of::<super::synchronize::Synchronize>(),
    ModuleSpec::of::<super::sysctl::Sysctl>(),
    ModuleSpec::of::<super::systemd::Service>(),
    ModuleSpec::of::<super::systemd::Systemd>(),
    ModuleSpec::of::<super::systemd::SystemdService>(),
    ModuleSpec::of::<super::tempfile::Tempfile>(),
    ModuleSpec::of::<super::timezone::Timezone>(),
    ModuleSpec::of::<super::unarchive::Unarchive>(),
    ModuleSpec::of::<super::uri::Uri>(),
    ModuleSpec::of::<super::user::User>(),
    ModuleSpec::of::<super::wait_for::WaitFor>(),
    ModuleSpec::of::<super::yum_repository::YumRepository>(),
];

/// The module of this short name (`_` between words).
pub fn find(name: &str) -> Option<&'static ModuleSpec> {
    MODULES.iter().find(|spec| spec.name == name)
}

pub fn names() -> impl Iterator<Item = &'static str> {
    MODULES.iter().map(|spec| spec.name)
}

fn module_arguments<M: Module>() -> &'static [&'static str] {
    static KNOWN: Mutex<BTreeMap<&'static str, &'static [&'static str]>> =
        Mutex::new(BTreeMap::new());
    let own = argument_names::<M>();
    if !M::WRITES_FILES {
        return own;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // Kept for the whole run, once per module.
    known.entry(M::NAME).or_insert_with(|| [own, security::ARGUMENTS].concat().leak())
}

/// The names of a struct's arguments, aliases included; empty when any name will do.
pub fn argument_names<T: de::DeserializeOwned + schemars::JsonSchema>() -> &'static [&'static str] {
    let fields = field_names::<T>();
    if fields.is_empty() { flattened_names::<T>() } else { fields }
}

/// A struct with flattened parts does not say its fields to serde; its schema does.
fn flattened_names<T: schemars::JsonSchema>() -> &'static [&'static str] {
    static KNOWN: Mutex<BTreeMap<&'static str, &'static [&'static str]>> =
        Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(std::any::type_name::<T>()).or_insert_with(|| {
        let schema = schemars::schema_for!(T);
        if schema.get("additionalProperties") == Some(&Json::Bool(true)) {
            return &[];
        }
        let properties = schema.get("properties").and_then(Json::as_object);
        // Kept for the whole run, once per type.
        let names = properties.into_iter().flatten().map(|(name, _)| &*name.clone().leak());
        names.collect::<Vec<_>>().leak()
    })
}

fn argument_defaults<T: schemars::JsonSchema>() -> &'static Map<String, Json> {
    static KNOWN: Mutex<BTreeMap<&'static str, &'static Map<String, Json>>> =
        Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(std::any::type_name::<T>()).or_insert_with(|| {
        let schema = schemars::schema_for!(T);
        let properties = schema.get("properties").and_then(Json::as_object);
        let defaults = properties.into_iter().flatten().map(|(name, property)| {
            (name.clone(), property.get("default").cloned().unwrap_or_default())
        });
        // Kept for the whole run, once per type.
        Box::leak(Box::new(defaults.collect()))
    })
}

/// The field names that a derived `Deserialize` asks its input for.
fn field_names<'de, T: de::Deserialize<'de>>() -> &'static [&'static str] {
    struct Capture<'a>(&'a mut &'static [&'static str]);
    impl<'de> Deserializer<'de> for Capture<'_> {
        type Error = FieldsError;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldsError> {
            Err(de::Error::custom("not a struct"))
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, FieldsError> {
            *self.0 = fields;
            Err(de::Error::custom("only the names were wanted"))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut fields: &'static [&'static str] = &[];
    // The error is the way out once the names are known.
    let _ = T::deserialize(Capture(&mut fields));
    fields
}
