//! Switchover: checkpoint, address and services off, fast shutdown, hand over by name (protocol rule 40).

use std::time::Duration;

use super::reign::Purpose;
use super::state::State;
use super::{Cause, Machine};
use crate::database::{DatabaseOrder, StopMode, Stopped};
use crate::error::Failure;
use crate::event::EventKind;
use crate::lsn::Lsn;
use crate::member::MemberId;
use crate::records::{PlannedHandOver, RequestOutcome};
use crate::time::Moment;

/// How long the target may take to report that it has the shutdown checkpoint, which it was sent before the database exited.
const TARGET_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time of the checkpoint that makes the shutdown quick.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(60);

/// How far a switchover is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// Users are still served.
    Checkpoint,
    /// Address and services are going.
    Clearing,
    /// The database is shutting down.
    Stopping,
    /// The database has stopped; the target is asked for its end.
    Announcing { shutdown: Lsn, since: Moment },
    /// The record is being given to the target.
    Committing { shutdown: Lsn },
    /// It took too long: the database is stopped for certain, then started again.
    Aborting,
}

/// A switchover under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HandOver {
    target: MemberId,
    step: Step,
    since: Moment,
}

impl HandOver {
    pub(super) fn is_committing(&self) -> bool {
        matches!(self.step, Step::Committing { .. })
    }

    /// Whether users are still served.
    pub(super) fn serves(&self) -> bool {
        matches!(self.step, Step::Checkpoint)
    }
}

impl Machine {
    pub(super) fn begin_hand_over(&mut self, target: MemberId) -> bool {
        let sentence = format!("a switchover to {target} begins");
        self.tell(EventKind::SwitchoverStarted { target: Some(target.clone()) }, sentence);
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.plan = Some(PlannedHandOver { target: target.clone(), shutdown: None });
            reign.next_renewal = now;
        }
        self.go(State::HandingOver(HandOver { target, step: Step::Checkpoint, since: now }), Cause::SwitchoverAsked);
        true
    }

    fn hand_over_step(&mut self, to: Step) {
        if let State::HandingOver(hand_over) = &mut self.state {
            hand_over.step = to;
        }
    }

    pub(super) fn handing_over(&mut self) -> bool {
        let State::HandingOver(hand_over) = self.state.clone() else { return false };
        match hand_over.step {
            Step::Checkpoint => {
                // A target attaches at once: the wait for an older belief is not handed over, it ends here (protocol rules 35 and 42).
                let others_are_harmless = self.reign.as_ref().is_none_or(|reign| reign.not_before <= self.now);
                if self.running.is_none() && others_are_harmless {
                    self.order(DatabaseOrder::Checkpoint, CHECKPOINT_TIMEOUT);
                    let now = self.now;
                    if let State::HandingOver(hand_over) = &mut self.state {
                        hand_over.since = now;
                    }
                }
            }
            Step::Clearing => {
                if self.faces.are_down() {
                    self.hand_over_step(Step::Stopping);
                    return true;
                }
                if self.now.since(hand_over.since) > self.config.timing.switchover_timeout {
                    return self.fail_hand_over("the address or a service could not be taken down");
                }
            }
            Step::Stopping => {
                let timeout = self.config.timing.switchover_timeout;
                if !self.stop_is_running() {
                    self.order(DatabaseOrder::Stop(StopMode::Fast), timeout);
                }
            }
            Step::Announcing { shutdown, since } => {
                let has_it = self.view.members.get(&hand_over.target).is_some_and(|seen| seen.record.lsn >= shutdown);
                let settled = self.reign.as_ref().is_some_and(|reign| reign.attempts.all().next().is_none());
                if has_it && settled && self.store_is_usable() {
                    self.hand_over_step(Step::Committing { shutdown });
                    self.answer_request(RequestOutcome::Done);
                    self.write_leader(Purpose::HandOver, Some((&hand_over.target, shutdown)));
                } else if self.now.since(since) > TARGET_TIMEOUT {
                    return self.fail_hand_over("the target did not report the shutdown checkpoint");
                }
            }
            Step::Committing { shutdown } => {
                let again = self
                    .reign
                    .as_ref()
                    .is_some_and(|reign| reign.attempts.under_way.is_none() && reign.next_renewal <= self.now);
                if again && self.store_is_usable() {
                    self.write_leader(Purpose::HandOver, Some((&hand_over.target, shutdown)));
                }
            }
            Step::Aborting => {
                if !self.stop_is_running() && self.stop_again_at <= self.now {
                    let timeout = self.config.timing.switchover_timeout;
                    self.order(DatabaseOrder::Stop(StopMode::AtOnce { fast_for_ms: 0 }), timeout);
                }
            }
        }
        false
    }

    pub(super) fn checkpointed(&mut self, failure: Option<Failure>) {
        let State::HandingOver(hand_over) = &mut self.state else { return };
        if hand_over.step != Step::Checkpoint {
            return;
        }
        match failure {
            None => {
                hand_over.step = Step::Clearing;
                hand_over.since = self.now;
            }
            Some(failure) => {
                self.fail_hand_over(&format!("no checkpoint could be written: {failure}"));
            }
        }
    }

    pub(super) fn hand_over_stopped(&mut self, _mode: StopMode, stopped: &Stopped) {
        let State::HandingOver(hand_over) = &self.state else { return };
        match hand_over.step {
            Step::Stopping if stopped.clean => {
                let target = hand_over.target.clone();
                let (shutdown, now) = (stopped.lsn, self.now);
                self.hand_over_step(Step::Announcing { shutdown, since: now });
                if let Some(reign) = &mut self.reign {
                    reign.plan = Some(PlannedHandOver { target, shutdown: Some(shutdown) });
                    reign.next_renewal = now;
                }
            }
            Step::Stopping => {
                self.fail_hand_over("the database did not stop cleanly");
            }
            Step::Aborting => {
                self.fail_hand_over("the database did not shut down in time");
            }
            Step::Checkpoint | Step::Clearing | Step::Announcing { .. } | Step::Committing { .. } => {}
        }
    }

    /// The shutdown took too long (a slow standby holds it): it is cut short, and this member leads on.
    pub(super) fn hand_over_not_stopped(&mut self) {
        self.hand_over_step(Step::Aborting);
    }

    /// The switchover is off; this member leads on under its unbroken leadership.
    fn fail_hand_over(&mut self, why: &str) -> bool {
        let stopped = self.database.as_ref().is_some_and(|database| !database.state.runs());
        self.call_off_hand_over(why, stopped)
    }

    /// The same; `needs_start`: the database was stopped for it.
    pub(super) fn call_off_hand_over(&mut self, why: &str, needs_start: bool) -> bool {
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.plan = None;
            reign.hand_over_failed = true;
            reign.needs_start = needs_start;
            reign.announced = false;
            reign.next_renewal = now;
        }
        self.answer_request(RequestOutcome::Refused(why.to_owned()));
        self.go(State::Leading, Cause::SwitchoverFailed);
        true
    }
}
