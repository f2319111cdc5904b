//! The controller's end of an agent.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot, watch};

use super::bootstrap::{Greeted, read_frame};
use super::channel::{Input, Link, Output, Process, Stderr};
use super::ssh::{self, unreachable};
use super::{ConnectionError, DownloadError};
use crate::agent::protocol::{
    CHUNK, Download, Hello, KEEPALIVE, Kind, Request, Response, Sequence, data_frame, json_frame,
    parse, split_data,
};
use crate::modules::output;

/// Frames that wait to be written; a file that is being sent waits for room.
const QUEUE: usize = 16;
/// For an agent to end what it has started.
const FAREWELL: Duration = Duration::from_secs(5);

/// A file that goes along with a request.
#[derive(Clone, Debug)]
pub enum FileSource {
    /// Read while it is sent.
    Path(PathBuf),
    Bytes(Vec<u8>),
}

/// What is in files that go along with an argument's name each.
pub type Contents = Vec<(String, Vec<u8>)>;

/// An agent that runs on a host for one user. Requests may be under way at the same
/// time, as many as the caller likes.
#[derive(Debug)]
pub struct Agent {
    hello: Hello,
    shared: Arc<Shared>,
    /// Frames for the writer.
    frames: mpsc::Sender<Vec<u8>>,
    /// Tells the writer to close the agent's input, whoever still has frames for it.
    closing: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
    next: AtomicU64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<u64, Waiting>,
    /// Why nothing comes any more.
    dead: Option<ConnectionError>,
}

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Response>,
    chunks: Option<mpsc::Sender<Vec<u8>>>,
}

impl Agent {
    pub(super) fn new(greeted: Greeted, link: Link) -> Self {
        let Greeted { channel, stderr, hello } = greeted;
        let shared = Arc::new(Shared::default());
        let (frames, queue) = mpsc::channel(QUEUE);
        let (ended_sender, ended) = watch::channel(false);
        let (closing, close) = watch::channel(false);
        tokio::spawn(write(channel.stdin, queue, close.clone()));
        let reading = Arc::clone(&shared);
        tokio::spawn(async move {
            read(channel.stdout, &reading).await;
            let asked_to = *close.borrow();
            let process = channel.process;
            let why = match asked_to {
                true => {
                    drop(process);
                    closed()
                }
                false => why_ended(&link, process, &stderr).await,
            };
            // Who waits for the end closes the connection next, and may end the program then.
            drop(link);
            let mut state = reading.lock();
            state.dead = Some(why);
            // Dropping the senders wakes everyone who waits.
            state.waiting.clear();
            drop(state);
            let _ = ended_sender.send(true);
        });
        Self { hello, shared, frames, closing, ended, next: AtomicU64::new(1) }
    }

    /// Who and where the agent is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Whether the agent has ended or its connection was lost.
    pub fn is_dead(&self) -> bool {
        *self.ended.borrow()
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.shared.lock().waiting.is_empty()
    }

    /// Runs a module. `files` are sent along; each becomes the path of a file on the
    /// host in the argument it is named after. When the returned future is dropped the
    /// agent ends what the request has started.
    ///
    /// A file that cannot be read here gives a failed result, not an error.
    pub async fn call(
        &self,
        mut request: Request,
        files: Vec<(String, FileSource)>,
    ) -> Result<Response, ConnectionError> {
        request.files = files.iter().map(|(name, _)| name.clone()).collect();
        let (mut asked, mut answer) = self.ask(None)?;
        request.id = asked.id;
        let frame = match json_frame(Kind::Request, &request) {
            Ok(frame) => frame,
            Err(error) => return Ok(failed(asked.id, format!("the task is too large: {error}"))),
        };
        // The answer may come while files are still being sent: then it is a refusal.
        let mut response = tokio::select! {
            biased;
            early = &mut answer => early.map_err(|_| self.why_dead())?,
            sent = send_all(&asked, frame, files) => match sent {
                Err(Sending::Broken(error)) => return Err(error),
                Err(Sending::Unreadable(why)) => return Ok(failed(asked.id, why)),
                Ok(()) => answer.await.map_err(|_| self.why_dead())?,
            },
        };
        asked.settled = true;
        add_lines(&mut response.result);
        Ok(response)
    }

