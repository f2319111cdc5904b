//! `loop`, `with_…` and `loop_control`.

use std::sync::Arc;

use super::keywords::value_of;
use crate::actions::Failure;
use crate::playbook::{Loop, LoopControl};
use crate::template::{Scope, Templar, TemplateError, Value, Variable, python_text};
use crate::vars::Layer;

/// What tells of the loop where it is extended.
pub const EXTENDED: &str = "ansible_loop";

/// Where Ansible looks for files of a task beside the plain place, by the module's name.
fn folder_of(module: &str) -> &'static str {
    match module {
        name if name.contains("template") => "templates",
        name if name.contains("var") => "vars",
        _ => "files",
    }
}

/// The items that a task with this module goes through, templated.
pub fn items(
    templar: &Templar,
    looping: &Loop,
    module: &str,
    scope: &Arc<dyn Scope>,
) -> Result<Vec<Value>, Failure> {
    let value = value_of(templar, &looping.node, scope)?;
    let list = |value: &Value| -> Option<Vec<Value>> {
        if value.is_undefined() || value.as_str().is_some() {
            return None;
        }
        match value.kind() {
            minijinja::value::ValueKind::Seq | minijinja::value::ValueKind::Iterable => {
                value.try_iter().ok().map(|items| items.map(plain_row).collect())
            }
            _ => None,
        }
    };
    let refuse = |text: &str| Err(TemplateError::new(text).at(Some(&looping.node.span)).into());
    match looping.kind.as_str() {
        "loop" => list(&value).ok_or_else(|| {
            let text = format!(
                "Invalid data passed to 'loop', it requires a list, got this instead: {}. Hint: If \
                 you passed a list/dict of just one element, try adding wantlist=True to your \
                 lookup invocation or use q/query instead of lookup.",
                python_text(&value)
            );
            TemplateError::new(&text).at(Some(&looping.node.span)).into()
        }),
        "list" if value.kind() == minijinja::value::ValueKind::Map => {
            refuse("with_list expects a list")
        }
        "indexed_items" if value.kind() == minijinja::value::ValueKind::Map => {
            refuse("with_indexed_items expects a list")
        }
        // Rows are lists here, whatever the lookup makes of them elsewhere.
        lookup => templar
            .loop_items(lookup, value, folder_of(module), scope)
            .map(|items| items.into_iter().map(plain_row).collect())
            .map_err(|error| Failure::from(error.at(Some(&looping.node.span)))),
    }
}

fn plain_row(item: Value) -> Value {
    if item.kind() != minijinja::value::ValueKind::Seq {
        return item;
    }
    item.try_iter().map(|cells| Value::from(cells.collect::<Vec<_>>())).unwrap_or(item)
}

/// `loop_control` with the names of its variables, which may be templates.
pub fn control(templar: &Templar, control: &LoopControl, scope: &Arc<dyn Scope>) -> LoopControl {
    let name = |name: &Option<String>| {
        let text = name.as_ref()?;
        if !templar.is_template(text) {
            return Some(text.clone());
        }
        let rendered = templar.render_text(text, None, scope).ok();
        Some(rendered.map_or_else(|| text.clone(), |value| python_text(&value)))
    };
    LoopControl {
        loop_var: name(&control.loop_var),
        index_var: name(&control.index_var),
        ..control.clone()
    }
}

/// The name of the loop's variable.
pub fn variable(control: &LoopControl) -> &str {
    control.loop_var.as_deref().unwrap_or("item")
}

/// The variables that an item brings.
pub fn locals(control: &LoopControl, items: &[Value], index: usize) -> Layer {
    let mut layer = Layer::new();
    let mut set = |name: &str, value: Value| layer.insert(name.to_owned(), Variable::Data(value));
    let item = items.get(index).cloned().unwrap_or(Value::UNDEFINED);
    set(variable(control), item);
    set("ansible_loop_var", Value::from(variable(control)));
    if let Some(name) = &control.index_var {
        set(name, Value::from(index));
        set("ansible_index_var", Value::from(name.as_str()));
    }
    if control.extended {
        set(EXTENDED, extended(control, items, index));
    }
    layer
}

fn extended(control: &LoopControl, items: &[Value], index: usize) -> Value {
    let length = items.len();
    let mut entries = vec![
        ("index".to_owned(), Value::from(index + 1)),
        ("index0".to_owned(), Value::from(index)),
        ("first".to_owned(), Value::from(index == 0)),
        ("last".to_owned(), Value::from(index + 1 == length)),
        ("length".to_owned(), Value::from(length)),
        ("revindex".to_owned(), Value::from(length - index)),
        ("revindex0".to_owned(), Value::from(length - index - 1)),
    ];
    if control.extended_allitems {
        entries.push(("allitems".to_owned(), items.iter().cloned().collect()));
    }
    if let Some(next) = items.get(index + 1) {
        entries.push(("nextitem".to_owned(), next.clone()));
    }
    if let Some(previous) = index.checked_sub(1).and_then(|index| items.get(index)) {
        entries.push(("previtem".to_owned(), previous.clone()));
    }
    Value::from_pairs(entries)
}
