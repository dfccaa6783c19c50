//! A notifier in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::event::Event;
use odoo_ha_core::roles::Notifier;
use tokio::sync::Notify;

use super::switch::{Switch, lock};

/// How many events are kept; older ones are dropped, so that a long simulation does not fill memory.
const KEPT: usize = 10_000;

/// Collects events. A clone is the same notifier.
#[derive(Clone, Debug, Default)]
pub struct MemoryNotifier {
    events: Arc<Mutex<VecDeque<Event>>>,
    arrived: Arc<Notify>,
    switch: Arc<Switch>,
}

impl MemoryNotifier {
    /// A notifier without events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All events so far, the oldest first, repeats included; the latest 10000.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.events).iter().cloned().collect()
    }

    /// Waits until an event fits and gives the first that does; events that came before count. Wrap it in a deadline.
    ///
    /// Cancel-safe.
    pub async fn wait_for(&self, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // From here on no arrival is missed, so looking comes after it.
            arrived.as_mut().enable();
            if let Some(event) = lock(&self.events).iter().find(|event| fits(event)).cloned() {
                return event;
            }
            arrived.await;
        }
    }

    /// Makes its calls fail as `Unavailable` after their whole timeout, or work again.
    pub fn set_silent(&self, silent: bool) {
        self.switch.set_silent(silent);
    }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    async fn notify(&self, event: &Event, timeout: Duration) -> Result<(), Error> {
        self.switch.answer(timeout, ErrorKind::Unavailable, "the notifier").await?;
        let mut events = lock(&self.events);
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back(event.clone());
        drop(events);
        self.arrived.notify_waiters();
        Ok(())
    }
}
