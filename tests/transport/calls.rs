//! What an agent does once it runs; over ssh where the way matters, else locally.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use kup_play::agent::protocol::Request;
use kup_play::transport::{FileSource, Pool};
use serde_json::json;

use crate::sshd::{Sshd, await_that, is_running, local, request, settings, shell};

#[tokio::test]
async fn a_local_agent_runs_modules_and_leaves_nothing() {
    let pool = Pool::new(settings());
    let agent = pool.agent(&local(), None).await.unwrap();
    assert_eq!(agent.hello().os, "Linux");
    let response = agent.call(shell("echo a; echo b"), Vec::new()).await.unwrap();
    assert_eq!(response.result["stdout_lines"], json!(["a", "b"]));
    let scratch = agent.hello().scratch.clone();
    assert!(scratch.is_dir());
    pool.close().await;
    assert!(!scratch.exists());
}

#[tokio::test]
async fn requests_run_side_by_side() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let started = Instant::now();
    let calls = (0..50).map(|n| agent.call(shell(&format!("sleep 0.5; echo {n}")), Vec::new()));
    let responses = futures::future::join_all(calls).await;
    for (n, response) in responses.into_iter().enumerate() {
        assert_eq!(response.unwrap().result["stdout"], n.to_string());
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    pool.close().await;
}

/// A bound that only a wrong turn (a process per call, a delayed write) would break.
#[tokio::test]
async fn a_call_costs_one_round_trip() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let check = || Request { check: true, ..shell("true") };
    let mut times = Vec::new();
    for _ in 0..300 {
        let started = Instant::now();
        agent.call(check(), Vec::new()).await.unwrap();
        times.push(started.elapsed());
    }
    times.sort();
    println!("a call over ssh: median {:?}, fastest {:?}", times[times.len() / 2], times[0]);
    assert!(times[times.len() / 2] < Duration::from_millis(20));
    pool.close().await;
}

#[tokio::test]
async fn a_large_file_reaches_an_external_module_whole() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    // The file is the module itself: a script with 20 MB behind its end.
    let mut module = br#"#!/bin/sh
printf '{"changed": true, "size": %s, "check": %s}' "$(wc -c <"$0")" \
  "$(grep -c '"_ansible_check_mode":true' "$1")"
exit 0
"#
    .to_vec();
    module.resize(20_000_000, b'#');
    let mut task = request("external", json!({"name": "weigh", "arguments": {"a": 1}}));
    task.check = true;
    let file = ("executable".to_owned(), FileSource::Bytes(module));
    let response = agent.call(task, vec![file]).await.unwrap();
    assert_eq!(response.result["size"], 20_000_000, "{:?}", response.result);
    assert_eq!(response.result["check"], 1);
    let left = fs::read_dir(&agent.hello().scratch).unwrap().count();
    assert_eq!(left, 0, "files of the task are left");
    pool.close().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_here_fails_the_task_and_not_the_agent() {
    let pool = Pool::new(settings());
    let agent = pool.agent(&local(), None).await.unwrap();
    let task = request("external", json!({"name": "x"}));
    let file = ("executable".to_owned(), FileSource::Path("/no/such/file".into()));
    let response = agent.call(task, vec![file]).await.unwrap();
    assert_eq!(response.result["failed"], true);
    assert!(response.result["msg"].as_str().unwrap().contains("/no/such/file"));
    assert_eq!(agent.call(shell("echo x"), Vec::new()).await.unwrap().result["stdout"], "x");
    pool.close().await;
}

#[tokio::test]
async fn a_large_file_is_downloaded_and_a_missing_one_is_told() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let content: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(sshd.path("big"), &content).unwrap();
    let mut received = Vec::new();
    let response = agent.download(&sshd.path("big"), &mut received).await.unwrap();
    assert_eq!(response.result["size"], 20_000_000);
    assert!(received == content);
    let response = agent.download(&sshd.path("nosuch"), &mut received).await.unwrap();
    assert_eq!(response.result["failed"], true);
    assert!(response.result["msg"].as_str().unwrap().contains("nosuch"));
    pool.close().await;
}

