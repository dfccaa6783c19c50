//! Who is told.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::event::Event;

/// Tells people or systems what happened. It is called in order, one event at a time, on a lane of its own: a slow or
/// failing notifier delays nothing but itself, and what it cannot take is dropped and counted.
#[async_trait]
pub trait Notifier: Send + Sync + Debug {
    /// Delivers one event. May be called again with the same event after an error, so a receiver should tell repeats by its
    /// `id`.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Denied`, `Misconfigured`, `Unknown`. It is logged, and nothing hangs on it.
    async fn notify(&self, event: &Event, timeout: Duration) -> Result<(), Error>;
}
