//! Frames between the controller and an agent.

use std::io::Write;
use std::process::{Command, Stdio};

use kup_play::agent::protocol::{
    Download, Hello, Kind, Request, Response, data_frame, frame, json_frame, parse, read_frame,
    split_data,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::watch::{cases, watched};

const KINDS: &[Kind] = &[
    Kind::Hello,
    Kind::Request,
    Kind::Blob,
    Kind::Response,
    Kind::Cancel,
    Kind::Ping,
    Kind::Pong,
    Kind::Download,
    Kind::Chunk,
];

/// Reads all of it as either end does.
fn read_all(mut bytes: &[u8]) -> usize {
    let mut frames = 0;
    while let Ok(Some((kind, payload))) = read_frame(&mut bytes) {
        frames += 1;
        match kind {
            Kind::Hello => drop(parse::<Hello>(&payload)),
            Kind::Request => drop(parse::<Request>(&payload)),
            Kind::Response => drop(parse::<Response>(&payload)),
            Kind::Download => drop(parse::<Download>(&payload)),
            Kind::Blob | Kind::Chunk => drop(split_data(&payload)),
            Kind::Cancel => drop(parse::<u64>(&payload)),
            Kind::Ping | Kind::Pong => {}
        }
    }
    frames
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn frames_are_read_as_they_were_written(frames in vec((select(KINDS), vec(any::<u8>(), 0..300)), 0..6)) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(kind, payload)| frame(*kind, payload).expect("a frame")).collect();
        let mut rest = bytes.as_slice();
        for (kind, payload) in &frames {
            let read = read_frame(&mut rest).expect("a frame").expect("not the end");
            prop_assert_eq!((read.0, &read.1), (*kind, payload));
        }
        prop_assert!(read_frame(&mut rest).expect("the end").is_none());
    }

    #[test]
    fn data_keeps_its_id(id: u64, data in vec(any::<u8>(), 0..100)) {
        let bytes = data_frame(Kind::Blob, id, &data).expect("a frame");
        let (_, payload) = read_frame(&mut bytes.as_slice()).expect("a frame").expect("not the end");
        prop_assert_eq!(split_data(&payload).expect("its data"), (id, data.as_slice()));
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in vec(any::<u8>(), 0..400)) {
        watched(&format!("{bytes:?}"), || read_all(&bytes));
    }

    #[test]
    fn a_broken_stream_is_an_error(flips in vec((any::<Index>(), any::<u8>()), 1..4), end in any::<Index>()) {
        let request = Request { module: "ping".to_owned(), files: vec!["src".to_owned()], ..Request::default() };
        let mut bytes = json_frame(Kind::Request, &request).expect("a frame");
        bytes.extend(data_frame(Kind::Blob, 1, b"content").expect("a frame"));
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        watched(&format!("{bytes:?}"), || read_all(&bytes));
    }
}

/// An agent that is sent what is no frame says so and ends.
#[test]
fn an_agent_ends_when_it_is_sent_nonsense() {
    let giant = [&[0x03, 0xff, 0xff, 0xff, 2][..], b"{"].concat();
    for bytes in [&b"hello\nworld\n"[..], &[0xff; 64], &[0, 0, 0, 2, 2, b'{', b'{'], &giant, b""] {
        let mut agent = Command::new(env!("CARGO_BIN_EXE_kup-play"))
            .arg("agent")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an agent");
        // It may have ended before it has read everything.
        let _ = agent.stdin.take().expect("its input").write_all(bytes);
        let output = watched("an agent", || agent.wait_with_output()).expect("its end");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(output.status.code().is_some(), "{:?}", output.status);
    }
}
