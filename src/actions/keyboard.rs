//! Keys that the operator presses while a task waits for them.

use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, MutexGuard};

/// Of tasks that wait at the same time one has the keyboard.
static TAKEN: Mutex<()> = Mutex::const_new(());

/// The terminal on stdin in a state in which it gives each key as it is pressed, Ctrl-C
/// too, and shows none. Dropped, it is as it was before.
pub struct Keyboard {
    bytes: UnboundedReceiver<u8>,
    before: Termios,
    /// The reader of the terminal ends when this is closed.
    _reading: OwnedFd,
    _taken: MutexGuard<'static, ()>,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Enter,
    Erase,
    CtrlC,
    /// A byte of a character.
    Byte(u8),
    /// The terminal is gone.
    End,
}

impl Keyboard {
    /// Takes the keyboard; none where there is none, or another job of the shell has it.
    pub async fn take() -> io::Result<Option<Self>> {
        let foreground = || tcgetpgrp(stdin()).is_ok_and(|it| it == rustix::process::getpgrp());
        if !isatty(stdin()) || !foreground() {
            return Ok(None);
        }
        let taken = TAKEN.lock().await;
        let before = tcgetattr(stdin())?;
        let mut now = before.clone();
        now.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        let (stopped, reading) = rustix::pipe::pipe()?;
        let (sender, bytes) = unbounded_channel();
        tcsetattr(stdin(), OptionalActions::Drain, &now)?;
        let keyboard = Self { bytes, before, _reading: reading, _taken: taken };
        std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
            // The channel's end tells of a terminal that is gone.
            let _ = send_keys(&stopped, &sender);
        })?;
        Ok(Some(keyboard))
    }

    /// The next key. Nothing is lost when the wait for it is given up.
    pub async fn key(&mut self) -> Key {
        match self.bytes.recv().await {
            Some(byte) => self.meaning(byte),
            None => Key::End,
        }
    }

    fn meaning(&self, byte: u8) -> Key {
        match byte {
            b'\r' | b'\n' => Key::Enter,
            3 => Key::CtrlC,
            8 | 127 => Key::Erase,
            byte if byte == self.before.special_codes[SpecialCodeIndex::VERASE] => Key::Erase,
            byte => Key::Byte(byte),
        }
    }

    /// A line, shown while it is typed where `echo` says so, and whether it ended with Ctrl-C.
    pub async fn line(&mut self, echo: bool) -> io::Result<(String, bool)> {
        let mut line = Vec::new();
        let mut interrupted = false;
        let show = |text: &[u8]| if echo { show(text) } else { Ok(()) };
        loop {
            match self.key().await {
                Key::Enter | Key::End => break,
                Key::CtrlC => {
                    show(b"^C")?;
                    interrupted = true;
                    break;
                }
                Key::Erase => {
                    // The bytes of one character, the first of which is no continuation.
                    while line.pop().is_some_and(|byte: u8| byte & 0xc0 == 0x80) {}
                    show(b"\x08 \x08")?;
                }
                Key::Byte(byte) => {
                    line.push(byte);
                    show(&[byte])?;
                }
            }
        }
        show(b"\n")?;
        Ok((String::from_utf8_lossy(&line).into_owned(), interrupted))
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Sends what is typed until `stopped` is closed at its other end.
fn send_keys(stopped: &OwnedFd, keys: &UnboundedSender<u8>) -> io::Result<()> {
    loop {
        let (stdin, stopped) = (stdin(), stopped);
        let mut waited =
            [PollFd::new(&stdin, PollFlags::IN), PollFd::new(stopped, PollFlags::empty())];
        poll(&mut waited, None)?;
        if !waited[1].revents().is_empty() {
            return Ok(());
        }
        let mut byte = [0];
        if rustix::io::read(stdin, &mut byte)? == 0 || keys.send(byte[0]).is_err() {
            return Ok(());
        }
    }
}

fn show(text: &[u8]) -> io::Result<()> {
    let mut terminal = io::stderr();
    terminal.write_all(text)?;
    terminal.flush()
}
