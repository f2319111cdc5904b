//! `lookup('password', '/path length=20 chars=ascii_letters,digits')`: a
//! password that is made once and kept in a file.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::filters::password_hash::{Scheme, Seasoning, random_salt};
use super::super::filters::paths::expanded;
use super::super::filters::random::Source;
use super::super::{TemplateError, Value, python};
use super::Request;

const DEFAULT_LENGTH: usize = 20;
const MAX_LENGTH: usize = 4096;
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub fn password(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    let read = |term: &String| Options::read(request, term)?.password(request).map(Value::from);
    request.texts().iter().map(read).collect()
}

/// What a term and the options of the lookup ask for.
struct Options {
    name: String,
    length: usize,
    alphabet: Vec<char>,
    encrypt: Option<Scheme>,
    ident: Option<String>,
    seed: Option<Value>,
}

impl Options {
    fn read(request: &Request<'_>, term: &str) -> Result<Self, TemplateError> {
        let mut words = term.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let mut own = Vec::new();
        for word in words.filter(|word| !word.is_empty()) {
            match word.split_once('=') {
                Some((option @ ("length" | "chars" | "encrypt" | "ident" | "seed"), value)) => {
                    own.push((option, value));
                }
                _ => {
                    return Err(TemplateError::new(format!(
                        "password: '{word}' is no option, only length, chars, encrypt, ident and seed are"
                    )));
                }
            }
        }
        let text = |name: &str| {
            let own = own.iter().find(|(option, _)| *option == name);
            let own = own.map(|(_, value)| (*value).to_owned());
            let given = request.option(name).filter(|value| value.is_true());
            own.or_else(|| given.map(python::text)).filter(|text| !text.is_empty())
        };
        let length = text("length").map_or(Ok(DEFAULT_LENGTH), |length| length.parse::<usize>());
        let length =
            length.ok().filter(|length| (1..=MAX_LENGTH).contains(length)).ok_or_else(|| {
                TemplateError::new(format!(
                    "password: length has to be a number from 1 to {MAX_LENGTH}"
                ))
            })?;
        let in_term = own.iter().any(|(option, _)| *option == "chars");
        let alphabet = match request.option("chars") {
            Some(list) if !in_term && list.as_str().is_none() => {
                alphabet(python::items(list)?.iter().map(python::text))
            }
            _ => match text("chars") {
                None => alphabet(["ascii_letters", "digits", ".,:-_"].map(str::to_owned)),
                Some(classes) => alphabet(split(&classes)),
            },
        };
        let encrypt = text("encrypt").map(|name| Scheme::named(&name)).transpose()?;
        let seed = text("seed").map(Value::from);
        Ok(Self { name, length, alphabet, encrypt, ident: text("ident"), seed })
    }

    fn password(&self, request: &Request<'_>) -> Result<String, TemplateError> {
        let path = absolute(request, &self.name);
        let found = kept(&path)?;
        let is_new = found.is_none();
        let mut kept = match found {
            Some(kept) => kept,
            None => Kept { password: self.made()?, ..Kept::default() },
        };
        if let (Some(asked), Some(stored)) = (&self.ident, &kept.ident)
            && asked != stored
        {
            return Err(TemplateError::new(format!(
                "The ident parameter provided ({asked}) does not match the stored one ({stored})."
            )));
        }
        let before = (kept.salt.clone(), kept.ident.clone());
        if let Some(scheme) = self.encrypt {
            kept.salt.get_or_insert_with(|| random_salt(scheme.salt_size()));
            let implied = (scheme == Scheme::Bcrypt).then(|| "2b".to_owned());
            kept.ident = kept.ident.or_else(|| self.ident.clone()).or(implied);
        }
        if path != Path::new("/dev/null")
            && (is_new || before != (kept.salt.clone(), kept.ident.clone()))
        {
            keep(&path, &kept.line())?;
        }
        let Some(scheme) = self.encrypt else { return Ok(kept.password) };
        let seasoning = Seasoning { salt: kept.salt, ident: kept.ident, ..Seasoning::default() };
        scheme.hash(&kept.password, &seasoning)
    }