    /// Sends all requests at once, each with the contents of its files, to be run one after the
    /// other; the answers come one by one.
    /// When one is dropped before its answer has come, the agent leaves it out or ends it.
    pub async fn call_in_order(
        &self,
        requests: Vec<(Request, Contents)>,
    ) -> Result<Vec<Pending>, ConnectionError> {
        let too_large = |error| ConnectionError::Agent(format!("the task is too large: {error}"));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let count = requests.len();
        let (mut frames, mut pending) = (Vec::new(), Vec::with_capacity(count));
        for (index, (mut request, files)) in requests.into_iter().enumerate() {
            let (asked, answer) = self.ask(None)?;
            request.id = asked.id;
            request.sequence = Some(Sequence { id, last: index + 1 == count });
            request.files = files.iter().map(|(name, _)| name.clone()).collect();
            frames.extend(json_frame(Kind::Request, &request).map_err(too_large)?);
            for (_, bytes) in &files {
                for piece in bytes.chunks(CHUNK).chain([&[][..]]) {
                    frames.extend(data_frame(Kind::Blob, asked.id, piece).map_err(too_large)?);
                }
            }
            pending.push(Pending { asked, answer });
        }
        if self.frames.send(frames).await.is_err() {
            return Err(self.why_dead());
        }
        Ok(pending)
    }

    /// Copies a file of the host into `writer`. The result has `size`, or `failed` and
    /// `msg` when the file cannot be read there.
    pub async fn download(
        &self,
        path: &Path,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Response, DownloadError> {
        let (sender, mut chunks) = mpsc::channel(QUEUE);
        let (mut asked, answer) = self.ask(Some(sender))?;
        let download = Download { id: asked.id, path: path.to_owned() };
        let frame = json_frame(Kind::Download, &download)
            .map_err(|error| ConnectionError::Agent(error.to_string()))?;
        asked.send(frame).await?;
        while let Some(chunk) = chunks.recv().await {
            writer.write_all(&chunk).await?;
        }
        let response = answer.await.map_err(|_| self.why_dead())?;
        asked.settled = true;
        writer.flush().await?;
        Ok(response)
    }

    /// Tells the agent to end, and waits until it has ended what it started, but not for long.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut ended = self.ended.clone();
        let _ = tokio::time::timeout(FAREWELL, ended.wait_for(|ended| *ended)).await;
    }

