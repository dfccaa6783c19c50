//! Orders to the local database, one at a time, and looking at it.

use std::time::Duration;

use super::Machine;
use super::action::{CallId, Order};
use super::input::Answer;
use super::state::State;
use crate::database::{DatabaseAnswer, DatabaseOrder, DatabaseState, DatabaseStatus, FollowOrder, StopMode, Stopped};
use crate::error::{ErrorKind, Failure};
use crate::event::EventKind;
use crate::term::Term;
use crate::time::Moment;

/// Longest time of one look at the database: a healthy one answers in milliseconds, and one that does not is hung.
const OBSERVE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two looks while something is waited for.
pub(super) const OBSERVE_SOON: Duration = Duration::from_millis(40);
/// So many looks in a row without an answer mean that the database hangs.
const MUTE_LIMIT: u32 = 3;

/// An order under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Running {
    pub(super) id: CallId,
    pub(super) order: DatabaseOrder,
    pub(super) since: Moment,
}

impl Machine {
    /// Gives an order if none is under way, or one that it takes the place of: a stop does of any other but a stop, a freeze and the order to
    /// follow a newer leader of one to follow that leaves the data as they are.
    pub(super) fn order(&mut self, order: DatabaseOrder, timeout: Duration) -> bool {
        let may = match &order {
            DatabaseOrder::Stop(_) => !self.stop_is_running(),
            DatabaseOrder::Freeze => self.may_freeze(),
            DatabaseOrder::Follow(follow) => self.may_follow(follow.term),
            DatabaseOrder::Observe
            | DatabaseOrder::Bootstrap(_)
            | DatabaseOrder::StartPrimary(_)
            | DatabaseOrder::Checkpoint
            | DatabaseOrder::Promote(_)
            | DatabaseOrder::SetSynchronous(_)
            | DatabaseOrder::KeepSlots(_) => self.running.is_none(),
        };
        if !may {
            return false;
        }
        let not_after = match &order {
            DatabaseOrder::StartPrimary(_) | DatabaseOrder::Promote(_) | DatabaseOrder::SetSynchronous(_) => {
                self.reign.as_ref().map(|reign| reign.give_up_at())
            }
            DatabaseOrder::Observe
            | DatabaseOrder::Bootstrap(_)
            | DatabaseOrder::Checkpoint
            | DatabaseOrder::Stop(_)
            | DatabaseOrder::Follow(_)
            | DatabaseOrder::Freeze
            | DatabaseOrder::KeepSlots(_) => None,
        };
        let id = self.call(Order::Database(order.clone()), timeout, not_after);
        self.running = Some(Running { id, order, since: self.now });
        true
    }

    /// Whether no order is under way but one to follow, of data that stay as they are: it may hang on its upstream for as long as a copy may
    /// take, and this member's vote does not wait for that.
    pub(super) fn may_freeze(&self) -> bool {
        self.running.is_none() || self.harmless_follow().is_some()
    }

    /// The same for the order to follow whoever leads in this term: one to follow an older leader may hang on a host that is gone.
    pub(super) fn may_follow(&self, term: Term) -> bool {
        self.running.is_none() || self.harmless_follow().is_some_and(|order| order.term < term)
    }

    /// The order to follow that is under way, if this member has data and they stay: dropped half-way, nothing is lost but time.
    fn harmless_follow(&self) -> Option<&FollowOrder> {
        let has_data = self.database.as_ref().is_some_and(|database| database.state.has_data());
        match &self.running.as_ref()?.order {
            DatabaseOrder::Follow(order) => (has_data && !order.may_discard && !order.reclone).then_some(order),
            _ => None,
        }
    }

    /// Whether the database has stopped or is being stopped.
    pub(super) fn stop_is_running(&self) -> bool {
        self.running.as_ref().is_some_and(|running| matches!(running.order, DatabaseOrder::Stop(_)))
    }

