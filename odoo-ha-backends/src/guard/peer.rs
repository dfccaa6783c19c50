//! Somebody who talks to the guard.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;
use serde::Serialize;

use super::protocol::{Hello, line, take_line};

/// One connection at the guard's side. Nothing here waits.
#[derive(Debug)]
pub(super) struct Peer {
    stream: UnixStream,
    pid: i32,
    buffer: Vec<u8>,
}

impl Peer {
    /// Greets a process of the same user, or root's.
    pub(super) fn welcome(stream: UnixStream, hello: &Hello) -> io::Result<Self> {
        let peer = socket_peercred(&stream)?;
        if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        stream.set_nonblocking(true)?;
        let mut peer = Self { stream, pid: peer.pid.as_raw_nonzero().get(), buffer: Vec::new() };
        peer.write(hello)?;
        Ok(peer)
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The process that connected.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// The whole lines that have come, and whether the peer is still there.
    pub(super) fn read(&mut self) -> io::Result<(Vec<Vec<u8>>, bool)> {
        let mut chunk = [0; 4096];
        let goes_on = match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => true,
            Err(error) => return Err(error),
        };
        let mut lines = Vec::new();
        while let Some(line) = take_line(&mut self.buffer)? {
            lines.push(line);
        }
        Ok((lines, goes_on))
    }

    /// Answers. A peer that does not read until its buffer is full is given up.
    pub(super) fn write<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.stream.write_all(&line(value)?)
    }
}
