//! Logins with a password, on a host whose users exist in sshd's mounts alone.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kup_play::secret::Secret;
use kup_play::transport::{ConnectionError, Endpoint};

use crate::sshd::{Sshd, shell};

const PASSWORD: &str = "open sesame, it's me";

/// The password of `op` (no process may show it, this script neither) opens the door, and
/// sudo. PAM asks as ssh's other method does.
const USERS: &str = "cp -a /etc $F/etc; mount --bind $F/etc /etc; rm -f /etc/nologin
mkdir $F/homes; chmod 755 $F/homes
useradd -m -d $F/homes/op -s /bin/bash op
echo b3A6b3BlbiBzZXNhbWUsIGl0J3MgbWUK | base64 -d | chpasswd
mkdir -p /etc/sudoers.d; echo 'op ALL=(ALL) ALL' > /etc/sudoers.d/kup; chmod 440 /etc/sudoers.d/kup
printf 'auth required pam_unix.so\\naccount required pam_unix.so\\nsession required pam_permit.so\\n' \
  > /etc/pam.d/sshd";

fn host() -> Sshd {
    Sshd::with(USERS, "SetEnv LANG=C\nPasswordAuthentication yes")
}

/// A login that has no key which the host takes.
fn login(sshd: &Sshd, password: &str) -> Endpoint {
    Endpoint {
        user: Some("op".to_owned()),
        private_key: Some(sshd.path("stranger")),
        password: Some(Secret::new(password)),
        ..sshd.endpoint()
    }
}

async fn user_of(sshd: &Sshd, endpoint: &Endpoint) -> String {
    let pool = sshd.pool();
    let agent = pool.agent(endpoint, None).await.unwrap();
    let response = agent.call(shell("id -un"), Vec::new()).await.unwrap();
    pool.close().await;
    response.result["stdout"].as_str().unwrap().to_owned()
}

async fn refused(sshd: &Sshd, endpoint: &Endpoint) -> String {
    match sshd.pool().agent(endpoint, None).await {
        Err(ConnectionError::Unreachable(words)) => words,
        other => panic!("{other:?}"),
    }
}

