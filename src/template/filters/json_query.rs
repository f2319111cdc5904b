//! `json_query`: JMESPath, as community.general has it.

use std::collections::HashMap;
use std::rc::Rc;

use jmespath::ast::Ast;
use jmespath::{Context, Rcvar, Runtime, Variable};
use minijinja::value::ValueKind;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, from_json, python, to_json};

pub const FILTERS: &[Plugin] = &[Plugin::new("json_query", &["data", "expr"], json_query)];

/// A query longer than this is no query: the parser goes as deep as the text nests.
const MAX_LENGTH: usize = 4096;
const MAX_NESTING: usize = 100;

thread_local! {
    static RUNTIME: Runtime = {
        let mut runtime = Runtime::new();
        runtime.register_builtin_functions();
        runtime
    };
}

fn json_query(call: &mut Call) -> Result<Value, TemplateError> {
    let expression = call.text("expr")?;
    let nesting = expression.matches(['[', '(', '{', '!', '&']).count();
    if expression.len() > MAX_LENGTH || nesting > MAX_NESTING {
        return Err(call.error("the query is too long or nests too deep"));
    }
    let mut given = Given::default();
    let data = given.variable(call.value()?)?;
    // Only the reason: the crate's message draws a picture of the expression as well.
    let failed = |error: jmespath::JmespathError| {
        TemplateError::new(format!(
            "JMESPathError in json_query filter plugin:\n{} in '{expression}', at column {}",
            error.reason,
            error.column + 1
        ))
    };
    RUNTIME.with(|runtime| {
        let query = runtime.compile(&expression).map_err(failed)?;
        // Not `search`, which makes a copy of the data: what is found has to be known again.
        let mut place = Context::new(&expression, runtime);
        let found = jmespath::interpret(&data, query.as_ast(), &mut place).map_err(failed)?;
        let mut orders = Vec::new();
        written_orders(query.as_ast(), &mut orders);
        given.value(&found, &orders)
    })
}

/// What a query works on. What it finds there unchanged is given back as it
/// was: jmespath sorts the keys of its objects, playbooks count on their order.
#[derive(Default)]
struct Given {
    values: HashMap<*const Variable, Value>,
    /// Keeps the addresses above from being used again.
    kept: Vec<Rcvar>,
}

impl Given {
    fn variable(&mut self, value: &Value) -> Result<Rcvar, TemplateError> {
        let variable = match value.kind() {
            ValueKind::Map => {
                let entries = python::entries(value)?.into_iter();
                let entries =
                    entries.map(|(key, item)| Ok((python::text(&key), self.variable(&item)?)));
                Variable::Object(entries.collect::<Result<_, TemplateError>>()?)
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items = python::items(value)?;
                let items = items.iter().map(|item| self.variable(item));
                Variable::Array(items.collect::<Result<_, _>>()?)
            }
            _ => plain(&to_json(value)?),
        };
        let variable = Rc::new(variable);
        self.values.insert(Rc::as_ptr(&variable), value.clone());
        self.kept.push(variable.clone());
        Ok(variable)
    }

    fn value(&self, found: &Rcvar, orders: &[Vec<&str>]) -> Result<Value, TemplateError> {
        if let Some(value) = self.values.get(&Rc::as_ptr(found)) {
            return Ok(value.clone());
        }
        Ok(match found.as_ref() {
            Variable::Array(items) => {
                let items = items.iter().map(|item| self.value(item, orders));
                Value::from(items.collect::<Result<Vec<_>, _>>()?)
            }
            Variable::Object(entries) => {
                let written = orders.iter().find(|order| {
                    order.len() == entries.len()
                        && order.iter().all(|key| entries.contains_key(*key))
                });
                let keys: Vec<&str> = match written {
                    Some(order) => order.clone(),
                    None => entries.keys().map(String::as_str).collect(),
                };
                let pairs = keys.into_iter().filter_map(|key| Some((key, entries.get(key)?)));
                let pairs = pairs.map(|(key, item)| Ok((key, self.value(item, orders)?)));
                Value::from_pairs(pairs.collect::<Result<Vec<_>, TemplateError>>()?)
            }
            Variable::Null | Variable::Expref(_) => Value::from(()),
            Variable::Bool(value) => Value::from(*value),
            Variable::String(text) => Value::from(text.as_str()),
            // jmespath counts with floats, Python with what it was given.
            Variable::Number(number) => match number.as_f64().map(|float| (float, float as i64)) {
                Some((float, whole)) if number.is_f64() && float == whole as f64 => {
                    Value::from(whole)
                }
                _ => from_json(&serde_json::Value::Number(number.clone())),
            },
        })
    }
}

/// What has no parts.
fn plain(json: &serde_json::Value) -> Variable {
    match json {
        serde_json::Value::Bool(value) => Variable::Bool(*value),
        serde_json::Value::Number(number) => Variable::Number(number.clone()),
        serde_json::Value::String(text) => Variable::String(text.clone()),
        _ => Variable::Null,
    }
}

/// The keys of each `{a: …, b: …}` of a query, in the order in which they are written.
fn written_orders<'a>(query: &'a Ast, orders: &mut Vec<Vec<&'a str>>) {
    match query {
        Ast::MultiHash { elements, .. } => {
            orders.push(elements.iter().map(|pair| pair.key.as_str()).collect());
            elements.iter().for_each(|pair| written_orders(&pair.value, orders));
        }
        Ast::MultiList { elements: parts, .. } | Ast::Function { args: parts, .. } => {
            parts.iter().for_each(|part| written_orders(part, orders));
        }
        Ast::Comparison { lhs, rhs, .. }
        | Ast::Projection { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. }
        | Ast::Condition { predicate: lhs, then: rhs, .. } => {
            written_orders(lhs, orders);
            written_orders(rhs, orders);
        }
        Ast::Expref { ast: node, .. }
        | Ast::Flatten { node, .. }
        | Ast::Not { node, .. }
        | Ast::ObjectValues { node, .. } => written_orders(node, orders),
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => {}
    }
}
