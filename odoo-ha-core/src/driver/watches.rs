//! What is waited for all the time: changes in the store, the end of the database, the loss of the watchdog, questions of other members.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

use crate::database::DatabaseAnswer;
use crate::failsafe::Question;
use crate::machine::{Answer, Input};
use crate::roles::WatchEvent;
use crate::store::{Change, Revision};

use super::calls::{Duty, Ended};
use super::lanes::{NodeLanes, Place};
use super::perform::Parts;
use super::probes::Checked;
use super::questions::Questions;

/// Longest time in which a watch must have begun. Without one the machine reads again, which begins another.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer the store's code gets before it is dropped.
const GRACE: Duration = Duration::from_millis(100);

/// Between the end of a watch and the beginning of the next of its kind, at least: a watch that ends at once, again and again, would
/// keep its thread and the machine busy.
const PACE: Duration = Duration::from_millis(100);

/// What other tasks tell the control loop, through one bounded channel: who tells faster than it is heard waits.
#[derive(Debug)]
pub(super) enum Told {
    /// By the watch of this number.
    Changed {
        /// A watch that is over is not listened to: its changes may be older than what was read since.
        watch: u64,
        /// The moment of the last change.
        revision: Revision,
        /// The changes.
        changes: Vec<Change>,
    },
    /// By another member.
    Questioned {
        /// Names the question.
        ticket: u64,
        /// What is asked.
        question: Question,
    },
    /// By a probe.
    Checked(Checked),
}

#[derive(Clone, Copy, Debug)]
enum Over {
    Store,
    Database,
    Watchdog,
    Peers,
}

/// A watch that runs, or is paced until it may.
#[derive(Debug, Default)]
struct Slot {
    running: Option<AbortHandle>,
    ended: Option<Instant>,
}

impl Slot {
    fn is_free(&self) -> bool {
        self.running.is_none()
    }

    /// When the next one may begin.
    fn paced(&self) -> impl Future<Output = ()> + Send + 'static {
        let begin = self.ended.map(|ended| ended + PACE);
        async move {
            if let Some(begin) = begin {
                tokio::time::sleep_until(begin).await;
            }
        }
    }

    /// Whether this was the task in it, which has ended.
    fn end(&mut self, task: Id) -> bool {
        let ended = self.running.take_if(|running| running.id() == task).is_some();
        if ended {
            self.ended = Some(Instant::now());
        }
        ended
    }

    fn abort(&mut self) {
        if let Some(task) = self.running.take() {
            task.abort();
        }
    }
}

/// The watches of one node.
#[derive(Debug)]
pub(super) struct Watches {
    parts: Arc<Parts>,
    lanes: Arc<NodeLanes>,
    told: mpsc::Sender<Told>,
    running: JoinSet<Over>,
    /// The number of the present or last watch of the store.
    number: u64,
    store: Slot,
    database: Slot,
    watchdog: Slot,
    peers: Slot,
    questions: Arc<Questions>,
}

impl Watches {
    pub(super) fn new(
        parts: Arc<Parts>,
        lanes: Arc<NodeLanes>,
        told: mpsc::Sender<Told>,
        questions: Arc<Questions>,
    ) -> Self {
        let mut watches = Self {
            parts,
            lanes,
            told,
            questions,
            running: JoinSet::new(),
            number: 0,
            store: Slot::default(),
            database: Slot::default(),
            watchdog: Slot::default(),
            peers: Slot::default(),
        };
        watches.listen_to_peers();
        watches
    }

    /// Begins what an answer makes possible: a watch of the store at the revision that was read, the wait for the end of a database that
    /// runs, the wait for the loss of a watchdog that was armed.
    pub(super) fn answered(&mut self, ended: &Ended) {
        match (&ended.duty, &ended.result) {
            (Duty::Read, Ok(Answer::Snapshot(snapshot))) => self.watch_store(snapshot.revision),
            (Duty::Arm, Ok(_)) => self.watch_watchdog(),
            (Duty::Disarm, Ok(_)) => self.watchdog.abort(),
            (_, Ok(Answer::Database(answer))) if runs(answer) => self.watch_database(),
            _ => {}
        }
    }

