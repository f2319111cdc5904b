//! The lookup `config`: settings of the run, and of how hosts are connected to.

use super::super::{TemplateError, Value, from_json, python};
use super::Request;

/// A setting that Ansible counts to a plugin: its name there, the variables that win over
/// it (later ones first), and what it is among ours.
struct PluginOption {
    plugin: (&'static str, &'static str),
    name: &'static str,
    variables: &'static [&'static str],
    setting: &'static str,
}

const fn of_ssh(
    name: &'static str,
    variables: &'static [&'static str],
    setting: &'static str,
) -> PluginOption {
    PluginOption { plugin: ("connection", "ssh"), name, variables, setting }
}

static OPTIONS: &[PluginOption] = &[
    of_ssh(
        "host_key_checking",
        &["ansible_host_key_checking", "ansible_ssh_host_key_checking"],
        "HOST_KEY_CHECKING",
    ),
    of_ssh("port", &["ansible_port", "ansible_ssh_port"], "DEFAULT_REMOTE_PORT"),
    of_ssh(
        "private_key_file",
        &["ansible_private_key_file", "ansible_ssh_private_key_file"],
        "DEFAULT_PRIVATE_KEY_FILE",
    ),
    of_ssh("remote_user", &["ansible_user", "ansible_ssh_user"], "DEFAULT_REMOTE_USER"),
    of_ssh("scp_extra_args", &["ansible_scp_extra_args"], "SCP_EXTRA_ARGS"),
    of_ssh("sftp_extra_args", &["ansible_sftp_extra_args"], "SFTP_EXTRA_ARGS"),
    of_ssh("ssh_args", &["ansible_ssh_args"], "SSH_ARGS"),
    of_ssh("ssh_common_args", &["ansible_ssh_common_args"], "SSH_COMMON_ARGS"),
    of_ssh("ssh_extra_args", &["ansible_ssh_extra_args"], "SSH_EXTRA_ARGS"),
    of_ssh("ssh_transfer_method", &["ansible_ssh_transfer_method"], "SSH_TRANSFER_METHOD"),
    of_ssh("timeout", &["ansible_ssh_timeout", "ansible_timeout"], "DEFAULT_TIMEOUT"),
    PluginOption {
        plugin: ("shell", "sh"),
        name: "remote_tmp",
        variables: &["ansible_remote_tmp"],
        setting: "REMOTE_TMP",
    },
];

pub fn config(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let missing = request.option("on_missing").and_then(Value::as_str).unwrap_or("error");
    if !["error", "warn", "skip"].contains(&missing) {
        return Err(TemplateError::new(format!(
            "Invalid value \"{missing}\" for \"on_missing\" option in lookup plugin, \
             valid values are: error, warn, skip"
        )));
    }
    let plugin = plugin(request)?;
    let mut found = Vec::new();
    for term in &request.terms {
        let Some(name) = term.as_str() else {
            return Err(TemplateError::new(format!(
                "Invalid setting identifier, \"{}\" is not a string, it is a {}",
                python::text(term),
                python::type_name(term)
            )));
        };
        let setting = match &plugin {
            Some((kind, plugin)) => of_plugin(request, kind, plugin, name)?,
            None => of_run(request, name),
        };
        match setting {
            Some((value, origin)) if request.flag("show_origin", false) => {
                found.push(Value::from(vec![value, Value::from(origin)]));
            }
            Some((value, _)) => found.push(value),
            None if missing == "skip" => {}
            None if missing == "warn" => {
                let text = format!("Skipping, did not find setting {name}");
                request.context.templar.warn(text);
            }
            None => {
                return Err(TemplateError::new(format!("Unable to find setting {name}")));
            }
        }
    }
    Ok(found)
}

/// The kind and the name of the plugin whose settings are asked for.
fn plugin(request: &Request<'_>) -> Result<Option<(String, String)>, TemplateError> {
    let text = |name: &str| request.option(name).map(python::text);
    match (text("plugin_type"), text("plugin_name")) {
        (None, None) => Ok(None),
        (Some(kind), Some(name)) => {
            let short = name.strip_prefix("ansible.builtin.").unwrap_or(&name);
            let known = OPTIONS.iter().any(|option| option.plugin == (kind.as_str(), short));
            if known || (kind.as_str(), short) == ("connection", "local") {
                return Ok(Some((kind, short.to_owned())));
            }
            Err(TemplateError::new(format!("Unable to load {kind} plugin \"{name}\"")))
        }
        _ => Err(TemplateError::new(
            "Both plugin_type and plugin_name are required, cannot use one without the other",
        )),
    }
}

fn of_plugin(
    request: &Request<'_>,
    kind: &str,
    plugin: &str,
    name: &str,
) -> Result<Option<(Value, String)>, TemplateError> {
    let is_it = |option: &&PluginOption| option.plugin == (kind, plugin) && option.name == name;
    let Some(option) = OPTIONS.iter().find(is_it) else { return Ok(None) };
    for variable in option.variables.iter().rev() {
        if let Some(value) = request.context.variable(variable).filter(|v| !v.is_undefined()) {
            let value = python::valid(value).map_err(|error| python::carried(&error))?;
            return Ok(Some((as_option(name, value), format!("var: {variable}"))));
        }
    }
    let setting = of_run(request, option.setting);
    Ok(setting.map(|(value, origin)| (as_option(name, value), origin)))
}

/// Arguments of programs are texts, whatever they look like.
fn as_option(name: &str, value: Value) -> Value {
    match name.ends_with("_args") {
        true if value.is_none() => Value::from(""),
        true => Value::from(python::text(&value)),
        false => value,
    }
}

fn of_run(request: &Request<'_>, name: &str) -> Option<(Value, String)> {
    let (value, origin) = request.context.templar.settings().config.as_ref()?(name)?;
    Some((from_json(&value), origin))
}
