//! Whatever a text holds, the answer is a value or an error.

use kup_play::template::{FileOptions, Settings, Templar};
use proptest::prelude::*;

use super::{node, scope};

const VARIABLES: &str =
    "a: {b: [1, {c: x}]}\nn: 3\ns: text\nlist: [3, 1, 2]\ncircle: '{{ circle }}'";

/// Pieces of templates, put together at random.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{ a.b }}",
        "a",
        "n",
        "s",
        "list",
        "nope",
        "circle",
        ".",
        "b",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "|",
        "'",
        "\"",
        "'x'",
        "\\",
        "1",
        "0",
        "-",
        "+",
        "%",
        "~",
        "<",
        ">=",
        "==",
        "in",
        "is",
        "not",
        "and",
        "or",
        "if",
        "else",
        "endif",
        "for",
        "endfor",
        "set",
        "endset",
        "raw",
        "endraw",
        "macro",
        "do",
        "=",
        "defined",
        "default",
        "map",
        "upper",
        "join",
        "sort",
        "first",
        "items()",
        " ",
        " ",
        "\n",
        "é",
        "length",
        "regex_replace",
        "to_nice_yaml",
        "version",
        "loop",
        "range",
        "::-1",
        "namespace",
        "ipaddr",
        "ipsubnet",
        "'10.0.0.5/24'",
        "'fd00::/64'",
        "json_query",
        "'[*].a'",
        "format",
        "'{0:>5}'",
        "'%5r'",
        "lookup",
        "'vars'",
        "from_ini",
        "from_csv",
        "index_of",
        "wordwrap",
        "urlize",
    ];
    prop_oneof![4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_renders_or_fails_without_a_panic(pieces in proptest::collection::vec(piece(), 0..14), spaced: bool) {
        let text = pieces.join(if spaced { " " } else { "" });
        let templar = Templar::new(Settings::default());
        let scope = scope(VARIABLES);
        let span = node("a: 1\nb: 2").span;
        let _ = templar.render_text(&text, Some(&span), &scope);
        let _ = templar.render_text(&format!("{{{{ {text} }}}}"), Some(&span), &scope);
        let _ = templar.evaluate(&text, Some(&span), &scope);
        let _ = templar.render_file(&text, &FileOptions::default(), &scope);
        let quoted = format!("'{}'", text.replace('\'', "''").replace(['\n', '\r'], " "));
        if let Ok(node) = kup_play::source::load_str(&quoted, std::path::Path::new("t.yml")) {
            let _ = templar.check(&node);
            let _ = templar.check_condition(&node);
        }
    }
}

proptest! {
    #[test]
    fn filters_take_any_text(value in "[0-9a-f:./ -]{0,20}", query in ".{0,12}", number in any::<i64>(), text in ".{0,30}") {
        let templar = Templar::new(Settings::default());
        let quoted = |text: &str| format!("'{}'", text.replace(['\\', '\''], ""));
        let (value, query, text) = (quoted(&value), quoted(&query), quoted(&text));
        for expression in [
            format!("{value} | ipaddr({query})"),
            format!("{value} | ipaddr({number})"),
            format!("{value} | ipsubnet({value}, {number})"),
            format!("{value} | ipsubnet({}, {number})", number.rem_euclid(130)),
            format!("{value} | ipmath({number})"),
            format!("{value} | nthhost({number})"),
            format!("{value} | next_nth_usable({number})"),
            format!("{value} | ipcut({number})"),
            format!("[{value}, '10.0.0.0/8', '::/0'] | cidr_merge"),
            format!("[{value}, '::/0'] | cidr_merge('span')"),
            format!("'::/0' | slaac({value}) ~ {value} | hwaddr('linux')"),
            format!("a | json_query({text})"),
            format!("{text}.format(a, n, x=s)"),
            format!("{text} % (n, s)"),
            format!("{text} % a"),
            format!("{text} | from_ini"),
            format!("{text} | from_csv(delimiter={query})"),
            format!("{text} | urlize({number})"),
            format!("{text} | to_seconds"),
            format!("{text} | regex_replace({query}, {text})"),
            format!("{text} | get_path({query})"),
        ] {
            let _ = templar.evaluate(&expression, None, &scope(VARIABLES));
        }
    }
}

