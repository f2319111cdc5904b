//! Lookups of variables, of this process's environment, and of hosts.

use super::super::filters::{Flags, is_match};
use super::super::python;
use super::super::{TemplateError, Value};
use super::Request;

/// A variable that is not set is empty, or the option `default`.
pub fn env(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let default = request.option("default").cloned().unwrap_or_else(|| Value::from(""));
    let value = |name: &String| {
        // An empty name or one with `=` would make the standard library panic.
        let valid = !name.is_empty() && !name.contains(['=', '\0']);
        let found = valid.then(|| std::env::var_os(name)).flatten();
        found.map_or(default.clone(), |value| Value::from(value.to_string_lossy().into_owned()))
    };
    Ok(request.texts().iter().map(value).collect())
}

pub fn vars(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let mut found = Vec::new();
    for term in &request.terms {
        let name = term.as_str().ok_or_else(|| invalid(term))?;
        let mark = request.context.mark();
        match request.context.variable(name) {
            Some(value) if !value.is_undefined() => {
                found.push(python::valid(value).map_err(|error| python::carried(&error))?);
            }
            missing => match request.option("default") {
                Some(default) => {
                    request.context.take_misses(mark);
                    found.push(default.clone());
                }
                None if missing.is_some() => return Err(request.context.undefined()),
                None => {
                    return Err(TemplateError::undefined(format!(
                        "No variable found with this name: {name}"
                    )));
                }
            },
        }
    }
    Ok(found)
}

fn invalid(term: &Value) -> TemplateError {
    TemplateError::new(format!(
        "Invalid setting identifier, \"{}\" is not a string, it is a {}",
        python::text(term),
        python::type_name(term)
    ))
}

/// The names of variables in which a pattern is found.
pub fn varnames(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    if let Some(term) = request.terms.iter().find(|term| term.as_str().is_none()) {
        return Err(invalid(term));
    }
    let names = request.context.scope.names();
    let mut found = Vec::new();
    for pattern in request.texts() {
        for name in &names {
            let matched = is_match(name, &pattern, Flags::default()).map_err(|error| {
                let reason = error.message;
                TemplateError::new(format!(
                    "Unable to use \"{pattern}\" as a search parameter: {reason}"
                ))
            });
            if matched? {
                found.push(Value::from(name.as_str()));
            }
        }
    }
    Ok(found)
}

/// The hosts of patterns, as the inventory understands them.
pub fn inventory_hostnames(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let Some(hosts) = &request.context.templar.settings().hosts else {
        return Err(TemplateError::new("inventory_hostnames: there is no inventory here"));
    };
    // A pattern that nothing matches has no hosts, whatever the settings say of such ones.
    let names = hosts(&request.texts().join(",")).unwrap_or_default();
    Ok(names.into_iter().map(Value::from).collect())
}