    /// What the end of a watch means; `None` when it means nothing. Never resolves while none ends. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Input> {
        match self.running.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((task, over))) => {
                let (slot, input) = match over {
                    Over::Store => (&mut self.store, Input::WatchLost),
                    Over::Database => (&mut self.database, Input::DatabaseExited),
                    Over::Watchdog => (&mut self.watchdog, Input::WatchdogLost),
                    Over::Peers => {
                        self.peers.end(task);
                        self.listen_to_peers();
                        return None;
                    }
                };
                slot.end(task).then_some(input)
            }
            // A watch whose code panicked, or was dropped by us. Only of the store's is the end a fact that the machine must know; the
            // others begin again with the next answer.
            Some(Err(error)) => {
                self.database.end(error.id());
                self.watchdog.end(error.id());
                if self.peers.end(error.id()) {
                    self.listen_to_peers();
                }
                self.store.end(error.id()).then_some(Input::WatchLost)
            }
        }
    }

    /// Whether changes told by this watch still count.
    pub(super) fn is_current(&self, watch: u64) -> bool {
        !self.store.is_free() && self.number == watch
    }

    fn watch_store(&mut self, from: Revision) {
        let Some(lane) = self.lanes.at(Place::Store).filter(|_| self.store.is_free()) else { return };
        self.number += 1;
        let (number, parts, told) = (self.number, self.parts.clone(), self.told.clone());
        let paced = self.store.paced();
        let watch = async move {
            paced.await;
            store_changes(&parts, from, number, &told).await;
            Over::Store
        };
        self.store.running = Some(lane.spawn_in(&mut self.running, watch));
    }

    fn watch_database(&mut self) {
        let Some(lane) = self.lanes.at(Place::DatabaseWatch).filter(|_| self.database.is_free()) else { return };
        let (parts, paced) = (self.parts.clone(), self.database.paced());
        let watch = async move {
            paced.await;
            parts.database.exited().await;
            Over::Database
        };
        self.database.running = Some(lane.spawn_in(&mut self.running, watch));
    }

    fn listen_to_peers(&mut self) {
        let (Some(peers), Some(lane)) = (self.parts.peers.clone(), self.lanes.at(Place::PeersWatch)) else { return };
        let (told, questions, paced) = (self.told.clone(), self.questions.clone(), self.peers.paced());
        let watch = async move {
            paced.await;
            while let Ok(asked) = peers.next().await {
                let question = asked.question.clone();
                let ticket = questions.keep(asked);
                if told.send(Told::Questioned { ticket, question }).await.is_err() {
                    break;
                }
            }
            Over::Peers
        };
        self.peers.running = Some(lane.spawn_in(&mut self.running, watch));
    }

    fn watch_watchdog(&mut self) {
        // The one that was armed before may be another process.
        self.watchdog.abort();
        let (Some(watchdog), Some(lane)) = (self.parts.watchdog.clone(), self.lanes.at(Place::WatchdogWatch)) else {
            return;
        };
        let paced = self.watchdog.paced();
        let watch = async move {
            paced.await;
            watchdog.lost().await;
            Over::Watchdog
        };
        self.watchdog.running = Some(lane.spawn_in(&mut self.running, watch));
    }
}

/// Tells all changes until the watch is over.
async fn store_changes(parts: &Parts, from: Revision, watch: u64, told: &mpsc::Sender<Told>) {
    let begun = tokio::time::timeout(BEGIN_TIMEOUT + GRACE, parts.dcs.watch(from, BEGIN_TIMEOUT)).await;
    let Ok(Ok(mut events)) = begun else { return };
    while let Ok(WatchEvent::Changed { revision, changes }) = events.next().await {
        if told.send(Told::Changed { watch, revision, changes }).await.is_err() {
            return;
        }
    }
}

/// Whether the answer says that a process of the database runs.
const fn runs(answer: &DatabaseAnswer) -> bool {
    match answer {
        DatabaseAnswer::Observed(status) => status.state.runs(),
        DatabaseAnswer::Bootstrapped(_)
        | DatabaseAnswer::Started(_)
        | DatabaseAnswer::Followed(_)
        | DatabaseAnswer::Frozen(_)
        | DatabaseAnswer::Promoted(_) => true,
        DatabaseAnswer::Stopped(_) | DatabaseAnswer::Done => false,
    }
}