    pub(super) fn order_finished(&mut self, result: Result<Answer, Failure>) {
        let Some(Running { order, since, .. }) = self.running.take() else { return };
        self.next_observation = self.now;
        let answer = match result {
            Ok(Answer::Database(answer)) => Ok(answer),
            Ok(_) => {
                self.broken_invariant = Some("a database order was answered with something else".into());
                return;
            }
            Err(failure) => Err(failure),
        };
        let took = self.now.since(since);
        match (order, answer) {
            (DatabaseOrder::Stop(mode), Ok(DatabaseAnswer::Stopped(stopped))) => self.stopped(mode, &stopped),
            (DatabaseOrder::Stop(_), Err(failure)) => self.stop_failed(&failure),
            (DatabaseOrder::Freeze, Ok(DatabaseAnswer::Frozen(frozen))) => self.database_frozen(frozen),
            (DatabaseOrder::Freeze, Err(failure)) => self.freeze_failed(&failure),
            (DatabaseOrder::Follow(order), Ok(DatabaseAnswer::Followed(followed))) => {
                self.followed(&order, &followed);
            }
            (DatabaseOrder::Follow(order), Err(failure)) => self.follow_failed(&order, &failure),
            (DatabaseOrder::Promote(order), Ok(DatabaseAnswer::Promoted(promoted))) => {
                self.promoted(order.term, &order.synchronous, promoted, took);
            }
            (DatabaseOrder::Promote(_), Err(failure)) => self.promote_failed(&failure),
            (DatabaseOrder::StartPrimary(order), Ok(DatabaseAnswer::Started(started))) => {
                self.primary_started(&order, &started);
            }
            (DatabaseOrder::StartPrimary(_), Err(failure)) => self.start_failed(&failure),
            (DatabaseOrder::Bootstrap(_), Ok(DatabaseAnswer::Bootstrapped(made))) => self.bootstrapped(&made),
            (DatabaseOrder::Bootstrap(_), Err(failure)) => self.bootstrap_failed(&failure),
            (DatabaseOrder::SetSynchronous(order), Ok(_)) => self.synchronous_set(&order),
            (DatabaseOrder::SetSynchronous(order), Err(failure)) => self.synchronous_failed(&order, &failure),
            (DatabaseOrder::KeepSlots(members), Ok(_)) => self.slots_kept(members),
            (DatabaseOrder::KeepSlots(_), Err(failure)) => {
                self.upkeep.slots_again_at = self.after(Duration::from_secs(1));
                self.trouble(format!("replication slots could not be kept: {failure}"));
            }
            (DatabaseOrder::Checkpoint, answer) => self.checkpointed(answer.err()),
            (order, Ok(_)) => {
                self.broken_invariant = Some(format!("the order to {} was answered with something else", order.verb()));
            }
            (DatabaseOrder::Observe, Err(_)) => {}
        }
    }

    fn stopped(&mut self, mode: StopMode, stopped: &Stopped) {
        if let Some(database) = &mut self.database {
            database.state = if stopped.clean { DatabaseState::StoppedCleanly } else { DatabaseState::Crashed };
            database.lsn = database.lsn.max(stopped.lsn);
            database.streaming = false;
        }
        self.following = None;
        match &mut self.state {
            State::GivingUp(giving_up) => giving_up.stopped = Some(stopped.clone()),
            State::HandingOver(_) => self.hand_over_stopped(mode, stopped),
            _ => {}
        }
    }

    fn stop_failed(&mut self, failure: &Failure) {
        self.stop_again_at = self.after(Duration::from_millis(100));
        self.trouble(format!("the database could not be stopped in time: {failure}"));
        if let State::HandingOver(_) = self.state {
            self.hand_over_not_stopped();
        }
    }

    pub(super) fn observe_if_due(&mut self) {
        // What is waited for may have begun since the last look.
        self.next_observation = self.next_observation.min(self.after(self.observe_interval()));
        if self.observing.is_some() || self.now < self.next_observation {
            return;
        }
        let id = self.call(Order::Database(DatabaseOrder::Observe), OBSERVE_TIMEOUT, None);
        self.observing = Some(id);
        self.next_observation = self.after(self.observe_interval());
    }

    pub(super) fn observe_interval(&self) -> Duration {
        let soon = match &self.state {
            State::Following => {
                let wanted = self.view.leader.as_ref().and_then(|seen| seen.record.hand_over.as_ref());
                wanted.is_some_and(|plan| plan.target == *self.me()) || (self.following.is_some() && !self.streams())
            }
            State::Leading => self.reign.as_ref().is_some_and(|reign| !reign.announced) || self.waits_for_standbys(),
            State::HandingOver(_) | State::Promoting | State::Joining => true,
            _ => false,
        };
        let usual = self.config.timing.observe_interval;
        if soon { usual.min(OBSERVE_SOON) } else { usual }
    }

