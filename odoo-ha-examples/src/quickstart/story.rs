//! Which events a person wants to read while it runs, and how they are meant.

use odoo_ha_core::event::{Event, EventKind, Severity};

use super::console::Tone;

/// How an event is told; `None` for what only matters when one looks for it: the steps of the machine.
pub(crate) fn tone_of(event: &Event) -> Option<Tone> {
    match (&event.kind, event.severity()) {
        (EventKind::StateChanged { .. }, _) => None,
        (EventKind::Serving | EventKind::Promoted { .. }, _) => Some(Tone::Good),
        (EventKind::HealthChanged { .. }, Severity::Info) => Some(Tone::Dim),
        (_, Severity::Error) => Some(Tone::Bad),
        (_, Severity::Warning) => Some(Tone::Warning),
        (_, Severity::Info) => Some(Tone::Plain),
    }
}
