//! What is waited for all the time: changes in the store, the end of the database, the loss of the watchdog.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use crate::database::DatabaseAnswer;
use crate::machine::{Answer, Input};
use crate::store::{Change, Revision};

use super::calls::{Duty, Ended};
use super::lanes::{NodeLanes, Place};
use super::perform::Parts;
use super::probes::Checked;

/// Longest time in which a watch must have begun. Without one the machine reads again, which begins another.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer the store's code gets before it is dropped.
const GRACE: Duration = Duration::from_millis(100);

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
    /// By a probe.
    Checked(Checked),
}

#[derive(Clone, Copy, Debug)]
enum Over {
    Store,
    Database,
    Watchdog,
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
    store: Option<AbortHandle>,
    database: Option<AbortHandle>,
    watchdog: Option<AbortHandle>,
}

impl Watches {
    pub(super) fn new(parts: Arc<Parts>, lanes: Arc<NodeLanes>, told: mpsc::Sender<Told>) -> Self {
        let running = JoinSet::new();
        Self { parts, lanes, told, running, number: 0, store: None, database: None, watchdog: None }
    }

    /// Begins what an answer makes possible: a watch of the store at the revision that was read, the wait for the end of a database that
    /// runs, the wait for the loss of a watchdog that was armed.
    pub(super) fn answered(&mut self, ended: &Ended) {
        match (&ended.duty, &ended.result) {
            (Duty::Read, Ok(Answer::Snapshot(snapshot))) => self.watch_store(snapshot.revision),
            (Duty::Arm, Ok(_)) => self.watch_watchdog(),
            (Duty::Disarm, Ok(_)) => {
                if let Some(task) = self.watchdog.take() {
                    task.abort();
                }
            }
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
                };
                if slot.as_ref().is_some_and(|live| live.id() == task) {
                    *slot = None;
                    return Some(input);
                }
                None
            }
            // A watch whose code panicked, or was dropped by us: only of the store's is the end a fact that the machine must know.
            Some(Err(error)) => {
                for slot in [&mut self.database, &mut self.watchdog] {
                    if slot.as_ref().is_some_and(|live| live.id() == error.id()) {
                        *slot = None;
                    }
                }
                self.store.take_if(|live| live.id() == error.id()).map(|_| Input::WatchLost)
            }
        }
    }

    /// Whether changes told by this watch still count.
    pub(super) fn is_current(&self, watch: u64) -> bool {
        self.store.is_some() && self.number == watch
    }

    fn watch_store(&mut self, from: Revision) {
        let Some(lane) = self.lanes.at(Place::Store).filter(|_| self.store.is_none()) else { return };
        self.number += 1;
        let (number, parts, told) = (self.number, self.parts.clone(), self.told.clone());
        let watch = async move {
            store_changes(&parts, from, number, &told).await;
            Over::Store
        };
        self.store = Some(self.running.spawn_on(watch, lane.handle()));
    }

    fn watch_database(&mut self) {
        let Some(lane) = self.lanes.at(Place::DatabaseWatch).filter(|_| self.database.is_none()) else { return };
        let parts = self.parts.clone();
        let watch = async move {
            parts.database.exited().await;
            Over::Database
        };
        self.database = Some(self.running.spawn_on(watch, lane.handle()));
    }

    fn watch_watchdog(&mut self) {
        // The one that was armed before may be another process.
        if let Some(task) = self.watchdog.take() {
            task.abort();
        }
        let (Some(watchdog), Some(lane)) = (self.parts.watchdog.clone(), self.lanes.at(Place::WatchdogWatch)) else {
            return;
        };
        let watch = async move {
            watchdog.lost().await;
            Over::Watchdog
        };
        self.watchdog = Some(self.running.spawn_on(watch, lane.handle()));
    }
}

/// Tells all changes until the watch is over.
async fn store_changes(parts: &Parts, from: Revision, watch: u64, told: &mpsc::Sender<Told>) {
    use crate::roles::WatchEvent;

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
