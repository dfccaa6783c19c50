//! Odoo's files: attachments and sessions.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::database::Endpoint;
use crate::error::Error;
use crate::member::MemberId;
use crate::term::Term;

/// How far a copy of the files is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct FilestoreStatus {
    /// Files known to be missing here.
    pub missing: u64,
    /// Milliseconds since this copy was last known complete; `None` if never.
    pub complete_ms_ago: Option<u64>,
}

/// Keeps Odoo's files on several nodes. Only the leader's side takes new files from users; copies add eagerly and delete
/// late. A failure here never delays or prevents a failover.
#[async_trait]
pub trait FilestoreSync: Send + Sync + Debug {
    /// Becomes the side that users write to.
    ///
    /// # Errors
    ///
    /// `Fenced` when a newer term was seen; `Unavailable`, `Disk`, `Unknown`.
    async fn lead(&self, term: Term, timeout: Duration) -> Result<(), Error>;

    /// Becomes a copy of the leader's files. Returns once it has begun; the copying goes on behind.
    ///
    /// # Errors
    ///
    /// As [`lead`](Self::lead).
    async fn follow(
        &self,
        term: Term,
        leader: &MemberId,
        endpoint: Option<&Endpoint>,
        timeout: Duration,
    ) -> Result<(), Error>;

    /// Neither leads nor follows. Idempotent.
    ///
    /// # Errors
    ///
    /// `Unknown` when something may still be going on.
    async fn rest(&self, timeout: Duration) -> Result<(), Error>;

    /// How far this copy is.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it cannot be told.
    async fn status(&self, timeout: Duration) -> Result<FilestoreStatus, Error>;
}
