//! `serial`: the batches of a play.

/// Cuts hosts into batches. Each size holds for one batch, the last one for all
/// that follow; without a size, and at a size of 0, all that are left are one batch.
pub fn batches(hosts: &[String], sizes: &[usize]) -> Vec<Vec<String>> {
    let mut rest = hosts;
    let mut batches = Vec::new();
    let mut sizes = sizes.iter();
    let mut size = 0;
    while !rest.is_empty() {
        size = sizes.next().copied().unwrap_or(size);
        let take = if size == 0 { rest.len() } else { size.min(rest.len()) };
        let (batch, after) = rest.split_at(take);
        batches.push(batch.to_vec());
        rest = after;
    }
    batches
}

/// A size as written: a number of hosts, or a share of all of them (`25%`, at least one).
/// Less than one host is 0.
pub fn size(text: &str, hosts: usize) -> Option<usize> {
    match text.trim().strip_suffix('%') {
        Some(share) => {
            let share: f64 = share.trim().parse().ok()?;
            Some(((share / 100.0 * hosts as f64) as usize).max(1))
        }
        None => text.trim().parse().ok().map(|number: i64| number.max(0) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes_of(hosts: usize, sizes: &[&str]) -> Vec<usize> {
        let names: Vec<_> = (0..hosts).map(|n| format!("w{n}")).collect();
        let sizes: Vec<_> = sizes.iter().filter_map(|text| size(text, hosts)).collect();
        batches(&names, &sizes).iter().map(Vec::len).collect()
    }

    #[test]
    fn the_last_size_holds_for_the_rest() {
        assert_eq!(sizes_of(10, &["1", "25%"]), [1, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn a_share_is_at_least_one_host() {
        assert_eq!(sizes_of(3, &["10%"]), [1, 1, 1]);
    }

    #[test]
    fn without_serial_all_hosts_are_one_batch() {
        assert_eq!(sizes_of(3, &[]), [3]);
        assert_eq!(sizes_of(3, &["0"]), [3]);
        assert_eq!(sizes_of(3, &["-1"]), [3]);
        assert_eq!(sizes_of(3, &["1", "-1", "1"]), [1, 2]);
    }
}
