//! The processes that users talk to: Odoo, nginx.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::term::Term;

/// What the services are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceState {
    /// All of them run.
    Running,
    /// Some do.
    Partial,
    /// None does.
    Stopped,
}

/// Starts and stops what serves users on this node. Started only after the database is writable here, stopped before it is not.
#[async_trait]
pub trait ServiceManager: Send + Sync + Debug {
    /// Starts all, in order. Starting what runs is `Ok`.
    ///
    /// # Errors
    ///
    /// `Fenced`, `Misconfigured`, `Unknown`. Some may run then; [`stop`](Self::stop) undoes it.
    async fn start(&self, term: Term, timeout: Duration) -> Result<(), Error>;

    /// Stops all, in the reverse order, and makes sure: when it returns `Ok`, none runs.
    ///
    /// # Errors
    ///
    /// `Unknown` when some may still run.
    async fn stop(&self, timeout: Duration) -> Result<(), Error>;

    /// Stops and starts.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    async fn restart(&self, term: Term, timeout: Duration) -> Result<(), Error>;

    /// What they are doing.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it cannot be told.
    async fn status(&self, timeout: Duration) -> Result<ServiceState, Error>;
}
