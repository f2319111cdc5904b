//! Template files: the template module's options, headers, includes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;

use super::context::Context;
use super::line_statements::with_line_statements;
use super::rewrite::rewrite_template;
use super::running::Piece;
use super::scan::{Delimiters, Kind, scan};
use super::templar::{Reading, Templar};
use super::{Scope, TemplateError, Value, file_vars};
use crate::source::{SourceFile, Span};
use crate::vault;

/// A template file begins with this when it sets its own options.
const HEADER: &str = "#jinja2:";

/// How a template file is read.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// The file's own path: for errors, and its folder for `{% include %}`.
    pub path: Option<PathBuf>,
    /// The path as the task names it.
    pub written_path: Option<String>,
    /// Where the result goes, for `template_destpath`.
    pub destination: Option<String>,
    /// Where `{% include %}`, `{% import %}` and `{% extends %}` look, each
    /// with its `templates` folder first.
    pub search_path: Vec<PathBuf>,
    pub trim_blocks: bool,
    pub lstrip_blocks: bool,
    /// Line ends of the result: `\n`, `\r\n` or `\r`.
    pub newline_sequence: String,
    pub delimiters: Delimiters,
    /// A line that begins with this is a statement.
    pub line_statement_prefix: Option<String>,
    /// What follows this on a line is a comment.
    pub line_comment_prefix: Option<String>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            path: None,
            written_path: None,
            destination: None,
            search_path: Vec::new(),
            trim_blocks: true,
            lstrip_blocks: false,
            newline_sequence: "\n".to_owned(),
            delimiters: Delimiters::default(),
            line_statement_prefix: None,
            line_comment_prefix: None,
        }
    }
}

/// A value in a header: one of Python's, written as in Python.
struct Setting {
    text: String,
    truth: bool,
}

impl Setting {
    fn read(written: &str) -> Result<Self, TemplateError> {
        let quoted = |quote: char| written.strip_prefix(quote)?.strip_suffix(quote);
        if let Some(text) = quoted('\'').or_else(|| quoted('"')) {
            // As in Python any text but the empty one is true, `"False"` as well.
            return Ok(Self { text: text.to_owned(), truth: !text.is_empty() });
        }
        let truth = match written {
            "True" => true,
            "False" | "None" => false,
            number => match number.parse::<i64>() {
                Ok(number) => number != 0,
                Err(_) => {
                    return Err(TemplateError::new(format!(
                        "failed to parse jinja2 override: '{written}' is neither True, False, a number nor a text in quotes"
                    )));
                }
            },
        };
        Ok(Self { text: written.to_owned(), truth })
    }
}

impl FileOptions {
    /// Takes the options of a `#jinja2:` line off the text.
    fn with_header(mut self, text: &str) -> Result<(Self, &str), TemplateError> {
        let Some(rest) = text.strip_prefix(HEADER) else { return Ok((self, text)) };
        let (line, rest) = rest.split_once('\n').unwrap_or((rest, ""));
        for pair in line.split(',') {
            let (key, value) = pair.split_once(':').ok_or_else(|| {
                TemplateError::new(format!(
                    "failed to parse jinja2 override '{}'. Did you use something different from colon as key-value separator?",
                    pair.trim()
                ))
            })?;
            self.set(key.trim(), &Setting::read(value.trim())?)?;
        }
        Ok((self, rest))
    }

    /// An option of Jinja2 that changes nothing here is passed over.
    fn set(&mut self, key: &str, value: &Setting) -> Result<(), TemplateError> {
        let text = || value.text.clone();
        match key {
            "trim_blocks" => self.trim_blocks = value.truth,
            "lstrip_blocks" => self.lstrip_blocks = value.truth,
            "newline_sequence" => {
                self.newline_sequence = text().replace("\\r", "\r").replace("\\n", "\n");
            }
            "variable_start_string" => self.delimiters.variable.0 = text(),
            "variable_end_string" => self.delimiters.variable.1 = text(),
            "block_start_string" => self.delimiters.block.0 = text(),
            "block_end_string" => self.delimiters.block.1 = text(),
            "comment_start_string" => self.delimiters.comment.0 = text(),
            "comment_end_string" => self.delimiters.comment.1 = text(),
            "line_statement_prefix" => self.line_statement_prefix = value.truth.then(text),
            "line_comment_prefix" => self.line_comment_prefix = value.truth.then(text),
            // Line ends are kept in any case, and nothing is escaped for HTML.
            "keep_trailing_newline" | "autoescape" | "optimized" | "auto_reload" => {}
            other => {
                return Err(TemplateError::new(format!("'{other}' is no option of a template")));
            }
        }
        Ok(())
    }

