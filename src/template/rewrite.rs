//! Expressions written anew for minijinja, so that they mean what they mean to Ansible.
//!
//! - `a.b`, `a['b']`, `a[1:]` and `a.b()` become filters of ours ([`access`](super::access)):
//!   an attribute of something undefined is undefined, and only its use is an error.
//! - `ansible.builtin.combine` is `combine`.
//! - `'%s' % x` formats, and `{% do %}` takes any expression.
//!
//! Lines stay lines, so that an error's line is the operator's line.

use std::ops::Range;

use super::scan::{Delimiters, Kind, scan};
use super::tokens::{Token, TokenKind, tokenize};

pub const ATTRIBUTE: &str = "__attribute";
pub const ITEM: &str = "__item";
pub const SLICE: &str = "__slice";
pub const METHOD: &str = "__method";
pub const INVOKE: &str = "__invoke";
pub const PERCENT: &str = "__percent";
pub const MUTABLE: &str = "__mutable";
pub const DIFFERENCE: &str = "__difference";

/// Collections whose filters and tests are known by their last name alone.
const COLLECTIONS: [&str; 7] = [
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.utils.",
    "ansible.posix.",
    "community.general.",
    "community.crypto.",
    "kubernetes.core.",
];

/// Whether a name was used as a filter or as a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Filter,
    Test,
}

/// A filter or test that a template names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub role: Role,
    pub name: String,
    /// The byte of the template's text where the name begins.
    pub offset: usize,
}

/// A text made ready for minijinja, and what it names.
#[derive(Debug, Default)]
pub struct Rewritten {
    pub text: String,
    pub uses: Vec<Use>,
}

/// The name without the collection it comes from.
pub fn short_name(name: &str) -> &str {
    COLLECTIONS.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Rewrites a whole template.
///
/// With `literal` the texts in `{{ }}` keep their backslashes: in a playbook
/// `'\1'` is a backslash and a one, for YAML has had its turn already.
pub fn rewrite_template(text: &str, delimiters: &Delimiters, literal: bool) -> Rewritten {
    let mut result = Rewritten::default();
    for segment in scan(text, delimiters) {
        if matches!(segment.kind, Kind::Data | Kind::Comment) {
            result.text.push_str(&text[segment.outer.clone()]);
            continue;
        }
        result.text.push_str(&text[segment.outer.start..segment.inner.start]);
        let mut writer = Writer::new(text, segment.inner.clone());
        writer.literal = literal && segment.kind == Kind::Expression;
        let code = match segment.kind {
            Kind::Statement => writer.statement(),
            _ => writer.expression(&[]),
        };
        result.text.push_str(&code);
        result.text.push_str(&text[writer.copied..segment.outer.end]);
        result.uses.append(&mut writer.uses);
    }
    result
}

/// Rewrites one bare expression, as `when` has it.
pub fn rewrite_expression(code: &str, literal: bool) -> Rewritten {
    let mut writer = Writer::new(code, 0..code.len());
    writer.literal = literal;
    let mut text = writer.expression(&[]);
    text.push_str(&code[writer.copied..]);
    Rewritten { text, uses: writer.uses }
}

struct Writer<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    /// Up to here the text has been written.
    copied: usize,
    uses: Vec<Use>,
    /// Backslashes in texts mean themselves.
    literal: bool,
    /// Lists and maps written here can be changed later.
    mutable: bool,
}

impl<'a> Writer<'a> {
    fn new(text: &'a str, code: Range<usize>) -> Self {
        let tokens = tokenize(&text[code.clone()])
            .into_iter()
            .map(|token| Token {
                kind: token.kind,
                range: code.start + token.range.start..code.start + token.range.end,
            })
            .collect();
        Self {
            text,
            tokens,
            next: 0,
            copied: code.start,
            uses: Vec::new(),
            literal: false,
            mutable: false,
        }
    }

