//! `image_pull`: takes images from their registry into the container runtime, and says of
//! each that did not come why.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::args::TextList;
use super::precheck_host::images;
use super::process::Output;
use super::{Context, Failure, Module, Outcome, tools};

/// What one image may take: a registry that is filtered away answers nothing at all.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Pulls images that are not on the host yet; `pulled` has their names, `refused` those that
/// did not come, each with why. In check mode nothing is pulled, and both are empty.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePull {
    /// Names with a tag: `registry.k8s.io/kube-proxy:v1.30.2`.
    images: TextList,
}

impl Module for ImagePull {
    const NAME: &'static str = "image_pull";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let (mut pulled, mut refused) = (Vec::new(), BTreeMap::new());
        let there = images::all(context).unwrap_or_default();
        let missing: Vec<_> =
            self.images.0.into_iter().filter(|image| !there.contains(image)).collect();
        if context.check {
            let outcome = Outcome::changed(!missing.is_empty());
            return Ok(outcome.with("pulled", json!([])).with("refused", json!({})));
        }
        if !missing.is_empty() {
            let words = runtime(context)?;
            for image in missing {
                match pull(context, words, &image)? {
                    None => pulled.push(image),
                    Some(why) => drop(refused.insert(image, why)),
                }
            }
        }
        let outcome = Outcome::changed(!pulled.is_empty());
        Ok(outcome.with("pulled", json!(pulled)).with("refused", json!(refused)))
    }
}

/// crictl asks the runtime as the kubelet does, mirrors and credentials of its configuration
/// included; ctr goes to the registry itself.
fn runtime(context: &Context) -> Result<&'static [&'static str], Failure> {
    const WAYS: [&[&str]; 2] = [&["crictl", "pull"], &["ctr", "-n", "k8s.io", "images", "pull"]];
    let found = WAYS.into_iter().find(|words| tools::find(context, words[0]).is_some());
    found.ok_or_else(|| Failure::new("neither crictl nor ctr is on the host"))
}

/// Why the image did not come.
fn pull(context: &Context, words: &[&str], image: &str) -> Result<Option<String>, Failure> {
    let process = tools::command(context, words[0])?.args(&words[1..]).arg(image);
    let output = process.timeout(TIMEOUT).run()?;
    Ok((!output.success()).then(|| why(&words.join(" "), &output)))
}

fn why(command: &str, output: &Output) -> String {
    if output.timed_out {
        return format!("{command} did not end in {} s", TIMEOUT.as_secs());
    }
    // Progress and warnings come before what it failed of.
    match output.stderr.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => line.to_owned(),
        None => format!("{command} ended with {}", output.rc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> String {
        why("crictl pull", &Output { rc: 1, stderr: stderr.to_owned(), ..Output::default() })
    }

    #[test]
    fn what_the_runtime_said_last_is_why_an_image_did_not_come() {
        let stderr = "\
time=\"2024-06-20T10:00:00Z\" level=warning msg=\"image connect using default endpoints\"
E0620 10:00:01.000000  4242 remote_image.go:180] \"PullImage from image service failed\" err=\"x\"
time=\"2024-06-20T10:00:01Z\" level=fatal msg=\"pulling image: rpc error: code = NotFound\"\n\n";
        assert!(said(stderr).ends_with("pulling image: rpc error: code = NotFound\""));
        assert_eq!(said(""), "crictl pull ended with 1");
        let slow = Output { timed_out: true, ..Output::default() };
        assert_eq!(why("crictl pull", &slow), "crictl pull did not end in 300 s");
    }

    #[test]
    fn in_check_mode_nothing_is_pulled() {
        let module: ImagePull =
            serde_json::from_value(json!({"images": ["registry.k8s.io/pause:3.9"]}))
                .expect("arguments");
        let context = Context { check: true, ..Context::default() };
        let outcome = module.run(&context).expect("an outcome");
        assert!(outcome.changed, "it would be pulled");
        assert_eq!(outcome.result["refused"], json!({}));
    }
}