    fn made(&self) -> Result<String, TemplateError> {
        if self.alphabet.is_empty() {
            return Err(TemplateError::new("password: there are no characters to choose from"));
        }
        let mut chance = Source::of(self.seed.as_ref());
        let character = |_| {
            let index = chance.below(self.alphabet.len() as u64);
            self.alphabet.get(usize::try_from(index).unwrap_or_default()).copied()
        };
        Ok((0..self.length).filter_map(character).collect())
    }
}

/// What the file holds: `password salt=… ident=…`.
#[derive(Default)]
struct Kept {
    password: String,
    salt: Option<String>,
    ident: Option<String>,
}

impl Kept {
    fn line(&self) -> String {
        let mut line = self.password.clone();
        if let Some(salt) = &self.salt {
            line.push_str(&format!(" salt={salt}"));
            line.push_str(&self.ident.as_ref().map_or(String::new(), |i| format!(" ident={i}")));
        }
        line
    }
}

fn absolute(request: &Request<'_>, name: &str) -> PathBuf {
    request.context.templar.settings().playbook_dir.join(expanded(name))
}

fn failed(path: &Path, error: std::io::Error) -> TemplateError {
    TemplateError::new(format!("password: {}: {error}", path.display()))
}

fn kept(path: &Path) -> Result<Option<Kept>, TemplateError> {
    if path == Path::new("/dev/null") {
        return Ok(None);
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, error)),
    };
    let line = text.trim_end();
    let (password, rest) = match line.rsplit_once(" salt=") {
        Some((password, rest)) => (password, Some(rest)),
        None => (line, None),
    };
    let (salt, ident) = match rest.and_then(|rest| rest.rsplit_once(" ident=")) {
        Some((salt, ident)) => (Some(salt), Some(ident)),
        None => (rest, None),
    };
    let filled = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
    let kept = Kept { password: password.to_owned(), salt: filled(salt), ident: filled(ident) };
    Ok(Some(kept).filter(|kept| !kept.password.is_empty()))
}

fn keep(path: &Path, password: &str) -> Result<(), TemplateError> {
    if let Some(folder) = path.parent() {
        let mut folders = DirBuilder::new();
        folders.recursive(true).mode(0o700);
        folders.create(folder).map_err(|error| failed(path, error))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(|error| failed(path, error))?;
    file.write_all(format!("{password}\n").as_bytes()).map_err(|error| failed(path, error))
}

/// The parts of a list of classes and characters; `,,` is a comma.
fn split(classes: &str) -> Vec<String> {
    let comma = classes.contains(",,").then(|| ",".to_owned());
    let classes = classes.replace(",,", ",");
    let parts = classes.split(',').filter(|class| !class.is_empty()).map(str::to_owned);
    comma.into_iter().chain(parts).collect()
}

/// The characters of some classes, in Python's order: a seed makes the same password.
fn alphabet(classes: impl IntoIterator<Item = String>) -> Vec<char> {
    let mut alphabet = String::new();
    let letters: String = ('a'..='z').collect();
    let capitals = letters.to_uppercase();
    for class in classes {
        match class.as_str() {
            "ascii_letters" => alphabet.push_str(&format!("{letters}{capitals}")),
            "ascii_lowercase" => alphabet.push_str(&letters),
            "ascii_uppercase" => alphabet.push_str(&capitals),
            "digits" => alphabet.push_str("0123456789"),
            "octdigits" => alphabet.push_str("01234567"),
            "hexdigits" => alphabet.push_str("0123456789abcdefABCDEF"),
            "punctuation" => alphabet.push_str(PUNCTUATION),
            other => alphabet.push_str(other),
        }
    }
    alphabet.chars().filter(|character| !"\"'".contains(*character)).collect()
}