#[tokio::test]
async fn a_large_output_is_cut_in_the_middle_with_a_note() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let line = "echo first; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo last";
    let response = agent.call(shell(line), Vec::new()).await.unwrap();
    let stdout = response.result["stdout"].as_str().unwrap();
    assert!(stdout.len() < 9_000_000 && stdout.contains("bytes left out"));
    assert!(stdout.starts_with("first\n") && stdout.ends_with("\nlast"));
    // Short lines take more memory one by one than as a text.
    let response = agent.call(shell("yes | head -c 100000000"), Vec::new()).await.unwrap();
    let lines = response.result["stdout_lines"].as_array().unwrap();
    assert!(lines.len() < 200_000, "{}", lines.len());
    assert!(lines.iter().any(|line| line.as_str().unwrap().contains("lines left out")));
    assert!(response.result["stdout"].as_str().unwrap().contains("bytes left out"));
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_time_is_up_fails_and_its_processes_end() {
    let pool = Pool::new(settings());
    let agent = pool.agent(&local(), None).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut task = shell(&format!("echo $$ > {}; sleep 100", file.display()));
    task.timeout = Some(1);
    let started = Instant::now();
    let response = agent.call(task, Vec::new()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(
        response.result["msg"],
        "The shell action failed to execute in the expected time frame (1) and was terminated"
    );
    let pid = fs::read_to_string(file).unwrap();
    await_that("the command ends", || !is_running(&pid));
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_waits_for_any_more_ends() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let file = sshd.path("pid");
    let task = shell(&format!("echo $$ > {}; sleep 100", file.display()));
    let given_up = tokio::time::timeout(Duration::from_millis(500), agent.call(task, Vec::new()));
    assert!(given_up.await.is_err());
    let pid = fs::read_to_string(file).unwrap();
    await_that("the command ends", || !is_running(&pid));
    assert_eq!(agent.call(shell("echo x"), Vec::new()).await.unwrap().result["stdout"], "x");
    pool.close().await;
}

#[tokio::test]
async fn raw_needs_no_agent_and_gives_code_and_streams() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let endpoint = sshd.endpoint();
    let output = pool.raw(&endpoint, None, "cat; echo bad >&2; exit 7", b"typed").await.unwrap();
    assert_eq!((output.rc, output.stdout.as_str(), output.stderr.as_str()), (7, "typed", "bad\n"));
    assert_eq!(pool.raw(&endpoint, None, "nosuchcmd", b"").await.unwrap().rc, 127);
    assert!(!sshd.agents().exists());
    let output = pool.raw(&local(), None, "echo here; exit 3", b"").await.unwrap();
    assert_eq!((output.rc, output.stdout.as_str()), (3, "here\n"));
    pool.close().await;
}

#[tokio::test]
async fn a_tunnel_leads_to_an_address_as_the_host_sees_it() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"hello").unwrap();
        }
    });
    let endpoint = sshd.endpoint();
    let (host, local_port) = pool.forward(&endpoint, "127.0.0.1", port).await.unwrap();
    assert_ne!(local_port, port);
    let socket = pool.forward_socket(&endpoint, "127.0.0.1", port).await.unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let (mut first, mut second) = (String::new(), String::new());
        TcpStream::connect((host, local_port)).unwrap().read_to_string(&mut first).unwrap();
        UnixStream::connect(socket).unwrap().read_to_string(&mut second).unwrap();
        (first, second)
    });
    assert_eq!(heard.await.unwrap(), ("hello".to_owned(), "hello".to_owned()));
    assert_eq!(pool.forward(&local(), "::1", 6443).await.unwrap(), ("::1".to_owned(), 6443));
    pool.close().await;
}

#[tokio::test]
async fn a_tunnel_leads_to_an_ipv6_address_that_has_no_brackets() {
    // Not every machine has IPv6.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hello").unwrap());
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let to = pool.forward(&sshd.endpoint(), "::1", port).await.unwrap();
    let heard = tokio::task::spawn_blocking(move || {
        let mut heard = String::new();
        TcpStream::connect(to).unwrap().read_to_string(&mut heard).unwrap();
        heard
    });
    assert_eq!(heard.await.unwrap(), "hello");
    pool.close().await;
}

#[tokio::test]
async fn requests_sent_in_order_run_one_after_the_other_and_answer_as_they_are_done() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let file = sshd.path("order");
    let line = |n: u32| shell(&format!("sleep 0.0{}; echo {n} >> {}", 9 - n, file.display()));
    let pending =
        agent.call_in_order((0..9).map(|n| (line(n), Vec::new())).collect()).await.unwrap();
    for (n, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.response().await.unwrap().result["rc"], 0);
        assert!(fs::read_to_string(&file).unwrap().lines().count() > n);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n1\n2\n3\n4\n5\n6\n7\n8\n");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_of_requests_in_order_is_not_run() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let file = sshd.path("ran");
    let requests = vec![
        (shell(&format!("echo first >> {}; sleep 100", file.display())), Vec::new()),
        (shell(&format!("echo second >> {}", file.display())), Vec::new()),
    ];
    let pending = agent.call_in_order(requests).await.unwrap();
    let written = file.clone();
    let wait = move || await_that("the first runs", || written.exists());
    tokio::task::spawn_blocking(wait).await.unwrap();
    // The second is given up before the first, whose end would start it.
    pending.into_iter().rev().for_each(drop);
    assert_eq!(agent.call(shell("echo x"), Vec::new()).await.unwrap().result["stdout"], "x");
    assert_eq!(fs::read_to_string(&file).unwrap(), "first\n");
    pool.close().await;
}
