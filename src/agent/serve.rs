//! The agent's loop: frames in, threads that work, frames out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use super::protocol::{
    CHUNK, Download, GREETING, Hello, Kind, MAX_FRAME, PATIENCE, Request, Response, Sequence,
    VERSION, data_frame, json_frame, parse, read_frame, split_data, write_frame,
};
use super::scratch::{Folders, Scratch, private_file};
use super::work;
use crate::modules::{Failure, process};

/// Serves on our own standard streams; the returned code is for the process to exit with.
pub fn serve_stdio(base: Option<&Path>) -> i32 {
    // Not through `Stdout`, which looks for line ends in what it writes.
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(output) => serve(io::stdin().lock(), File::from(output), base),
        Err(error) => {
            eprintln!("kup-play agent: no standard output: {error}");
            1
        }
    }
}

/// Serves requests until the controller closes `input`, then ends what was started
/// and removes what was stored. `base` is where the scratch folder goes.
///
/// Returns the exit code: 0 for an orderly end, 1 when the agent could not work.
pub fn serve(
    mut input: impl Read,
    output: impl Write + Send + 'static,
    base: Option<&Path>,
) -> i32 {
    // A panic in a module is reported as its result; the default hook would also
    // print it, and nobody reads the agent's stderr.
    std::panic::set_hook(Box::new(|_| {}));
    let scratch = match Scratch::create(base) {
        Ok(scratch) => scratch,
        Err(error) => {
            eprintln!("kup-play agent: no folder to work in: {error}");
            return 1;
        }
    };
    let agent = Arc::new(Agent {
        output: Mutex::new(Box::new(output)),
        active: Mutex::default(),
        heard: Mutex::new(Instant::now()),
        folders: Folders::in_scratch(&scratch),
    });
    if let Err(error) = agent.greet(scratch.path()) {
        eprintln!("kup-play agent: {error}");
        return 1;
    }
    watch_for_silence(Arc::clone(&agent), scratch.path().to_owned());
    let ended = Inbox::new(&agent).read(&mut input);
    process::stop_all();
    match ended {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("kup-play agent: {error}");
            1
        }
    }
}

/// What all threads of an agent share.
struct Agent {
    output: Mutex<Box<dyn Write + Send>>,
    /// The requests that still have to be answered. Whoever takes an id out of here answers it.
    active: Mutex<HashSet<u64>>,
    heard: Mutex<Instant>,
    folders: Folders,
}

impl Agent {
    fn greet(&self, scratch: &Path) -> io::Result<()> {
        let system = rustix::system::uname();
        let hello = Hello {
            version: VERSION,
            user: user_name(),
            hostname: system.nodename().to_string_lossy().into_owned(),
            os: system.sysname().to_string_lossy().into_owned(),
            arch: system.machine().to_string_lossy().into_owned(),
            scratch: scratch.to_owned(),
        };
        let mut greeting = format!("{GREETING}\n").into_bytes();
        greeting.extend(json_frame(Kind::Hello, &hello)?);
        write_frame(&mut *lock(&self.output), &greeting)
    }

    /// Sends the answer unless the request has been answered already.
    fn answer(&self, id: u64, result: Map<String, Json>) {
        if !lock(&self.active).remove(&id) {
            return;
        }
        let frame = json_frame(Kind::Response, &Response { id, result }).or_else(|_| {
            let limit = MAX_FRAME / 1024 / 1024;
            let failure = Failure::new(format!("the result is larger than {limit} MiB"));
            json_frame(Kind::Response, &Response { id, result: work::failed(failure) })
        });
        if let Ok(frame) = frame {
            self.send(&frame);
        }
    }

    /// A controller that does not read any more closes our input as well; that is where it is noticed.
    fn send(&self, frame: &[u8]) -> bool {
        write_frame(&mut *lock(&self.output), frame).is_ok()
    }
}

/// The reading side: requests whose files are still arriving.
struct Inbox<'a> {
    agent: &'a Arc<Agent>,
    incoming: HashMap<u64, Incoming>,
    /// The threads that do the requests of a sequence one by one.
    sequences: HashMap<u64, Sender<Incoming>>,
}

/// A request that waits for its files.
struct Incoming {
    request: Request,
    /// For its files, and what it needs itself; none: nothing needed it yet.
    folder: Option<PathBuf>,
    /// The arguments whose files have not come yet, the current one first.
    missing: VecDeque<String>,
    file: Option<File>,
}

