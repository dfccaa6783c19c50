//! The local database and its replication.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::database::{
    BootstrapOrder, Bootstrapped, DatabaseStatus, FollowOrder, Followed, Frozen, PromoteOrder, Promoted,
    StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder,
};
use crate::error::Error;
use crate::member::MemberId;

/// What a replication backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ReplicationCapabilities {
    /// It can hold commits back until standbys have them.
    pub synchronous: bool,
    /// It can rewind diverged data instead of copying all of them anew.
    pub rewind: bool,
    /// It makes databases itself; else a first one must be there.
    pub bootstrap: bool,
}

impl ReplicationCapabilities {
    /// All as given.
    pub const fn new(synchronous: bool, rewind: bool, bootstrap: bool) -> Self {
        Self { synchronous, rewind, bootstrap }
    }
}

/// The local database: one data directory and the processes that serve it.
///
/// The driver runs at most one order at a time, except that [`status`](Self::status) and [`exited`](Self::exited) may run
/// beside any other. The future of an order may be dropped half-way for another that takes its place: [`stop`](Self::stop) takes that of
/// any, and must end whatever that order had begun (child processes included); [`freeze`](Self::freeze), and [`follow`](Self::follow) of a
/// newer term, take that of a [`follow`](Self::follow) that may discard nothing, and what that still does must not undo them.
///
/// **The database outlives the agent**: dropping the implementation, or the death of its process, stops nothing, and a
/// new instance over the same directory adopts what runs.
///
/// **Term.** The highest term that this copy led or followed is kept beside the data; orders of an older one are
/// refused as `Fenced`, untouched.
#[async_trait]
pub trait ReplicationManager: Send + Sync + Debug {
    /// What this backend can do.
    fn capabilities(&self) -> ReplicationCapabilities;

    /// Reads the state of the local data and processes, over a **fresh** connection where it runs, so that a hung database is
    /// told from a slow one: no answer in time is the state `Unresponsive`, not an error. Changes nothing.
    ///
    /// # Errors
    ///
    /// `Misconfigured` (no PostgreSQL, a version that is not supported, rights missing, the port is another's,
    /// a directory that is not a data directory), `Malformed` for answers that cannot be understood, `Disk`.
    async fn status(&self, timeout: Duration) -> Result<DatabaseStatus, Error>;

    /// Resolves when the database's main process, running when it was called, has ended, within milliseconds and not at a next poll.
    /// Resolves at once when none runs. Cancel-safe.
    async fn exited(&self);

    /// Makes a new database cluster, or adopts the data that are there, and starts it as primary with nobody synchronous.
    /// Repeated after a crash in its midst it starts over: what a broken attempt left is recognised as its own.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the directory is not empty and `adopt` was not said, or is empty and it was; `Disk`; `Unknown` when the
    /// time was too short.
    async fn bootstrap(&self, order: &BootstrapOrder, timeout: Duration) -> Result<Bootstrapped, Error>;

    /// Starts the local data as primary, or finds them running so. Crash recovery is part of it.
    ///
    /// # Errors
    ///
    /// `Fenced` when the term beside the data is not the order's; `NotReady` when the data are a standby's; `Disk`,
    /// `Misconfigured`, `Unknown` as elsewhere.
    async fn start_primary(&self, order: &StartPrimaryOrder, timeout: Duration) -> Result<Started, Error>;

    /// Writes a checkpoint so that a shutdown that follows is quick.
    ///
    /// # Errors
    ///
    /// `Unknown` when it did not end in time; it goes on then, harmlessly.
    async fn checkpoint(&self, timeout: Duration) -> Result<(), Error>;

    /// Stops the database with its settings untouched: `synchronous_standby_names` stays in force to the last moment, so that no
    /// waiting commit is released as acknowledged. Stopping what is stopped is `Ok` and states where its log ends.
    ///
    /// # Errors
    ///
    /// `Unknown` when processes are left at the end of the timeout.
    async fn stop(&self, mode: StopMode, timeout: Duration) -> Result<Stopped, Error>;

    /// Makes the local database a streaming standby of the upstream, from whatever state it is in: absent (cloned), stopped, crashed, a
    /// standby of another, or frozen. Whether the data can follow is decided by timeline history and by the term kept
    /// beside the data. Returns once it runs as a standby that is told to follow; streaming may begin later.
    ///
    /// A failed rewind is never followed by a start of the same data: they are cloned anew in the same call, the old ones
    /// kept aside where there is room, or the call fails and every later one clones.
    ///
    /// # Errors
    ///
    /// `Diverged` when the data cannot follow as they are and `may_discard` is not set (nothing was touched);
    /// `Misconfigured` when they are another cluster's; `Fenced`; `Unavailable` when the upstream does not answer;
    /// `Disk`; `Unknown`.
    async fn follow(&self, order: &FollowOrder, timeout: Duration) -> Result<Followed, Error>;

    /// Makes the database receive nothing any more, from anybody, durably, and replay all it has; then states where its log
    /// ends (protocol rules 26 and 27, each in its order). From a stopped or crashed state it is started in recovery without an
    /// upstream. It stays so, restarts included, until [`follow`](Self::follow) or [`promote`](Self::promote).
    ///
    /// # Errors
    ///
    /// `NotReady` when the end cannot be reached in time: the database must not be counted, but may be frozen already.
    async fn freeze(&self, timeout: Duration) -> Result<Frozen, Error>;

    /// Makes the frozen local database a primary, and returns only after reading from it that it left recovery on a new timeline.
    ///
    /// # Errors
    ///
    /// `Fenced`; `NotReady` when its data do not reach `at_least`; `Misconfigured` when they are another cluster's;
    /// `Unknown` when it was not finished in time; it may still become primary, and a repeated call finds it so.
    async fn promote(&self, order: &PromoteOrder, timeout: Duration) -> Result<Promoted, Error>;

    /// Changes who must acknowledge a commit. With a barrier, `Ok` means that every commit acknowledged from now on was flushed by all that
    /// the new value demands, and that each standby newly named has flushed all that was acknowledged before.
    ///
    /// # Errors
    ///
    /// `Fenced`; `NotReady` when the barrier was not reached in time: the value may be set, and stays set; `Unknown`.
    async fn set_synchronous(&self, order: &SynchronousOrder, timeout: Duration) -> Result<(), Error>;

    /// Keeps a physical replication slot for each of these members, on a primary as on a standby, and drops those of other
    /// members that are not in use.
    ///
    /// # Errors
    ///
    /// `NotReady` when the database does not run; `Unknown`.
    async fn keep_slots(&self, members: &BTreeSet<MemberId>, timeout: Duration) -> Result<(), Error>;
}