/// What is in no proportion to its text: an error, or a value of reasonable size.
#[test]
fn texts_that_ask_for_too_much_get_an_error() {
    let many = |piece: &str| piece.repeat(20_000);
    let texts = [
        "'a' * 1000000000".to_owned(),
        "1000000000 * 'a'".to_owned(),
        "[0] * 1000000000".to_owned(),
        "(0,) * 1000000000".to_owned(),
        "'a' * 10 ** 9".to_owned(),
        "range(1000000000) | list".to_owned(),
        "range(-9223372036854775807, 9223372036854775807) | length".to_owned(),
        "2 ** 1000000000".to_owned(),
        "2.5 ** 1000000000".to_owned(),
        "'%1000000000d' % 1".to_owned(),
        "'%*d' % (1000000000, 1)".to_owned(),
        "'%.1000000000f' % 1.0".to_owned(),
        "'{:1000000000}'.format(1)".to_owned(),
        "'{:{}}'.format(1, 1000000000)".to_owned(),
        "'{:.1000000000f}'.format(1.0)".to_owned(),
        "'x'.ljust(1000000000)".to_owned(),
        "'x'.zfill(1000000000)".to_owned(),
        "'x' | center(1000000000)".to_owned(),
        "'x\\nx' | indent(1000000000)".to_owned(),
        "[1] | batch(1000000000, 'x') | list".to_owned(),
        "[1] | slice(1000000000) | list".to_owned(),
        "[1] | slice(1000000000, 'x') | list".to_owned(),
        "lookup('sequence', 'end=1000000000')".to_owned(),
        "lookup('password', '/dev/null length=1000000000')".to_owned(),
        "range(30) | permutations(20) | list".to_owned(),
        "range(60) | combinations(30) | list".to_owned(),
        "range(999) | product(range(999), range(999)) | list".to_owned(),
        "lookup('nested', range(999) | list, range(999) | list, range(999) | list)".to_owned(),
        "'10.0.0.0/8' | usable_range".to_owned(),
        "{'a': 1} | to_nice_json(indent=1000000000)".to_owned(),
        "'x' | wordwrap(0)".to_owned(),
        "'x' | comment(prefix_count=1000000000)".to_owned(),
        "('x' * 100000) | replace('x', 'y' * 100000)".to_owned(),
        "('x' * 100000) | regex_replace('x', 'y' * 100000)".to_owned(),
        "('x' * 100000).replace('x', 'y' * 100000)".to_owned(),
        "(('x' * 100000) | list) | join('y' * 100000)".to_owned(),
        "('a' * 40 ~ 'b') is match('(a+)+$')".to_owned(),
        "1.5 | round(1000000000)".to_owned(),
        "1 | random(1000000000000000000000000000)".to_owned(),
        "'a'.split('') ".to_owned(),
        many("("),
        many("["),
        many("{'a':"),
        many("not ") + "1",
        many("- ") + "1",
        "a".to_owned() + &many(".b"),
        "a".to_owned() + &many("[0]"),
        "s".to_owned() + &many("|upper"),
        "1".to_owned() + &many(" if 1 else 1"),
        "1".to_owned() + &many(" + 1"),
        "1".to_owned() + &many(" ~ 1"),
        "1".to_owned() + &many(" and 1"),
        "1".to_owned() + &many(" < 1"),
        "1".to_owned() + &many(" ** 1"),
        "1".to_owned() + &many(" is odd"),
        "s".to_owned() + &many("()"),
        format!("s | json_query('{}')", many("[")),
        format!("s | json_query('a{}')", many(".a")),
        format!("s | json_query('{}')", "a|".repeat(2000)),
        format!("'{}' | from_json", many("[")),
        format!("'{}' | from_yaml", many("[")),
        format!("s is match('{}')", many("(")),
    ];
    let templates = [
        many("{% if 1 %}"),
        many("{% if 1 %}x{% endif %}"),
        many("{% for x in list %}"),
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}".to_owned(),
        "{% macro f(x) %}{% call g() %}{{ f(x) }}{% endcall %}{% endmacro %}{% macro g() %}{{ caller() }}{% endmacro %}{{ f(1) }}".to_owned(),
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}".to_owned(),
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l | to_json }}{{ l | flatten }}{{ l == l }}".to_owned(),
        "{% set d = {} %}{% set _ = d.update({'d': d}) %}{{ d | to_yaml }}".to_owned(),
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l | flatten }}".to_owned(),
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l == [[[]]] }}{{ l | unique }}".to_owned(),
        "{% set l = [] %}{% set _ = l.extend(l) %}{% set _ = l.remove(l) %}".to_owned(),
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ [ns] | to_json }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns | to_yaml }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a | flatten }}{{ ns == ns.a }}".to_owned(),
        "{{ vars }}{{ vars | to_json }}".to_owned(),
        "{% set l = [] %}{% set m = [l] %}{% set _ = l.append(m) %}{{ l == m }}".to_owned(),
    ];
    let expressions = texts.iter().map(|text| format!("{{{{ {text} }}}}"));
    for text in expressions.chain(templates) {
        let shown: String = text.chars().take(70).collect();
        eprintln!("{shown}");
        let started = std::time::Instant::now();
        let length = on_a_small_stack(text);
        assert!(length.is_none_or(|length| length < 70_000_000), "{shown} gives {length:?} bytes");
        assert!(started.elapsed().as_secs() < 20, "{shown} takes {:?}", started.elapsed());
    }
}

#[test]
fn what_nests_as_deep_as_it_may_fits_the_stack() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    for text in [
        format!("{}1{}", many("(", 390), many(")", 390)),
        format!("{}1{}", many("[", 390), many("]", 390)),
        many("not ", 390) + "1",
        many("- ", 390) + "1",
        "a".to_owned() + &many(".b", 390),
        "a".to_owned() + &many("[0]", 195),
        "s".to_owned() + &many("|upper", 390),
        "1".to_owned() + &many(" if 1 else 1", 190),
        "1".to_owned() + &many(" + 1", 390),
        "1".to_owned() + &many(" ~ 1", 390),
        "1".to_owned() + &many(" and 1", 390),
        "1".to_owned() + &many(" < 1", 390),
        "1".to_owned() + &many(" ** 1", 390),
        "s".to_owned() + &many("()", 190),
    ] {
        let shown: String = text.chars().take(40).collect();
        eprintln!("{shown}");
        on_a_small_stack(format!("{{{{ {text} }}}}"));
    }
    for (open, close) in [("{% if 1 %}", "{% endif %}"), ("{% for x in [1] %}", "{% endfor %}")] {
        let text = format!("{}x{}", many(open, 99), many(close, 99));
        assert_eq!(on_a_small_stack(text), Some(1), "{open}");
    }
}

/// How long what is rendered is, on a stack like those of the threads that render.
fn on_a_small_stack(text: String) -> Option<usize> {
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(move || {
            let templar = Templar::new(Settings::default());
            let rendered = templar.render_text(&text, None, &scope(VARIABLES));
            rendered.ok().map(|value| value.to_string().len())
        })
        .expect("a thread")
        .join()
        .expect("no panic")
}
