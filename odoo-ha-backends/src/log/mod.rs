//! A notifier that writes to the program's own log, through `tracing`.
//!
//! Each event is one record with the target `odoo_ha::event`, the fields `id`, `cluster`, `member`, `term` and `event`, and the sentence as
//! its message. Severities become levels: error, warning and info are `error`, `warn` and `info`. Where it goes is
//! decided by whoever installs the subscriber; without one, it goes nowhere.

use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::Error;
use odoo_ha_core::event::{Event, Severity};
use odoo_ha_core::roles::Notifier;

/// Writes events to the log. It never fails and takes no time that counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogNotifier;

impl LogNotifier {
    /// A notifier.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

/// One record; `tracing` wants its level to be a constant.
macro_rules! record {
    ($level:ident, $event:expr) => {
        tracing::$level!(
            target: "odoo_ha::event",
            id = %$event.id,
            cluster = %$event.cluster,
            member = %$event.member,
            term = $event.term.0,
            event = ?$event.kind,
            "{}",
            $event.sentence
        )
    };
}

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, event: &Event, _timeout: Duration) -> Result<(), Error> {
        match event.severity() {
            Severity::Error => record!(error, event),
            Severity::Warning => record!(warn, event),
            Severity::Info => record!(info, event),
        }
        Ok(())
    }
}
