//! `--tags` and `--skip-tags`.

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
