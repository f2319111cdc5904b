//! Connections that break while they are used.

use std::fs;
use std::time::Duration;

use kup_play::transport::{ConnectionError, Pool};

use crate::sshd::{Sshd, await_that, is_running, local, settings, shell, signal};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_unreachable_once_and_its_processes_end() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let endpoint = sshd.endpoint();
    let agent = pool.agent(&endpoint, None).await.unwrap();
    let file = sshd.path("pid");
    let task = shell(&format!("echo $$ > {}; sleep 1000", file.display()));
    let kill = async {
        let written = file.clone();
        let has_text = move || fs::read_to_string(&written).is_ok_and(|text| !text.is_empty());
        tokio::task::spawn_blocking(|| await_that("the task runs", has_text)).await.unwrap();
        for connection in sshd.connections() {
            signal("-KILL", connection);
        }
    };
    let (response, ()) = tokio::join!(agent.call(task, Vec::new()), kill);
    match response {
        Err(ConnectionError::Unreachable(words)) => {
            assert!(words.starts_with("Failed to connect to the host via ssh: "), "{words}");
            assert!(words.contains("lost"), "{words}");
        }
        other => panic!("{other:?}"),
    }
    let pid = fs::read_to_string(&file).unwrap();
    await_that("the command on the host ends", || !is_running(&pid));
    let scratch = agent.hello().scratch.clone();
    await_that("the scratch folder goes", || !scratch.exists());
    // The next who asks gets a new one.
    let agent = pool.agent(&endpoint, None).await.unwrap();
    assert_eq!(agent.call(shell("echo x"), Vec::new()).await.unwrap().result["stdout"], "x");
    pool.close().await;
}

#[tokio::test]
async fn an_agent_that_is_killed_is_told_from_a_lost_host() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    match agent.call(shell("kill -KILL $PPID; sleep 5"), Vec::new()).await {
        Err(ConnectionError::Unreachable(words)) => {
            assert!(words.contains("the agent was ended"), "{words}");
        }
        other => panic!("{other:?}"),
    }
    pool.agent(&sshd.endpoint(), None).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_reset_connection_is_opened_anew() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let endpoint = sshd.endpoint();
    let before = pool.agent(&endpoint, None).await.unwrap();
    pool.reset(&endpoint).await;
    assert!(before.is_dead());
    assert!(before.call(shell("true"), Vec::new()).await.is_err());
    let after = pool.agent(&endpoint, None).await.unwrap();
    assert_ne!(before.hello().scratch, after.hello().scratch);
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_ends_what_runs() {
    let pool = Pool::new(settings());
    let agent = pool.agent(&local(), None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let task = shell(&format!("echo $$ > {}; sleep 1000", file.display()));
    let close = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        pool.close().await;
    };
    let (response, ()) = tokio::join!(agent.call(task, Vec::new()), close);
    // It is told either by the task, ended by its signal, or by the end of the agent.
    assert!(response.is_err() || response.unwrap().result["rc"] == -15);
    let pid = fs::read_to_string(&file).unwrap();
    await_that("the command ends", || !is_running(&pid));
}
