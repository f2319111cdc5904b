//! Writes the tokens of a tag anew.

use std::ops::Range;

use super::comparison::Comparison;
use super::{
    ATTRIBUTE, DIFFERENCE, INVOKE, ITEM, METHOD, MUTABLE, PERCENT, Role, SLICE, Use,
    rewrite_expression, short_name,
};
use crate::template::nesting::too_deep;
use crate::template::tokens::{Token, TokenKind, tokenize};

/// Reads the tokens of a piece of code and gives them out again, changed.
pub struct Writer<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    /// Up to here the text has been written.
    pub copied: usize,
    pub uses: Vec<Use>,
    /// Backslashes in texts mean themselves.
    literal: bool,
    /// Lists and maps written here can be changed later.
    mutable: bool,
}

impl<'a> Writer<'a> {
    pub fn new(text: &'a str, code: Range<usize>, literal: bool) -> Self {
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
            literal,
            mutable: false,
        }
    }

    /// The byte where the code goes deeper than it may.
    pub fn too_deep(&self) -> Option<usize> {
        too_deep(self.text, &self.tokens)
    }

    pub fn word(&self, ahead: usize) -> Option<&'a str> {
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

    pub fn copy(&mut self, out: &mut String) {
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
                // Two of them are one in the text, and do not escape what follows.
                Some('\\') => {
                    out.push_str(r"\\\");
                    characters.next();
                }
                _ => out.push('\\'),
            }
        }
    }

    fn copy_up_to(&mut self, end: &str, out: &mut String) {
        while self.word(0).is_some_and(|word| word != end) {
            self.copy(out);
        }
    }

    /// A tag `{% word … %}`.
    pub fn statement(&mut self) -> String {
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
                // The last word is no part of the condition before it.
                self.tokens.pop_if(|token| &self.text[token.range.clone()] == "recursive");
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
            Some("filter") => {
                self.copy(&mut out);
                self.named(Role::Filter, &mut out);
                out + &self.expression(&[])
            }
            Some("call") => {
                self.copy(&mut out);
                if self.word(0) == Some("(") {
                    self.copy_up_to(")", &mut out);
                    self.copy(&mut out);
                }
                // The callee has to stay a call: what is rewritten is in its brackets.
                self.copy_up_to("(", &mut out);
                out + &self.expression(&[])
            }
            Some("from") => {
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
    pub fn expression(&mut self, stops: &[&str]) -> String {
        let mut out = String::new();
        let mut operand = Comparison::default();
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
                (Some(TokenKind::Name), "in") | (Some(TokenKind::Symbol), "==" | "!=") => {
                    operand.chained = true;
                    self.copy(&mut out);
                }
                (Some(TokenKind::Symbol), "<" | ">" | "<=" | ">=") => operand.order(self, &mut out),
                (Some(TokenKind::Name), "and" | "or" | "not" | "if" | "else")
                | (Some(TokenKind::Symbol), "," | ":" | "=") => {
                    operand.end(&mut out);
                    self.copy(&mut out);
                    operand = Comparison::from(out.len());
                }
                (Some(TokenKind::Symbol), "+") if self.begins_operand() => {
                    // minijinja knows no sign of this kind, and it changes nothing.
                    let (gap, _) = self.take();
                    out.push_str(gap);
                    out.push(' ');
                }
                (Some(TokenKind::Symbol), symbol) if !matches!(symbol, "(" | "[" | "{") => {
                    self.copy(&mut out);
                }
                _ => self.chain(&mut out),
            }
        }
        operand.end(&mut out);
        out
    }

    /// Whether a value is to come next: the last token is neither one nor the end of one.
    fn begins_operand(&self) -> bool {
        let last = self.next.checked_sub(1).and_then(|last| self.tokens.get(last));
        last.is_none_or(|token| match (token.kind, &self.text[token.range.clone()]) {
            (TokenKind::Symbol, word) => !matches!(word, ")" | "]" | "}"),
            (TokenKind::Name, word) => {
                matches!(word, "and" | "or" | "not" | "in" | "is" | "if" | "elif" | "else")
            }
            _ => false,
        })
    }

    /// The name of a filter or test, and its arguments if it has brackets.
    fn named(&mut self, role: Role, out: &mut String) {
        if self.kind(0) != Some(TokenKind::Name) {
            return;
        }
        let offset = self.tokens.get(self.next).map_or(0, |token| token.range.start);
        let tested = self.tested_variable().filter(|_| role == Role::Test);
        let (gap, word) = self.take();
        let mut name = word.to_owned();
        while self.word(0) == Some(".") && self.kind(1) == Some(TokenKind::Name) {
            self.take();
            name.push('.');
            name.push_str(self.take().1);
        }
        out.push_str(gap);
        out.push_str(short_name(&name));
        let tested = tested.filter(|_| short_name(&name) == "vault_encrypted");
        self.uses.push(Use { role, name, offset });
        if self.word(0) == Some("(") {
            out.push_str(&self.group());
        } else if let Some(variable) = tested {
            // How a variable was written is not to be seen from its value.
            out.push_str(&format!("('{variable}')"));
        }
    }

    /// The variable before `is` or `is not`, where it stands alone.
    fn tested_variable(&self) -> Option<&'a str> {
        let back = |count: usize| {
            let token = self.tokens.get(self.next.checked_sub(count)?)?;
            Some((token.kind, &self.text[token.range.clone()]))
        };
        let behind = if back(1)?.1 == "not" { 3 } else { 2 };
        let (kind, name) = back(behind)?;
        let within = back(behind + 1).is_some_and(|(_, word)| matches!(word, "." | "|"));
        (kind == TokenKind::Name && !within).then_some(name)
    }

    /// Remembers the lookup that a call names, when the name is a plain text.
    fn remember_lookup(&mut self, function: &str) {
        let plain = matches!(function, "lookup" | "query" | "q")
            && self.word(0) == Some("(")
            && self.kind(1) == Some(TokenKind::Text)
            && matches!(self.word(2), Some("," | ")"));
        let token = self.tokens.get(self.next + 1).filter(|_| plain);
        let Some(range) =
            token.map(|token| token.range.start + 1..token.range.end.saturating_sub(1))
        else {
            return;
        };
        if let Some(name) = self.text.get(range.clone()) {
            let name = name.to_owned();
            self.uses.push(Use { role: Role::Lookup, name, offset: range.start });
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
                "(" if !filtered => {
                    self.remember_lookup(name);
                    chain.push_str(&self.group());
                }
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
