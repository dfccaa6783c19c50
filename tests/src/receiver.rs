//! An HTTP server that takes what notifiers post, and misbehaves as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// With these bytes, as soon as a request is there.
    Says(String),
    /// It accepts and reads, and never says anything.
    SaysNothing,
    /// It hangs up when the request is there.
    HangsUp,
    /// It begins to answer and never ends: one byte after the other.
    Drips,
}

impl Manner {
    /// An answer of this status.
    pub fn status(status: u16) -> Self {
        Self::Says(format!("HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n"))
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The request line and the headers, in lower case.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A running server; it ends with the runtime.
#[derive(Clone, Debug)]
pub struct Receiver {
    address: SocketAddr,
    posted: Arc<Mutex<Vec<Posted>>>,
}

impl Receiver {
    /// Listens at a free port.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { address: listener.local_addr().unwrap(), posted: Arc::default() };
        let posted = Arc::clone(&receiver.posted);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, manner.clone(), Arc::clone(&posted)));
            }
        });
        receiver
    }

    /// Its URL, with a path that must not be told.
    pub fn url(&self) -> String {
        format!("http://{}/services/hush", self.address)
    }

    /// What has come so far.
    pub fn posted(&self) -> Vec<Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(mut connection: TcpStream, manner: Manner, posted: Arc<Mutex<Vec<Posted>>>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        if !matches!(connection.read_buf(&mut bytes).await, Ok(length) if length > 0) {
            return;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if !matches!(connection.read_buf(&mut bytes).await, Ok(length) if length > 0) {
            return;
        }
    }
    posted.lock().unwrap_or_else(PoisonError::into_inner).push(Posted { head, body: bytes.split_off(end) });
    match manner {
        Manner::Says(answer) => _ = connection.write_all(answer.as_bytes()).await,
        Manner::HangsUp => {}
        // Until the other side hangs up.
        Manner::SaysNothing => _ = connection.read_u8().await,
        Manner::Drips => {
            let mut answer = connection.write_all(b"HTTP/1.1 200 OK\r\nx-endless: ").await;
            while answer.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                answer = connection.write_all(b"x").await;
            }
        }
    }
}
