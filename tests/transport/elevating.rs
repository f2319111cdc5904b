//! Becoming another user, on a host whose users exist in sshd's mounts alone.

use std::fs;
use std::process::Command;

use kup_play::transport::{Become, ConnectionError, Endpoint, Pool, Settings};

use crate::sshd::{Sshd, local, settings, shell, sudo};

/// `ops` may use sudo without a password, `opspw` with its own, `nosudo` may not.
const USERS: &str = "cp -a /etc $F/etc; mount --bind $F/etc /etc; rm -f /etc/nologin
mount -t tmpfs none /root
mkdir $F/homes; chmod 755 $F/homes
for user in ops opspw nosudo; do
  useradd -m -d $F/homes/$user -s /bin/bash $user
  echo $user:secret-$user | chpasswd
done
mkdir -p /etc/sudoers.d
echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/kup; echo 'opspw ALL=(ALL) ALL' >> /etc/sudoers.d/kup
chmod 440 /etc/sudoers.d/kup";

fn host() -> Sshd {
    Sshd::with(USERS, "SetEnv LANG=C")
}

fn login(sshd: &Sshd, user: &str) -> Endpoint {
    Endpoint { user: Some(user.to_owned()), ..sshd.endpoint() }
}

async fn refused(sshd: &Sshd, user: &str, target: &Become) -> String {
    match sshd.pool().agent(&login(sshd, user), Some(target)).await {
        Err(ConnectionError::Become(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn sudo_without_a_password_has_its_own_agent_beside_the_login() {
    let sshd = host();
    let pool = sshd.pool();
    let endpoint = login(&sshd, "ops");
    let plain = pool.agent(&endpoint, None).await.unwrap();
    let root = pool.agent(&endpoint, Some(&sudo("root", None))).await.unwrap();
    let other = pool.agent(&endpoint, Some(&sudo("nosudo", None))).await.unwrap();
    for (agent, user) in [(&plain, "ops"), (&root, "root"), (&other, "nosudo")] {
        assert_eq!(agent.hello().user, user);
        let response = agent.call(shell("id -un"), Vec::new()).await.unwrap();
        assert_eq!(response.result["stdout"], user);
    }
    assert!(plain.hello().scratch.starts_with(sshd.path("homes/ops")));
    assert!(other.hello().scratch.starts_with(sshd.path("homes/nosudo")));
    drop((plain, root, other));
    pool.close().await;
}

#[tokio::test]
async fn a_password_is_given_when_sudo_asks_and_seen_by_nobody() {
    let sshd = host();
    let pool = sshd.pool();
    let endpoint = login(&sshd, "opspw");
    let target = sudo("nosudo", Some("secret-opspw"));
    let agent = pool.agent(&endpoint, Some(&target)).await.unwrap();
    // Everything that runs now, with its environment.
    let seen = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'";
    let response = Command::new("sh").args(["-c", seen]).output().unwrap();
    assert!(!String::from_utf8_lossy(&response.stdout).contains("secret-opspw"));
    let response = agent.call(shell("id -un"), Vec::new()).await.unwrap();
    assert_eq!(response.result["stdout"], "nosudo");
    let output =
        pool.raw(&endpoint, Some(&target), "id -un; cat; echo e >&2", b"in").await.unwrap();
    assert_eq!((output.rc, output.stdout.as_str()), (0, "nosudo\nin"));
    assert_eq!(output.stderr, "e\n");
    pool.close().await;
}

#[tokio::test]
async fn a_wrong_and_a_missing_password_are_told_in_ansibles_words() {
    let sshd = host();
    let words = refused(&sshd, "opspw", &sudo("root", Some("wrong"))).await;
    assert_eq!(words, "Incorrect sudo password");
    let words = refused(&sshd, "opspw", &sudo("root", None)).await;
    assert_eq!(words, "Missing sudo password");
}

#[tokio::test]
async fn a_user_without_the_right_is_told_with_sudos_words() {
    let sshd = host();
    let words = refused(&sshd, "nosudo", &sudo("root", Some("secret-nosudo"))).await;
    assert!(words.contains("nosudo is not in the sudoers file"), "{words}");
    let words = refused(&sshd, "ops", &sudo("nobody-of-that-name", None)).await;
    assert!(words.contains("unknown user"), "{words}");
}

#[tokio::test]
async fn a_host_without_sudo_is_told() {
    let sshd = host();
    let target = Become { exe: Some("/usr/bin/no-sudo-here".to_owned()), ..sudo("root", None) };
    let words = refused(&sshd, "ops", &target).await;
    assert!(words.contains("/usr/bin/no-sudo-here was not found on the host"), "{words}");
}

#[tokio::test]
async fn su_asks_for_the_password_of_the_other_user() {
    let sshd = host();
    let pool = sshd.pool();
    let su = |password: &str| Become { method: "su".to_owned(), ..sudo("opspw", Some(password)) };
    let agent = pool.agent(&login(&sshd, "ops"), Some(&su("secret-opspw"))).await.unwrap();
    assert_eq!(agent.hello().user, "opspw");
    pool.close().await;
    let words = refused(&sshd, "ops", &su("wrong")).await;
    assert_eq!(words, "Incorrect su password");
}

#[tokio::test]
async fn become_works_here_as_well() {
    let cache = tempfile::tempdir().unwrap();
    let settings = Settings { cache: Some(cache.path().to_owned()), ..settings() };
    let pool = Pool::new(settings);
    let agent = pool.agent(&local(), Some(&sudo("nobody", None))).await.unwrap();
    assert_eq!(agent.hello().user, "nobody");
    let folder = agent.hello().scratch.parent().unwrap().to_owned();
    drop(agent);
    pool.close().await;
    fs::remove_dir_all(folder).unwrap();
}
