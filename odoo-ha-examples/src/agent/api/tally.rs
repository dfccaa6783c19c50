//! What has happened since the agent started, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use odoo_ha_core::driver::{EventStream, Streamed};
use odoo_ha_core::event::Event;

/// Events, by what they say happened.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counted: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// Counts until the node has ended.
    pub(super) async fn count(&self, mut events: EventStream) {
        while let Some(next) = events.next().await {
            match next {
                Streamed::Event(event) => self.add(name_of(&event), 1),
                Streamed::Missed(count) => self.add("missed".to_owned(), count),
            }
        }
    }

    fn add(&self, name: String, count: u64) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += count;
    }

    /// All of them.
    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The event's name, as it stands in its JSON.
fn name_of(event: &Event) -> String {
    let kind = serde_json::to_value(&event.kind).unwrap_or_default();
    kind["event"].as_str().unwrap_or("unknown").to_owned()
}
