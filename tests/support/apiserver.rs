//! An apiserver of a few objects, for what needs no cluster.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::busy::{kubeconfig, read};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

/// It has kube-system, the node n1, and the Lease when there is one.
pub struct Apiserver {
    port: u16,
    state: Arc<State>,
}

struct State {
    objects: Mutex<HashMap<String, Value>>,
    is_down: AtomicBool,
}

impl Apiserver {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let objects = HashMap::from([
            ("/readyz".to_owned(), json!("ok")),
            ("/api/v1/namespaces/kube-system".to_owned(), json!({"metadata": {"uid": "1"}})),
            ("/api/v1/nodes/n1".to_owned(), json!({"metadata": {"name": "n1"}})),
        ]);
        let state = State { objects: Mutex::new(objects), is_down: AtomicBool::new(false) };
        let state = Arc::new(state);
        let served = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = served.clone();
                // A client that goes away is no matter.
                std::thread::spawn(move || state.serve(client));
            }
        });
        Self { port, state }
    }

    pub fn kubeconfig(&self) -> String {
        kubeconfig(self.port)
    }

    /// It answers nobody, or does again.
    pub fn is_down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Who has the lock; empty: nobody.
    pub fn holder(&self) -> String {
        let objects = self.state.objects.lock().expect("not poisoned");
        let lease = objects.get(&format!("{LEASES}/kup-play"));
        lease.and_then(|it| it["spec"]["holderIdentity"].as_str()).unwrap_or_default().to_owned()
    }

    /// Gives the lock to somebody else.
    pub fn give_lock_to(&self, holder: &str) {
        let mut objects = self.state.objects.lock().expect("not poisoned");
        let lease = objects.get_mut(&format!("{LEASES}/kup-play")).expect("a Lease");
        lease["spec"]["holderIdentity"] = json!(holder);
    }
}

impl State {
    /// One request in a connection.
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let (head, body) = read(&client)?;
        if self.is_down.load(Ordering::SeqCst) {
            return Ok(());
        }
        let words: Vec<&str> = head[0].split(' ').collect();
        let path = words[1].split('?').next().unwrap_or_default();
        let (line, answer) = match self.answer(words[0], path, &body) {
            Some(object) => ("200 OK", object),
            None => ("404 Not Found", json!({"kind": "Status", "code": 404, "message": "none"})),
        };
        let answer = answer.to_string();
        write!(
            client,
            "HTTP/1.1 {line}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> Option<Value> {
        let mut objects = self.objects.lock().expect("not poisoned");
        let given: Value = serde_json::from_slice(body).unwrap_or_default();
        match method {
            "POST" => {
                let name = given["metadata"]["name"].as_str().expect("a name");
                objects.insert(format!("{path}/{name}"), given.clone());
                Some(given)
            }
            "PATCH" => {
                let object = objects.get_mut(path)?;
                merge(object, &given);
                Some(object.clone())
            }
            "DELETE" => objects.remove(path),
            _ => objects.get(path).cloned(),
        }
    }
}

/// As a merge patch does.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *object = patch.clone();
        return;
    };
    for (name, value) in fields {
        match value {
            Value::Null => drop(object.as_object_mut().and_then(|object| object.remove(name))),
            value => merge(&mut object[name.as_str()], value),
        }
    }
}
