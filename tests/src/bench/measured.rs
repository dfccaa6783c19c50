//! A store whose renewals are measured.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch};
use odoo_ha_core::store::{Commit, Committed, Key, Revision, Snapshot};

/// What was measured of all stores together.
#[derive(Clone, Debug, Default)]
pub(super) struct Measurements {
    inner: Arc<Mutex<Inner>>,
}

/// What it comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Inner {
    /// Commits that wrote the leader record.
    pub(super) renewals: Vec<Duration>,
    /// Those that were not done.
    pub(super) failed: u64,
    /// Commits of all else.
    pub(super) others: u64,
    pub(super) reads: u64,
    /// Length of the last leader record, in bytes.
    pub(super) record_bytes: usize,
}

impl Measurements {
    /// What was measured so far; it begins anew.
    pub(super) fn take(&self) -> Inner {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(super) struct Measured<D> {
    pub(super) store: D,
    pub(super) measurements: Measurements,
}

#[async_trait]
impl<D: Dcs> Dcs for Measured<D> {
    fn capabilities(&self) -> DcsCapabilities {
        self.store.capabilities()
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        self.measurements.lock().reads += 1;
        self.store.read(timeout).await
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let begun = Instant::now();
        let result = self.store.commit(commit, timeout).await;
        let mut inner = self.measurements.lock();
        match commit.writes.get(&Key::leader()) {
            None => inner.others += 1,
            Some(record) => {
                inner.record_bytes = record.len();
                inner.renewals.push(begun.elapsed());
                inner.failed += u64::from(result.is_err());
            }
        }
        result
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        self.store.watch(from, timeout).await
    }
}
