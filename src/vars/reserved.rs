//! Names that variables had better not have: a keyword or a function of templates has
//! them already, and wins in some places.

/// The keywords of plays, roles, blocks and tasks, and what templates have as functions.
const RESERVED: &[&str] = &[
    "action",
    "always",
    "any_errors_fatal",
    "args",
    "async",
    "async_val",
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "block",
    "changed_when",
    "check_mode",
    "collections",
    "connection",
    "cycler",
    "debugger",
    "delay",
    "delegate_facts",
    "delegate_to",
    "dict",
    "diff",
    "environment",
    "fact_path",
    "failed_when",
    "force_handlers",
    "gather_facts",
    "gather_timeout",
    "handlers",
    "hosts",
    "ignore_errors",
    "ignore_unreachable",
    "joiner",
    "lipsum",
    "local_action",
    "lookup",
    "loop",
    "loop_control",
    "loop_with",
    "max_fail_percentage",
    "module_defaults",
    "name",
    "namespace",
    "no_log",
    "notify",
    "now",
    "order",
    "poll",
    "port",
    "post_tasks",
    "pre_tasks",
    "q",
    "query",
    "range",
    "register",
    "remote_user",
    "rescue",
    "retries",
    "roles",
    "run_once",
    "serial",
    "strategy",
    "tags",
    "tasks",
    "throttle",
    "timeout",
    "undef",
    "until",
    "vars_files",
    "vars_prompt",
    "when",
    "with_",
];

/// A warning for each name that is reserved.
pub fn warnings<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let reserved = names.into_iter().filter(|name| RESERVED.binary_search(name).is_ok());
    reserved.map(|name| format!("Found variable using reserved name: {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keywords_are_warned_of() {
        assert!(RESERVED.is_sorted());
        assert_eq!(warnings(["a", "port"]), ["Found variable using reserved name: port"]);
    }
}
