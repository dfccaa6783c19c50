//! What an embedder holds of a running node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::error::{Error, ErrorKind};
use crate::event::{Event, EventKind};
use crate::machine::{Command, Config, StateName, Status};
use crate::member::MemberId;
use crate::policy::{Policy, Timing};
use crate::records::{RequestKind, RequestOutcome};

use super::events::{EventSource, EventStream, Streamed};
use super::files::FilestoreReport;
use super::lanes::Spawner;

/// On top of what a wish itself may take: reading and writing the store, and that another member may have to do it.
const REQUEST_EXTRA: Duration = Duration::from_secs(5);

/// A running node. Clones are the same node.
///
/// Dropping handles, even the last one, does **not** end the node: it goes on until [`shutdown`](Self::shutdown) or the end of the
/// process. The end of the process without a shutdown is like a crash of the agent: the database goes on, an armed watchdog
/// makes the node harmless when leadership ends, and the other members take over.
///
/// The async methods work on any executor, and none of them is needed for the node to go on: a blocked executor delays
/// nothing but the caller. Dropping one of their futures takes nothing back: what was asked for may still be done.
#[derive(Clone, Debug)]
pub struct HaHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) incarnation: u64,
    pub(super) next_request: AtomicU64,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) files: watch::Receiver<Option<FilestoreReport>>,
    pub(super) events: EventSource,
    pub(super) kill: Arc<Notify>,
    pub(super) control: Spawner,
    /// As changed by the handle since.
    pub(super) config: Mutex<Config>,
}

impl HaHandle {
    pub(super) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// A picture of the member now; after the node's end, the last one. Never waits.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// How far the copy of the files is, as the filestore last said; after the node's end, the last answer. `None` without a filestore, and until the
    /// first answer. Never waits. Beside the [`status`](Self::status), not in it: the filestore is asked every 5 s, and no decision hangs on it.
    pub fn filestore(&self) -> Option<FilestoreReport> {
        self.shared.files.borrow().clone()
    }

    /// Pictures of the member, as it changes.
    pub fn status_changes(&self) -> StatusChanges {
        let mut receiver = self.shared.status.clone();
        receiver.mark_changed();
        StatusChanges { receiver }
    }

    /// The events of this member from now on.
    pub fn events(&self) -> EventStream {
        self.shared.events.stream()
    }

    /// Hands leadership over without loss, to this member or, with `None`, to the best. May be asked of any member.
    ///
    /// # Errors
    ///
    /// `NotReady` when it was refused, with the reason; `Unknown` when there was no answer in time: it may still happen.
    pub async fn switchover(&self, target: Option<MemberId>) -> Result<(), Error> {
        let timing = self.config().timing;
        let limit = timing.switchover_timeout + timing.promote_timeout + timing.ttl * 2;
        self.request(RequestKind::Switchover { target }, limit).await
    }

    /// Makes this member leader though the present leader cannot hand over. `accept_data_loss` says that acknowledged commits may be
    /// lost.
    ///
    /// # Errors
    ///
    /// As [`switchover`](Self::switchover).
    pub async fn failover(&self, target: MemberId, accept_data_loss: bool) -> Result<(), Error> {
        let timing = self.config().timing;
        let limit = timing.promote_timeout + timing.ttl * 3;
        self.request(RequestKind::Failover { target, accept_data_loss }, limit).await
    }

    /// Suspends automatic failover in the whole cluster.
    ///
    /// # Errors
    ///
    /// As [`switchover`](Self::switchover).
    pub async fn pause(&self) -> Result<(), Error> {
        let limit = self.config().timing.ttl * 3;
        self.request(RequestKind::Pause, limit).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    ///
    /// As [`switchover`](Self::switchover).
    pub async fn resume(&self) -> Result<(), Error> {
        let limit = self.config().timing.ttl * 3;
        self.request(RequestKind::Resume, limit).await
    }

    /// Replaces this member's data by a fresh copy of the leader's. Returns once the member knows it; events tell how it goes.
    ///
    /// # Errors
    ///
    /// `NotReady` when the node has ended.
    pub async fn reinit(&self) -> Result<(), Error> {
        self.command(Command::Reinit).await
    }

    /// Takes what the store shows for true, though it is older than what this member remembers (a restored store). Returns once the
    /// member knows it.
    ///
    /// # Errors
    ///
    /// `NotReady` when the node has ended.
    pub async fn recover(&self) -> Result<(), Error> {
        self.command(Command::Recover).await
    }

    /// Strives for something else from now on, on this member. Where the cluster's policy stands in the store it has no effect:
    /// [`change_policy`](super::change_policy) changes that.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when it is none that can be striven for; `NotReady` when the node has ended.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), Error> {
        policy.check()?;
        self.command(Command::SetPolicy(policy)).await?;
        self.change_config(|config| config.policy = policy);
        Ok(())
    }

    /// Whether [`set_timing`](Self::set_timing) would take these times, for who changes several things and wants all or none.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when they break a rule, with the inequality.
    pub fn check_timing(&self, timing: Timing) -> Result<(), Error> {
        let mut changed = self.config();
        changed.timing = timing;
        changed.check()
    }

