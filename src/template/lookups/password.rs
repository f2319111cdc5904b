//! `lookup('password', '/path length=20 chars=ascii_letters,digits')`: a
//! password that is made once and kept in a file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;

use super::super::filters::paths::expanded;
use super::super::{TemplateError, Value, python};
use super::Request;

const DEFAULT_LENGTH: usize = 20;
const MAX_LENGTH: usize = 4096;
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

pub fn password(request: &Request<'_>) -> Result<Vec<Value>, TemplateError> {
    request.texts().iter().map(|term| one(request, term).map(Value::from)).collect()
}

fn one(request: &Request<'_>, term: &str) -> Result<String, TemplateError> {
    let (name, mut length, mut classes) = (term.split(' ').next().unwrap_or_default(), None, None);
    for word in term.split(' ').skip(1).filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            Some(("length", value)) => length = Some(value.to_owned()),
            Some(("chars", value)) => classes = Some(value.to_owned()),
            Some((option, _)) => {
                return Err(TemplateError::new(format!(
                    "password: the option '{option}' is not supported, only length and chars are"
                )));
            }
            None => return Err(TemplateError::new(format!("password: '{word}' is no option"))),
        }
    }
    let length = length.or_else(|| request.option("length").map(python::text));
    let length = length.map_or(Ok(DEFAULT_LENGTH), |length| length.parse::<usize>());
    let length =
        length.ok().filter(|length| (1..=MAX_LENGTH).contains(length)).ok_or_else(|| {
            TemplateError::new(format!(
                "password: length has to be a number from 1 to {MAX_LENGTH}"
            ))
        })?;
    let classes = match (classes, request.option("chars")) {
        (Some(classes), _) => classes,
        (None, Some(option)) if option.as_str().is_none() => {
            python::items(option)?.iter().map(python::text).collect::<Vec<_>>().join(",")
        }
        (None, Some(option)) => python::text(option),
        (None, None) => "ascii_letters,digits,.,,:-_".to_owned(),
    };
    let path = absolute(request, name);
    if let Some(kept) = kept(&path)? {
        return Ok(kept);
    }
    let password = made(&alphabet(&classes), length)?;
    if path != Path::new("/dev/null") {
        keep(&path, &password)?;
    }
    Ok(password)
}

fn absolute(request: &Request<'_>, name: &str) -> PathBuf {
    request.context.templar.settings().playbook_dir.join(expanded(name))
}

fn failed(path: &Path, error: std::io::Error) -> TemplateError {
    TemplateError::new(format!("password: {}: {error}", path.display()))
}

/// The password in the file; what follows it there (a salt) is not part of it.
fn kept(path: &Path) -> Result<Option<String>, TemplateError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let line = text.trim_end();
            let password = line.split_once(" salt=").map_or(line, |(password, _)| password);
            Ok(Some(password.to_owned()).filter(|password| !password.is_empty()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn keep(path: &Path, password: &str) -> Result<(), TemplateError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(path, error))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(|error| failed(path, error))?;
    file.write_all(format!("{password}\n").as_bytes()).map_err(|error| failed(path, error))
}

/// The characters of a list of classes and characters; `,,` is a comma.
fn alphabet(classes: &str) -> Vec<char> {
    let mut alphabet = String::new();
    let letters: String = ('a'..='z').collect();
    let digits: String = ('0'..='9').collect();
    for class in classes.replace(",,", ",\u{0}").split(',') {
        match class.replace('\u{0}', ",").as_str() {
            "ascii_letters" => alphabet.push_str(&(letters.clone() + &letters.to_uppercase())),
            "ascii_lowercase" => alphabet.push_str(&letters),
            "ascii_uppercase" => alphabet.push_str(&letters.to_uppercase()),
            "digits" => alphabet.push_str(&digits),
            "hexdigits" => alphabet.push_str(&format!("{digits}abcdefABCDEF")),
            "punctuation" => alphabet.push_str(PUNCTUATION),
            other => alphabet.push_str(other),
        }
    }
    let mut characters: Vec<char> = alphabet.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    characters
}

fn made(alphabet: &[char], length: usize) -> Result<String, TemplateError> {
    if alphabet.is_empty() {
        return Err(TemplateError::new("password: there are no characters to choose from"));
    }
    let mut chance = rand::rng();
    let character = |_| alphabet.get(chance.random_range(0..alphabet.len())).copied();
    Ok((0..length).filter_map(character).collect())
}
