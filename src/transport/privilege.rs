//! Becoming another user: the command line, and the talk about the password.

use std::io;
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::channel::{Channel, Link, Output, Stderr};
use super::{Become, ConnectionError};

/// For a slow PAM stack (sudo itself waits two seconds after a wrong password).
const PATIENCE: Duration = Duration::from_secs(90);
/// For a command to end that has said what it has to say.
const GRACE: Duration = Duration::from_secs(2);
/// More than this on stdout before the command begins is no login greeting.
const MAX_GREETING: usize = 256 * 1024;

/// A command line that runs `script` in `/bin/sh` as that user, and how to follow it.
pub struct Wrapped {
    pub command: String,
    /// Printed on a line of its own once we are the other user.
    ready: String,
    /// sudo's prompt; su's cannot be chosen.
    prompt: String,
}

/// Goes on with a line that has begun; of one without an end no more than a greeting may have.
async fn next_line(stdout: &mut BufReader<Output>, line: &mut Vec<u8>) -> io::Result<usize> {
    stdout.take(MAX_GREETING as u64).read_until(b'\n', line).await
}

impl Wrapped {
    pub fn new(target: &Become, script: &str) -> Result<Self, ConnectionError> {
        let key = Alphanumeric.sample_string(&mut rand::rng(), 24);
        let ready = format!("BECOME-SUCCESS-{key}");
        let prompt = format!("[{} via kup-play, key={key}] password:", target.method);
        let script = quote(&format!("echo {ready}; {script}"))?;
        let exe = quote(target.exe.as_deref().unwrap_or(&target.method))?;
        let user = quote(&target.user)?;
        let command = match target.method.as_str() {
            "sudo" => {
                let flags = sudo_flags(target);
                format!("{exe} {flags} -p {} -u {user} /bin/sh -c {script}", quote(&prompt)?)
            }
            "su" => {
                let flags = target.flags.as_deref().unwrap_or("");
                let inner = quote(&format!("/bin/sh -c {script}"))?;
                format!("{exe} {flags} {user} -c {inner}")
            }
            other => {
                return Err(ConnectionError::Become(format!(
                    "become method '{other}' is not supported: sudo and su are"
                )));
            }
        };
        Ok(Self { command, ready, prompt })
    }

    /// Starts the command and gives the password if it is asked for; returns once the script runs.
    pub async fn start(
        &self,
        link: &Link,
        target: &Become,
    ) -> Result<(Channel, Stderr), ConnectionError> {
        let mut channel = link.shell(&self.command).await?;
        let mut stderr = Stderr::of(&mut channel);
        let talk = self.talk(&mut channel, &mut stderr, target);
        match tokio::time::timeout(PATIENCE, talk).await {
            Ok(Ok(true)) => Ok((channel, stderr)),
            Ok(Ok(false)) => {
                let lost = link.why_lost().await;
                if let Some(words) = lost {
                    return Err(super::ssh::unreachable(&words, super::ssh::LOST));
                }
                // It may run on: what it has said so far has to do then.
                let ended = tokio::time::timeout(GRACE, channel.process.wait()).await;
                let code = ended.ok().flatten();
                let _ = tokio::time::timeout(GRACE, stderr.ended()).await;
                Err(self.refused(target, code, &stderr.text()))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ConnectionError::Become(format!(
                "timed out waiting for {} to become {}: {}",
                target.method,
                target.user,
                self.without_prompt(&stderr.text()).trim()
            ))),
        }
    }

    /// True when the other user's shell has spoken; false when the command ended before.
    async fn talk(
        &self,
        channel: &mut Channel,
        stderr: &mut Stderr,
        target: &Become,
    ) -> Result<bool, ConnectionError> {
        let mut line = Vec::new();
        let mut greeting = 0;
        let mut told = false;
        loop {
            tokio::select! {
                read = next_line(&mut channel.stdout, &mut line) => {
                    if !matches!(read, Ok(1..)) || greeting > MAX_GREETING {
                        return Ok(false);
                    }
                    if line.trim_ascii_end() == self.ready.as_bytes() {
                        return Ok(true);
                    }
                    greeting += line.len();
                    line.clear();
                }
                () = stderr.changed() => {
                    match (self.times_asked(target, &stderr.text()), &target.password) {
                        (0, _) => {}
                        (_, None) => return Err(missing(target)),
                        (1, Some(_)) if told => {}
                        (1, Some(password)) => {
                            told = true;
                            let mut answer = password.expose().as_bytes().to_vec();
                            answer.push(b'\n');
                            // When it has gone already, the end of stdout tells.
                            let _ = channel.stdin.write_all(&answer).await;
                            let _ = channel.stdin.flush().await;
                        }
                        (_, Some(_)) => return Err(incorrect(target)),
                    }
                }
            }
        }
    }