    /// Registers a request, so that its answer finds us.
    fn ask(
        &self,
        chunks: Option<mpsc::Sender<Vec<u8>>>,
    ) -> Result<(Asked, oneshot::Receiver<Response>), ConnectionError> {
        if *self.closing.borrow() {
            return Err(self.why_dead());
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        if let Some(error) = &state.dead {
            return Err(error.clone());
        }
        state.waiting.insert(id, Waiting { answer, chunks });
        let (shared, frames) = (Arc::clone(&self.shared), self.frames.clone());
        Ok((Asked { id, frames, shared, settled: false }, receiver))
    }

    fn why_dead(&self) -> ConnectionError {
        let dead = self.shared.lock().dead.clone();
        dead.unwrap_or_else(closed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// An answer that is still to come.
pub struct Pending {
    asked: Asked,
    answer: oneshot::Receiver<Response>,
}

impl Pending {
    /// Waits for the answer.
    pub async fn response(self) -> Result<Response, ConnectionError> {
        let Self { mut asked, answer } = self;
        let Ok(mut response) = answer.await else {
            let dead = asked.shared.lock().dead.clone();
            return Err(dead.unwrap_or_else(closed));
        };
        asked.settled = true;
        add_lines(&mut response.result);
        Ok(response)
    }
}

/// A request under way. Unless it is settled, dropping it has the agent end it.
struct Asked {
    id: u64,
    frames: mpsc::Sender<Vec<u8>>,
    shared: Arc<Shared>,
    settled: bool,
}

impl Asked {
    /// Hands a frame to the writer. When that has ended, the reason is with the reader.
    async fn send(&self, frame: Vec<u8>) -> Result<(), ConnectionError> {
        if self.frames.send(frame).await.is_ok() {
            return Ok(());
        }
        let dead = self.shared.lock().dead.clone();
        Err(dead.unwrap_or_else(|| unreachable("the connection was lost", ssh::LOST)))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.id);
        if self.settled {
            return;
        }
        if let (Ok(frame), Ok(runtime)) =
            (data_frame(Kind::Cancel, self.id, &[]), tokio::runtime::Handle::try_current())
        {
            let frames = self.frames.clone();
            runtime.spawn(async move { frames.send(frame).await });
        }
    }
}

/// Why not all files were sent.
enum Sending {
    Broken(ConnectionError),
    Unreadable(String),
}

/// The request's frame and its files: what is small goes in one write, as each of them wakes ssh
/// and sshd.
async fn send_all(
    asked: &Asked,
    mut frames: Vec<u8>,
    files: Vec<(String, FileSource)>,
) -> Result<(), Sending> {
    for (_, source) in files {
        match source {
            FileSource::Bytes(bytes) => send_file(asked, &mut frames, bytes.as_slice(), "").await?,
            FileSource::Path(path) => {
                let shown = path.display().to_string();
                let file = tokio::fs::File::open(&path).await;
                let file =
                    file.map_err(|error| Sending::Unreadable(format!("{shown}: {error}")))?;
                send_file(asked, &mut frames, file, &shown).await?;
            }
        }
    }
    asked.send(frames).await.map_err(Sending::Broken)
}

/// The bytes in pieces, and an empty piece as their end, after the frames that are there; the last
/// of them stay there.
async fn send_file(
    asked: &Asked,
    frames: &mut Vec<u8>,
    mut file: impl AsyncRead + Unpin,
    shown: &str,
) -> Result<(), Sending> {
    let unreadable = |error: io::Error| Sending::Unreadable(format!("{shown}: {error}"));
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = file.read(&mut buffer).await.map_err(unreadable)?;
        let data = buffer.get(..n).unwrap_or_default();
        frames.extend(data_frame(Kind::Blob, asked.id, data).map_err(unreadable)?);
        if n == 0 {
            return Ok(());
        }
        if frames.len() >= CHUNK {
            asked.send(std::mem::take(frames)).await.map_err(Sending::Broken)?;
        }
    }
}

/// Writes frames as they come, and a sign of life when none do. Its end closes the
/// agent's input.
async fn write(
    mut stdin: Input,
    mut queue: mpsc::Receiver<Vec<u8>>,
    mut close: watch::Receiver<bool>,
) {
    let frames = async {
        loop {
            let frame = match tokio::time::timeout(KEEPALIVE, queue.recv()).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => data_frame(Kind::Ping, 0, &[]).unwrap_or_default(),
            };
            let written = stdin.write_all(&frame).await;
            if written.is_err() || (queue.is_empty() && stdin.flush().await.is_err()) {
                break;
            }
        }
    };
    // Also ends when the agent's handle is dropped, once nothing is under way any more.
    tokio::select! {
        () = frames => {}
        Ok(_) = close.wait_for(|close| *close) => {}
    }
    let _ = stdin.shutdown().await;
}

/// Hands out what the agent sends until it sends no more.
async fn read(mut stdout: BufReader<Output>, shared: &Shared) {
    while let Ok((kind, payload)) = read_frame(&mut stdout).await {
        match kind {
            Kind::Response => {
                let Ok(response) = parse::<Response>(&payload) else { return };
                let waiting = shared.lock().waiting.remove(&response.id);
                if let Some(waiting) = waiting {
                    // Nobody may want it any more.
                    let _ = waiting.answer.send(response);
                }
            }
            Kind::Chunk => {
                let Ok((id, data)) = split_data(&payload) else { return };
                let to = shared.lock().waiting.get(&id).and_then(|w| w.chunks.clone());
                if let Some(to) = to {
                    let _ = to.send(data.to_vec()).await;
                }
            }
            Kind::Pong => {}
            _ => return,
        }
    }
}

fn closed() -> ConnectionError {
    ConnectionError::Unreachable("The connection was closed by this run.".to_owned())
}

/// The error for everyone who still waits when an agent has ended.
async fn why_ended(link: &Link, process: Process, stderr: &Stderr) -> ConnectionError {
    if let Some(words) = link.why_lost().await {
        return unreachable(&words, ssh::LOST);
    }
    let ended = match tokio::time::timeout(Duration::from_secs(2), process.wait()).await {
        Ok(Some(code)) => format!("the agent ended with exit code {code}"),
        _ => "the agent was ended".to_owned(),
    };
    let said = stderr.text();
    let said = said.trim();
    let words = if said.is_empty() { ended } else { format!("{ended}: {said}") };
    match link {
        Link::Ssh(_) => unreachable(&words, ssh::LOST),
        Link::Local(_) => ConnectionError::Unreachable(format!("{words}\n{}", ssh::LOST)),
    }
}

/// `stdout_lines` beside `stdout`, as Ansible adds them on the controller.
fn add_lines(result: &mut Map<String, Json>) {
    for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        if let Some(Json::String(value)) = result.get(text)
            && !result.contains_key(lines)
        {
            let split = output::lines(value);
            result.insert(lines.to_owned(), split);
        }
    }
}

fn failed(id: u64, why: String) -> Response {
    let mut result = Map::new();
    result.insert("failed".to_owned(), true.into());
    result.insert("changed".to_owned(), false.into());
    result.insert("msg".to_owned(), why.into());
    Response { id, result }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
