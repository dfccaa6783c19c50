//! What makes a node harmless when nobody feeds it.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::term::Term;
use crate::time::Moment;

/// Leave to go on, until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Feed {
    /// Which start of the agent feeds; a newer one takes over from an older.
    pub incarnation: u64,
    /// The reign.
    pub term: Term,
    /// When the node must be harmless: an absolute moment of this machine's clock, from a **confirmed** renewal. `None` while leadership has
    /// no end (the cluster is paused).
    pub deadline: Option<Moment>,
}

/// Outlives the agent and makes the node harmless (address dropped, services and database stopped) **before** the deadline of the last
/// feed, unless it is fed again or disarmed. It never goes past a deadline, and once it has acted it feeds on nothing
/// until it is armed anew.
#[async_trait]
pub trait Watchdog: Send + Sync + Debug {
    /// How long before the deadline it begins to act, so that it is done by then.
    fn acts_before(&self) -> Duration;

    /// Arms it, or takes over one that an earlier start of the agent armed. From here on it must be fed.
    ///
    /// # Errors
    ///
    /// `Fenced` when it has already acted against this feed's term; `Unavailable`, `Misconfigured`: it is not armed then.
    async fn arm(&self, feed: Feed, timeout: Duration) -> Result<(), Error>;

    /// Moves the deadline.
    ///
    /// # Errors
    ///
    /// `Fenced` when it has acted already; `Unavailable` when it is gone.
    async fn feed(&self, feed: Feed, timeout: Duration) -> Result<(), Error>;

    /// Tells it that the node is harmless already. Idempotent.
    ///
    /// # Errors
    ///
    /// `Unknown` when it may still act.
    async fn disarm(&self, timeout: Duration) -> Result<(), Error>;

    /// Resolves when an armed watchdog is lost (its process died), so that it can be armed anew in time. Cancel-safe.
    async fn lost(&self);
}
