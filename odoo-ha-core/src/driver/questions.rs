//! Questions of other members that the machine has not answered yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::failsafe::Reply;
use crate::roles::Asked;

/// More are never kept: one leader asks at most a few times a second, and is answered within milliseconds.
const MAX_OPEN: usize = 16;

/// Questions of other members that the machine has not answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    asked: BTreeMap<u64, Asked>,
    last: u64,
}

impl Questions {
    /// Keeps a question until it is answered. Returns its ticket. When there are too many the oldest is dropped, and its asker hears nothing.
    pub(super) fn keep(&self, asked: Asked) -> u64 {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.last += 1;
        let ticket = open.last;
        if open.asked.len() == MAX_OPEN {
            open.asked.pop_first();
        }
        open.asked.insert(ticket, asked);
        ticket
    }

    /// Sends a reply. Nothing happens when the question is no longer there.
    pub(super) fn answer(&self, ticket: u64, reply: Reply) {
        // Foreign code answers: not under the lock.
        let asked = self.open.lock().unwrap_or_else(PoisonError::into_inner).asked.remove(&ticket);
        if let Some(asked) = asked {
            asked.answer(reply);
        }
    }
}
