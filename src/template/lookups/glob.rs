//! Files by a pattern with `*`, `?` and `[…]`, as Python's `glob`.

use std::path::{Component, Path, PathBuf};

/// The regular files that match, in the order of their names. Hidden ones
/// only where the pattern itself begins with a dot.
pub fn files(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().to_string_lossy().into_owned();
        let is_pattern =
            matches!(component, Component::Normal(_)) && name.contains(['*', '?', '[']);
        found =
            found
                .into_iter()
                .flat_map(|base| {
                    if is_pattern { matching(&base, &name) } else { vec![base.join(component)] }
                })
                .collect();
    }
    found.retain(|path| path.is_file());
    found
}

fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| (pattern.starts_with('.') || !name.starts_with('.')) && fits(pattern, name))
        .collect();
    names.sort();
    names.iter().map(|name| folder.join(name)).collect()
}

/// Whether a name fits a pattern.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // After a mismatch go back to the last star and let it take one more.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(_) if one(&pattern, p, name.get(n)).is_some() => {
                p = one(&pattern, p, name.get(n)).unwrap_or(p + 1);
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    p = at + 1;
                    n = taken + 1;
                    star = Some((at, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|rest| *rest == '*')
}

/// Where the pattern goes on, if the part at `p` takes this character.
fn one(pattern: &[char], p: usize, character: Option<&char>) -> Option<usize> {
    let character = character?;
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => {
            let negated = pattern.get(p + 1) == Some(&'!');
            let start = p + 1 + usize::from(negated);
            let end = (start + 1..pattern.len()).find(|at| pattern.get(*at) == Some(&']'));
            let Some(end) = end else { return (*character == '[').then_some(p + 1) };
            let class = pattern.get(start..end)?;
            let inside = class.iter().enumerate().any(|(at, member)| {
                let range = (class.get(at + 1) == Some(&'-')).then(|| class.get(at + 2)).flatten();
                member == character
                    || range.is_some_and(|last| (*member..=*last).contains(character))
            });
            (inside != negated).then_some(end + 1)
        }
        literal => (literal == character).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_names_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yaml", false),
            ("a?c", "abc", true),
            ("a[0-9]*", "a7x", true),
            ("a[!0-9]", "a7", false),
            ("*a*b*", "xxaxxb", true),
            ("*a*b", "xxaxxbc", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
