//! Values of keywords, which may be templates.

use std::sync::Arc;

use minijinja::value::ValueKind;

use super::Run;
use super::connection::truth;
use crate::actions::Failure;
use crate::playbook::Keywords;
use crate::source::{Node, boolean};
use crate::template::{Scope, Templar, Value, python_text};

/// A keyword's value; its template's error names the place in the playbook.
pub fn value_of(templar: &Templar, node: &Node, scope: &Arc<dyn Scope>) -> Result<Value, Failure> {
    templar.render(node, scope).map_err(|error| Failure::new(error.to_string()))
}

pub fn flag_of(templar: &Templar, node: &Node, scope: &Arc<dyn Scope>) -> Result<bool, Failure> {
    flag(&value_of(templar, node, scope)?)
}

/// A keyword's value; one that comes out as `omit` is that of the level above.
pub fn keyword_of(
    templar: &Templar,
    keywords: &Keywords,
    field: impl Fn(&Keywords) -> Option<&Node>,
    scope: &Arc<dyn Scope>,
) -> Result<Option<Value>, Failure> {
    let mut level = Some(keywords);
    while let Some(keywords) = level {
        let Some(node) = field(keywords) else { break };
        let value = value_of(templar, node, scope)?;
        if !crate::template::is_omit(&value) {
            return Ok(Some(value));
        }
        level = keywords.outer.as_deref();
    }
    Ok(None)
}

/// As [`keyword_of`], of a keyword that is yes or no.
pub fn keyword_flag(
    templar: &Templar,
    keywords: &Keywords,
    field: impl Fn(&Keywords) -> Option<&Node>,
    scope: &Arc<dyn Scope>,
) -> Result<Option<bool>, Failure> {
    keyword_of(templar, keywords, field, scope)?.as_ref().map(flag).transpose()
}

fn flag(value: &Value) -> Result<bool, Failure> {
    match value.as_str() {
        Some(text) if !text.is_empty() && boolean(text).is_none() => Err(Failure::new(format!(
            "The value '{text}' is not a valid boolean (yes or no, true or false)"
        ))),
        _ => Ok(truth(value)),
    }
}

impl Run {
    /// Whether a task shows what it changes.
    pub(super) fn shows_changes(&self, keywords: &Keywords, scope: &Arc<dyn Scope>) -> bool {
        let own = keyword_flag(self.templar(), keywords, |k| k.diff.as_ref(), scope);
        own.ok().flatten().unwrap_or(self.settings.diff)
    }

    /// Whether what has these keywords runs in check mode; one that cannot be told yet
    /// does as the run does.
    pub(super) fn checks(&self, keywords: &Keywords, scope: &Arc<dyn Scope>) -> bool {
        let own = keyword_flag(self.templar(), keywords, |k| k.check_mode.as_ref(), scope);
        own.ok().flatten().unwrap_or(self.settings.check)
    }
}

/// Text; nothing for null, omitted and empty values.
pub fn text_of(
    templar: &Templar,
    node: &Node,
    scope: &Arc<dyn Scope>,
) -> Result<Option<String>, Failure> {
    Ok(text(&value_of(templar, node, scope)?))
}

/// Text of a value; nothing for a null, omitted or empty one.
pub fn text(value: &Value) -> Option<String> {
    if value.is_none() || value.is_undefined() || crate::template::is_omit(value) {
        return None;
    }
    Some(value.to_string()).filter(|text| !text.is_empty())
}

/// Text, or each text of a list.
pub fn texts_of(
    templar: &Templar,
    node: &Node,
    scope: &Arc<dyn Scope>,
) -> Result<Vec<String>, Failure> {
    let value = value_of(templar, node, scope)?;
    let items = match value.kind() {
        ValueKind::Seq => value.try_iter().map(Iterator::collect).unwrap_or_default(),
        _ => vec![value],
    };
    Ok(items.iter().map(python_text).collect())
}

/// A number of a whole kind, for retries, delay, throttle and the like.
pub fn number_of(
    templar: &Templar,
    node: &Node,
    scope: &Arc<dyn Scope>,
    keyword: &str,
) -> Result<f64, Failure> {
    let value = value_of(templar, node, scope)?;
    value.to_string().trim().trim_end_matches('%').parse().map_err(|_| {
        let error = node.span.error(format!("'{keyword}' must be a number, not '{value}'"));
        Failure::new(error.to_string())
    })
}
