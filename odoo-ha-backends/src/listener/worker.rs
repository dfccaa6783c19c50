//! The thread that holds the socket: its own runtime, so that a blocked runtime of the embedder neither stops the forwarding nor
//! keeps the address from being dropped.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::AddressState;
use odoo_ha_core::term::Term;
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::common::fence::Fence;

use super::config::ListenerConfig;
use super::forward::{Route, forward};

/// Most connections open at once, far above what one Odoo serves; and never so many that they take more than half of the
/// descriptors that this process may have (two each), for an agent that cannot open a file cannot act. More wait in the kernel's
/// queue.
pub const MOST_CONNECTIONS: usize = 4096;

/// Longest wait for another process that is just passing the fence.
pub(super) const FENCE_PATIENCE: Duration = Duration::from_millis(500);

/// Pause after the kernel could not hand out a connection (no descriptors left): trying on at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers are awaited by the caller; a caller that has gone takes back what it asked for.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the worker is told.
#[derive(Debug)]
pub(super) enum Order {
    Attach(Term, Answer<()>),
    Detach(Answer<()>),
    Look(Answer<AddressState>),
}

/// Holds the socket and everything that is open through it.
pub(super) struct Worker {
    route: Arc<Route>,
    orders: mpsc::Receiver<Order>,
    open: Option<Open>,
    most_connections: usize,
    /// Whether an attach is asking the disk.
    at_disk: Arc<AtomicBool>,
}

/// While attached.
struct Open {
    listener: TcpListener,
    /// The newest term that attached it here.
    term: Term,
    connections: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Where an attach under way leaves its socket, unless it was called off: so no socket appears after a detach.
#[derive(Debug, Default)]
struct Gate {
    called_off: bool,
    bound: Option<StdListener>,
}

impl Worker {
    pub(super) fn new(config: ListenerConfig, orders: mpsc::Receiver<Order>) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok());
        let most_connections = descriptors.map_or(MOST_CONNECTIONS, |most| MOST_CONNECTIONS.min(most / 4)).max(1);
        let route = Arc::new(Route::new(config));
        Self { route, orders, open: None, most_connections, at_disk: Arc::default() }
    }

    /// Serves until the address is dropped; then nothing is left open.
    pub(super) async fn serve(mut self) {
        loop {
            tokio::select! {
                // Orders first: a flood of connections must not delay a detach.
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => break,
                },
                () = go_on(&mut self.open, &self.route, self.most_connections) => {}
            }
        }
        self.close().await;
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Attach(term, mut answer) => {
                let outcome = tokio::select! {
                    biased;
                    // The forwarding goes on while the disk is asked.
                    outcome = self.attach(term) => outcome,
                    () = answer.closed() => return,
                };
                if matches!(&outcome, Err(error) if error.kind() == ErrorKind::Fenced)
                    && self.open.as_ref().is_some_and(|open| open.term <= term)
                {
                    // A newer leader wants it: what this process still has is not its own any more. An order older than what is held
                    // here says nothing of that.
                    self.close().await;
                }
                let was_attached = outcome.is_ok();
                if answer.send(outcome).is_err() && was_attached {
                    self.close().await;
                }
            }
            Order::Detach(answer) => {
                self.close().await;
                _ = answer.send(Ok(()));
            }
            Order::Look(answer) => _ = answer.send(self.look()),
        }
    }

    async fn attach(&mut self, term: Term) -> Result<(), Error> {
        if self.at_disk.swap(true, Ordering::AcqRel) {
            let what = "listener: an earlier attach still waits for the disk of the fence file";
            return Err(Error::new(ErrorKind::NotReady, what));
        }
        let bind = self.open.is_none();
        let gate = Arc::new(Mutex::new(Gate::default()));
        let call_off = CallOff(Arc::clone(&gate));
        let (route, at_disk) = (Arc::clone(&self.route), Arc::clone(&self.at_disk));
        let (done, mut work) = oneshot::channel();
        // A thread of its own: the runtime's may all be looking up names.
        let spawned = thread::Builder::new().name("listener-attach".to_owned()).spawn(move || {
            let outcome = take(&route.config, term, bind, &gate);
            at_disk.store(false, Ordering::Release);
            // Nobody hears it when it was called off.
            _ = done.send(outcome);
        });
        if let Err(error) = spawned {
            self.at_disk.store(false, Ordering::Release);
            return Err(Error::new(ErrorKind::Unavailable, "listener: no thread can be started").caused_by(error));
        }
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => {
                    outcome.map_err(|_| Error::new(ErrorKind::Unknown, "listener: attaching was cut off"))??;
                    break;
                }
                () = go_on(&mut self.open, &self.route, self.most_connections) => {}
            }
        }
        if let Some(open) = &mut self.open {
            open.term = open.term.max(term);
        }
        let Some(bound) = call_off.bound() else { return Ok(()) };
        let listener = TcpListener::from_std(bound).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "listener: the socket cannot be watched").caused_by(error)
        })?;
        tracing::debug!(listen = %self.route.config.listen, %term, "listening");
        self.open = Some(Open { listener, term, connections: JoinSet::new(), stop: watch::Sender::new(false) });
        Ok(())
    }

    /// Stops listening, resets everything that is open, and waits until it is closed, which takes no waiting for anybody outside.
    async fn close(&mut self) {
        let Some(Open { listener, term: _, mut connections, stop }) = self.open.take() else { return };
        drop(listener);
        stop.send_replace(true);
        while connections.join_next().await.is_some() {}
        tracing::debug!(listen = %self.route.config.listen, "not listening any more");
    }

    /// Asks the kernel about the socket.
    fn look(&self) -> Result<AddressState, Error> {
        let Some(open) = &self.open else { return Ok(AddressState::NotHere) };
        let untold =
            |error| Error::new(ErrorKind::Unavailable, "listener: the socket cannot be looked at").caused_by(error);
        let listens = sockopt::socket_acceptconn(&open.listener).map_err(|error| untold(io::Error::from(error)))?;
        let address = open.listener.local_addr().map_err(untold)?;
        let here = listens && same(address, self.route.config.listen);
        Ok(if here { AddressState::Here } else { AddressState::NotHere })
    }
}

