//! Expressions written anew for minijinja, so that they mean what they mean to Ansible.
//!
//! - `a.b`, `a['b']`, `a[1:]` and `a.b()` become filters of ours ([`access`](super::access)):
//!   an attribute of something undefined is undefined, and only its use is an error.
//! - `ansible.builtin.combine` is `combine`.
//! - `'%s' % x` formats, and `{% do %}` takes any expression.
//!
//! Lines stay lines, so that an error's line is the operator's line.

mod comparison;
mod writer;

use writer::Writer;

use super::TemplateError;
use super::nesting::Blocks;
use super::scan::{Delimiters, Kind, scan};

pub const ATTRIBUTE: &str = "__attribute";
pub const ITEM: &str = "__item";
pub const SLICE: &str = "__slice";
pub const METHOD: &str = "__method";
pub const INVOKE: &str = "__invoke";
pub const PERCENT: &str = "__percent";
pub const MUTABLE: &str = "__mutable";
pub const DIFFERENCE: &str = "__difference";
pub const ORDERED: &str = "__ordered";

/// Collections whose filters and tests are known by their last name alone.
const COLLECTIONS: [&str; 8] = [
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.netcommon.",
    "ansible.utils.",
    "ansible.posix.",
    "community.general.",
    "community.crypto.",
    "kubernetes.core.",
];

/// What a name was used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Filter,
    Test,
    /// The first argument of `lookup` or `query`, when it is a plain text.
    Lookup,
}

/// A filter, test or lookup that a template names.
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
    /// The byte of the template's text where it goes deeper than it may.
    pub too_deep: Option<usize>,
}

impl Rewritten {
    /// The rewritten text, unless the template goes too deep.
    pub fn checked(&self) -> Result<&str, TemplateError> {
        match self.too_deep {
            None => Ok(&self.text),
            Some(_) => Err(TemplateError::new("the template nests too deep")),
        }
    }
}

/// Filters of a collection that do something else than another's of the same last name.
const APART: [(&str, &str); 3] = [
    ("ansible.utils.keep_keys", "utils_keep_keys"),
    ("ansible.utils.remove_keys", "utils_remove_keys"),
    ("ansible.utils.replace_keys", "utils_replace_keys"),
];

/// The name without the collection it comes from.
pub fn short_name(name: &str) -> &str {
    if let Some((_, apart)) = APART.iter().find(|(full, _)| *full == name) {
        return apart;
    }
    COLLECTIONS.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// Rewrites a whole template.
///
/// With `literal` the texts in `{{ }}` keep their backslashes: in a playbook
/// `'\1'` is a backslash and a one, for YAML has had its turn already.
pub fn rewrite_template(text: &str, delimiters: &Delimiters, literal: bool) -> Rewritten {
    let mut result = Rewritten::default();
    let mut blocks = Blocks::default();
    for segment in scan(text, delimiters) {
        if matches!(segment.kind, Kind::Data | Kind::Comment) {
            result.text.push_str(&text[segment.outer.clone()]);
            continue;
        }
        result.text.push_str(&text[segment.outer.start..segment.inner.start]);
        let literal = literal && segment.kind == Kind::Expression;
        let mut writer = Writer::new(text, segment.inner.clone(), literal);
        let block =
            segment.kind == Kind::Statement && blocks.enter(writer.word(0).unwrap_or_default());
        let too_deep = writer.too_deep().or(block.then_some(segment.outer.start));
        if too_deep.is_some() {
            return Rewritten { too_deep, ..Rewritten::default() };
        }
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
    let mut writer = Writer::new(code, 0..code.len(), literal);
    let too_deep = writer.too_deep();
    if too_deep.is_some() {
        return Rewritten { too_deep, ..Rewritten::default() };
    }
    let mut text = writer.expression(&[]);
    text.push_str(&code[writer.copied..]);
    Rewritten { text, uses: writer.uses, too_deep }
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
    fn names_of_lookups_are_remembered_when_they_are_plain() {
        let rewritten =
            rewrite_expression("lookup('ansible.builtin.env', x) ~ q(\"file\") ~ query(y)", false);
        let names: Vec<_> =
            rewritten.uses.iter().map(|found| (found.name.as_str(), found.offset)).collect();
        assert_eq!(names, [("ansible.builtin.env", 8), ("file", 38)]);
        assert!(rewrite_expression("lookup('a' ~ b)", false).uses.is_empty());
    }

    #[test]
    fn calls_and_filter_blocks_are_rewritten_inside() {
        assert_eq!(
            template("{% call(u) m.dialog(a.b) %}"),
            "{% call(u) m.dialog((a|__attribute('b'))) %}"
        );
        assert_eq!(
            template("{% filter ansible.builtin.indent(a.b) | upper %}"),
            "{% filter indent((a|__attribute('b'))) | upper %}"
        );
    }

    #[test]
    fn order_is_compared_by_a_filter() {
        assert_eq!(expression("a < 1"), "((a)|__ordered('<', 1))");
        assert_eq!(
            expression("not a.b >= c | int and d > 1 - e"),
            "not (((a|__attribute('b')))|__ordered('>=', c | int)) and ((d)|__ordered('>', 1 - e))"
        );
        assert_eq!(expression("1 < n < 10"), "1 < n < 10");
        assert_eq!(expression("a == b"), "a == b");
        assert_eq!(expression("f(x=a > b)"), "f(x=((a)|__ordered('>', b)))");
    }

    #[test]
    fn a_plus_before_a_value_is_left_out() {
        assert_eq!(expression("[-2.5, +2.5, 1 + 2.5]"), "[-2.5,  2.5, 1 + 2.5]");
        assert_eq!(expression("+a if b is not c else +1"), " a if b is not c else  1");
        assert_eq!(expression("a[0] + (b) + 'c' + d"), "(a|__item(0)) + (b) + 'c' + d");
        assert_eq!(expression("a is divisibleby +2"), "a is divisibleby +2");
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
