//! Connections and agents against a real sshd on loopback.

mod calls;
mod connecting;
mod copying;
mod elevating;
mod losing;
mod passwords;
mod sshd;
