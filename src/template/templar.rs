//! The templates of a run.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use regex::Regex;
use serde_json::Value as Json;

use super::context::{Context, LazyMap};
use super::file::with_trailing_lines;
use super::finish::format_value;
use super::rewrite::{Rewritten, Role, rewrite_expression, rewrite_template};
use super::running::Piece;
use super::scan::{Delimiters, Kind, Segment, scan};
use super::{
    Scope, TemplateError, Value, access, filters, globals, lookups, methods, omit, python, tests,
};
use crate::secret::Secret;
use crate::source::{Node, Span, Yaml};

/// The value of a setting and where it comes from, if there is one of this name.
pub type ConfigValue = Arc<dyn Fn(&str) -> Option<(Json, String)> + Send + Sync>;
/// The hosts of a pattern, in the order of the inventory.
pub type HostPattern = Arc<dyn Fn(&str) -> Result<Vec<String>, String> + Send + Sync>;

/// Decrypts the ciphertext of a `!vault` value.
pub type Decrypt = Arc<dyn Fn(&str) -> Result<Secret, String> + Send + Sync>;

/// What templates need to know of the run.
#[derive(Clone, Default)]
pub struct Settings {
    /// The folder of the playbook: where lookups and templates are found.
    pub playbook_dir: PathBuf,
    /// None: a vault value is an error.
    pub decrypt: Option<Decrypt>,
    /// For the lookup `inventory_hostnames`.
    pub hosts: Option<HostPattern>,
    /// For the lookup `config`.
    pub config: Option<ConfigValue>,
    /// Lookups are errors.
    pub no_lookups: bool,
}

/// What one rendering may do in minijinja's count: an instruction each, or 64 bytes.
/// It ends loops in loops, and texts that double until the memory is full.
const FUEL: u64 = 20_000_000;

/// Renders templates. Made once per run, cheap to clone, shared by all hosts.
#[derive(Clone)]
pub struct Templar(Arc<Inner>);

struct Inner {
    environment: Environment<'static>,
    delimiters: Delimiters,
    settings: Settings,
    filters: HashSet<String>,
    tests: HashSet<String>,
    globals: HashSet<String>,
    warnings: Mutex<Warnings>,
}

/// What is to be told to the operator, each thing once in a run.
#[derive(Default)]
struct Warnings {
    told: HashSet<String>,
    new: Vec<String>,
}

impl fmt::Debug for Templar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templar").field("playbook_dir", &self.0.settings.playbook_dir).finish()
    }
}

/// What a text is read as.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Reading {
    Template,
    Expression,
}

