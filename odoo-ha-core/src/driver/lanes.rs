//! The threads that a node runs on.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::error::{Error, ErrorKind};

/// Stack of every thread, in bytes. Half of Rust's default: a node has about fifteen threads, none recurses deeply, and the
/// kernel gives memory only to the part that is used.
const STACK_BYTES: usize = 1024 * 1024;

/// Most threads that a lane's runtime makes for the `spawn_blocking` of the code that runs on it.
const MAX_BLOCKING_THREADS: usize = 8;

/// Says when a task of a lane may go on. Only simulators have one: a node that is frozen, or a thread that is blocked, is then a
/// lane whose tasks have no turn.
#[doc(hidden)]
pub trait Turns: Send + Sync + Debug {
    /// Ready when a task of this lane may go on now; else its waker is woken when it may. Asked before every step of every task.
    fn poll_turn(&self, lane: &str, context: &mut Context<'_>) -> Poll<()>;
}

/// The threads that a node runs on: one for every kind of call, so that code that blocks its thread holds up only calls of
/// its own kind.
///
/// A node makes its own unless it is given some. Several nodes of a process may share one `Lanes` (a thousand clusters in one
/// agent); a call that blocks its thread then holds up the same kind of call of the others.
///
/// A thread ends when the last node that uses it has ended, and this value is dropped.
pub struct Lanes {
    /// Where everything runs, if not on threads of its own.
    everything_on: Option<Handle>,
    /// What lets their tasks go on, in a simulator.
    turns: Option<Arc<dyn Turns>>,
    made: Mutex<BTreeMap<String, Lane>>,
}

impl Lanes {
    /// Threads made when they are first needed.
    pub fn new() -> Self {
        Self { everything_on: None, turns: None, made: Mutex::default() }
    }

    /// Everything on one runtime of the caller, with IO and time enabled. For simulators, where tokio's clock is paused and
    /// all runs on one thread: **nothing is kept apart**, so a role that blocks delays renewals.
    pub fn on(runtime: Handle) -> Self {
        Self { everything_on: Some(runtime), turns: None, made: Mutex::default() }
    }

    /// The same, where every step of every task waits for its turn. For simulators.
    #[doc(hidden)]
    pub fn in_turns(runtime: Handle, turns: Arc<dyn Turns>) -> Self {
        Self { turns: Some(turns), ..Self::on(runtime) }
    }

    /// The lane of this name; made if there is none.
    pub(super) fn lane(&self, name: &str) -> Result<Lane, Error> {
        if let Some(handle) = &self.everything_on {
            let turns = self.turns.clone().map(|turns| LaneTurns { turns, lane: name.into() });
            return Ok(Lane { spawner: Spawner { handle: handle.clone(), turns }, thread: None });
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = made.get(name) {
            return Ok(lane.clone());
        }
        let lane = Lane::start(name)?;
        made.insert(name.to_owned(), lane.clone());
        Ok(lane)
    }
}

impl Default for Lanes {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Lanes").field("made", &made.keys()).finish_non_exhaustive()
    }
}

/// Begins tasks on a lane, without keeping its thread.
#[derive(Clone, Debug)]
pub(super) struct Spawner {
    handle: Handle,
    turns: Option<LaneTurns>,
}

#[derive(Clone, Debug)]
struct LaneTurns {
    turns: Arc<dyn Turns>,
    lane: Arc<str>,
}

impl LaneTurns {
    /// The task, every step of which waits for its turn.
    async fn follow<F: Future>(self, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|context| {
            ready!(self.turns.poll_turn(&self.lane, context));
            task.as_mut().poll(context)
        })
        .await
    }
}

impl Spawner {
    /// Begins a task.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        match self.turns.clone() {
            None => self.handle.spawn(task),
            Some(turns) => self.handle.spawn(turns.follow(task)),
        }
    }

    /// Begins a task that belongs to this set.
    pub(super) fn spawn_in<F>(&self, set: &mut JoinSet<F::Output>, task: F) -> AbortHandle
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        match self.turns.clone() {
            None => set.spawn_on(task, &self.handle),
            Some(turns) => set.spawn_on(turns.follow(task), &self.handle),
        }
    }
}

/// A thread with a runtime of its own. It ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Lane {
    spawner: Spawner,
    thread: Option<Arc<LaneThread>>,
}

/// Ends the thread when it is dropped, by dropping the sender that the thread waits for.
struct LaneThread {
    _ends_when_dropped: oneshot::Sender<()>,
}

