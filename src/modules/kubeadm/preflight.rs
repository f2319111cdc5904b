//! What kubeadm's preflight checks say.

use serde::Serialize;

/// One finding; `id` is what `--ignore-preflight-errors` takes.
#[derive(Debug, PartialEq, Serialize)]
pub struct Finding {
    pub id: String,
    /// `error` or `warning`.
    pub severity: &'static str,
    pub message: String,
}

/// Lines of the form `[ERROR Name]: message`, from 1.20 to today.
pub fn findings(stderr: &str) -> Vec<Finding> {
    stderr.lines().filter_map(finding).collect()
}

fn finding(line: &str) -> Option<Finding> {
    let (head, message) = line.trim().strip_prefix('[')?.split_once("]: ")?;
    let (severity, id) = head.split_once(' ')?;
    let severity = match severity {
        "ERROR" => "error",
        "WARNING" => "warning",
        _ => return None,
    };
    Some(Finding { id: id.to_owned(), severity, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_name_that_ignores_them() {
        let text = include_str!("../../../tests/data/kubeadm/1.21.2-apply-preflight.stderr.txt");
        let found = findings(text);
        let ids: Vec<_> = found.iter().map(|finding| finding.id.as_str()).collect();
        assert_eq!(ids, ["CoreDNSUnsupportedPlugins", "CoreDNSMigration"]);
        assert!(found.iter().all(|finding| finding.severity == "error"));
        assert_eq!(found[0].message, "start version '' not supported");
    }
}