    fn word(&self, ahead: usize) -> Option<&'a str> {
        self.tokens.get(self.next + ahead).map(|token| &self.text[token.range.clone()])
    }

    fn kind(&self, ahead: usize) -> Option<TokenKind> {
        self.tokens.get(self.next + ahead).map(|token| token.kind)
    }

    /// Takes a token: the space before it, and itself.
    fn take(&mut self) -> (&'a str, &'a str) {
        let Some(token) = self.tokens.get(self.next) else { return ("", "") };
        let gap = &self.text[self.copied..token.range.start];
        let word = &self.text[token.range.clone()];
        self.copied = token.range.end;
        self.next += 1;
        (gap, word)
    }

    fn copy(&mut self, out: &mut String) {
        let (gap, word) = self.take();
        out.push_str(gap);
        out.push_str(word);
    }

    /// A text in quotes.
    fn copy_text(&mut self, out: &mut String) {
        let (gap, word) = self.take();
        out.push_str(gap);
        if !self.literal {
            out.push_str(word);
            return;
        }
        let mut characters = word.chars().peekable();
        while let Some(character) = characters.next() {
            out.push(character);
            if character != '\\' {
                continue;
            }
            match characters.peek() {
                // A quote that is escaped stays one.
                Some(quote @ ('\'' | '"')) if word.starts_with(*quote) => {
                    out.push(*quote);
                    characters.next();
                }
                _ => out.push('\\'),
            }
        }
    }

    /// A tag `{% word … %}`.
    fn statement(&mut self) -> String {
        let mut out = String::new();
        match self.word(0) {
            Some("set") => {
                self.copy(&mut out);
                while !matches!(self.word(0), None | Some("=" | "|")) {
                    self.copy(&mut out);
                }
                if self.word(0) != Some("=") {
                    return out + &self.expression(&[]);
                }
                self.copy(&mut out);
                self.mutable = true;
                let value = self.expression(&[","]);
                if self.word(0).is_none() && !value.trim().is_empty() {
                    return format!("{out} {MUTABLE}({value})");
                }
                out + &value + &self.expression(&[])
            }
            Some("for") => {
                while !matches!(self.word(0), None | Some("in")) {
                    self.copy(&mut out);
                }
                out + &self.expression(&[])
            }
            Some("do") => {
                let (gap, _) = self.take();
                self.mutable = true;
                format!("{gap}set __done = ({})", self.expression(&[]))
            }
            // The callee of a call block has to stay a call.
            Some("call" | "filter" | "from") => {
                while self.word(0).is_some() {
                    self.copy(&mut out);
                }
                out
            }
            Some(_) => {
                self.copy(&mut out);
                out + &self.expression(&[])
            }
            None => out,
        }
    }

    /// Everything up to (not with) one of these symbols, or to the end.
    fn expression(&mut self, stops: &[&str]) -> String {
        let mut out = String::new();
        while let Some(word) = self.word(0) {
            if stops.contains(&word) {
                break;
            }
            match (self.kind(0), word) {
                (Some(TokenKind::Symbol), "|") => {
                    self.copy(&mut out);
                    self.named(Role::Filter, &mut out);
                }
                (Some(TokenKind::Name), "is") => {
                    self.copy(&mut out);
                    if self.word(0) == Some("not") {
                        self.copy(&mut out);
                    }
                    self.named(Role::Test, &mut out);
                }
                (Some(TokenKind::Name), "and" | "or" | "not" | "in" | "if" | "else") => {
                    self.copy(&mut out);
                }
                (Some(TokenKind::Symbol), symbol) if !matches!(symbol, "(" | "[" | "{") => {
                    self.copy(&mut out);
                }
                _ => self.chain(&mut out),
            }
        }
        out
    }

    /// The name of a filter or test, and its arguments if it has brackets.
    fn named(&mut self, role: Role, out: &mut String) {
        if self.kind(0) != Some(TokenKind::Name) {
            return;
        }
        let offset = self.tokens.get(self.next).map_or(0, |token| token.range.start);
        let (gap, word) = self.take();
        let mut name = word.to_owned();
        while self.word(0) == Some(".") && self.kind(1) == Some(TokenKind::Name) {
            self.take();
            name.push('.');
            name.push_str(self.take().1);
        }
        out.push_str(gap);
        out.push_str(short_name(&name));
        self.uses.push(Use { role, name, offset });
        if self.word(0) == Some("(") {
            out.push_str(&self.group());
        }
    }

    /// A bracketed group with its brackets, from the gap before it.
    fn group(&mut self) -> String {
        let mut out = String::new();
        let close = match self.word(0) {
            Some("(") => ")",
            Some("[") => "]",
            _ => "}",
        };
        self.copy(&mut out);
        let first = self.next;
        let inside = self.expression(&[close]);
        match self.difference_of_times(first, &inside) {
            Some(difference) => out.push_str(&difference),
            None => out.push_str(&inside),
        }
        self.copy(&mut out);
        out
    }

    /// `a - b` alone in brackets, where one of them is a time: minijinja
    /// subtracts numbers only, so a filter has to do it.
    fn difference_of_times(&self, first: usize, inside: &str) -> Option<String> {
        if !inside.contains("to_datetime") && !inside.contains("now(") {
            return None;
        }
        let mut depth = 0usize;
        let mut minus = None;
        for (index, token) in self.tokens.iter().enumerate().take(self.next).skip(first) {
            match &self.text[token.range.clone()] {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "-" if depth == 0 && minus.is_none() && index > first => minus = Some(index),
                "|" | "." => {}
                _ if depth > 0 || token.kind != TokenKind::Symbol => {}
                _ => return None,
            }
        }
        let minus = minus?;
        let last = self.next;
        let part = |from: usize, to: usize| -> Option<String> {
            let start = self.tokens.get(from)?.range.start;
            let end = self.tokens.get(to.checked_sub(1)?)?.range.end;
            Some(rewrite_expression(self.text.get(start..end)?, self.literal).text)
        };
        let (a, b) = (part(first, minus)?, part(minus + 1, last)?);
        Some(format!("{a}|{DIFFERENCE}({b})"))
    }

    /// A value and what is asked of it: `a.b['c'](d)[1:]`.
    fn chain(&mut self, out: &mut String) {
        let start = self.tokens.get(self.next).map_or(0, |token| token.range.start);
        out.push_str(&self.text[self.copied..start]);
        self.copied = start;
        let kind = self.kind(0);
        let name = self.word(0).unwrap_or_default();
        let mut chain = String::new();
        match kind {
            Some(TokenKind::Symbol) if self.mutable && name != "(" => {
                chain.push_str(&format!("{MUTABLE}({})", self.group()));
            }
            Some(TokenKind::Symbol) => chain.push_str(&self.group()),
            Some(TokenKind::Text) => {
                while self.kind(0) == Some(TokenKind::Text) {
                    self.copy_text(&mut chain);
                }
            }
            _ => self.copy(&mut chain),
        }
        // These two are minijinja's own and are never undefined.
        let plain = kind == Some(TokenKind::Name) && matches!(name, "loop" | "self");
        let mut filtered = false;
        while let Some(word) = self.word(0) {
            match word {
                "." if plain => {
                    self.copy(&mut chain);
                    self.copy(&mut chain);
                }
                "." if self.kind(1) == Some(TokenKind::Name) => {
                    self.member(&mut chain);
                    filtered = true;
                }
                "." if self.kind(1) == Some(TokenKind::Number) => {
                    self.take();
                    let (_, index) = self.take();
                    chain.push_str(&format!("|{ITEM}({index})"));
                    filtered = true;
                }
                "[" => {
                    self.subscript(&mut chain);
                    filtered = true;
                }
                "(" if !filtered => chain.push_str(&self.group()),
                "(" => {
                    chain.push_str(&format!("|{INVOKE}"));
                    chain.push_str(&self.group());
                }
                _ => break,
            }
        }
        if kind == Some(TokenKind::Text) && !filtered && self.word(0) == Some("%") {
            self.percent(&mut chain);
            filtered = true;
        }
        if filtered {
            chain.insert(0, '(');
            chain.push(')');
        }
        out.push_str(&chain);
    }

    /// `.name` or `.name(arguments)`.
    fn member(&mut self, chain: &mut String) {
        let (gap, _) = self.take();
        chain.push_str(gap);
        let (_, name) = self.take();
        if self.word(0) == Some("(") {
            self.take();
            let arguments = self.expression(&[")"]);
            let (gap, _) = self.take();
            let comma = if arguments.trim().is_empty() { "" } else { ", " };
            chain.push_str(&format!("|{METHOD}('{name}'{comma}{arguments}{gap})"));
        } else {
            chain.push_str(&format!("|{ATTRIBUTE}('{name}')"));
        }
    }

    /// `[item]` or `[start:stop:step]`.
    fn subscript(&mut self, chain: &mut String) {
        let (gap, _) = self.take();
        chain.push_str(gap);
        let mut parts = vec![String::new()];
        loop {
            let part = self.expression(&[":", "]"]);
            if let Some(last) = parts.last_mut() {
                last.push_str(&part);
            }
            if self.word(0) != Some(":") {
                break;
            }
            parts.push(self.take().0.to_owned());
        }
        let (gap, _) = self.take();
        if let [item] = parts.as_slice() {
            chain.push_str(&format!("|{ITEM}({item}{gap})"));
            return;
        }
        let parts: Vec<&str> =
            parts.iter().map(|part| if part.trim().is_empty() { "none" } else { part }).collect();
        chain.push_str(&format!("|{SLICE}({}{gap})", parts.join(", ")));
    }

    /// `% value` after a text: the value is one operand with its filters.
    fn percent(&mut self, chain: &mut String) {
        let (gap, _) = self.take();
        chain.push_str(gap);
        let mut operand = String::new();
        if self.word(0) == Some("-") {
            self.copy(&mut operand);
        }
        if self.word(0).is_some() {
            self.chain(&mut operand);
        }
        while self.word(0) == Some("|") {
            self.copy(&mut operand);
            self.named(Role::Filter, &mut operand);
        }
        chain.push_str(&format!("|{PERCENT}({operand})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(code: &str) -> String {
        rewrite_expression(code, false).text
    }

    fn template(text: &str) -> String {
        rewrite_template(text, &Delimiters::default(), true).text
    }

    #[test]
    fn attributes_and_items_become_filters() {
        assert_eq!(expression("a.b"), "(a|__attribute('b'))");
        assert_eq!(
            expression("a['b'][0].c | default(d.e)"),
            "(a|__item('b')|__item(0)|__attribute('c')) | default((d|__attribute('e')))"
        );
        assert_eq!(expression("x.items() | list"), "(x|__method('items')) | list");
        assert_eq!(expression("x.get('a', y.z)"), "(x|__method('get', 'a', (y|__attribute('z'))))");
        assert_eq!(expression("a[1:]"), "(a|__slice(1, none))");
        assert_eq!(expression("a[::-1]"), "(a|__slice(none, none, -1))");
        assert_eq!(expression("f(x)"), "f(x)");
        assert_eq!(expression("'a.b' ~ [1, 2]"), "'a.b' ~ [1, 2]");
    }

    #[test]
    fn operators_before_a_list_do_not_make_it_a_subscript() {
        assert_eq!(expression("x in ['a']"), "x in ['a']");
        assert_eq!(expression("a if b else [c]"), "a if b else [c]");
        assert_eq!(expression("x is in [1]"), "x is in [1]");
        assert_eq!(expression("x is subset(y.z)"), "x is subset((y|__attribute('z')))");
        assert_eq!(expression("x is sameas y.z"), "x is sameas (y|__attribute('z'))");
    }

    #[test]
    fn names_of_collections_are_shortened_and_remembered() {
        let rewritten =
            rewrite_expression("a | ansible.builtin.combine(b) is ansible.builtin.mapping", false);
        assert_eq!(rewritten.text, "a | combine(b) is mapping");
        assert_eq!(rewritten.uses.len(), 2);
        assert_eq!(rewritten.uses.first().map(|found| found.offset), Some(4));
    }

    #[test]
    fn statements_keep_their_targets() {
        assert_eq!(
            template("{% set ns.x = a.b %}"),
            "{% set ns.x = __mutable( (a|__attribute('b'))) %}"
        );
        assert_eq!(
            template("{% for k, v in a.items() if v.x -%}"),
            "{% for k, v in (a|__method('items')) if (v|__attribute('x')) -%}"
        );
        assert_eq!(
            template("{% do a.append(1) %}"),
            "{% set __done = ( (a|__method('append', 1))) %}"
        );
        assert_eq!(template("{{ loop.index }}"), "{{ loop.index }}");
        assert_eq!(
            template("{# a.b #}{% raw %}{{ a.b }}{% endraw %}"),
            "{# a.b #}{% raw %}{{ a.b }}{% endraw %}"
        );
    }

    #[test]
    fn what_set_stores_can_be_changed() {
        assert_eq!(template("{% set a = [] %}"), "{% set a = __mutable( __mutable([])) %}");
        assert_eq!(template("{% set a, b = 1, 2 %}"), "{% set a, b = 1, 2 %}");
        assert_eq!(template("{% set a %}x{% endset %}"), "{% set a %}x{% endset %}");
    }

    #[test]
    fn backslashes_in_a_playbook_mean_themselves() {
        assert_eq!(template(r"{{ x | f('\1\'') }}"), r"{{ x | f('\\1\'') }}");
        assert_eq!(template(r"{% if x is f('\1') %}"), r"{% if x is f('\1') %}");
    }

    #[test]
    fn times_are_subtracted_by_a_filter() {
        assert_eq!(
            expression("((a | to_datetime) - (b|to_datetime)).days"),
            "(((a | to_datetime)|__difference((b|to_datetime)))|__attribute('days'))"
        );
        assert_eq!(expression("(a - b)"), "(a - b)");
    }

    #[test]
    fn percent_formats_a_text() {
        assert_eq!(
            expression("'%02d-%s' % (a, b.c) ~ 'x'"),
            "('%02d-%s' |__percent( (a, (b|__attribute('c'))))) ~ 'x'"
        );
        assert_eq!(expression("a % 2"), "a % 2");
    }
}
