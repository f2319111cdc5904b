//! Tests about what is there at all.

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value};

pub const TESTS: &[Plugin] = &[
    Plugin::lenient("defined", &["value"], defined),
    Plugin::lenient("undefined", &["value"], undefined),
];

fn defined(call: &mut Call) -> Result<Value, TemplateError> {
    is_there(call).map(Value::from)
}

fn undefined(call: &mut Call) -> Result<Value, TemplateError> {
    is_there(call).map(|there| Value::from(!there))
}

fn is_there(call: &mut Call) -> Result<bool, TemplateError> {
    let there = !call.value()?.is_undefined();
    if !there && let Ok(context) = call.context() {
        context.forgive();
    }
    Ok(there)
}