impl<'a> Inbox<'a> {
    fn new(agent: &'a Arc<Agent>) -> Self {
        Self { agent, incoming: HashMap::new(), sequences: HashMap::new() }
    }

    fn read(&mut self, input: &mut impl Read) -> io::Result<()> {
        while let Some((kind, payload)) = read_frame(input)? {
            *lock(&self.agent.heard) = Instant::now();
            match kind {
                Kind::Request => self.request(parse(&payload)?),
                Kind::Blob => {
                    let (id, data) = split_data(&payload)?;
                    self.blob(id, data);
                }
                Kind::Cancel => self.cancel(split_data(&payload)?.0),
                Kind::Download => self.download(parse(&payload)?),
                Kind::Ping => drop(self.agent.send(&data_frame(Kind::Pong, 0, &[])?)),
                Kind::Hello | Kind::Response | Kind::Pong | Kind::Chunk => {
                    return Err(io::Error::other(format!("unexpected frame {kind:?}")));
                }
            }
        }
        Ok(())
    }

    fn request(&mut self, request: Request) {
        let id = request.id;
        lock(&self.agent.active).insert(id);
        let missing = request.files.iter().cloned().collect();
        self.incoming.insert(id, Incoming { request, folder: None, missing, file: None });
        self.start_when_complete(id);
    }

    /// Stores the next bytes of a request's current file.
    fn blob(&mut self, id: u64, data: &[u8]) {
        // Files of a request that has failed already may still be on their way.
        let Some(incoming) = self.incoming.get_mut(&id) else { return };
        match incoming.store(data, &self.agent.folders) {
            Ok(()) => self.start_when_complete(id),
            Err(error) => self.refuse(id, format!("cannot store a file on the host: {error}")),
        }
    }

    fn refuse(&mut self, id: u64, why: String) {
        if let Some(Incoming { request, folder, .. }) = self.incoming.remove(&id) {
            // Nobody else comes after the last one.
            if let Some(sequence) = request.sequence.filter(|sequence| sequence.last) {
                self.sequences.remove(&sequence.id);
            }
            if let Some(folder) = folder {
                self.agent.folders.give_back(folder);
            }
        }
        self.agent.answer(id, work::failed(Failure::new(why)));
    }

    fn start_when_complete(&mut self, id: u64) {
        if self.incoming.get(&id).is_none_or(|incoming| !incoming.missing.is_empty()) {
            return;
        }
        let Some(incoming) = self.incoming.remove(&id) else { return };
        let agent = Arc::clone(self.agent);
        let started = match incoming.request.sequence {
            Some(sequence) => self.enqueue(sequence, incoming),
            None => thread::Builder::new().spawn(move || incoming.run(&agent)).map(drop),
        };
        if let Err(error) = started {
            self.refuse(id, format!("the host has no room for another thread: {error}"));
        }
    }

    /// Hands a request to the thread of its sequence.
    fn enqueue(&mut self, sequence: Sequence, incoming: Incoming) -> io::Result<()> {
        if !self.sequences.contains_key(&sequence.id) {
            let (sender, queue) = channel::<Incoming>();
            let agent = Arc::clone(self.agent);
            thread::Builder::new()
                .spawn(move || queue.into_iter().for_each(|incoming| incoming.run(&agent)))?;
            self.sequences.insert(sequence.id, sender);
        }
        if let Some(sender) = self.sequences.get(&sequence.id) {
            sender.send(incoming).map_err(|_| io::Error::other("it has ended"))?;
        }
        if sequence.last {
            self.sequences.remove(&sequence.id);
        }
        Ok(())
    }

    fn cancel(&mut self, id: u64) {
        let waiting = self.incoming.contains_key(&id);
        if lock(&self.agent.active).contains(&id) && !waiting {
            process::stop_task(id);
        }
        self.refuse(id, "the task was stopped".to_owned());
    }

    fn download(&mut self, download: Download) {
        lock(&self.agent.active).insert(download.id);
        let agent = Arc::clone(self.agent);
        thread::spawn(move || {
            let sent = stream(&agent, &download);
            let result = match sent {
                Ok(size) => json!({"changed": false, "size": size}),
                Err(error) => {
                    let path = download.path.display();
                    json!({"changed": false, "failed": true, "msg": format!("{path}: {error}")})
                }
            };
            agent.answer(download.id, result.as_object().cloned().unwrap_or_default());
        });
    }
}

