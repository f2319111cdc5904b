//! Parts of addresses, and addresses from parts.

/// The address without `user:password@`, and these two.
pub fn without_login(url: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let Some((login, host)) = authority.rsplit_once('@') else { return (url.to_owned(), None) };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    (format!("{scheme}://{host}{path}"), Some((decoded(user), decoded(password))))
}

/// Scheme, host and port.
pub fn authority_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(start..).unwrap_or_default();
    let end = start + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..end).unwrap_or(url)
}

/// The host alone.
pub fn host_of(url: &str) -> &str {
    let authority = authority_of(url);
    let host = authority.split_once("://").map_or(authority, |(_, host)| host);
    match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or(address),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// What is asked of the server: the path and the query.
pub fn path_of(url: &str) -> String {
    let rest = url.get(authority_of(url).len()..).unwrap_or_default();
    let rest = rest.split('#').next().unwrap_or_default();
    if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
}

/// The last part of the path, `index.html` where there is none.
pub fn file_name(url: &str) -> String {
    let path = path_of(url);
    let path = path.split('?').next().unwrap_or_default();
    match path.rsplit('/').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "index.html".to_owned(),
    }
}

/// What `reference` means beside `base`.
pub fn join(base: &str, reference: &str) -> String {
    let scheme = |text: &str| {
        text.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        })
    };
    if scheme(reference) {
        return reference.to_owned();
    }
    let authority = authority_of(base);
    if reference.starts_with("//") {
        let own = base.split_once(':').map_or("http", |(scheme, _)| scheme);
        return format!("{own}:{reference}");
    }
    let path = path_of(base);
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    if reference.is_empty() {
        return base.to_owned();
    }
    if reference.starts_with('?') {
        return format!("{authority}{path}{reference}");
    }
    if reference.starts_with('#') {
        let mark = if query.is_empty() { "" } else { "?" };
        return format!("{authority}{path}{mark}{query}{reference}");
    }
    let (wanted, tail) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    let whole = match wanted.starts_with('/') {
        true => wanted.to_owned(),
        false => format!(
            "{}{wanted}",
            path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned() + "/"
        ),
    };
    format!("{authority}{}{tail}", without_dots(&whole))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

/// `%41` as what it stands for.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code = more.get(..2).filter(|_| *first == b'%');
        let code =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { more.get(2..).unwrap_or_default() } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_beside_its_base() {
        let base = "http://h:8/a/b?q";
        for (reference, whole) in [
            ("c", "http://h:8/a/c"),
            ("/c?d", "http://h:8/c?d"),
            ("../c", "http://h:8/c"),
            ("?x", "http://h:8/a/b?x"),
            ("//o/c", "http://o/c"),
            ("https://o/", "https://o/"),
            (".", "http://h:8/a/"),
        ] {
            assert_eq!(join(base, reference), whole);
        }
        assert_eq!(join("http://h", "x"), "http://h/x");
    }

    #[test]
    fn parts_of_an_address() {
        let (url, login) = without_login("http://a%40b:c@h/p");
        assert_eq!((url.as_str(), login), ("http://h/p", Some(("a@b".to_owned(), "c".to_owned()))));
        assert_eq!(host_of("https://[::1]:80/x"), "::1");
        assert_eq!(file_name("http://h/a/b.tgz?x=/y"), "b.tgz");
        assert_eq!(file_name("http://h"), "index.html");
        assert_eq!(path_of("http://h?x#y"), "/?x");
    }
}
