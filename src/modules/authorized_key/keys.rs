//! Lines of an `authorized_keys` file.

/// Types that a key may have.
const TYPES: &[&str] = &[
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-xmss@openssh.com",
    "ssh-xmss-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
];

/// A key with what stands around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub options: Vec<String>,
    pub kind: String,
    pub data: String,
    pub comment: String,
}

impl Key {
    pub fn read(line: &str) -> Option<Self> {
        let line = line.replace("\\#", "#");
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first().is_some_and(|word| word.starts_with('#')) {
            return None;
        }
        let at = words.iter().position(|word| TYPES.contains(word))?;
        Some(Self {
            options: options(&words.get(..at)?.join(" ")),
            kind: (*words.get(at)?).to_owned(),
            data: (*words.get(at + 1)?).to_owned(),
            comment: words.get(at + 2..).unwrap_or_default().join(" "),
        })
    }

    fn render(&self) -> String {
        let options = self.options.join(",");
        let blank = if options.is_empty() { "" } else { " " };
        format!("{options}{blank}{} {} {}\n", self.kind, self.data, self.comment)
    }
}

/// `a,b="c,d"` in parts.
pub fn options(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quote = None;
    for c in text.chars() {
        match (c, quote) {
            (',', None) => parts.push(std::mem::take(&mut part)),
            (c, None) => {
                quote = Some(c).filter(|c| matches!(c, '"' | '\''));
                part.push(c);
            }
            (c, Some(open)) => {
                quote = quote.filter(|_| c != open);
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

/// All lines of a file; what is no key stays as it is.
#[derive(Debug, Default)]
pub struct Keys(Vec<Line>);

#[derive(Debug, PartialEq)]
enum Line {
    Key(Key),
    Other(String),
}

impl Keys {
    /// Of keys that are there twice, and of other lines, the last is kept.
    pub fn read(text: &str) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for line in text.split_inclusive('\n') {
            let new = Key::read(line).map_or_else(|| Line::Other(line.to_owned()), Line::Key);
            lines.retain(|old| match (old, &new) {
                (Line::Key(old), Line::Key(new)) => old.data != new.data,
                (old, new) => old != new,
            });
            lines.push(new);
        }
        Self(lines)
    }

    /// Adds a key, in place of one that differs in more than its data.
    pub fn add(&mut self, key: Key) -> bool {
        if self.0.contains(&Line::Key(key.clone())) {
            return false;
        }
        self.remove(&key.data);
        self.0.push(Line::Key(key));
        true
    }

    pub fn remove(&mut self, data: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|line| !matches!(line, Line::Key(key) if key.data == data));
        self.0.len() != before
    }

    pub fn keep_only(&mut self, wanted: &[String]) -> bool {
        let before = self.0.len();
        self.0.retain(|line| matches!(line, Line::Key(key) if wanted.contains(&key.data)));
        self.0.len() != before
    }

    pub fn render(&self) -> String {
        let lines = self.0.iter().map(|line| match line {
            Line::Key(key) => key.render(),
            Line::Other(text) => text.clone(),
        });
        lines.collect()
    }
}