    fn times_asked(&self, target: &Become, text: &str) -> usize {
        if target.method == "su" {
            // Its prompt is translated, but ends so in every language.
            usize::from(text.trim_end().ends_with([':', '：']))
        } else {
            text.matches(&self.prompt).count()
        }
    }

    /// The command ended before we became the other user.
    fn refused(&self, target: &Become, code: Option<i32>, stderr: &str) -> ConnectionError {
        let words = self.without_prompt(stderr);
        let words = words.trim();
        let says = |part: &str| words.contains(part);
        if says("a password is required") || says("terminal is required") {
            return if target.password.is_some() { incorrect(target) } else { missing(target) };
        }
        if says("incorrect password") || says("Authentication failure") || says("no password was") {
            return if target.password.is_some() { incorrect(target) } else { missing(target) };
        }
        let (method, user) = (&target.method, &target.user);
        let exe = target.exe.as_deref().unwrap_or(method);
        if code == Some(127) || says("not found") && !says("sudoers") {
            return ConnectionError::Become(format!(
                "{exe} was not found on the host: {words}\nInstall it, or log in as {user}."
            ));
        }
        ConnectionError::Become(format!(
            "{method} does not let this login become {user}: {words}\nCheck the host's sudoers, \
             become_user and become_method."
        ))
    }

    /// What the command itself has written to stderr.
    pub fn without_prompt(&self, text: &str) -> String {
        text.replace(&self.prompt, "")
    }
}

/// Ansible's defaults are `-H -S -n`; a password makes no sense with `-n`.
fn sudo_flags(target: &Become) -> String {
    let given = target.flags.as_deref().unwrap_or("-H -S -n");
    if target.password.is_none() {
        return given.to_owned();
    }
    let mut flags: Vec<&str> = given.split_whitespace().filter(|flag| *flag != "-n").collect();
    if !flags.iter().any(|flag| matches!(*flag, "-S" | "--stdin")) {
        flags.push("-S");
    }
    flags.join(" ")
}

fn missing(target: &Become) -> ConnectionError {
    ConnectionError::Become(format!("Missing {} password", target.method))
}

fn incorrect(target: &Become) -> ConnectionError {
    ConnectionError::Become(format!("Incorrect {} password", target.method))
}

/// One word for a shell, whatever is in it.
pub fn quote(text: &str) -> Result<String, ConnectionError> {
    match shlex::try_quote(text) {
        Ok(quoted) => Ok(quoted.into_owned()),
        Err(_) => {
            Err(ConnectionError::Agent("a command cannot contain a NUL character".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn target(password: Option<&str>, flags: Option<&str>) -> Become {
        Become {
            method: "sudo".to_owned(),
            user: "root".to_owned(),
            password: password.map(Secret::new),
            flags: flags.map(str::to_owned),
            exe: None,
        }
    }

    #[test]
    fn the_password_is_in_no_command_line() {
        let wrapped = Wrapped::new(&target(Some("s3cret"), None), "id").unwrap();
        assert!(!wrapped.command.contains("s3cret"));
        assert!(wrapped.command.starts_with("sudo -H -S -p "), "{}", wrapped.command);
    }

    #[test]
    fn flags_of_the_operator_replace_the_defaults_but_a_password_needs_stdin() {
        assert_eq!(sudo_flags(&target(None, None)), "-H -S -n");
        assert_eq!(sudo_flags(&target(Some("x"), Some("-n -E"))), "-E -S");
    }

    #[test]
    fn an_unknown_method_is_named() {
        let unknown = Become { method: "runas".to_owned(), ..target(None, None) };
        let error = Wrapped::new(&unknown, "id").err().unwrap();
        assert!(error.to_string().contains("runas"));
    }
}
