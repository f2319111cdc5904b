//! Ways in which a host cannot be reached, and what is said about each.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use kup_play::transport::{ConnectionError, Endpoint};

use crate::sshd::{Sshd, await_that, local, shell};

async fn unreachable(sshd: &Sshd, endpoint: &Endpoint) -> String {
    match sshd.pool().agent(endpoint, None).await {
        Err(ConnectionError::Unreachable(words)) => {
            assert!(words.starts_with("Failed to connect to the host via ssh: "), "{words}");
            words
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_unknown_host_key_is_refused_unless_checking_is_off() {
    let sshd = Sshd::start();
    fs::write(sshd.path("known_hosts"), "").unwrap();
    let mut endpoint = sshd.endpoint();
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("Host key verification failed."), "{words}");
    assert!(words.contains("ssh-keyscan"), "{words}");
    endpoint.host_key_checking = false;
    let pool = sshd.pool();
    pool.agent(&endpoint, None).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_changed_host_key_is_refused() {
    let sshd = Sshd::start();
    let other = fs::read_to_string(sshd.path("stranger.pub")).unwrap();
    fs::write(sshd.path("known_hosts"), format!("[127.0.0.1]:{} {other}", sshd.port)).unwrap();
    let words = unreachable(&sshd, &sshd.endpoint()).await;
    assert!(words.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), "{words}");
    assert!(words.contains("ssh-keygen -R"), "{words}");
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let sshd = Sshd::start();
    let mut endpoint = sshd.endpoint();
    endpoint.private_key = Some(sshd.path("stranger"));
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("Permission denied (publickey"), "{words}");
    assert!(words.contains("authorized_keys"), "{words}");
    endpoint.private_key = Some(sshd.path("nosuch"));
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("ansible_ssh_private_key_file does not exist"), "{words}");
}

