//! Requests to a server of the test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;

/// Answers each connection with the next of these texts; gives what was asked.
fn serve(answers: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, asked) = channel();
    let own = address.clone();
    thread::spawn(move || {
        for answer in answers {
            let Ok((stream, _)) = listener.accept() else { return };
            talk(stream, &answer.replace("$URL", &own), &sender);
        }
    });
    (address, asked)
}

fn talk(mut stream: impl Read + Write, answer: &str, sender: &std::sync::mpsc::Sender<String>) {
    let mut text = String::new();
    let mut reader = BufReader::new(&mut stream);
    while !text.ends_with("\r\n\r\n") {
        if reader.read_line(&mut text).expect("a line") == 0 {
            break;
        }
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("the body");
    text.push_str(&String::from_utf8_lossy(&body));
    stream.write_all(answer.as_bytes()).expect("answered");
    let _ = sender.send(text);
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

#[test]
fn an_answer_has_its_headers_and_its_body() {
    let (url, asked) =
        serve(vec![answer("200 OK", "X-A: 1\r\nX-A: 2\r\nSet-Cookie: a=b; Path=/\r\n", "text")]);
    let mut got = fetch(&Request::get(&url), &Context::default());
    assert_eq!((got.status, got.msg.as_str()), (Some(200), "OK (4 bytes)"));
    assert_eq!(got.header("x-a"), Some("1, 2"));
    assert_eq!(got.cookies, Some(vec![("a".to_owned(), "b".to_owned())]));
    assert_eq!(got.read().expect("a body"), b"text");
    let asked = asked.recv().expect("a request").to_lowercase();
    assert!(asked.starts_with("get / http/1.1\r\n"), "{asked}");
    assert!(asked.contains("user-agent: ansible-httpget"), "{asked}");
}

#[test]
fn redirects_are_followed_as_far_as_is_safe() {
    let moved = || answer("302 Found", "Location: /there\r\n", "");
    let (url, asked) = serve(vec![moved(), answer("200 OK", "", "x")]);
    let got = fetch(&Request::get(&url), &Context::default());
    assert_eq!((got.status, got.url), (Some(200), format!("{url}/there")));
    assert_eq!(asked.iter().take(2).count(), 2);
    let (url, _asked) = serve(vec![moved()]);
    let post = Request { method: "POST".to_owned(), follow: Follow::Safe, ..Request::get(&url) };
    let got = fetch(&post, &Context::default());
    assert_eq!((got.status, got.msg.as_str()), (Some(302), "HTTP Error 302: Found"));
    assert!(!got.is_good());
}

#[test]
fn a_password_is_given_when_it_is_asked_for() {
    let ask = answer("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", "");
    let (url, asked) = serve(vec![ask, answer("200 OK", "", "")]);
    let login = url.replace("http://", "http://u:p@");
    assert_eq!(fetch(&Request::get(&login), &Context::default()).status, Some(200));
    let asked: Vec<_> = asked.iter().take(2).map(|text| text.to_lowercase()).collect();
    assert!(!asked[0].contains("authorization:"));
    assert!(asked[1].contains("authorization: basic dtpw"), "{}", asked[1]);
}

#[test]
fn a_body_goes_with_any_method() {
    for method in ["POST", "GET", "DELETE", "PROPFIND"] {
        let (url, asked) = serve(vec![answer("200 OK", "", "")]);
        let body = Some(Payload::Bytes(b"data".to_vec()));
        let request = Request { method: method.to_owned(), body, ..Request::get(&url) };
        let got = fetch(&request, &Context::default());
        assert_eq!(got.status, Some(200), "{method}: {}", got.msg);
        let text = asked.recv().expect("a request");
        assert!(text.starts_with(method) && text.ends_with("data"), "{text}");
    }
}

#[test]
fn a_socket_may_be_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (sender, _asked) = channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        talk(stream, &answer("200 OK", "", "hello"), &sender);
    });
    let request = Request { unix_socket: Some(path), ..Request::get("http://nowhere.invalid/x") };
    let mut got = fetch(&request, &Context::default());
    assert_eq!(got.read().expect("a body"), b"hello", "{}", got.msg);
}

#[test]
fn no_answer_is_told_in_words_of_python() {
    let got = fetch(&Request::get("http://127.0.0.1:1/"), &Context::default());
    assert_eq!(got.status, Some(-1));
    assert_eq!(got.msg, "Request failed: <urlopen error [Errno 111] Connection refused>");
    let got = fetch(&Request::get("http://nowhere.invalid/"), &Context::default());
    assert!(got.msg.contains("[Errno -2] Name or service not known"), "{}", got.msg);
}
