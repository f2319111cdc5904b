//! How the agent gets onto a host, and that it is the right one each time.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use kup_play::transport::ConnectionError;

use crate::sshd::{Sshd, await_that, mode, shell};

fn placed(sshd: &Sshd) -> Vec<PathBuf> {
    let entries = fs::read_dir(sshd.agents()).unwrap().map(|entry| entry.unwrap().path());
    let is_agent =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("agent-");
    entries.filter(is_agent).collect()
}

async fn works(sshd: &Sshd) -> String {
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let response = agent.call(shell("umask"), Vec::new()).await.unwrap();
    assert_eq!(response.result["stdout"], "0022", "the bootstrap's umask reaches tasks");
    let scratch = agent.hello().scratch.display().to_string();
    pool.close().await;
    scratch
}

#[tokio::test]
async fn it_is_copied_once_to_a_private_place_and_then_found_there() {
    let sshd = Sshd::start();
    works(&sshd).await;
    let files = placed(&sshd);
    assert_eq!(files.len(), 1);
    assert_eq!((mode(&sshd.agents()), mode(&files[0])), (0o700, 0o700));
    let first = fs::metadata(&files[0]).unwrap();
    works(&sshd).await;
    let second = fs::metadata(&files[0]).unwrap();
    assert_eq!((first.ino(), first.mtime_nsec()), (second.ino(), second.mtime_nsec()));
}

#[tokio::test]
async fn one_that_was_changed_is_replaced_before_it_is_started() {
    let sshd = Sshd::start();
    works(&sshd).await;
    let file = placed(&sshd).remove(0);
    fs::write(&file, "#!/bin/sh\ntouch \"$HOME/was-run\"\n").unwrap();
    works(&sshd).await;
    assert!(!sshd.path("home/was-run").exists());
    assert!(fs::metadata(&file).unwrap().len() > 1_000_000);
}

#[tokio::test]
async fn other_versions_and_broken_copies_are_removed() {
    let sshd = Sshd::start();
    fs::create_dir_all(sshd.agents()).unwrap();
    fs::write(sshd.agents().join("agent-0123"), "old").unwrap();
    fs::write(sshd.agents().join(".new.999999999"), "half").unwrap();
    // A folder that others could read becomes private.
    fs::set_permissions(sshd.agents(), fs::Permissions::from_mode(0o755)).unwrap();
    works(&sshd).await;
    assert_eq!(placed(&sshd).len(), 1);
    assert!(!sshd.agents().join(".new.999999999").exists());
    assert_eq!(mode(&sshd.agents()), 0o700);
}

#[tokio::test]
async fn a_link_in_its_place_is_not_followed() {
    let sshd = Sshd::start();
    fs::create_dir_all(sshd.path("home/.cache")).unwrap();
    fs::create_dir(sshd.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(sshd.path("elsewhere"), sshd.agents()).unwrap();
    let scratch = works(&sshd).await;
    assert!(scratch.starts_with("/var/tmp/kup-play-"), "{scratch}");
    assert_eq!(fs::read_dir(sshd.path("elsewhere")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_mounted_noexec_is_avoided() {
    let mounts = "mkdir $F/home/.cache; mount -t tmpfs -o noexec none $F/home/.cache
                  mount -t tmpfs -o noexec none /var/tmp; mount -t tmpfs none /tmp";
    let sshd = Sshd::with(mounts, "");
    let scratch = works(&sshd).await;
    assert!(scratch.starts_with("/tmp/kup-play-"), "{scratch}");
}

#[tokio::test]
async fn a_full_folder_is_avoided_and_full_ones_everywhere_are_told() {
    let full =
        |folder: &str| format!("mkdir -p {folder}; mount -t tmpfs -o size=1m none {folder}\n");
    let home = full("$F/home/.cache");
    let sshd = Sshd::with(&home, "");
    let scratch = works(&sshd).await;
    assert!(scratch.starts_with("/var/tmp/kup-play-"), "{scratch}");

    let everywhere = ["/var/tmp", "/tmp", "/run", "/dev/shm"].map(full).concat();
    let sshd = Sshd::with(&format!("{home}{everywhere} mkdir -p /run/sshd"), "");
    match sshd.pool().agent(&sshd.endpoint(), None).await {
        Err(ConnectionError::Agent(words)) => {
            assert!(words.contains("/var/tmp/kup-play-") && words.contains("KiB left"), "{words}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_that_has_only_busybox_will_do() {
    // Every program of the bootstrap is busybox's, its shell as well; and there is no gzip.
    let mounts = "mkdir $F/bin; for p in sh ls id uname head df tail mv rm mkdir chmod sha256sum \
                  cat; do ln -s /bin/busybox $F/bin/$p; done
                  sed 's|:/bin/bash$|:/bin/sh|' /etc/passwd > $F/passwd
                  mount --bind $F/passwd /etc/passwd; mount --bind /bin/busybox /bin/dash";
    let sshd = Sshd::with(mounts, "SetEnv HOME=$F/home PATH=$F/bin");
    works(&sshd).await;
    assert_eq!(placed(&sshd).len(), 1);
}

#[tokio::test]
async fn a_login_shell_that_talks_is_no_hindrance() {
    let sshd = Sshd::start();
    let talk = "echo Welcome; echo 'KUP is not us'; printf 'no newline'; echo\n";
    fs::write(sshd.path("home/.bashrc"), talk).unwrap();
    works(&sshd).await;
}

#[tokio::test]
async fn a_host_of_another_architecture_needs_its_own_agent() {
    let mounts = "printf '#!/bin/sh\\necho riscv64\\n' > $F/uname; chmod 755 $F/uname
                  mount --bind $F/uname /bin/uname";
    let sshd = Sshd::with(mounts, "");
    match sshd.pool().agent(&sshd.endpoint(), None).await {
        Err(ConnectionError::Agent(words)) => {
            assert!(words.contains("riscv64") && words.contains("kup-play-riscv64"), "{words}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_copy_that_is_broken_off_leaves_nothing_under_the_final_name() {
    // The host's gzip is slow enough to be killed in the middle.
    let mounts =
        "printf '#!/bin/sh\\necho $$ > '$F'/gzip.pid; head -c 1000; sleep 100\\n' > $F/gzip
                  chmod 755 $F/gzip; mount --bind $F/gzip /bin/gzip";
    let sshd = Sshd::with(mounts, "");
    let pool = sshd.pool();
    let endpoint = sshd.endpoint();
    let kill = async {
        let pid = sshd.path("gzip.pid");
        tokio::task::spawn_blocking(move || await_that("gzip runs", || pid.exists()))
            .await
            .unwrap();
        for connection in sshd.connections() {
            crate::sshd::signal("-KILL", connection);
        }
    };
    let (agent, ()) = tokio::join!(pool.agent(&endpoint, None), kill);
    assert!(matches!(agent, Err(ConnectionError::Unreachable(_))), "{agent:?}");
    assert!(placed(&sshd).is_empty());
}
