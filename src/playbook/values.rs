//! What the values of keywords may be, as far as it can be told before they are rendered.

use super::keywords::list_of;
use crate::source::{Error, Node, Yaml, boolean, suggest};

/// Whether the value itself is or may become something else when it is rendered.
pub fn is_template(node: &Node) -> bool {
    match &node.value {
        Yaml::Str(text) => text.contains("{{") || text.contains("{%"),
        Yaml::Vault(_) => true,
        _ => false,
    }
}

/// Whether anything in the value is a template.
pub fn has_template(node: &Node) -> bool {
    match &node.value {
        Yaml::Seq(items) => items.iter().any(has_template),
        Yaml::Map(entries) => entries.iter().any(|(_, value)| has_template(value)),
        _ => is_template(node),
    }
}

/// Whether the literal value of a keyword can be what the keyword needs.
pub fn check(keyword: &str, node: &Node) -> Result<(), Error> {
    if is_template(node) || node.value == Yaml::Null {
        return Ok(());
    }
    match keyword {
        "become" | "any_errors_fatal" | "ignore_errors" | "ignore_unreachable" | "no_log"
        | "run_once" | "check_mode" | "diff" | "delegate_facts" | "gather_facts"
        | "force_handlers" => convert(keyword, node, "bool", is_bool(node)),
        "port" | "throttle" | "timeout" | "retries" | "async" | "poll" | "gather_timeout" => {
            convert(keyword, node, "int", is_number(node, false))
        }
        "delay" | "pause" => convert(keyword, node, "float", is_number(node, true)),
        "max_fail_percentage" => convert(keyword, node, "percent", is_percent(node, true)),
        "serial" => list_of(node).iter().try_for_each(|size| {
            let right = is_template(size) || is_percent(size, false);
            if right { Ok(()) } else { Err(serial(size)) }
        }),
        "order" => choice(
            node,
            "Invalid 'order' specified for inventory hosts",
            &["inventory", "sorted", "reverse_sorted", "reverse_inventory", "shuffle"],
        ),
        "strategy" => choice(
            node,
            "Invalid play strategy specified",
            &["linear", "free", "host_pinned", "debug"],
        ),
        "environment" => list_of(node).iter().try_for_each(|item| match &item.value {
            Yaml::Map(_) | Yaml::Null => Ok(()),
            _ if is_template(item) => Ok(()),
            _ => Err(item.span.error(format!(
                "environment must be a dictionary, or a list of dictionaries, not {}",
                item.kind()
            ))),
        }),
        "when" | "until" | "changed_when" | "failed_when" | "break_when" => {
            list_of(node).iter().try_for_each(condition)
        }
        "name" | "connection" | "remote_user" | "become_user" | "become_method" | "become_exe"
        | "become_flags" | "delegate_to" | "user" => match &node.value {
            Yaml::Seq(_) | Yaml::Map(_) => {
                let kind = node.kind();
                Err(node.span.error(format!("the field '{keyword}' must be a string, not {kind}")))
            }
            _ => Ok(()),
        },
        "notify" | "vars_files" => {
            list_of(node).iter().try_for_each(|item| match (keyword, &item.value) {
                // The first of several files that is there.
                ("vars_files", Yaml::Seq(_)) => Ok(()),
                (_, Yaml::Map(_) | Yaml::Seq(_)) => Err(item.span.error(format!(
                    "the field '{keyword}' must be a string or a list of strings, not {}",
                    item.kind()
                ))),
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    }
}

fn condition(node: &Node) -> Result<(), Error> {
    match &node.value {
        Yaml::Str(_) | Yaml::Bool(_) | Yaml::Int(_) | Yaml::Null | Yaml::Unsafe(_) => Ok(()),
        _ => {
            Err(node.span.error(format!("a condition must be an expression, not {}", node.kind())))
        }
    }
}

fn convert(keyword: &str, node: &Node, kind: &str, right: bool) -> Result<(), Error> {
    if right {
        return Ok(());
    }
    let written = match node.as_str() {
        Some(text) => text.to_owned(),
        None => node.kind().to_owned(),
    };
    Err(node.span.error(format!(
        "the field '{keyword}' has an invalid value ({written}), and could not be converted to {kind}"
    )))
}

fn is_bool(node: &Node) -> bool {
    match &node.value {
        Yaml::Bool(_) | Yaml::Int(0 | 1) => true,
        Yaml::Str(text) => boolean(text).is_some(),
        _ => false,
    }
}

fn is_number(node: &Node, fraction: bool) -> bool {
    match &node.value {
        Yaml::Int(_) => true,
        Yaml::Float(number) => fraction || number.fract() == 0.0,
        Yaml::Str(text) if fraction => text.trim().parse::<f64>().is_ok(),
        Yaml::Str(text) => text.trim().parse::<i64>().is_ok(),
        _ => false,
    }
}

fn is_percent(node: &Node, fraction: bool) -> bool {
    match &node.value {
        // What is below zero is taken as Ansible takes it: all hosts, or no failure at all.
        Yaml::Int(_) => true,
        Yaml::Float(number) => fraction && number.is_finite(),
        Yaml::Str(text) => {
            let digits = text.trim().strip_suffix('%').unwrap_or(text.trim());
            digits.parse::<f64>().is_ok_and(f64::is_finite)
        }
        _ => false,
    }
}

fn serial(node: &Node) -> Error {
    let written = node.as_str().map_or_else(|| node.kind().to_owned(), |text| format!("'{text}'"));
    node.span
        .error(format!("serial must be a number of hosts or a percentage of them, not {written}"))
}

fn choice(node: &Node, message: &str, choices: &[&str]) -> Result<(), Error> {
    let Some(written) = node.as_str() else {
        return Err(node.span.error(format!("{message}: {}", node.kind())));
    };
    let short = written.strip_prefix("ansible.builtin.").unwrap_or(written);
    if choices.contains(&short) {
        return Ok(());
    }
    let error = node.span.error(format!("{message}: {written}"));
    Err(match suggest(short, choices.iter().copied()) {
        Some(nearest) => error.with_help(format!("did you mean '{nearest}'?")),
        None => error.with_help(format!("there are: {}", choices.join(", "))),
    })
}

/// Words that Python keeps for itself and so cannot be variables.
const RESERVED: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Whether a variable may have this name.
pub fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

/// The name of a variable that a keyword sets.
pub fn variable_name(keyword: &str, node: Option<&Node>) -> Result<Option<String>, Error> {
    let Some(node) = node.filter(|node| node.value != Yaml::Null) else {
        return Ok(None);
    };
    match node.as_str() {
        Some(name) if is_variable_name(name) => Ok(Some(name.to_owned())),
        Some(name) => Err(node
            .span
            .error(format!("Invalid variable name in '{keyword}' specified: '{name}'"))
            .with_help("letters, digits and underscores make a name, and no digit begins it")),
        None => Err(node
            .span
            .error(format!("Invalid variable name in '{keyword}' specified: '{}'", node.to_json()))
            .with_help(format!("a name is a text, not {}", node.kind()))),
    }
}
