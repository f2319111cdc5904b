//! The images that the container runtime has.

use std::time::Duration;

use serde_json::Value as Json;

use crate::modules::Context;
use crate::modules::process::{Output, Process};

/// For a runtime to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Their names; none if no runtime could be asked.
pub fn all(context: &Context) -> Option<Vec<String>> {
    let ask = |program: &str, words: &[&str]| {
        let asked = Process::new(program).in_context(context).args(words).timeout(PATIENCE);
        let output = asked.run().ok();
        output.filter(Output::success).map(|output| output.stdout)
    };
    if let Some(names) = ask("ctr", &["-n", "k8s.io", "images", "list", "-q"])
        && !names.trim().is_empty()
    {
        return Some(names.lines().map(|name| name.trim().to_owned()).collect());
    }
    of_crictl(&ask("crictl", &["images", "-o", "json"])?)
}

fn of_crictl(text: &str) -> Option<Vec<String>> {
    let answer: Json = serde_json::from_str(text).ok()?;
    let images = answer.get("images")?.as_array()?;
    let tags = images.iter().filter_map(|image| image.get("repoTags")?.as_array()).flatten();
    Some(tags.filter_map(Json::as_str).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crictl_lists_tags() {
        let text = r#"{"images":[{"id":"sha256:1","repoTags":["k8s.gcr.io/pause:3.2"]},{"id":"x","repoTags":[]}]}"#;
        assert_eq!(of_crictl(text), Some(vec!["k8s.gcr.io/pause:3.2".to_owned()]));
        assert_eq!(of_crictl("no"), None);
    }
}
