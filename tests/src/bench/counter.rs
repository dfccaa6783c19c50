//! Counts the requests to an HTTP server, from between it and its clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Fallible;

/// What the first line of every request ends with.
const REQUEST: &[u8] = b" HTTP/1.1\r\n";

/// Passes everything on, and counts. It ends with its value; its connections then end with their peers.
#[derive(Debug)]
pub(super) struct Counter {
    address: SocketAddr,
    count: Arc<AtomicU64>,
    accepts: JoinHandle<()>,
}

impl Counter {
    /// Before this server.
    pub(super) async fn start(target: SocketAddr) -> Fallible<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, count) = (listener.local_addr()?, Arc::<AtomicU64>::default());
        let counted = Arc::clone(&count);
        let accepts = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, target, Arc::clone(&counted)));
            }
        });
        Ok(Self { address, count, accepts })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn pass(client: TcpStream, target: SocketAddr, count: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let forth = async {
        let (mut buffer, mut kept) = (vec![0; 64 * 1024], Vec::new());
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            count.fetch_add(requests(&mut kept, &buffer[..read]), Ordering::Relaxed);
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forth => {}
        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
    }
}

/// How many requests begin in what came; `kept` is the end of what came before.
fn requests(kept: &mut Vec<u8>, came: &[u8]) -> u64 {
    kept.extend_from_slice(came);
    let found = kept.windows(REQUEST.len()).filter(|part| *part == REQUEST).count();
    let rest = kept.len().saturating_sub(REQUEST.len() - 1);
    kept.drain(..rest);
    found as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_once_however_it_comes() {
        let text = b"GET /v1/kv/a?wait=2s HTTP/1.1\r\nhost: here\r\n\r\nPUT /v1/txn HTTP/1.1\r\n\r\n[]";
        for size in 1..=text.len() {
            let mut kept = Vec::new();
            let found: u64 = text.chunks(size).map(|chunk| requests(&mut kept, chunk)).sum();
            assert_eq!(found, 2, "in parts of {size}");
        }
    }
}
