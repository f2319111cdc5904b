//! `--tags` and `--skip-tags`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::template::{Scope, Templar, python_text};

/// Tags may be templates of a tag or of a list, that the play's variables fill in. One that
/// cannot be filled in stays as it is written.
pub fn templated<'a>(
    tags: &'a [String],
    templar: &Templar,
    scope: impl FnOnce() -> Arc<dyn Scope>,
) -> Cow<'a, [String]> {
    if !tags.iter().any(|tag| templar.is_template(tag)) {
        return Cow::Borrowed(tags);
    }
    let scope = scope();
    let mut all = Vec::new();
    for tag in tags {
        match templar.render_text(tag, None, &scope) {
            Ok(value) if value.as_str().is_none() && value.try_iter().is_ok() => {
                all.extend(value.try_iter().into_iter().flatten().map(|tag| python_text(&tag)));
            }
            Ok(value) => all.push(python_text(&value)),
            Err(_) => all.push(tag.clone()),
        }
    }
    all.sort();
    all.dedup();
    Cow::Owned(all)
}

/// Which tags are to run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Selection {
    /// No tag at all means all of them.
    pub fn new(only: &[String], skip: &[String]) -> Self {
        let only = if only.is_empty() { vec!["all".to_owned()] } else { only.to_vec() };
        Self { only, skip: skip.to_vec() }
    }

    pub fn only(&self) -> &[String] {
        &self.only
    }

    /// Whether a task with these tags runs.
    pub fn selects(&self, tags: &[String]) -> bool {
        let has = |list: &[String], name: &str| list.iter().any(|tag| tag == name);
        let any = |list: &[String]| tags.iter().any(|tag| list.contains(tag));
        let wanted = has(tags, "always")
            || any(&self.only)
            || (has(&self.only, "all") && !has(tags, "never"))
            || (has(&self.only, "tagged") && !tags.is_empty() && !has(tags, "never"))
            || (has(&self.only, "untagged") && tags.is_empty());
        let skipped = any(&self.skip)
            || (has(&self.skip, "all") && (has(&self.skip, "always") || !has(tags, "always")))
            || (has(&self.skip, "tagged") && !tags.is_empty())
            || (has(&self.skip, "untagged") && tags.is_empty());
        wanted && !skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(only: &[&str], skip: &[&str], tags: &[&str]) -> bool {
        let list = |names: &[&str]| names.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Selection::new(&list(only), &list(skip)).selects(&list(tags))
    }

    #[test]
    fn without_tags_everything_but_never_runs() {
        assert!(selects(&[], &[], &[]));
        assert!(selects(&[], &[], &["backup"]));
        assert!(!selects(&[], &[], &["never", "restore"]));
    }

    #[test]
    fn a_tag_selects_its_tasks_and_those_that_always_run() {
        assert!(selects(&["backup"], &[], &["backup"]));
        assert!(selects(&["backup"], &[], &["always"]));
        assert!(!selects(&["backup"], &[], &["verify"]));
        assert!(!selects(&["backup"], &[], &[]));
        assert!(selects(&["restore"], &[], &["never", "restore"]));
    }

    #[test]
    fn skipping_wins_over_selecting() {
        assert!(!selects(&["backup"], &["slow"], &["backup", "slow"]));
        assert!(!selects(&[], &["always"], &["always"]));
        assert!(selects(&[], &["all"], &["always"]));
        assert!(!selects(&[], &["tagged"], &["x"]));
        assert!(selects(&["tagged"], &[], &["x"]));
        assert!(selects(&["untagged"], &[], &[]));
    }
}
