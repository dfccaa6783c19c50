//! The coordination store.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::store::{Change, Commit, Committed, Revision, Snapshot};

/// What a store can do beyond its contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DcsCapabilities {
    /// It outlives the machine that runs this process, so clusters of several machines may use it.
    pub spans_machines: bool,
    /// It keeps its content when every process that uses it has ended.
    pub durable: bool,
}

impl DcsCapabilities {
    /// Both as given.
    pub const fn new(spans_machines: bool, durable: bool) -> Self {
        Self { spans_machines, durable }
    }
}

/// A coordination store (distributed configuration store): the keys of one cluster, compare-and-swap, and a watch.
///
/// An instance is bound to one cluster: it maps [`Key`](crate::store::Key)s below a prefix of its own and shows no others. It
/// needs no leases, sessions or expiry: leadership is a record that its holder rewrites.
///
/// Versions: every change of a key's value gives it a version that it never had. The library never deletes a key.
#[async_trait]
pub trait Dcs: Send + Sync + Debug {
    /// What this store can do beyond the contract.
    fn capabilities(&self) -> DcsCapabilities;

    /// All keys of the cluster at one moment, **linearizable**: it shows every commit that was answered before this
    /// call began, by whichever client, and nothing that a later read takes back.
    ///
    /// # Errors
    ///
    /// `Unavailable` when no answer came in time or the store cannot serve such a read now; `Denied`; `Malformed`
    /// when the answer cannot be understood. A read changes nothing, so cancelling it is harmless.
    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error>;

    /// Writes several keys at one moment if every guard holds at that moment, else nothing.
    ///
    /// A `Ok` is durable as the store's own promise has it. The same commit sent twice happens at most once if it guards the version
    /// of one of the keys it writes; that a key is absent is no such guard, as somebody may delete it in between.
    ///
    /// # Errors
    ///
    /// - `Conflict`: a guard did not hold. Nothing was written, and it never will be.
    /// - `Unavailable`: it was certainly not sent, or certainly not done. Nothing was written, and never will be.
    /// - `Denied`: rights or credentials are missing. Nothing was written.
    /// - `Unknown`: everything else, the timeout included: it may have happened and **may still happen later**.
    ///
    /// Cancelling is `Unknown`.
    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error>;

    /// A stream of all changes after `from`, which a [`read`](Dcs::read) gave.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the store cannot be reached in time; `Denied`; `Malformed` as for a read. That `from` is too old is
    /// no error here but the first event, [`WatchEvent::Gap`].
    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error>;
}

/// A running watch. Dropping it ends it.
#[async_trait]
pub trait DcsWatch: Send + Debug {
    /// Waits for the next event, for as long as it takes.
    ///
    /// Cancel-safe: an event that a dropped call had received is given by the next one.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the connection is lost, `Denied` and `Malformed` as for a read: the watch is over, changes may have
    /// been missed, and the caller reads anew.
    async fn next(&mut self) -> Result<WatchEvent, Error>;
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// Keys changed, in order. A key that changed several times may be shown only as it is last; a change is never left out
    /// for good.
    Changed {
        /// The moment of the last of them.
        revision: Revision,
        /// The keys.
        changes: Vec<Change>,
    },
    /// Changes were missed (compaction, overflow): the watch is over and the caller reads anew.
    Gap,
}
