//! What kubeadm prints, changed at random: parsers give what they find, or an error.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{certs, dry_run, plan, preflight, version};

const RECORDED: &[&str] = &[
    include_str!("../../../tests/data/kubeadm/1.20.2-plan.txt"),
    include_str!("../../../tests/data/kubeadm/1.20.2-certs.txt"),
    include_str!("../../../tests/data/kubeadm/1.20.2-version.txt"),
    include_str!("../../../tests/data/kubeadm/1.21.2-apply-dry-run.txt"),
    include_str!("../../../tests/data/kubeadm/1.21.2-apply-preflight.stderr.txt"),
    include_str!("../../../tests/data/kubeadm/1.28-plan.txt"),
    include_str!("../../../tests/data/kubeadm/1.30-plan-json.txt"),
    include_str!("../../../tests/data/kubeadm/1.30-certs-json.txt"),
];

/// Takes out a part of a text and puts something else there.
fn replaced(text: &str, at: Index, length: usize, piece: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let from = at.index(characters.len() + 1);
    let to = (from + length).min(characters.len());
    characters[..from]
        .iter()
        .copied()
        .chain(piece.chars())
        .chain(characters[to..].iter().copied())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_output_is_read_or_refused(
        text in select(RECORDED),
        changes in vec((any::<Index>(), 0..30usize, "[ \n{}\\[\\]\",:v0-9a-zé<>|-]{0,4}"), 0..8),
        end in any::<Index>(),
    ) {
        let changed = changes
            .iter()
            .fold(text.to_owned(), |text, (at, length, piece)| replaced(&text, *at, *length, piece));
        let cut: String = changed.chars().take(end.index(changed.len() + 1)).collect();
        for output in [&changed, &cut] {
            let _ = (plan::parse(output), certs::parse(output));
            for (name, content) in dry_run::files(output) {
                prop_assert!(name.len() + content.len() <= 2 * output.len());
            }
            prop_assert!(preflight::findings(output).len() <= output.len());
            let _ = output.lines().map(version::Version::parse).count();
        }
    }
}