impl Lane {
    fn start(name: &str) -> Result<Self, Error> {
        let refused = |cause: std::io::Error| {
            Error::new(ErrorKind::Misconfigured, format!("the thread {name:?} cannot be started"))
                .hint("raise the limit of threads (ulimit -u, TasksMax) and of open files (ulimit -n)")
                .caused_by(cause)
        };
        let name = format!("odoo-ha-{name}");
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name(name.clone())
            .thread_stack_size(STACK_BYTES)
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .build()
            .map_err(refused)?;
        let handle = runtime.handle().clone();
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name(name)
            .stack_size(STACK_BYTES)
            .spawn(move || {
                // Nothing is ever sent: the wait ends when the sender is dropped.
                let _ = runtime.block_on(receiver);
                // Without waiting for what the roles' code has on blocking threads.
                runtime.shutdown_background();
            })
            .map_err(refused)?;
        let thread = Some(Arc::new(LaneThread { _ends_when_dropped: sender }));
        Ok(Self { spawner: Spawner { handle, turns: None }, thread })
    }

    /// What begins tasks on it.
    pub(super) const fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Its runtime.
    pub(super) const fn handle(&self) -> &Handle {
        &self.spawner.handle
    }

    /// Begins a task on it.
    pub(super) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.spawner.spawn(task)
    }

    /// Begins a task on it that belongs to this set.
    pub(super) fn spawn_in<F>(&self, set: &mut JoinSet<F::Output>, task: F) -> AbortHandle
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.spawner.spawn_in(set, task)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("own_thread", &self.thread.is_some()).finish_non_exhaustive()
    }
}

/// Which lane a call goes to. What takes down has a lane apart from what sets up, so that a call that blocks its thread while
/// setting up cannot hold up the giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    /// Reads, commits, the watch.
    Store,
    /// The memo.
    Disk,
    /// Orders to the database.
    Database,
    /// Its status.
    DatabaseLook,
    /// Its stop.
    DatabaseStop,
    /// Attaching the address and looking at it.
    Address,
    /// Detaching it.
    AddressDown,
    /// Starting services.
    Services,
    /// Stopping them.
    ServicesDown,
    /// The watchdog.
    Watchdog,
    /// The filestore.
    Filestore,
    /// Its status.
    FilestoreLook,
    /// Waiting for the end of the database.
    DatabaseWatch,
    /// Waiting for the loss of the watchdog.
    WatchdogWatch,
    /// Asking other members, and answering them.
    Peers,
    /// Waiting for their questions.
    PeersWatch,
}

impl Place {
    /// The end of the thread's name; the kernel shows 15 bytes of `odoo-ha-` and this.
    const fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Disk => "disk",
            Self::Database => "db",
            Self::DatabaseLook => "db-look",
            Self::DatabaseStop => "db-stop",
            Self::Address => "addr",
            Self::AddressDown => "addr-dn",
            Self::Services => "serv",
            Self::ServicesDown => "serv-dn",
            Self::Watchdog => "wdog",
            Self::Filestore => "files",
            Self::FilestoreLook => "fs-look",
            Self::DatabaseWatch => "db-exit",
            Self::WatchdogWatch => "wd-lost",
            Self::Peers => "peers",
            Self::PeersWatch => "peers-in",
        }
    }
}

/// The lanes of one node.
#[derive(Debug)]
pub(super) struct NodeLanes {
    /// The machine, timers and channels; never foreign code.
    pub(super) control: Lane,
    /// Supervises notifiers and probes; never foreign code.
    pub(super) side: Lane,
    /// Writes the log: the embedder's subscriber runs here.
    pub(super) log: Lane,
    places: BTreeMap<Place, Lane>,
}

impl NodeLanes {
    /// The lanes for these places.
    pub(super) fn new(lanes: &Lanes, places: &[Place]) -> Result<Self, Error> {
        let mut made = BTreeMap::new();
        for place in places {
            made.insert(*place, lanes.lane(place.name())?);
        }
        Ok(Self { control: lanes.lane("control")?, side: lanes.lane("side")?, log: lanes.lane("log")?, places: made })
    }

    /// The lane of this place; `None` when the node has no such role.
    pub(super) fn at(&self, place: Place) -> Option<&Lane> {
        self.places.get(&place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_blocked_lane_holds_up_no_other() {
        let lanes = Lanes::new();
        let (blocked, free) = (lanes.lane("one").unwrap(), lanes.lane("two").unwrap());
        let (release, wait) = std::sync::mpsc::channel::<()>();
        blocked.spawn(async move { wait.recv() });
        let (tell, told) = std::sync::mpsc::channel();
        free.spawn(async move { tell.send(()) });
        told.recv_timeout(Duration::from_secs(30)).unwrap();
        drop(release);
    }

    #[test]
    fn a_name_means_one_thread_and_ends_with_its_last_user() {
        let lanes = Lanes::new();
        let (one, again) = (lanes.lane("same").unwrap(), lanes.lane("same").unwrap());
        assert!(Arc::ptr_eq(one.thread.as_ref().unwrap(), again.thread.as_ref().unwrap()));
        // A task that never ends is dropped with its runtime, and its sender with it.
        let (held, told) = std::sync::mpsc::channel::<()>();
        one.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop((lanes, one, again));
        assert_eq!(told.recv_timeout(Duration::from_secs(30)), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }
}
