//! An apiserver that is busy or broken at first: a proxy in front of a real one.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Lab;

/// Where `kubectl proxy` listens on the control plane.
const UPSTREAM: u16 = 18001;

/// Every request is refused when it comes for the first time, by 429, and for the second, by
/// 500; then it is let through, unless all are refused for a while.
pub struct Busy {
    pub port: u16,
    state: Arc<Mutex<State>>,
    upstream: Child,
}

struct State {
    /// How often each was refused.
    refused: HashMap<String, usize>,
    until: Instant,
}

impl Busy {
    pub fn before(lab: &Lab) -> Self {
        let address = lab.ssh("cp1", "hostname -I");
        let address = address.split_whitespace().next().expect("an address").to_owned();
        // It ends when its standard input does.
        let script = format!(
            "kubectl --kubeconfig /etc/kubernetes/admin.conf proxy --address=0.0.0.0 \
             --port={UPSTREAM} --accept-hosts=.* >/dev/null & cat; kill $!"
        );
        let upstream = Command::new("tests/lab/lab")
            .args(["ssh", "--name", lab.name, "cp1", &script])
            .stdin(Stdio::piped())
            .spawn()
            .expect("the lab");
        lab.wait_until("kubectl proxy listens", |_| {
            TcpStream::connect((address.as_str(), UPSTREAM)).is_ok()
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = State { refused: HashMap::new(), until: Instant::now() };
        let state = Arc::new(Mutex::new(state));
        let served = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (address, state) = (address.clone(), served.clone());
                // A client that goes away is no matter.
                std::thread::spawn(move || serve(client, &address, &state));
            }
        });
        Self { port, state, upstream }
    }

    /// A kubeconfig that leads through it.
    pub fn kubeconfig(&self) -> String {
        kubeconfig(self.port)
    }

    /// How often requests that begin so (`POST /apis/`) were refused.
    pub fn refused(&self, begins: &str) -> usize {
        let refused = &self.state.lock().expect("not poisoned").refused;
        refused.iter().filter(|(key, _)| key.starts_with(begins)).map(|(_, count)| count).sum()
    }

    /// From now on all are refused for this time, by 429 and 500 in turn.
    pub fn refuse_for(&self, time: Duration) {
        self.state.lock().expect("not poisoned").until = Instant::now() + time;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.upstream.stdin.take());
        let _ = self.upstream.wait();
    }
}

/// One request in a connection.
fn serve(mut client: TcpStream, address: &str, state: &Mutex<State>) -> io::Result<()> {
    let (head, body) = read(&client)?;
    let words: Vec<&str> = head[0].split(' ').collect();
    let path = words.get(1).copied().unwrap_or_default().split('?').next().unwrap_or_default();
    let refused = {
        let mut state = state.lock().expect("not poisoned");
        let all = Instant::now() < state.until;
        let count = state.refused.entry(format!("{} {path}", words[0])).or_default();
        let before = *count;
        let is_refused = all || before < 2;
        *count += usize::from(is_refused);
        is_refused.then_some(before)
    };
    if let Some(before) = refused {
        let (line, code) = match before % 2 {
            0 => ("429 Too Many Requests\r\nRetry-After: 1", 429),
            _ => ("500 Internal Server Error", 500),
        };
        let status = format!("{{\"kind\":\"Status\",\"code\":{code},\"message\":\"busy\"}}");
        let length = status.len();
        return write!(
            client,
            "HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{status}"
        );
    }
    let mut upstream = TcpStream::connect((address, UPSTREAM))?;
    let kept = head.iter().filter(|line| !line.to_lowercase().starts_with("connection:"));
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    upstream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    io::copy(&mut upstream, &mut client).map(drop)
}

/// A kubeconfig that leads to this port, without a certificate.
pub fn kubeconfig(port: u16) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: busy,\n\
         clusters: [{{name: busy, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}],\n\
         users: [{{name: busy, user: {{}}}}],\n\
         contexts: [{{name: busy, context: {{cluster: busy, user: busy}}}}]}}\n"
    )
}

/// The lines of a request's head, and its body.
pub fn read(client: &TcpStream) -> io::Result<(Vec<String>, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            text => head.push(text.to_owned()),
        }
    }
    let length = head
        .iter()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}