fn attempts(sshd: &Sshd) -> usize {
    sshd.log().lines().filter(|line| line.contains("Failed password")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_a_host_and_is_seen_by_nobody() {
    let sshd = host();
    let endpoint = login(&sshd, PASSWORD);
    let connected = AtomicBool::new(false);
    // All that runs meanwhile, with its environment.
    let watch = || {
        let mut looks = 0;
        while !connected.load(Ordering::Relaxed) || looks == 0 {
            let pids = fs::read_dir("/proc").unwrap().flatten();
            for folder in pids.map(|entry| entry.path()) {
                for file in ["cmdline", "environ"] {
                    let text = fs::read(folder.join(file)).unwrap_or_default();
                    let seen = String::from_utf8_lossy(&text).contains(PASSWORD);
                    assert!(!seen, "{}/{file} shows the password", folder.display());
                }
            }
            looks += 1;
        }
        looks
    };
    let user = std::thread::scope(|scope| {
        let watching = scope.spawn(watch);
        let user = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(user_of(&sshd, &endpoint))
        });
        connected.store(true, Ordering::Relaxed);
        assert!(watching.join().unwrap() > 0);
        user
    });
    assert_eq!(user, "op");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_only() {
    let sshd = host();
    let started = Instant::now();
    let words = refused(&sshd, &Endpoint { retries: 3, ..login(&sshd, "open barley") }).await;
    assert!(words.starts_with("Invalid/incorrect password: "), "{words}");
    assert!(words.contains("Permission denied"), "{words}");
    assert!(words.contains("ansible_password"), "{words}");
    assert_eq!(attempts(&sshd), 1, "{}", sshd.log());
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_key_that_is_accepted_makes_the_password_needless() {
    let sshd = host();
    let endpoint =
        Endpoint { private_key: Some(sshd.path("user")), ..login(&sshd, "never asked for") };
    assert_eq!(user_of(&sshd, &endpoint).await, "op");
    assert!(!sshd.log().contains("Failed password"), "{}", sshd.log());
}

#[tokio::test]
async fn a_host_that_asks_through_pam_is_answered_too() {
    let sshd = Sshd::with(
        USERS,
        "SetEnv LANG=C\nUsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no",
    );
    assert_eq!(user_of(&sshd, &login(&sshd, PASSWORD)).await, "op");
}

#[tokio::test]
async fn a_host_that_takes_no_passwords_is_told_apart_from_a_wrong_one() {
    let sshd = Sshd::with(USERS, "SetEnv LANG=C");
    let words = refused(&sshd, &login(&sshd, PASSWORD)).await;
    assert!(words.contains("The password was not asked for"), "{words}");
}

#[tokio::test]
async fn a_password_does_not_answer_for_an_unknown_host_key() {
    let sshd = host();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let words = refused(&sshd, &login(&sshd, PASSWORD)).await;
    assert!(words.contains("Host key verification failed"), "{words}");
    assert!(words.contains("ssh-keyscan"), "{words}");
    assert!(!sshd.log().contains("password"), "{}", sshd.log());
}

#[tokio::test]
async fn a_jump_host_is_not_told_the_password_of_the_host_behind_it() {
    let (jump, sshd) = (host(), host());
    let mut endpoint = login(&sshd, PASSWORD);
    let proxy = format!(
        "ProxyCommand=ssh -F none -o UserKnownHostsFile={} -o IdentityFile=none -p {} -W %h:%p \
         op@127.0.0.1",
        jump.path("known_hosts").display(),
        jump.port
    );
    endpoint.ssh_args.extend(["-o".to_owned(), proxy]);
    let words = refused(&sshd, &endpoint).await;
    assert!(words.contains("op@127.0.0.1's password"), "{words}");
    // It would have been the right one there too; ssh says nothing in its place.
    assert!(!jump.log().contains("Accepted password"), "{}", jump.log());
}

/// A playbook that says who it is on the host, with an inventory that leads there.
struct Project<'a> {
    sshd: &'a Sshd,
    folder: tempfile::TempDir,
}

impl<'a> Project<'a> {
    fn new(sshd: &'a Sshd, variables: &str) -> Self {
        let project = Self { sshd, folder: tempfile::tempdir().unwrap() };
        let arguments = shlex_of(&sshd.endpoint().ssh_args);
        project.write(
            "hosts.yml",
            &format!(
                "all:\n  hosts:\n    host:\n      ansible_host: 127.0.0.1\n      ansible_port: {}\n      \
                 ansible_user: op\n      ansible_ssh_private_key_file: {}\n      \
                 ansible_ssh_common_args: \"{arguments}\"\n{variables}",
                sshd.port,
                sshd.path("stranger").display(),
            ),
        );
        project.write(
            "site.yml",
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: id -un\n      register: me\n    \
             - debug: {msg: 'I am {{ me.stdout }}'}\n",
        );
        project
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
        command.args(["site.yml", "-i", "hosts.yml"]).args(arguments);
        self.placed(&mut command);
        command
    }

    fn placed(&self, command: &mut Command) {
        command
            .current_dir(self.folder.path())
            .env("HOME", self.sshd.path("controller-home"))
            .env("XDG_CACHE_HOME", self.sshd.path("controller"));
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// On a terminal; each answer is typed when its question has come.
    fn typing(&self, arguments: &str, answers: &[(&str, &str)]) -> String {
        let program = env!("CARGO_BIN_EXE_kup-play");
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c"]);
        script.arg(format!("{program} site.yml -i hosts.yml {arguments}")).arg("/dev/null");
        self.placed(&mut script);
        let mut child =
            script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("util-linux");
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut shown, mut buffer) = (String::new(), [0; 4096]);
        let mut answers = answers.iter();
        let mut next = answers.next();
        while let Ok(n @ 1..) = output.read(&mut buffer) {
            shown.push_str(&String::from_utf8_lossy(&buffer[..n]));
            if let Some((question, answer)) = next
                && shown.ends_with(question)
            {
                // The terminal forgets what was typed before it stopped to show it.
                std::thread::sleep(Duration::from_millis(300));
                input.write_all(format!("{answer}\n").as_bytes()).unwrap();
                next = answers.next();
            }
        }
        assert_eq!(next, None, "not asked: {shown}");
        drop(input);
        child.wait().unwrap();
        shown
    }
}

fn shlex_of(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn a_file_or_a_program_has_the_password() {
    let sshd = host();
    let project = Project::new(&sshd, "");
    let file = project.write("password", &format!("{PASSWORD}\n"));
    let output = project.run(&["--connection-password-file", "password"]);
    assert!(output.status.success() && text(&output).contains("I am op"), "{}", text(&output));
    let program = project.write("tell", "#!/bin/sh\ncat password\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = project.run(&["--conn-pass-file", "tell"]);
    assert!(output.status.success(), "{}", text(&output));
    let mut command = project.command(&["--become", "--become-password-file", "password"]);
    command.env("ANSIBLE_CONNECTION_PASSWORD_FILE", &file).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(text(&output).contains("I am root"), "{}", text(&output));
}

#[test]
fn variables_have_the_password_in_templates_and_vault_values() {
    let sshd = host();
    let project = Project::new(&sshd, "      ansible_password: '{{ passwords[ansible_user] }}'\n");
    project.write("key", "fish\n");
    let mut vault = Command::new(env!("CARGO_BIN_EXE_kup-play"));
    vault.args(["vault", "encrypt-string", "--vault-password-file", "key", "--stdin-name", "op"]);
    project.placed(&mut vault);
    let mut vault = vault.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    vault.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let encrypted = String::from_utf8(vault.wait_with_output().unwrap().stdout).unwrap();
    let indented = encrypted.lines().map(|line| format!("  {line}\n")).collect::<String>();
    fs::create_dir(project.folder.path().join("group_vars")).unwrap();
    project.write("group_vars/all.yml", &format!("passwords:\n{indented}"));
    let output = project.run(&["--vault-password-file", "key"]);
    assert!(output.status.success() && text(&output).contains("I am op"), "{}", text(&output));
}

#[test]
fn a_wrong_password_makes_a_host_unreachable() {
    let sshd = host();
    let project = Project::new(&sshd, "      ansible_ssh_pass: open barley\n");
    let output = project.run(&[]);
    assert_eq!(output.status.code(), Some(4));
    let shown = text(&output);
    assert!(shown.contains("fatal: [host]: UNREACHABLE!"), "{shown}");
    assert!(shown.contains("Invalid/incorrect password: "), "{shown}");
    assert!(!shown.contains("open barley"), "{shown}");
    assert_eq!(attempts(&sshd), 1);
}

#[test]
fn it_is_typed_for_k_and_serves_become_when_nothing_is_typed_for_that() {
    let sshd = host();
    let project = Project::new(&sshd, "");
    let shown = project.typing("-k", &[("SSH password: ", PASSWORD)]);
    assert!(shown.contains("I am op") && !shown.contains(PASSWORD), "{shown}");
    let question = "BECOME password[defaults to SSH password]: ";
    let shown = project.typing("-kKb", &[("SSH password: ", PASSWORD), (question, "")]);
    assert!(shown.contains("I am root"), "{shown}");
}

#[test]
fn what_only_lists_asks_for_no_password() {
    let sshd = host();
    let project = Project::new(&sshd, "");
    let shown = project.typing("-k -K --list-tasks", &[]);
    assert!(shown.contains("play #1") && !shown.contains("password"), "{shown}");
}

#[test]
fn a_password_is_typed_or_in_a_file_but_not_both() {
    let sshd = host();
    let output = Project::new(&sshd, "").run(&["-k", "--connection-password-file", "x"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}