impl Templar {
    pub fn new(settings: Settings) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_debug(false);
        environment.set_fuel(Some(FUEL));
        environment.set_syntax(syntax());
        environment.set_formatter(format_value);
        environment.set_unknown_method_callback(methods::call);
        access::register(&mut environment);
        let filters = filters::register(&mut environment);
        let tests = tests::register(&mut environment);
        let globals = globals::register(&mut environment);
        Self(Arc::new(Inner {
            environment,
            delimiters: Delimiters::default(),
            settings,
            filters,
            tests,
            globals,
            warnings: Mutex::default(),
        }))
    }

    pub(super) fn warn(&self, text: String) {
        let mut warnings = self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.told.insert(text.clone()) {
            warnings.new.push(text);
        }
    }

    /// What templates have warned of since this was last asked.
    pub fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.0.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut warnings.new)
    }

    /// The same, but lookups are errors.
    pub fn without_lookups(&self) -> Self {
        Self::new(Settings { no_lookups: true, ..self.settings().clone() })
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The value of the variable `omit`.
    pub fn omit() -> Value {
        omit::omit()
    }

    /// The variables of a scope as a map whose values are rendered when they
    /// are looked at: `hostvars['other']`, `vars`.
    pub fn lazy(&self, scope: &Arc<dyn Scope>) -> Value {
        Value::from_object(LazyMap(Context::new(self.clone(), scope.clone())))
    }

    /// Renders everything in a node. A text that is one `{{ expression }}`
    /// keeps the expression's type. What is omitted stays in as [`Templar::omit`].
    pub fn render(&self, node: &Node, scope: &Arc<dyn Scope>) -> Result<Value, TemplateError> {
        self.render_in(node, &Context::new(self.clone(), scope.clone()))
    }

    /// As [`render`](Self::render), for a module's arguments: map entries and
    /// list items whose value is `omit` are left out, however deep they stand.
    pub fn render_arguments(
        &self,
        node: &Node,
        scope: &Arc<dyn Scope>,
    ) -> Result<Value, TemplateError> {
        self.render(node, scope).map(omit::without_omitted)
    }

    /// Renders a text that came from `span`; without tags it is given back as it is.
    pub fn render_text(
        &self,
        text: &str,
        span: Option<&Span>,
        scope: &Arc<dyn Scope>,
    ) -> Result<Value, TemplateError> {
        self.text_in(text, span, &Context::new(self.clone(), scope.clone()))
    }

    /// The value of a bare expression, as `when`, `until` or `debug: var` have it.
    pub fn evaluate(
        &self,
        expression: &str,
        span: Option<&Span>,
        scope: &Arc<dyn Scope>,
    ) -> Result<Value, TemplateError> {
        self.expression_in(expression, span, &Context::new(self.clone(), scope.clone()))
    }

    /// What a lookup finds: `lookup('NAME', terms…, options…)`, always as a list.
    pub fn lookup(
        &self,
        name: &str,
        terms: Vec<Value>,
        options: Vec<(String, Value)>,
        scope: &Arc<dyn Scope>,
    ) -> Result<Vec<Value>, TemplateError> {
        lookups::run(name, &Context::new(self.clone(), scope.clone()), terms, options)
    }

    /// The items of a loop `with_NAME: value`; `folder` is where files of its task are.
    pub fn loop_items(
        &self,
        name: &str,
        value: Value,
        folder: &str,
        scope: &Arc<dyn Scope>,
    ) -> Result<Vec<Value>, TemplateError> {
        let options = match name {
            "first_found" => vec![(lookups::files::FOLDER.to_owned(), Value::from(folder))],
            _ => Vec::new(),
        };
        self.lookup(name, lookups::listed(value)?, options, scope)
    }

    /// Whether a loop `with_NAME` is known.
    pub fn has_lookup(name: &str) -> bool {
        lookups::exists(name)
    }

    /// Whether a condition holds. A list holds when all of it does; a text is
    /// an expression, or a template that gives one.
    pub fn condition(&self, node: &Node, scope: &Arc<dyn Scope>) -> Result<bool, TemplateError> {
        let context = Context::new(self.clone(), scope.clone());
        match &node.value {
            Yaml::Null => Ok(true),
            Yaml::Bool(value) => Ok(*value),
            Yaml::Seq(items) => {
                for item in items {
                    if !self.condition(item, scope)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Yaml::Str(text) if text.is_empty() => Ok(true),
            Yaml::Str(text) => self.condition_in(text, node, &context).map_err(|error| {
                let message = format!(
                    "The conditional check '{text}' failed. The error was: error while evaluating conditional ({text}): {}",
                    error.message
                );
                TemplateError { message, ..error }.at(Some(&node.span))
            }),
            _ => Ok(self.render_in(node, &context)?.is_true()),
        }
    }

    fn condition_in(
        &self,
        text: &str,
        node: &Node,
        context: &Arc<Context>,
    ) -> Result<bool, TemplateError> {
        if !self.0.delimiters.found_in(text) {
            return Ok(self.expression_in(text, Some(&node.span), context)?.is_true());
        }
        self.warn(format!(
            "conditional statements should not include jinja2 templating delimiters such as \
             {{{{ }}}} or {{% %}}. Found: {text}"
        ));
        let rendered = self.text_in(text, Some(&node.span), context)?;
        match rendered.as_str() {
            None => Ok(rendered.is_true()),
            Some(result) if result.trim().is_empty() => Ok(false),
            // What a host said may have come in with the template.
            Some(result) if asks_for_lookups(result) > asks_for_lookups(text) => {
                Err(TemplateError::new(
                    "Conditional is marked as unsafe, and cannot be evaluated.".to_owned(),
                ))
            }
            Some(result) => Ok(self.expression_in(result, None, context)?.is_true()),
        }
    }

    /// The names of all filters, tests or lookups.
    pub(super) fn names(&self, role: Role) -> Vec<&str> {
        match role {
            Role::Filter => self.0.filters.iter().map(String::as_str).collect(),
            Role::Test => self.0.tests.iter().map(String::as_str).collect(),
            Role::Lookup => lookups::names().collect(),
        }
    }

    pub(super) fn environment(&self) -> &Environment<'static> {
        &self.0.environment
    }

    pub(super) fn is_global(&self, name: &str) -> bool {
        self.0.globals.contains(name)
    }

    /// Whether minijinja would find tags in this text.
    pub fn is_template(&self, text: &str) -> bool {
        self.0.delimiters.found_in(text)
    }

    pub(super) fn render_in(
        &self,
        node: &Node,
        context: &Arc<Context>,
    ) -> Result<Value, TemplateError> {
        Ok(match &node.value {
            Yaml::Null => Value::from(()),
            Yaml::Bool(value) => Value::from(*value),
            Yaml::Int(value) => Value::from(*value),
            Yaml::Float(value) => Value::from(*value),
            Yaml::Str(text) => self.text_in(text, Some(&node.span), context)?,
            Yaml::Unsafe(text) => Value::from(text.as_str()),
            Yaml::Vault(ciphertext) => self.decrypted(ciphertext, &node.span)?,
            Yaml::Seq(items) => Value::from(
                items
                    .iter()
                    .map(|item| self.render_in(item, context))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Yaml::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    // Keys are what is written, as in Ansible.
                    let key = match &key.value {
                        Yaml::Str(text) => Value::from(text.as_str()),
                        _ => self.render_in(key, context)?,
                    };
                    Ok((key, self.render_in(value, context)?))
                });
                Value::from_pairs(entries.collect::<Result<Vec<_>, TemplateError>>()?)
            }
        })
    }

    fn decrypted(&self, ciphertext: &str, span: &Span) -> Result<Value, TemplateError> {
        let error = |message: String| TemplateError::new(message).at(Some(span));
        let Some(decrypt) = &self.0.settings.decrypt else {
            return Err(error("Attempting to decrypt but no vault secrets found".to_owned()));
        };
        decrypt(ciphertext).map(|secret| Value::from(secret.expose())).map_err(error)
    }

    pub(super) fn text_in(
        &self,
        text: &str,
        span: Option<&Span>,
        context: &Arc<Context>,
    ) -> Result<Value, TemplateError> {
        if !self.0.delimiters.found_in(text) {
            return Ok(Value::from(text));
        }
        let segments = scan(text, &self.0.delimiters);
        if let Some(code) = only_expression(text, &segments) {
            let rewritten = self.rewrite(&text[code], Reading::Expression, true);
            let value = self.run(&rewritten, text, span, context, Reading::Expression)?;
            // As in Ansible, line ends behind the tag belong to a text, and to nothing else.
            let ends = text.len() - text.trim_end_matches('\n').len();
            return Ok(match value.as_str() {
                Some(result) if ends > 0 => Value::from(format!("{result}{}", "\n".repeat(ends))),
                _ => value,
            });
        }
        let rewritten = self.rewrite(text, Reading::Template, true);
        let rendered = self.run(&rewritten, text, span, context, Reading::Template)?;
        Ok(Value::from(with_trailing_lines(python::text(&rendered), text, "\n")))
    }

    /// Runs what a playbook holds.
    fn run(
        &self,
        rewritten: &Rewritten,
        text: &str,
        span: Option<&Span>,
        context: &Arc<Context>,
        reading: Reading,
    ) -> Result<Value, TemplateError> {
        let piece = Piece {
            environment: &self.0.environment,
            code: rewritten.checked().map_err(|error| error.at(span))?,
            text,
            delimiters: &self.0.delimiters,
            span,
            reading,
            included: None,
        };
        self.run_piece(&piece, context)
    }

    pub(super) fn expression_in(
        &self,
        expression: &str,
        span: Option<&Span>,
        context: &Arc<Context>,
    ) -> Result<Value, TemplateError> {
        let rewritten = self.rewrite(expression, Reading::Expression, false);
        self.run(&rewritten, expression, span, context, Reading::Expression)
    }

    /// The text as minijinja is to read it. Only in `{{ }}` do backslashes mean themselves.
    pub(super) fn rewrite(&self, text: &str, reading: Reading, literal: bool) -> Rewritten {
        match reading {
            Reading::Expression => rewrite_expression(text, literal),
            Reading::Template => rewrite_template(text, &self.0.delimiters, literal),
        }
    }
}

/// The syntax of templates in playbooks.
fn syntax() -> minijinja::syntax::SyntaxConfig {
    let mut builder = minijinja::syntax::SyntaxConfig::builder();
    builder.trim_blocks(true);
    builder.build().unwrap_or_default()
}

/// The code of a text that is one `{{ expression }}` and nothing but line ends behind it.
fn only_expression(text: &str, segments: &[Segment]) -> Option<std::ops::Range<usize>> {
    let [expression, rest @ ..] = segments else { return None };
    let nothing = |segment: &Segment| match segment.kind {
        Kind::Comment => true,
        _ => {
            segment.kind == Kind::Data && text[segment.outer.clone()].trim_matches('\n').is_empty()
        }
    };
    (expression.kind == Kind::Expression && rest.iter().all(nothing))
        .then(|| expression.inner.clone())
}

/// How often a text calls what may act on the controller.
fn asks_for_lookups(text: &str) -> usize {
    static CALL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\b(lookup|query|q)\s*\(").expect("a constant pattern"));
    CALL.find_iter(text).count()
}
