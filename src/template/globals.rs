//! Functions and values that every template sees.

use std::collections::HashSet;

use minijinja::Environment;

use super::call::{Call, Plugin, add_functions};
use super::{TemplateError, Value, omit};

const FUNCTIONS: &[Plugin] = &[Plugin::lenient("undef", &["hint"], undef)];

/// Adds the globals; returns the names of all of them.
pub fn register(environment: &mut Environment<'static>) -> HashSet<String> {
    environment.add_global("omit", omit::omit());
    add_functions(environment, FUNCTIONS);
    environment.globals().map(|(name, _)| name.to_owned()).collect()
}

/// `undef(hint='…')`: a value that has to be overridden.
fn undef(call: &mut Call) -> Result<Value, TemplateError> {
    let hint = call.text_or("hint", "Mandatory variable has not been overridden");
    call.context()?.missed(hint);
    Ok(Value::UNDEFINED)
}
