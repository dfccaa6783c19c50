//! The calls that are under way: exactly one answer for each action, whatever becomes of the call.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::database::DatabaseOrder;
use crate::error::{ErrorKind, Failure};
use crate::machine::{Action, Answer, CallId, Order};
use crate::time::Moment;

use super::lanes::{NodeLanes, Place};
use super::perform::{Hands, absent, place_of, verb};

/// How much longer than its timeout a call may take before it is dropped: a role that keeps its deadline answers with more
/// than "no answer".
const GRACE: Duration = Duration::from_millis(50);

/// Most calls of one kind under way, those included that were answered with "no answer" and still block their thread. The
/// machine has a handful; more means that a thread is blocked, and then further ones would only wait.
const MAX_CALLS: usize = 32;

/// How long the end of a node waits for the calls that it dropped.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// Longest text of a panic that is passed on, in characters.
const MAX_PANIC_CHARS: usize = 300;

/// What an answer is of, where that matters beyond the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// A read of the store.
    Read,
    /// An order to the database that another may take the place of.
    DatabaseOrder,
    /// Arming the watchdog.
    Arm,
    /// Disarming it.
    Disarm,
    /// Anything else.
    Other,
}

impl Duty {
    const fn of(order: &Order) -> Self {
        match order {
            Order::Read => Self::Read,
            Order::ArmWatchdog { .. } => Self::Arm,
            Order::DisarmWatchdog => Self::Disarm,
            Order::Database(DatabaseOrder::Observe) => Self::Other,
            Order::Database(_) => Self::DatabaseOrder,
            Order::Commit(_)
            | Order::Remember(_)
            | Order::AttachAddress { .. }
            | Order::DetachAddress
            | Order::LookAtAddress
            | Order::StartServices { .. }
            | Order::StopServices
            | Order::LeadFilestore { .. }
            | Order::FollowFilestore { .. }
            | Order::RestFilestore
            | Order::AskMember { .. }
            | Order::AnswerMember { .. }
            | Order::FeedWatchdog { .. } => Self::Other,
        }
    }
}

/// The answer to an action.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: CallId,
    pub(super) duty: Duty,
    pub(super) result: Result<Answer, Failure>,
}

#[derive(Debug)]
struct Live {
    id: CallId,
    duty: Duty,
    place: Place,
    verb: &'static str,
    timeout: Duration,
    /// When it is answered without waiting any longer.
    deadline: Moment,
    task: AbortHandle,
    /// The machine has its answer; the task may still be there.
    answered: bool,
}

/// The calls that are under way.
#[derive(Debug)]
pub(super) struct Calls {
    hands: Hands,
    lanes: Arc<NodeLanes>,
    running: JoinSet<Result<Answer, Failure>>,
    live: Vec<Live>,
    answers: VecDeque<Ended>,
}

impl Calls {
    pub(super) fn new(hands: Hands, lanes: Arc<NodeLanes>) -> Self {
        Self { hands, lanes, running: JoinSet::new(), live: Vec::new(), answers: VecDeque::new() }
    }

    /// Begins a call. An order to the database that may take the place of another first drops that: the machine gives no second one otherwise.
    pub(super) fn begin(&mut self, action: Action, now: Moment) {
        let (id, place, duty) = (action.id, place_of(&action.order), Duty::of(&action.order));
        let takes_a_place = match &action.order {
            Order::Database(DatabaseOrder::Freeze | DatabaseOrder::Follow(_)) => true,
            _ => place == Place::DatabaseStop,
        };
        if takes_a_place {
            self.drop_database_orders(verb(&action.order));
        }
        let lanes = self.lanes.clone();
        let Some(lane) = lanes.at(place) else {
            self.answers.push_back(Ended { id, duty, result: Err(absent("such part")) });
            return;
        };
        self.reap();
        if self.live.iter().filter(|live| live.place == place).count() >= MAX_CALLS {
            let message = format!("{} was not begun: {MAX_CALLS} calls before it have not ended", verb(&action.order));
            self.answers.push_back(Ended { id, duty, result: Err(Failure::new(ErrorKind::Unavailable, message)) });
            return;
        }
        let (verb, timeout) = (verb(&action.order), action.timeout);
        let call = self.hands.clone().perform(action, now);
        let task = lane.spawn_in(&mut self.running, call);
        let deadline = now + timeout + GRACE;
        self.live.push(Live { id, duty, place, verb, timeout, deadline, task, answered: false });
    }

    /// Answers what is past its deadline.
    pub(super) fn expire(&mut self, now: Moment) {
        for live in self.live.iter_mut().filter(|live| !live.answered && live.deadline <= now) {
            live.task.abort();
            live.answered = true;
            let kind = if live.duty == Duty::Read { ErrorKind::Unavailable } else { ErrorKind::Unknown };
            let message = format!("no answer within {:?}: {}", live.timeout, live.verb);
            self.answers.push_back(Ended { id: live.id, duty: live.duty, result: Err(Failure::new(kind, message)) });
        }
    }

    /// When [`expire`](Self::expire) has something to do, at the latest.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.live.iter().filter(|live| !live.answered).map(|live| live.deadline).min()
    }

    /// Whether everything has been answered.
    pub(super) fn idle(&self) -> bool {
        self.answers.is_empty() && self.live.iter().all(|live| live.answered)
    }

    /// The next answer. Never resolves while there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> Ended {
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return answer;
            }
            let Some(joined) = self.running.join_next_with_id().await else { std::future::pending().await };
            if let Some(ended) = self.joined(joined) {
                return ended;
            }
        }
    }

    /// Drops all calls, and waits a little until they are gone: one that blocks its thread goes when it does.
    pub(super) async fn close(mut self) {
        let _ = tokio::time::timeout(CLOSE_WAIT, self.running.shutdown()).await;
    }

    /// Takes what has ended by now.
    fn reap(&mut self) {
        while let Some(joined) = self.running.try_join_next_with_id() {
            if let Some(ended) = self.joined(joined) {
                self.answers.push_back(ended);
            }
        }
    }

    fn joined(&mut self, joined: Result<(Id, Result<Answer, Failure>), JoinError>) -> Option<Ended> {
        match joined {
            Ok((task, result)) => self.settle(task, |_| result),
            Err(error) => self.settle(error.id(), |verb| Err(broken(verb, error))),
        }
    }

    fn settle(&mut self, task: Id, result: impl FnOnce(&str) -> Result<Answer, Failure>) -> Option<Ended> {
        let at = self.live.iter().position(|live| live.task.id() == task)?;
        let live = self.live.remove(at);
        (!live.answered).then(|| Ended { id: live.id, duty: live.duty, result: result(live.verb) })
    }

    fn drop_database_orders(&mut self, taken_by: &str) {
        // The newest first: what waits for its turn must be gone before the one that runs gives the turn back.
        for live in self.live.iter_mut().rev().filter(|live| !live.answered && live.duty == Duty::DatabaseOrder) {
            live.task.abort();
            live.answered = true;
            let message = format!("the order to {taken_by} took its place: {}", live.verb);
            let failure = Failure::new(ErrorKind::Unknown, message);
            self.answers.push_back(Ended { id: live.id, duty: live.duty, result: Err(failure) });
        }
    }
}

fn broken(verb: &str, error: JoinError) -> Failure {
    let message = match error.try_into_panic() {
        Ok(panic) => format!("{verb}: the backend panicked: {}", panic_text(&*panic)),
        Err(_) => format!("{verb}: its thread was shut down"),
    };
    Failure::new(ErrorKind::Unknown, message)
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)");
    text.chars().take(MAX_PANIC_CHARS).collect()
}