#[tokio::test]
async fn a_closed_port_is_told_as_ansible_does() {
    let sshd = Sshd::start();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = Endpoint { port: Some(free), ..sshd.endpoint() };
    let words = unreachable(&sshd, &endpoint).await;
    let expected = format!(
        "Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1 port {free}: \
         Connection refused\n"
    );
    assert!(words.starts_with(&expected), "{words}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_and_one_that_is_no_name() {
    let sshd = Sshd::start();
    let endpoint = Endpoint { address: "nosuch.invalid".to_owned(), ..sshd.endpoint() };
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("Could not resolve hostname nosuch.invalid"), "{words}");
    let endpoint = Endpoint { address: "-oProxyCommand=id".to_owned(), ..sshd.endpoint() };
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("is no host name"), "{words}");
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up_in_time() {
    let sshd = Sshd::start();
    // Accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint {
        port: Some(silent.local_addr().unwrap().port()),
        timeout: Duration::from_secs(1),
        ..sshd.endpoint()
    };
    let started = Instant::now();
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("timed out"), "{words}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_option_that_ssh_does_not_know_is_told_in_its_words() {
    let sshd = Sshd::start();
    let mut endpoint = sshd.endpoint();
    endpoint.ssh_args.extend(["-o".to_owned(), "NoSuchOption=1".to_owned()]);
    let words = unreachable(&sshd, &endpoint).await;
    assert!(words.contains("nosuchoption") && words.contains("ansible_ssh_common_args"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_hosts_at_once() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    // The first copies the agent; the others would each do it otherwise, to the same folder.
    pool.agent(&sshd.endpoint(), None).await.unwrap();
    let hosts = addresses(&sshd, 100);
    let calls = hosts.iter().map(|endpoint| async {
        let agent = pool.agent(endpoint, None).await?;
        agent.call(shell("echo here"), Vec::new()).await
    });
    for response in futures::future::join_all(calls).await {
        assert_eq!(response.unwrap().result["stdout"], "here");
    }
    pool.close().await;
    await_that("all connections end", || sshd.connections().is_empty());
}

/// Endpoints of one sshd under so many addresses.
fn addresses(sshd: &Sshd, count: usize) -> Vec<Endpoint> {
    let of = |n| Endpoint { address: format!("127.0.0.{n}"), ..sshd.endpoint() };
    (1..=count).map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_many_connections_the_one_unused_for_longest_is_closed() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    pool.keep_at_most(2);
    let hosts = addresses(&sshd, 3);
    let first = pool.agent(&hosts[0], None).await.unwrap().hello().scratch.clone();
    let second = pool.agent(&hosts[1], None).await.unwrap().hello().scratch.clone();
    pool.agent(&hosts[0], None).await.unwrap();
    // The next batch begins.
    pool.keep_at_most(2);
    pool.agent(&hosts[2], None).await.unwrap();
    await_that("one of three ends", || sshd.connections().len() == 2);
    assert_eq!(pool.agent(&hosts[0], None).await.unwrap().hello().scratch, first);
    // What is asked for again is opened anew.
    let opened = pool.agent(&hosts[1], None).await.unwrap();
    assert_ne!(opened.hello().scratch, second);
    assert_eq!(opened.call(shell("echo here"), Vec::new()).await.unwrap().result["stdout"], "here");
    drop(opened);
    pool.close().await;
    await_that("all connections end", || sshd.connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_in_use_or_carries_a_tunnel_is_not_closed_for_others() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    pool.keep_at_most(1);
    let hosts = addresses(&sshd, 4);
    pool.agent(&hosts[0], None).await.unwrap();
    pool.forward(&hosts[0], "127.0.0.1", sshd.port).await.unwrap();
    let busy = pool.agent(&hosts[1], None).await.unwrap();
    pool.agent(&hosts[2], None).await.unwrap();
    pool.agent(&hosts[3], None).await.unwrap();
    await_that("the idle one ends", || sshd.connections().len() == 3);
    assert_eq!(busy.call(shell("echo here"), Vec::new()).await.unwrap().result["stdout"], "here");
    drop(busy);
    pool.close().await;
    await_that("all connections end", || sshd.connections().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_at_the_same_time_shares_one_connection() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let endpoint = sshd.endpoint();
    let agents = futures::future::join_all((0..20).map(|_| pool.agent(&endpoint, None))).await;
    let scratch = |n: usize| agents[n].as_ref().unwrap().hello().scratch.clone();
    assert!((1..20).all(|n| scratch(n) == scratch(0)));
    assert_eq!(sshd.connections().len(), 1);
    drop(agents);
    pool.close().await;
    await_that("the connection ends", || sshd.connections().is_empty());
}

/// The terminal sends Ctrl-C to its foreground process group. A run still has to put
/// nodes back then, so that neither ssh nor the agents may be in that group.
#[tokio::test]
async fn connections_are_out_of_reach_of_ctrl_c_and_leave_no_trace() {
    let sshd = Sshd::start();
    let pool = sshd.pool();
    let agent = pool.agent(&sshd.endpoint(), None).await.unwrap();
    let here = pool.agent(&local(), None).await.unwrap();
    let sockets = format!("/kup-play-{}-", std::process::id());
    let masters = processes(&|command| command.contains(&sockets));
    assert_eq!(masters.len(), 1, "{masters:?}");
    let response = here.call(shell("echo $PPID"), Vec::new()).await.unwrap();
    let agent_pid = response.result["stdout"].as_str().unwrap().parse().unwrap();
    let own = group(std::process::id());
    assert_ne!(group(masters[0]), own);
    assert_ne!(group(agent_pid), own);
    drop((agent, here));
    pool.close().await;
    tokio::task::spawn_blocking(move || {
        await_that("ssh ends", || processes(&|command| command.contains(&sockets)).is_empty());
        let left = fs::read_dir("/tmp").unwrap().flatten();
        let mut left = left.map(|entry| entry.path().display().to_string());
        assert!(!left.any(|path| path.contains(&sockets)), "the control sockets are left");
    })
    .await
    .unwrap();
}

fn processes(matching: &dyn Fn(&str) -> bool) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|c| matching(&c))
    })
    .collect()
}

fn group(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    after_name.split(' ').nth(2).unwrap().to_owned()
}
