//! Where questions are received: who may be inside, what is believed, and how long the machine may take.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odoo_ha_core::failsafe::{Question, Reply};
use odoo_ha_core::roles::Asked;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::proof::{Keys, Tag};
use super::wire::{Signed, read_question};

/// Most connections at once. A member asks a few times a second, each time on a connection that lasts for milliseconds.
pub const MOST_CONNECTIONS: usize = 64;

/// Most questions that the machine has not answered yet; whoever asks one more is told to ask later. One leader asks one at a time.
pub const MOST_QUESTIONS: usize = 16;

/// Longest time for a request to arrive.
pub const READ_PATIENCE: Duration = Duration::from_secs(2);

/// Longest time for the machine to answer; then the asker is told that it will not. It answers within milliseconds, or hangs.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Between two warnings that somebody who is no member asks.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// A question and the way back.
pub(super) struct Waiting {
    question: Question,
    answer: oneshot::Sender<Reply>,
}

impl Waiting {
    /// For the machine; `None` when the asker has gone.
    pub(super) fn asked(self) -> Option<Asked> {
        let Self { question, answer } = self;
        if answer.is_closed() {
            return None;
        }
        // Nobody hears it when the asker goes after all.
        Some(Asked::new(question, move |reply| _ = answer.send(reply)))
    }
}

/// Why a request gets no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It proves nothing.
    Stranger,
    /// A member's, but no question that this version knows.
    NoQuestion,
    /// Too many questions, or the machine does not answer.
    Busy,
}

/// Where questions are received.
pub(super) struct Hall {
    keys: Arc<Keys>,
    inbox: mpsc::Sender<Waiting>,
    unproven: Mutex<Unproven>,
    warned: Mutex<Option<Instant>>,
}

/// Connections that have not proved to be a member's, in the order of their arrival.
#[derive(Default)]
struct Unproven {
    last: u64,
    connections: BTreeMap<u64, AbortHandle>,
}

impl Hall {
    /// An empty one, and where its questions come out.
    pub(super) fn new(keys: Arc<Keys>) -> (Arc<Self>, mpsc::Receiver<Waiting>) {
        let (inbox, questions) = mpsc::channel(MOST_QUESTIONS);
        let hall = Self { keys, inbox, unproven: Mutex::default(), warned: Mutex::default() };
        (Arc::new(hall), questions)
    }

    /// Lets a connection in; `begin` starts its task.
    pub(super) fn enter(self: &Arc<Self>, begin: impl FnOnce(Place) -> AbortHandle) {
        // Held until the connection is noted: it could be over by then.
        let mut unproven = lock(&self.unproven);
        unproven.last += 1;
        let number = unproven.last;
        let task = begin(Place { hall: Arc::clone(self), number });
        unproven.connections.insert(number, task);
    }

    /// Shows the connection out that has proved nothing for the longest time.
    pub(super) fn make_room(&self) {
        let oldest = lock(&self.unproven).connections.pop_first();
        if let Some((_, task)) = oldest {
            task.abort();
        }
    }

    /// The reply to a request, once the machine has given it.
    pub(super) async fn reply(&self, tag: Option<Tag>, body: &[u8], place: &Place) -> Result<Signed, Refusal> {
        let proved = tag.and_then(|tag| self.keys.of_question(&tag, body).map(|key| (tag, key)));
        let Some((tag, key)) = proved else { return Err(Refusal::Stranger) };
        place.proved();
        let question = read_question(body).ok_or(Refusal::NoQuestion)?;
        let (answer, answered) = oneshot::channel();
        self.inbox.try_send(Waiting { question, answer }).map_err(|_| Refusal::Busy)?;
        match tokio::time::timeout(ANSWER_PATIENCE, answered).await {
            Ok(Ok(reply)) => Signed::reply(reply, &tag, key).map_err(|_| Refusal::Busy),
            Ok(Err(_)) | Err(_) => Err(Refusal::Busy),
        }
    }

    /// Says that somebody who is no member asks; not more often than an operator can read.
    pub(super) fn warn_of_stranger(&self, from: SocketAddr) {
        let now = Instant::now();
        let mut warned = lock(&self.warned);
        if warned.is_none_or(|before| now.duration_since(before) >= WARNING_PAUSE) {
            *warned = Some(now);
            tracing::warn!(%from, "somebody asks who does not know the secret of this member; a member with another secret, or a stranger");
        }
    }
}

/// A connection's place among those that have proved nothing. Given back when it is dropped.
pub(super) struct Place {
    hall: Arc<Hall>,
    number: u64,
}

impl Place {
    /// Its connection is a member's: it is not shown out.
    fn proved(&self) {
        lock(&self.hall.unproven).connections.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.proved();
    }
}

/// Locks; every change is made in one step, so a panic of another holder left nothing half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