impl Incoming {
    /// Does what is asked, and answers; nothing is done for what was cancelled meanwhile.
    fn run(self, agent: &Arc<Agent>) {
        let Self { request, folder, .. } = self;
        let id = request.id;
        let finished = request.timeout.map(|seconds| {
            limit(Arc::clone(agent), id, seconds, Failure::late(&request.module, seconds))
        });
        let result = match folder.map_or_else(|| agent.folders.take(), Ok) {
            Ok(folder) => {
                let result = process::in_task(id, || {
                    let wanted = lock(&agent.active).contains(&id);
                    if wanted { work::run(request, folder.clone()) } else { Map::new() }
                });
                // Before the answer, so that nothing is left when the controller goes on.
                agent.folders.give_back(folder);
                result
            }
            Err(error) => {
                let why = format!("no folder for the task on the host: {error}");
                work::failed(Failure::new(why))
            }
        };
        drop(finished);
        agent.answer(id, result);
    }

    /// The last file is called `.source`, those before it are numbered. Results show the
    /// name, which ends as the file's own.
    fn file_name(&self) -> String {
        let number = match self.missing.len() {
            0 | 1 => String::new(),
            more => more.to_string(),
        };
        let text = |name| self.request.arguments.get(name).and_then(Json::as_str);
        let own = text("original_basename").or_else(|| text("dest")).map(Path::new);
        let extension = own.and_then(Path::extension).and_then(OsStr::to_str);
        let extension = extension.filter(|e| e.chars().all(|c| c.is_ascii_alphanumeric()));
        format!("{number}.source{}", extension.map(|e| format!(".{e}")).unwrap_or_default())
    }

    fn store(&mut self, data: &[u8], folders: &Folders) -> io::Result<()> {
        let Some(name) = self.missing.front() else {
            return Err(io::Error::other("a file that the request does not name"));
        };
        let file_name = self.file_name();
        let folder = match &mut self.folder {
            Some(folder) => folder,
            none => none.insert(folders.take()?),
        };
        let path = folder.join(file_name);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(private_file(&path)?),
        };
        if data.is_empty() {
            let path = path.to_str().map(str::to_owned).unwrap_or_default();
            self.request.arguments.insert(name.clone(), path.into());
            self.file = None;
            self.missing.pop_front();
            return Ok(());
        }
        file.write_all(data)
    }
}

/// Sends a file in pieces; stops when the request has been cancelled.
fn stream(agent: &Agent, download: &Download) -> io::Result<u64> {
    let mut file = File::open(&download.path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::other("is a directory"));
    }
    let mut buffer = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let data = buffer.get(..n).unwrap_or_default();
        if !lock(&agent.active).contains(&download.id)
            || !agent.send(&data_frame(Kind::Chunk, download.id, data)?)
        {
            return Err(io::Error::other("stopped"));
        }
        size += n as u64;
    }
}

/// Answers for a request when its time is up, and ends what it has started. The
/// limit is off once the returned end of the channel is dropped.
fn limit(agent: Arc<Agent>, id: u64, seconds: u64, late: Failure) -> Sender<()> {
    let (finished, wait): (Sender<()>, Receiver<()>) = channel();
    // Without room for a thread the task has no limit.
    let _ = thread::Builder::new().spawn(move || {
        if wait.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
            process::stop_task(id);
            agent.answer(id, work::failed(late));
        }
    });
    finished
}

/// Ends the agent when the controller has fallen silent without closing the
/// connection, as it happens when its machine or the network between goes away.
fn watch_for_silence(agent: Arc<Agent>, scratch: PathBuf) {
    thread::spawn(move || {
        loop {
            let silent = lock(&agent.heard).elapsed();
            match PATIENCE.checked_sub(silent) {
                Some(rest) if !rest.is_zero() => thread::sleep(rest),
                _ => break,
            }
        }
        process::stop_all();
        let _ = fs::remove_dir_all(scratch);
        std::process::exit(1);
    });
}

/// The name of the user that we run as. Read from the file: a static program
/// cannot ask the name services, and a name from there is only for display.
fn user_name() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    entry
        .filter(|fields| fields.get(2) == Some(&uid.as_str()))
        .find_map(|fields| fields.first().map(|name| (*name).to_owned()))
        .unwrap_or(uid)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