    /// Streams from the leader that it was told to follow.
    pub(super) fn streams(&self) -> bool {
        self.database.as_ref().is_some_and(|database| database.streaming)
    }

    pub(super) fn observed(&mut self, id: CallId, result: Result<Answer, Failure>) {
        match result {
            Ok(Answer::Database(DatabaseAnswer::Observed(status))) => {
                self.next_observation = self.next_observation.min(self.after(self.observe_interval()));
                self.take_status(status);
                self.recheck_observed(id, true);
            }
            Ok(_) => self.broken_invariant = Some("a look at the database was answered with something else".into()),
            Err(failure) => {
                self.recheck_observed(id, false);
                match failure.kind {
                    ErrorKind::Misconfigured | ErrorKind::Malformed | ErrorKind::Denied | ErrorKind::Disk => {
                        self.refuse(format!("the database cannot be read: {failure}"));
                    }
                    _ => {}
                }
                self.mute();
            }
        }
    }

    /// The database did not answer a look.
    fn mute(&mut self) {
        let leads = matches!(self.state, State::Leading);
        let Some(reign) = &mut self.reign else { return };
        reign.mute_observations += 1;
        if leads && self.running.is_none() && reign.mute_observations >= MUTE_LIMIT && !reign.needs_start {
            self.database_failed("the database does not answer a fresh connection");
        }
    }

    fn take_status(&mut self, status: DatabaseStatus) {
        for weakness in &status.weaknesses {
            if self.reported.insert(weakness.clone()) {
                let what = weakness.clone();
                self.tell(EventKind::OutsideThePromise { what: what.clone() }, what);
            }
        }
        let busy = self.running.is_some();
        let (state, look) = (status.state, (status.lsn, self.now));
        self.observed_at = self.now;
        self.database = Some(status);
        if state == DatabaseState::Unresponsive {
            self.mute();
            return;
        }
        if let Some(reign) = &mut self.reign {
            reign.mute_observations = 0;
        }
        let previous = self.last_look.replace(look).unwrap_or(look);
        self.watch_standbys(previous);
        self.note_who_says_it_streams();
        let should_be_primary = match &self.state {
            State::Leading => !busy,
            State::HandingOver(hand_over) => hand_over.serves(),
            _ => false,
        };
        if should_be_primary && (!state.runs() || state == DatabaseState::Standby) {
            self.database_exited();
        }
    }

    /// The process of the database is gone.
    pub(super) fn database_exited(&mut self) {
        self.following = None;
        if matches!(&self.state, State::HandingOver(hand_over) if hand_over.serves()) {
            // Nothing of it has begun yet: the address goes, and somebody is found to lead, as after any other death.
            self.call_off_hand_over("the database died", false);
        }
        let serving = matches!(self.state, State::Leading)
            && self.reign.as_ref().is_some_and(|reign| !reign.needs_start)
            && !self.stop_is_running();
        if serving {
            self.tell(EventKind::DatabaseDied, "the database died".into());
            self.database_failed("the database died");
        }
    }

    pub(super) fn clock_jumped(&mut self) {
        let set = self.config.timing;
        if let Some(reign) = &mut self.reign {
            // Leadership is unconfirmed until the store says otherwise: renew at once, and hold no longer than one
            // renewal may take (protocol rule 36).
            reign.next_renewal = self.now;
            reign.jumped_at = Some(self.now);
            let ttl = reign.leader.ttl();
            // By the times in force; those that are set now may be on their way.
            let in_force = reign.timing;
            let reserved = in_force.stop_budget + in_force.clock_margin;
            let kept = in_force.renew_interval.max(set.renew_interval) + reserved;
            reign.leave.clock_jumped(self.now, kept);
            if let Some(confirmed) = reign.confirmed
                && confirmed + ttl > self.now + kept
            {
                reign.confirmed = Some((self.now + kept).before(ttl));
            }
        }
        if let State::TakingOver(take_over) = &mut self.state
            && let Some(attempt) = &mut take_over.attempts.under_way
        {
            // Leadership that it may give is not counted from before the jump: it is renewed first.
            attempt.sent = Moment::ORIGIN;
        }
        self.watched = self.watched.map(|watch| watch.anew(self.now));
    }
}
