//! Attributes, items, slices and methods, as Jinja2 with Ansible's undefined has them.

use minijinja::State;
use minijinja::value::{Rest, ValueKind, ValueOrKwargs};

use super::call::{Call, Plugin, add_filters};
use super::context::Context;
use super::{TemplateError, Value, python, rewrite};

const ACCESS: &[Plugin] = &[
    Plugin::lenient(rewrite::ATTRIBUTE, &["value", "name"], attribute),
    Plugin::lenient(rewrite::ITEM, &["value", "key"], item),
    Plugin::lenient(rewrite::SLICE, &["value", "start", "stop", "step"], slice),
    Plugin::new(rewrite::PERCENT, &["value", "arguments"], percent),
    Plugin::new(rewrite::ORDERED, &["a", "operator", "b"], ordered),
];

pub fn register(environment: &mut minijinja::Environment<'static>) {
    add_filters(environment, ACCESS);
    environment.add_filter(rewrite::METHOD, method);
    environment.add_filter(rewrite::INVOKE, invoke);
}

/// `value.name`
fn attribute(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?.clone();
    let name = call.text("name")?;
    get(call.state, &value, &Value::from(name.as_str()))
}

/// `value[key]`
fn item(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?.clone();
    let key = call.need("key")?.clone();
    if key.is_undefined() {
        return Err(call.undefined());
    }
    get(call.state, &value, &key)
}

/// Looks `key` up. An undefined value stays undefined; what is missing is remembered.
pub fn get(state: &State<'_, '_>, value: &Value, key: &Value) -> Result<Value, TemplateError> {
    if value.is_undefined() {
        return Ok(Value::UNDEFINED);
    }
    let found = match value.kind() {
        // Python has no items in numbers, and a text only by position.
        ValueKind::String if key.as_str().is_some() => Value::UNDEFINED,
        _ => value.get_item(key).map_err(|error| python::carried(&error))?,
    };
    let found = python::valid(found).map_err(|error| python::carried(&error))?;
    if found.is_undefined()
        && let Some(context) = Context::of(state)
    {
        let what = python::described(value);
        let message = match key.as_str() {
            Some(name) => format!("'{what}' has no attribute '{name}'"),
            None => format!("{what} has no element {}", python::repr(key)),
        };
        context.missed_attribute(value, &python::text(key), message);
    }
    Ok(found)
}

/// Looks a dotted path up, as `map(attribute='a.b')` names it.
pub fn path(state: &State<'_, '_>, value: &Value, path: &Value) -> Result<Value, TemplateError> {
    let Some(text) = path.as_str() else { return get(state, value, path) };
    let mut found = value.clone();
    for part in text.split('.') {
        let key = part.parse::<i64>().map_or_else(|_| Value::from(part), Value::from);
        found = get(state, &found, &key)?;
    }
    Ok(found)
}

/// `value[start:stop:step]`
fn slice(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?.clone();
    if value.is_undefined() {
        return Ok(value);
    }
    let step = call.integer("step", 1)?;
    if step == 0 {
        return Err(TemplateError::new("slice step cannot be zero"));
    }
    let items = match value.kind() {
        ValueKind::String | ValueKind::Seq | ValueKind::Iterable => python::items(&value)?,
        _ => {
            return Err(TemplateError::new(format!(
                "'{}' object is not subscriptable",
                python::type_name(&value)
            )));
        }
    };
    let length = items.len() as i64;
    let bound = |given: i64| if given < 0 { given + length } else { given };
    let (start, stop) = if step > 0 {
        (
            bound(call.integer("start", 0)?).clamp(0, length),
            bound(call.integer("stop", length)?).clamp(0, length),
        )
    } else {
        let stop = match call.some("stop") {
            Some(_) => bound(call.integer("stop", 0)?).clamp(-1, length - 1),
            None => -1,
        };
        (bound(call.integer("start", length - 1)?).clamp(-1, length - 1), stop)
    };
    let mut chosen = Vec::new();
    let mut index = start;
    while if step > 0 { index < stop } else { index > stop } {
        if let Some(item) = usize::try_from(index).ok().and_then(|index| items.get(index)) {
            chosen.push(item.clone());
        }
        index = index.saturating_add(step);
    }
    Ok(match value.kind() {
        ValueKind::String => {
            Value::from(chosen.iter().filter_map(Value::as_str).collect::<String>())
        }
        _ if value.is_tuple() => python::tuple(chosen),
        _ => Value::from(chosen),
    })
}

/// `a < b` and the like
fn ordered(call: &mut Call) -> Result<Value, TemplateError> {
    let operator = call.text("operator")?;
    let ordering = python::order(call.need("a")?, call.need("b")?, &operator)?;
    Ok(Value::from(ordering.is_some_and(|ordering| match operator.as_str() {
        "<" => ordering.is_lt(),
        "<=" => ordering.is_le(),
        ">" => ordering.is_gt(),
        _ => ordering.is_ge(),
    })))
}

/// `'%s' % arguments`
fn percent(call: &mut Call) -> Result<Value, TemplateError> {
    let format = call.text("value")?;
    let arguments = call.need("arguments")?.clone();
    super::pyformat::percent(&format, &arguments).map(Value::from)
}

/// `value.name(arguments)`
fn method(
    state: &mut State<'_, '_>,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Value, minijinja::Error> {
    let arguments = arguments.into_values();
    let [value, name, arguments @ ..] = arguments.as_slice() else {
        return Err(TemplateError::new("a method needs a value and a name").into());
    };
    let name = name.as_str().unwrap_or_default();
    if value.is_undefined() {
        return Err(undefined(state));
    }
    value.call_method(state, name, arguments).map_err(|error| {
        if error.kind() == minijinja::ErrorKind::UnknownMethod {
            let message = format!("'{}' has no attribute '{name}'", python::described(value));
            return TemplateError::undefined(message).into();
        }
        error
    })
}

/// A call of what an expression gave: `a['b'](arguments)`.
fn invoke(
    state: &mut State<'_, '_>,
    arguments: Rest<ValueOrKwargs>,
) -> Result<Value, minijinja::Error> {
    let arguments = arguments.into_values();
    let [function, arguments @ ..] = arguments.as_slice() else {
        return Err(TemplateError::new("nothing to call").into());
    };
    if function.is_undefined() {
        return Err(undefined(state));
    }
    function.call(state, arguments)
}

fn undefined(state: &State<'_, '_>) -> minijinja::Error {
    Context::of(state)
        .map_or_else(
            || TemplateError::undefined("a value is undefined"),
            |context| context.undefined(),
        )
        .into()
}
