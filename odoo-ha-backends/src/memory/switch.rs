//! Whether something answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

/// Locks; a panic of another holder changed nothing half-way, as every change here is made in one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an implementation silent.
#[derive(Debug, Default)]
pub(super) struct Switch(AtomicBool);

impl Switch {
    pub(super) fn set_silent(&self, silent: bool) {
        self.0.store(silent, Ordering::SeqCst);
    }

    /// Waits out the timeout when silent, and fails with this kind.
    pub(super) async fn answer(&self, timeout: Duration, kind: ErrorKind, what: &str) -> Result<(), Error> {
        if !self.0.load(Ordering::SeqCst) {
            return Ok(());
        }
        tokio::time::sleep(timeout).await;
        Err(Error::new(kind, format!("{what} did not answer (a fault that the test asked for)")))
    }
}