    /// Uses other times from now on, on this member.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when they break a rule, with the inequality; `NotReady` when the node has ended.
    pub async fn set_timing(&self, timing: Timing) -> Result<(), Error> {
        self.check_timing(timing)?;
        self.command(Command::SetTiming(timing)).await?;
        self.change_config(|config| config.timing = timing);
        Ok(())
    }

    /// Leaves in good order and ends the node: hands over if this member leads and somebody can take it, leaves the synchronous set,
    /// stops the database if `stop_database` (a leader's is always stopped, unless nobody can take over and this is `false`), tells the
    /// notifiers, and lets the threads end. Returns when that is done; asking again, or of a node that has ended, is `Ok`.
    ///
    /// There is no deadline: how long it takes is bounded by the times in [`Timing`]. A store that does not answer is waited for twice `ttl` and
    /// `standby_timeout` at most; leadership that it could not be told the end of ends by itself. Whoever cannot wait drops the future and
    /// calls [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// `Unknown` when the node ended before it had left in good order.
    pub async fn shutdown(&self, stop_database: bool) -> Result<(), Error> {
        // Refused only by a node that has ended already: its last status tells how.
        let _ = self.shared.commands.send(Command::Shutdown { stop_database }).await;
        self.ended().await;
        if self.shared.status.borrow().state == StateName::Stopped {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unknown, "the node ended before it had left in good order")
            .hint("look at its log; the database may still run"))
    }

    /// Ends the node at once, without leaving: what the death of the agent's process does. Calls under way are dropped, the database goes
    /// on, the address stays, leadership ends by itself after `ttl`. For tests, and for an agent that restarts itself.
    pub fn kill(&self) {
        self.shared.kill.notify_one();
    }

    /// Returns when the node has ended, however that came, and everything that it does at its end is done. Cancel-safe.
    pub async fn ended(&self) {
        let mut status = self.shared.status.clone();
        while status.changed().await.is_ok() {}
    }

    fn config(&self) -> Config {
        self.shared.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change_config(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.shared.config.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.shared.commands.send(command).await.map_err(|_| has_ended())
    }

    async fn request(&self, kind: RequestKind, limit: Duration) -> Result<(), Error> {
        let number = self.shared.next_request.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{:016x}-{number}", self.status().member, self.shared.incarnation);
        // Looked at from before the wish is told: its answer cannot be missed.
        let (status, events) = (self.shared.status.clone(), self.shared.events.stream());
        self.command(Command::Request { id: id.clone(), kind }).await?;
        let limit = limit + REQUEST_EXTRA;
        let (tell, told) = oneshot::channel();
        // The deadline runs on the node's own thread: the caller's executor need not be tokio's.
        self.shared.control.spawn(async move {
            let outcome = tokio::time::timeout(limit, answer(status, events, &id)).await;
            let late = || {
                Err(Error::new(ErrorKind::Unknown, format!("the request was not answered within {limit:?}"))
                    .hint("it may still be done; look at the status of the cluster and ask again"))
            };
            let _ = tell.send(outcome.unwrap_or_else(|_| late()));
        });
        told.await.unwrap_or_else(|_| Err(has_ended()))
    }
}

/// Waits for the answer to the request of this id.
async fn answer(mut status: watch::Receiver<Status>, mut events: EventStream, id: &str) -> Result<(), Error> {
    let mut seen = false;
    loop {
        match &status.borrow_and_update().request {
            Some(request) if request.id == id => match &request.outcome {
                RequestOutcome::Pending => seen = true,
                RequestOutcome::Done => return Ok(()),
                RequestOutcome::Refused(why) => return Err(refused(why)),
            },
            Some(_) | None if seen => {
                return Err(Error::new(ErrorKind::Unknown, "another request took the place of this one")
                    .hint("one at a time; look at the status of the cluster and ask again"));
            }
            Some(_) | None => {}
        }
        tokio::select! {
            biased;
            changed = status.changed() => changed.map_err(|_| has_ended())?,
            // A wish that this member refuses itself never comes to the store.
            event = events.next(), if !seen => match event {
                Some(Streamed::Event(Event { kind: EventKind::RequestRefused { id: Some(refused_id), why }, .. }))
                    if refused_id == id =>
                {
                    return Err(refused(&why));
                }
                Some(_) => {}
                None => return Err(has_ended()),
            },
        }
    }
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::NotReady, why)
}

fn has_ended() -> Error {
    Error::new(ErrorKind::NotReady, "the node has ended").hint("spawn it anew")
}

/// Pictures of a member, as it changes. Who reads slowly misses some, never the last.
#[derive(Clone, Debug)]
pub struct StatusChanges {
    receiver: watch::Receiver<Status>,
}

impl StatusChanges {
    /// The next picture, the first time the present one; `None` once the node has ended. Cancel-safe. Any executor will do.
    pub async fn next(&mut self) -> Option<Status> {
        self.receiver.changed().await.ok()?;
        Some(self.receiver.borrow_and_update().clone())
    }
}