    fn syntax(&self) -> Result<SyntaxConfig, TemplateError> {
        let pair = |(start, end): &(String, String)| (start.clone(), end.clone());
        let (variable, block, comment) = (
            pair(&self.delimiters.variable),
            pair(&self.delimiters.block),
            pair(&self.delimiters.comment),
        );
        let mut builder = SyntaxConfig::builder();
        builder.trim_blocks(self.trim_blocks).lstrip_blocks(self.lstrip_blocks);
        if self.delimiters != Delimiters::default() {
            builder
                .variable_delimiters(variable.0, variable.1)
                .block_delimiters(block.0, block.1)
                .comment_delimiters(comment.0, comment.1);
        }
        builder.build().map_err(|error| TemplateError::new(error.to_string()))
    }

    /// The operator's text as minijinja is to read it.
    fn prepared(&self, text: &str) -> Result<String, TemplateError> {
        let text = with_line_ends(text, &self.delimiters, &self.newline_sequence);
        let (statement, comment) =
            (self.line_statement_prefix.as_deref(), self.line_comment_prefix.as_deref());
        let text = with_line_statements(text, &self.delimiters, statement, comment);
        let rewritten = rewrite_template(&text, &self.delimiters, false);
        rewritten.checked().map(str::to_owned)
    }

    /// The folders for includes, the template's own last.
    fn folders(&self) -> Vec<PathBuf> {
        let own = self.path.as_deref().and_then(Path::parent).map(Path::to_owned);
        let folders = self.search_path.iter().cloned().chain(own);
        folders.flat_map(|path| [path.join("templates"), path]).collect()
    }
}

/// The text with these line ends outside of its tags.
fn with_line_ends(text: &str, delimiters: &Delimiters, ends: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if ends == "\n" {
        return text;
    }
    let parts = scan(&text, delimiters).into_iter().map(|segment| {
        let part = &text[segment.outer];
        if segment.kind == Kind::Data { part.replace('\n', ends) } else { part.to_owned() }
    });
    parts.collect()
}

impl Templar {
    /// Renders the text of a template file, as the template module does. An
    /// error's place is in the template file.
    pub fn render_file(
        &self,
        text: &str,
        options: &FileOptions,
        scope: &Arc<dyn Scope>,
    ) -> Result<String, TemplateError> {
        let context = Context::new(self.clone(), scope.clone());
        let own = file_vars::of_file(options, &context);
        self.file_in(text, options, &context.with_variables(own))
    }

    /// A template for the lookup, with variables of its own before the others.
    pub(super) fn render_lookup(
        &self,
        text: &str,
        options: &FileOptions,
        context: &Arc<Context>,
        extra: Option<Value>,
    ) -> Result<String, TemplateError> {
        let context = context.with_variables(file_vars::of_file(options, context));
        match extra {
            None => self.file_in(text, options, &context),
            Some(extra) => self.file_in(text, options, &context.with_variables(extra)),
        }
    }

    fn file_in(
        &self,
        text: &str,
        options: &FileOptions,
        context: &Arc<Context>,
    ) -> Result<String, TemplateError> {
        let path = options.path.clone().unwrap_or_else(|| PathBuf::from("<template>"));
        let file = SourceFile::new(&path, text);
        let start = Span { file: file.clone(), line: 1, column: 1 };
        let (options, body) =
            options.clone().with_header(text).map_err(|error| error.at(Some(&start)))?;
        let line = if body.len() < text.len() { 2 } else { 1 };
        let span = Span { file, line, column: 1 };
        let environment = self.file_environment(&options).map_err(|error| error.at(Some(&span)))?;
        let folders = options.folders();
        let included = |name: &str| {
            let path = found_in(&folders, name)?;
            let text = vault::read_text(&path).ok()?;
            Some(SourceFile::new(&path, &text))
        };
        let piece = Piece {
            environment: &environment,
            code: &options.prepared(body).map_err(|error| error.at(Some(&span)))?,
            text: body,
            delimiters: &options.delimiters,
            span: Some(&span),
            reading: Reading::Template,
            included: Some(&included),
        };
        let rendered = self.run_piece(&piece, context)?;
        let rendered = super::python::text(&rendered);
        Ok(with_trailing_lines(rendered, body, &options.newline_sequence))
    }

    fn file_environment(
        &self,
        options: &FileOptions,
    ) -> Result<Environment<'static>, TemplateError> {
        let mut environment = self.environment().clone();
        environment.set_syntax(options.syntax()?);
        let (folders, options) = (options.folders(), options.clone());
        environment.set_loader(move |name| {
            let Some(path) = found_in(&folders, name) else { return Ok(None) };
            let text = vault::read_text(&path).map_err(|error| {
                TemplateError::new(format!("{} cannot be read: {error}", path.display()))
            })?;
            Ok(Some(options.prepared(&text)?))
        });
        Ok(environment)
    }
}

/// The file of an included template.
fn found_in(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Jinja2 takes a last line end off; as in Ansible those of the source come back.
pub(super) fn with_trailing_lines(mut rendered: String, source: &str, line_end: &str) -> String {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    let normalised = source.replace("\r\n", "\n").replace('\r', "\n");
    let wanted = count(&normalised);
    let present = count(&rendered.replace(line_end, "\n"));
    rendered.push_str(&line_end.repeat(wanted.saturating_sub(present)));
    rendered
}
