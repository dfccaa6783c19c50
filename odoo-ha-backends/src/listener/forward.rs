//! One connection, handed on in both directions.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, watch};

use super::config::{ListenerConfig, Target};

/// After so long without a byte the kernel asks whether the other side is still there, so that a client that vanished does not
/// hold a connection for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMES: u32 = 3;

/// Between two looks whether a Unix socket's queue has room.
const QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// Most look-ups of the service's name under way at once. One cannot be broken off, so those that hang must not pile up.
pub(super) const MOST_LOOKUPS: usize = 4;

/// What all connections have in common.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) config: ListenerConfig,
    lookups: Arc<Semaphore>,
}

impl Route {
    pub(super) fn new(config: ListenerConfig) -> Self {
        Self { config, lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)) }
    }

    /// Connects to the service, unless that takes too long.
    async fn connect(&self) -> io::Result<Service> {
        let connecting = async {
            match &self.config.target {
                Target::Tcp(address) => {
                    let service = TcpStream::connect(self.look_up(address).await?.as_slice()).await?;
                    tune(&service)?;
                    Ok(Service::Tcp(service))
                }
                Target::Unix(path) => loop {
                    match UnixStream::connect(path).await {
                        // Its queue is full; unlike a TCP socket, a Unix one has no way to say when it is not (`unix(7)`).
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            tokio::time::sleep(QUEUE_PAUSE).await
                        }
                        outcome => break outcome.map(Service::Unix),
                    }
                },
            }
        };
        match tokio::time::timeout(self.config.connect_timeout, connecting).await {
            Ok(outcome) => outcome,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        }
    }

    async fn look_up(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = address.parse() {
            return Ok(vec![address]);
        }
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let address = address.to_owned();
        // A task of its own, which keeps its permit when nobody waits for it any more.
        let lookup = tokio::spawn(async move {
            let found = tokio::net::lookup_host(address).await.map(Iterator::collect);
            drop(permit);
            found
        });
        lookup.await.map_err(io::Error::other)?
    }
}

/// Forwards until both directions have ended, one side fails, or it is told to stop; then both are reset. A side that closes only its
/// writing half goes on hearing the other.
pub(super) async fn forward(client: TcpStream, route: Arc<Route>, mut stop: watch::Receiver<bool>) {
    if tune(&client).is_err() {
        return reset(&client);
    }
    let service = tokio::select! {
        outcome = route.connect() => outcome,
        _ = stop.wait_for(|stop| *stop) => return reset(&client),
    };
    match service {
        Ok(Service::Tcp(service)) => exchange(client, service, stop, reset).await,
        Ok(Service::Unix(service)) => exchange(client, service, stop, |_| ()).await,
        Err(error) => {
            tracing::debug!(target_service = %route.config.target, %error, "the node's own service is not reached");
            reset(&client);
        }
    }
}

enum Service {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: TcpStream,
    mut service: S,
    mut stop: watch::Receiver<bool>,
    reset_service: impl FnOnce(&S),
) {
    let in_order = tokio::select! {
        outcome = copy_bidirectional(&mut client, &mut service) => outcome.is_ok(),
        _ = stop.wait_for(|stop| *stop) => false,
    };
    if !in_order {
        // What was cut off must not look as if it had ended.
        reset(&client);
        reset_service(&service);
    }
}

/// Makes closing it an abort: what is under way is dropped and the other side is told at once (`SO_LINGER`, `socket(7)`).
fn reset(stream: &TcpStream) {
    // Fails only for what is no socket; then closing it is all there is.
    _ = sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO));
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_TIMES)?;
    Ok(())
}
