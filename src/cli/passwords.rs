//! The passwords of logins and of become: typed, or from a file or a program.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use console::Term;
use serde::{Deserialize, Serialize};

use crate::engine::LoadError;
use crate::secret::Secret;
use crate::settings::Config;

#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
pub struct PasswordOptions {
    /// Ask for the password of the login
    #[arg(short = 'k', long, conflicts_with = "connection_password_file")]
    pub ask_pass: bool,

    /// A file with the password of the login, or a program that prints it ('-': stdin)
    #[arg(long, value_name = "FILE", visible_alias = "conn-pass-file")]
    pub connection_password_file: Option<PathBuf>,

    /// Ask for the password of become
    #[arg(short = 'K', long, conflicts_with = "become_password_file")]
    pub ask_become_pass: bool,

    /// A file with the password of become, or a program that prints it ('-': stdin)
    #[arg(long, value_name = "FILE", visible_alias = "become-pass-file")]
    pub become_password_file: Option<PathBuf>,
}

/// What hosts are told that have no passwords of their own.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    pub connection: Option<Secret>,
    pub become_: Option<Secret>,
}

impl PasswordOptions {
    /// Asks and reads. `become_method` is named in the question if the settings want that.
    pub fn load(&self, config: &Config, become_method: &str) -> Result<Passwords, LoadError> {
        let asked = self.ask_pass || config.flag("DEFAULT_ASK_PASS");
        let file = |typed: &Option<PathBuf>, name: &str| match typed {
            Some(path) => Some(path.clone()),
            None => config.path(name),
        };
        let connection = if asked {
            match typed("SSH password: ")? {
                Some(password) => Some(password),
                // Nobody is there to answer: Ansible asks no further either.
                None => return Ok(Passwords::default()),
            }
        } else {
            let path = file(&self.connection_password_file, "CONNECTION_PASSWORD_FILE");
            path.map(|path| of_file(&path)).transpose()?
        };
        let become_ = if self.ask_become_pass || config.flag("DEFAULT_BECOME_ASK_PASS") {
            let method = match config.flag("AGNOSTIC_BECOME_PROMPT") {
                true => "BECOME".to_owned(),
                false => become_method.to_uppercase(),
            };
            let default = if asked { "[defaults to SSH password]" } else { "" };
            match typed(&format!("{method} password{default}: "))? {
                Some(empty) if asked && empty.expose().is_empty() => connection.clone(),
                answer => answer,
            }
        } else {
            let path = file(&self.become_password_file, "BECOME_PASSWORD_FILE");
            path.map(|path| of_file(&path)).transpose()?
        };
        let given = |password: Option<Secret>| password.filter(|p| !p.expose().is_empty());
        Ok(Passwords { connection: given(connection), become_: given(become_) })
    }
}

/// A line from the terminal without an echo, or where there is none from stdin.
pub fn ask(prompt: &str) -> Result<Secret, LoadError> {
    let ended = || LoadError::options("no password could be read: the input has ended");
    typed(prompt)?.ok_or_else(ended)
}

/// None: the input has ended.
fn typed(prompt: &str) -> Result<Option<Secret>, LoadError> {
    let typed = match terminal() {
        Ok(terminal) => {
            terminal.write_str(prompt).and_then(|()| terminal.read_secure_line()).map(Some)
        }
        Err(_) => line(prompt),
    };
    let failed = |error| LoadError::options(format!("no password could be read: {error}"));
    Ok(typed.map_err(failed)?.map(Secret::new))
}

/// The terminal itself, wherever our streams go to.
fn terminal() -> io::Result<Term> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    Ok(Term::read_write_pair(terminal.try_clone()?, terminal))
}

fn line(prompt: &str) -> io::Result<Option<String>> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "Warning: Password input may be echoed.\n{prompt}")?;
    stderr.flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

fn of_file(path: &Path) -> Result<Secret, LoadError> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        LoadError::options(format!("Could not read password file {shown}: {error}"))
    };
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(unreadable)?;
        bytes
    } else {
        let Ok(metadata) = path.metadata() else {
            return Err(LoadError::options(format!("The password file {shown} was not found")));
        };
        match metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
            true => of_program(path)?,
            false => std::fs::read(path).map_err(unreadable)?,
        }
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| LoadError::options(format!("The password from {shown} is not UTF-8 text")))?;
    let password = text.trim_matches(['\r', '\n']);
    if password.is_empty() {
        let message = format!("Empty password was provided from file ({shown})");
        return Err(LoadError::options(message));
    }
    Ok(Secret::new(password))
}

fn of_program(path: &Path) -> Result<Vec<u8>, LoadError> {
    let shown = path.display();
    let output = Command::new(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
        .stdin(Stdio::inherit())
        .output()
        .map_err(|error| {
            LoadError::options(format!(
                "Problem occurred when trying to run the password script {shown} ({error}). If \
                 this is not a script, remove the executable bit from the file."
            ))
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let code = output.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    let words = String::from_utf8_lossy(&output.stderr);
    Err(LoadError::options(format!(
        "The password script {shown} had an error (rc={code}): {}",
        words.trim_end()
    )))
}
