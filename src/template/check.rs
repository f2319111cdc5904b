//! What can be said about templates before anything runs.

use super::locate::locate;
use super::rewrite::{Role, Use, short_name};
use super::templar::{Reading, Templar};
use super::{TemplateError, python};
use crate::source::{self, Node, Span, Yaml, suggest};

impl Templar {
    /// Whether every template in a node can be read: its syntax, and the names
    /// of its filters and tests.
    pub fn check(&self, node: &Node) -> Result<(), source::Error> {
        match &node.value {
            Yaml::Str(text) if self.is_template(text) => {
                self.check_text(text, &node.span, Reading::Template)
            }
            Yaml::Seq(items) => items.iter().try_for_each(|item| self.check(item)),
            Yaml::Map(entries) => entries.iter().try_for_each(|(key, value)| {
                self.check(key)?;
                self.check(value)
            }),
            _ => Ok(()),
        }
    }

    /// As [`check`](Self::check), for conditions: texts without tags are expressions.
    pub fn check_condition(&self, node: &Node) -> Result<(), source::Error> {
        match &node.value {
            Yaml::Str(text) if !text.is_empty() && !self.is_template(text) => {
                self.check_text(text, &node.span, Reading::Expression)
            }
            Yaml::Seq(items) => items.iter().try_for_each(|item| self.check_condition(item)),
            _ => self.check(node),
        }
    }

    fn check_text(&self, text: &str, span: &Span, reading: Reading) -> Result<(), source::Error> {
        let rewritten = self.rewrite(text, reading, reading == Reading::Template);
        if let Some(offset) = rewritten.too_deep {
            return Err(locate(span, text, offset).error("the template nests too deep"));
        }
        let environment = self.environment();
        let compiled = match reading {
            Reading::Template => environment.template_from_str(&rewritten.text).map(drop),
            Reading::Expression => environment.compile_expression(&rewritten.text).map(drop),
        };
        if let Err(error) = compiled {
            return Err(self.syntax_error(&error, text, span, reading).into());
        }
        rewritten.uses.iter().try_for_each(|used| self.check_name(used, text, span))
    }

    fn check_name(&self, used: &Use, text: &str, span: &Span) -> Result<(), source::Error> {
        let kind = match used.role {
            Role::Filter => "filter",
            Role::Test => "test",
            Role::Lookup => "lookup",
        };
        let known = self.names(used.role);
        let name = short_name(&used.name);
        if known.contains(&name) {
            return Ok(());
        }
        let error =
            locate(span, text, used.offset).error(format!("no {kind} named '{}'", used.name));
        Err(match suggest(name, known) {
            Some(near) => error.with_help(format!("did you mean '{near}'?")),
            None => error,
        })
    }

    /// A syntax error told about the operator's text, not about the rewritten one.
    pub(super) fn syntax_error(
        &self,
        error: &minijinja::Error,
        text: &str,
        span: &Span,
        reading: Reading,
    ) -> TemplateError {
        let mut environment = self.environment().clone();
        environment.set_debug(true);
        let original = match reading {
            Reading::Expression if !self.is_template(text) => {
                environment.compile_expression(text).err()
            }
            _ => environment.template_from_str(text).err(),
        };
        let error = original.as_ref().unwrap_or(error);
        let offset = error.range().map(|range| range.start).filter(|start| *start < text.len());
        let place = offset.map_or_else(|| span.clone(), |offset| locate(span, text, offset));
        TemplateError::new(format!(
            "template error while templating string: {}. String: {}",
            python::detail(error),
            text.trim_end()
        ))
        .at(Some(&place))
    }
}
