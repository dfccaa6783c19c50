//! The store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch};
use odoo_ha_core::store::{Commit, Committed, Revision, Snapshot};

use super::config::SqliteConfig;
use super::error::nothing_happened;
use super::watch::SqliteWatch;
use super::worker::Worker;

/// A coordination store in one SQLite file. A clone is the same client.
///
/// Reads and commits have a thread and a connection each, so that a commit that waits for another process's lock delays no
/// read. The file is opened by the first call and created by it if it is missing; a file that was there and is gone is
/// `Unavailable`. Keys that somebody deletes with other tools are missing from reads, and no watch tells of it.
#[derive(Clone, Debug)]
pub struct SqliteDcs {
    config: SqliteConfig,
    reads: Arc<Worker>,
    commits: Arc<Worker>,
}

impl SqliteDcs {
    /// A client. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// `Unavailable` when no thread can be started.
    pub fn new(config: SqliteConfig) -> Result<Self, Error> {
        let reads = Worker::start("sqlite-read", config.clone())?;
        let commits = Worker::start("sqlite-commit", config.clone())?;
        Ok(Self { config, reads: Arc::new(reads), commits: Arc::new(commits) })
    }
}

#[async_trait]
impl Dcs for SqliteDcs {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(false, true)
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        let read = self.reads.run(timeout, |desk, deadline, _ticket| {
            let result = desk.client(deadline).and_then(|client| client.read(deadline));
            desk.close_after(result)
        });
        read.await.map_err(|error| match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::Malformed => error,
            _ => Error::new(ErrorKind::Unavailable, "the store could not be read").caused_by(error),
        })
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let commit = commit.clone();
        let done = self.commits.run(timeout, move |desk, deadline, ticket| {
            let result = desk
                .client(deadline)
                .map_err(nothing_happened)
                .and_then(|client| client.commit(&commit, deadline, || ticket.pass()));
            desk.close_after(result)
        });
        done.await
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        Ok(Box::new(SqliteWatch::begin(self.config.clone(), from, timeout).await?))
    }
}
