//! The messages between the controller and an agent.
//!
//! A frame is `[u32 length, big endian][u8 kind][payload]`; the length counts the
//! payload alone. The agent first prints [`GREETING`] on a line of its own, so that
//! what a login shell may print before it is told from frames.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Raised whenever a frame changes its meaning. Both ends are the same program,
/// so a difference is a mistake and not negotiated.
pub const VERSION: u32 = 2;
/// The line after which frames begin.
pub const GREETING: &str = "KUP-PLAY agent";
/// No frame's payload is longer.
pub const MAX_FRAME: usize = 64 * 1024 * 1024;
/// How much of a file goes into one frame.
pub const CHUNK: usize = 128 * 1024;
/// How often the controller sends a `Ping`.
pub const KEEPALIVE: Duration = Duration::from_secs(15);
/// An agent that has heard nothing for so long takes the controller for gone.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A task for the agent. Several may be under way at once; the answer carries the same id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Given by the connection when the request is sent.
    pub id: u64,
    /// A host module's short name, or `external` for an executable that was sent along
    /// (arguments `executable`, a file, and `arguments`, what the executable is to get).
    pub module: String,
    pub arguments: Map<String, Json>,
    pub check: bool,
    pub diff: bool,
    pub environment: BTreeMap<String, String>,
    /// Seconds after which the agent ends what the module started; none: no limit.
    pub timeout: Option<u64>,
    /// Arguments whose value is a file that follows in blob frames, in this order:
    /// the agent stores it in its scratch folder and puts the path there.
    pub files: Vec<String>,
    /// Run it in the background, and answer at once.
    pub job: Option<Job>,
    /// Run it when those before it in this sequence are done; none: at once.
    pub sequence: Option<Sequence>,
}

/// A request's place among several that are run one after the other, in the order in
/// which they come. Each is answered when it is done.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sequence {
    pub id: u64,
    /// No other follows in this sequence.
    pub last: bool,
}

/// A task that outlives the connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Seconds after which it is ended.
    pub limit: u64,
    /// Where results of jobs are kept; none: `~/.ansible_async`.
    pub folder: Option<String>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    pub id: u64,
    /// The result as Ansible has it: `changed`, `failed`, `msg`, `diff` and the module's own keys.
    pub result: Map<String, Json>,
}

/// Who the agent is, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    pub user: String,
    pub hostname: String,
    /// As `uname -s` says it.
    pub os: String,
    /// As `uname -m` says it.
    pub arch: String,
    /// A folder of this user's alone, removed when the agent ends.
    pub scratch: PathBuf,
}

/// A file of the host that the controller wants to have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Download {
    pub id: u64,
    pub path: PathBuf,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Agent: [`Hello`], its first frame.
    Hello = 1,
    /// Controller: [`Request`].
    Request = 2,
    /// Controller: a request's id and the next bytes of its current file; no bytes end it.
    Blob = 3,
    /// Agent: [`Response`], also at the end of a download.
    Response = 4,
    /// Controller: the id of a request that is to end.
    Cancel = 5,
    /// Controller: it is still there.
    Ping = 6,
    /// Agent: the answer to a `Ping`.
    Pong = 7,
    /// Controller: [`Download`].
    Download = 8,
    /// Agent: a download's id and its next bytes.
    Chunk = 9,
}

impl TryFrom<u8> for Kind {
    type Error = io::Error;

    fn try_from(byte: u8) -> io::Result<Self> {
        Ok(match byte {
            1 => Self::Hello,
            2 => Self::Request,
            3 => Self::Blob,
            4 => Self::Response,
            5 => Self::Cancel,
            6 => Self::Ping,
            7 => Self::Pong,
            8 => Self::Download,
            9 => Self::Chunk,
            other => return Err(malformed(format!("unknown kind of frame {other}"))),
        })
    }
}

/// The five bytes before a payload, once they are known to make sense.
pub fn parse_header(header: [u8; 5]) -> io::Result<(Kind, usize)> {
    let [a, b, c, d, kind] = header;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MAX_FRAME {
        return Err(malformed(format!("a frame of {length} bytes")));
    }
    Ok((Kind::try_from(kind)?, length))
}

/// A whole frame.
pub fn frame(kind: Kind, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_FRAME)
        .ok_or_else(|| malformed(format!("a frame of {} bytes", payload.len())))?;
    let mut bytes = Vec::with_capacity(payload.len() + 5);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.push(kind as u8);
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// A whole frame with a JSON payload.
pub fn json_frame(kind: Kind, message: &impl Serialize) -> io::Result<Vec<u8>> {
    frame(kind, &serde_json::to_vec(message)?)
}

/// A whole frame of an id and bytes that belong to it.
pub fn data_frame(kind: Kind, id: u64, data: &[u8]) -> io::Result<Vec<u8>> {
    let mut payload = Vec::with_capacity(data.len() + 8);
    payload.extend_from_slice(&id.to_be_bytes());
    payload.extend_from_slice(data);
    frame(kind, &payload)
}

/// The id and the bytes of a [`data_frame`].
pub fn split_data(payload: &[u8]) -> io::Result<(u64, &[u8])> {
    match payload.split_first_chunk() {
        Some((id, data)) => Ok((u64::from_be_bytes(*id), data)),
        None => Err(malformed("a frame without its id".to_owned())),
    }
}

/// A JSON payload.
pub fn parse<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    serde_json::from_slice(payload).map_err(|error| malformed(error.to_string()))
}

/// The next frame, or `None` when the other end closed between two frames.
pub fn read_frame(reader: &mut impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut header = [0; 5];
    let (first, rest) = header.split_at_mut(1);
    loop {
        match reader.read(first) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    reader.read_exact(rest)?;
    let (kind, length) = parse_header(header)?;
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    Ok(Some((kind, payload)))
}

/// Writes a frame and flushes it.
pub fn write_frame(writer: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    writer.write_all(frame)?;
    writer.flush()
}

fn malformed(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("broken protocol: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_as_written() {
        let bytes = data_frame(Kind::Blob, 7, b"abc").unwrap();
        let mut input = bytes.as_slice();
        let (kind, payload) = read_frame(&mut input).unwrap().unwrap();
        assert_eq!(kind, Kind::Blob);
        assert_eq!(split_data(&payload).unwrap(), (7, &b"abc"[..]));
        assert!(read_frame(&mut input).unwrap().is_none());
    }

    #[test]
    fn an_oversized_or_unknown_frame_is_refused_before_memory_is_taken() {
        assert!(parse_header([0xff, 0xff, 0xff, 0xff, 1]).is_err());
        assert!(parse_header([0, 0, 0, 1, 99]).is_err());
        assert!(split_data(b"short").is_err());
    }

    #[test]
    fn a_frame_cut_in_the_middle_is_an_error() {
        let bytes = frame(Kind::Ping, b"abcdef").unwrap();
        assert!(read_frame(&mut &bytes[..8]).is_err());
    }
}
