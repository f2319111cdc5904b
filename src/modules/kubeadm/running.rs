//! An upgrade that runs already: one whose kup-play is gone goes on to its end.

use std::thread;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::modules::Failure;
use crate::modules::process::stop_requested;
use crate::modules::processes::{self, is_program};

/// Waits until no `kubeadm upgrade apply` or `node` runs on this host.
pub fn wait(seconds: i64) -> Result<(), Failure> {
    let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let deadline = deadline::after(limit);
    while let Some(process) = find() {
        if stop_requested() || Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "kubeadm upgrade runs on this host already, as process {process}: let it end"
            )));
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn find() -> Option<u32> {
    processes::all().find(|(_, words)| upgrades(words)).map(|(number, _)| number)
}

fn upgrades(command: &[u8]) -> bool {
    let words: Vec<_> = command.split(|byte| *byte == 0).collect();
    matches!(words.as_slice(), [_, b"upgrade", b"apply" | b"node", ..])
        && is_program(command, "kubeadm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_upgrades_of_kubeadm_count() {
        assert!(upgrades(b"kubeadm\0upgrade\0apply\0v1.21.2\0--yes\0"));
        assert!(upgrades(b"/usr/bin/kubeadm\0upgrade\0node\0"));
        assert!(!upgrades(b"kubeadm\0upgrade\0plan\0"));
        assert!(!upgrades(b"vi\0kubeadm\0upgrade\0apply\0"));
    }
}