/// Accepts one connection or sees one end; while detached, never returns. Cancel-safe.
async fn go_on(open: &mut Option<Open>, route: &Arc<Route>, most_connections: usize) {
    let Some(Open { listener, term: _, connections, stop }) = open else { return std::future::pending().await };
    let has_room = connections.len() < most_connections;
    tokio::select! {
        Some(_) = connections.join_next() => {}
        accepted = listener.accept(), if has_room => match accepted {
            Ok((client, _)) => _ = connections.spawn(forward(client, Arc::clone(route), stop.subscribe())),
            Err(error) => {
                tracing::warn!(listen = %route.config.listen, %error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        },
    }
}

/// Passes the fence and, holding it, binds and listens. Blocks.
fn take(config: &ListenerConfig, term: Term, bind: bool, gate: &Mutex<Gate>) -> Result<(), Error> {
    // Held until the socket listens: a process that was slow here must not bind after a newer term has passed.
    let _fence =
        config.fence_file.as_ref().map(|file| Fence::pass("listener", file, term, FENCE_PATIENCE)).transpose()?;
    if !bind {
        return Ok(());
    }
    let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
    if gate.called_off {
        return Err(Error::new(ErrorKind::NotReady, "listener: attaching was called off"));
    }
    gate.bound = Some(listen(config.listen)?);
    Ok(())
}

/// Standard library sockets have `SO_REUSEADDR`, which on Linux lets nobody listen where somebody listens (`socket(7)`), and not
/// `SO_REUSEPORT`, which would.
fn listen(address: SocketAddr) -> Result<StdListener, Error> {
    let bound = StdListener::bind(address).and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
    bound.map_err(|error| {
        let (kind, hint) = match error.kind() {
            io::ErrorKind::AddrInUse => (ErrorKind::NotReady, "another process listens there"),
            io::ErrorKind::AddrNotAvailable => (ErrorKind::Misconfigured, "the address is not one of this machine's"),
            io::ErrorKind::PermissionDenied => (ErrorKind::Denied, "ports below 1024 need the right to bind them"),
            _ => (ErrorKind::Unavailable, "nothing was bound"),
        };
        Error::new(kind, format!("listener: cannot listen on {address}")).hint(hint).caused_by(error)
    })
}

/// Whether a bound address is the wanted one; the scope of an IPv6 address is the kernel's to fill in.
fn same(bound: SocketAddr, wanted: SocketAddr) -> bool {
    bound.ip() == wanted.ip() && bound.port() == wanted.port()
}

/// Calls an attach off when it is dropped.
struct CallOff(Arc<Mutex<Gate>>);

impl CallOff {
    fn bound(&self) -> Option<StdListener> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bound.take()
    }
}

impl Drop for CallOff {
    fn drop(&mut self) {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gate.called_off = true;
        gate.bound = None;
    }
}
