//! The agent's end of the socket.

use std::io;
use std::path::Path;

use odoo_ha_core::error::{Error, ErrorKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::config::GuardConfig;
use super::files;
use super::protocol::{Hello, Reply, Request, VERSION, line, take_line};

/// A guard that has said hello.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    pid: i32,
}

impl Connection {
    /// Connects to the guard of this configuration; `None` when none listens.
    ///
    /// Waits as long as the guard lets it: the caller bounds it. Dropping it leaves nothing behind.
    pub(super) async fn open(config: &GuardConfig) -> Result<Option<Self>, Error> {
        let path = files::socket(&config.runtime_dir);
        let stream = match UnixStream::connect(&path).await {
            Ok(stream) => stream,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let what = format!("guard: the socket {} is closed to this user", path.display());
                return Err(Error::new(ErrorKind::Denied, what).caused_by(error));
            }
            Err(error) => return Err(unreachable_at(&path, error)),
        };
        match Self::greet(stream, config).await {
            Ok(connection) => connection.map(Some),
            // It was just ending.
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(unreachable_at(&path, error)),
        }
    }

    async fn greet(stream: UnixStream, config: &GuardConfig) -> io::Result<Result<Self, Error>> {
        let pid = stream.peer_cred()?.pid().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut connection = Self { stream, buffer: Vec::new(), pid };
        let hello: Hello = connection.read().await?;
        if hello.version != VERSION {
            let what = format!("guard: process {pid} speaks version {} of the protocol, not {VERSION}", hello.version);
            return Ok(Err(Error::new(ErrorKind::Misconfigured, what)
                .hint("it is another release's: stop the database, end that process, start the agent again")));
        }
        if Path::new(&hello.data_dir) != config.data_dir || hello.pid != pid {
            let what = format!("guard: {} belongs to the guard of {}", config.runtime_dir.display(), hello.data_dir);
            return Ok(Err(Error::new(ErrorKind::Misconfigured, what).hint("give every cluster its own runtime_dir")));
        }
        Ok(Ok(connection))
    }

    /// The guard's process id.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Asks, and waits for the answer as long as the caller lets it. After an error, or when the call was dropped, the connection
    /// must not be used again.
    pub(super) async fn exchange(&mut self, request: &Request) -> io::Result<Reply> {
        self.stream.write_all(&line(request)?).await?;
        self.read().await
    }

    /// Resolves when the guard's process has ended, which closes its end. Cancel-safe; to be used on a connection that is not
    /// asked anything.
    pub(super) async fn ended(&self) {
        let mut unasked = [0; 64];
        loop {
            if self.stream.readable().await.is_err() {
                return;
            }
            match self.stream.try_read(&mut unasked) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    async fn read<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<T> {
        loop {
            if let Some(line) = take_line(&mut self.buffer)? {
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
    }
}

/// Whether nobody listens there (any more).
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, UnexpectedEof};

    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | UnexpectedEof | BrokenPipe)
}

fn unreachable_at(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("guard: no answer at {}", path.display())).caused_by(error)
}
