//! Why kubeadm failed: which check, or which static pod.

use serde_json::json;

use super::{logs, preflight};
use crate::modules::Failure;
use crate::modules::process::Output;

/// Lines of kubeadm's own last words that a message carries.
const LAST_LINES: usize = 15;

/// Exit codes: 1 any error, 2 preflight, 3 wrong arguments.
pub fn explained(what: &str, output: &Output, timeout: i64) -> Failure {
    let findings = preflight::findings(&output.stderr);
    let errors: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == "error")
        .map(|error| format!("{}: {}", error.id, error.message))
        .collect();
    let mut msg = format!("kubeadm {what} failed");
    if output.timed_out {
        msg += &format!(" after {timeout} seconds");
    }
    let pod = pod_waited_for(output);
    let mut log = Vec::new();
    if let Some(pod) = &pod {
        log = logs::last_lines(pod);
        msg += &format!(": the static pod {pod} did not come up");
        msg += &if log.is_empty() {
            "; it has written no log".to_owned()
        } else {
            format!("; its last lines:\n{}", log.join("\n"))
        };
    } else if errors.is_empty() {
        msg += &format!(": {}", last_words(output));
    } else {
        msg += &format!(
            " in its preflight checks: {} (ignore_preflight_errors names checks to ignore)",
            errors.join("; ")
        );
    }
    let mut failure = Failure::new(msg)
        .with("rc", output.rc)
        .with("preflight", json!(findings))
        .with("stdout", output.stdout.clone())
        .with("stderr", output.stderr.clone());
    // A manifest may have been written before the error: "Moved", or "Moving" in newer ones.
    failure.changed = output.stdout.contains(" new manifest to \"");
    if let Some(pod) = pod {
        failure = failure.with("pod", pod).with("log", log);
    }
    failure
}

fn last_words(output: &Output) -> String {
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("To see the stack trace") && !line.trim().is_empty())
        .collect();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
}

/// The static pod that kubeadm waited for in vain, as its messages name it.
fn pod_waited_for(output: &Output) -> Option<String> {
    const SIGNS: [&str; 4] = [
        "timed out waiting",
        "did not change after",
        "couldn't upgrade control plane",
        "fatal error when trying to upgrade the etcd cluster",
    ];
    // It did not come as far as to wait.
    if output.stderr.contains("failed to renew certificate") {
        return None;
    }
    if !output.timed_out && !SIGNS.iter().any(|text| output.stderr.contains(text)) {
        return None;
    }
    let last = output.stdout.lines().rev().find(|line| line.starts_with("[upgrade/staticpods]"))?;
    // One that came up, or was not touched, is not the one.
    if last.contains("upgraded successfully") || last.contains("are equal") {
        return None;
    }
    let component = |line: &str| {
        let rest = line.split_once("Preparing for \"")?.1;
        rest.split_once('"').map(|(name, _)| name.to_owned())
    };
    output.stdout.lines().rev().find_map(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stdout: &str, stderr: &str) -> Output {
        Output { rc: 1, stdout: stdout.to_owned(), stderr: stderr.to_owned(), timed_out: false }
    }

    #[test]
    fn a_time_out_names_the_last_pod_that_was_prepared() {
        let stdout = "[upgrade/staticpods] Preparing for \"etcd\" upgrade\n\
                      [upgrade/staticpods] Component \"etcd\" upgraded successfully!\n\
                      [upgrade/staticpods] Preparing for \"kube-apiserver\" upgrade\n\
                      [upgrade/staticpods] Moved new manifest to \"/etc/kubernetes/x.yaml\"\n\
                      [upgrade/staticpods] Waiting for the kubelet to restart the component\n";
        let stderr = "[upgrade/apply] FATAL: couldn't upgrade control plane. kubeadm has tried to \
                      recover everything into the earlier state. Errors faced: [timed out waiting \
                      for the condition]";
        let failure = explained("upgrade apply", &output(stdout, stderr), 9);
        assert!(failure.msg.contains("the static pod kube-apiserver did not come up"));
        assert_eq!((&failure.result["pod"], failure.changed), (&json!("kube-apiserver"), true));
    }

    #[test]
    fn a_certificate_that_cannot_be_renewed_is_told_and_no_pod() {
        let stdout = "[upgrade/staticpods] Preparing for \"kube-apiserver\" upgrade\n\
                      [upgrade/staticpods] Renewing apiserver certificate\n";
        let stderr = "[upgrade/apply] FATAL: couldn't upgrade control plane. kubeadm has tried to \
                      recover everything into the earlier state. Errors faced: [failed to renew \
                      certificates for component \"kube-apiserver\": failed to renew certificate \
                      apiserver-kubelet-client: unable to sign certificate: must specify at least \
                      one ExtKeyUsage]";
        let failure = explained("upgrade apply", &output(stdout, stderr), 9);
        assert!(failure.msg.contains("failed to renew certificate apiserver-kubelet-client"));
        assert!(!failure.result.contains_key("pod"));
    }

    #[test]
    fn the_pod_is_named_in_the_words_of_1_36_too() {
        let whole = include_str!("../../../tests/data/kubeadm/1.36.5-apply.txt");
        let scheduler =
            whole.find("[apiclient] Found 1 Pods for label selector component=kube-sch");
        let stdout = &whole[..scheduler.expect("the scheduler")];
        // As kubernetes/kubeadm#2927 has it.
        let stderr = "error: error execution phase control-plane: couldn't upgrade control plane. \
                      kubeadm has tried to recover everything into the earlier state. Errors faced: \
                      static Pod hash for component kube-scheduler on Node master did not change \
                      after 5m0s: timed out waiting for the condition";
        let failure = explained("upgrade apply", &output(stdout, stderr), 9);
        assert_eq!((&failure.result["pod"], failure.changed), (&json!("kube-scheduler"), true));
        assert!(!explained("upgrade apply", &output("", stderr), 9).changed);
    }

    #[test]
    fn a_preflight_error_is_told_by_the_name_that_ignores_it() {
        let stderr = include_str!("../../../tests/data/kubeadm/1.21.2-apply-preflight.stderr.txt");
        let failure = explained("upgrade apply", &output("", stderr), 9);
        assert!(failure.msg.contains("CoreDNSMigration: CoreDNS will not be upgraded"));
        assert_eq!(failure.result["preflight"][0]["id"], "CoreDNSUnsupportedPlugins");
        assert!(!failure.result.contains_key("pod"));
    }

    #[test]
    fn any_other_error_is_told_in_kubeadms_words() {
        let stderr = include_str!("../../../tests/data/kubeadm/1.20.2-apply-newer.stderr.txt");
        let failure = explained("upgrade apply", &output("", stderr), 9);
        assert!(failure.msg.contains("higher than the kubeadm minor release (21 > 20)"));
        assert!(!failure.msg.contains("stack trace"));
    }
}
