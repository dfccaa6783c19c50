//! Giving leadership up: address and services first, then the database, leadership last.

use std::time::Duration;

use super::reign::Purpose;
use super::state::State;
use super::{Cause, Machine};
use crate::database::{DatabaseOrder, StopMode, Stopped};
use crate::time::Moment;

/// A stop that has to make sure takes this long at most before it is repeated: SIGKILL needs no more.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Of an orderly give-up, how long the fast shutdown may take before it is cut short.
pub(super) const ORDERLY: Duration = Duration::from_secs(5);
/// What the immediate stop needs, reading where the log ends included.
const CUT_SHORT: Duration = Duration::from_millis(400);

/// A give-up under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GivingUp {
    pub(super) cause: Cause,
    /// Leadership is still believed and kept until everything is down.
    renews: bool,
    since: Moment,
    /// When everything must be down.
    by: Moment,
    pub(super) stopped: Option<Stopped>,
    again_at: Moment,
    /// Since when nothing is left but to tell the store.
    pub(super) releasing: Option<Moment>,
}

impl GivingUp {
    pub(super) fn new(cause: Cause, renews: bool, since: Moment, by: Moment) -> Self {
        Self { cause, renews, since, by, stopped: None, again_at: since, releasing: None }
    }

    pub(super) fn still_renews(&self) -> bool {
        self.renews && self.releasing.is_none()
    }
}

impl Machine {
    pub(super) fn giving_up(&mut self) -> bool {
        let State::GivingUp(giving_up) = self.state.clone() else { return false };
        if giving_up.stopped.is_none() {
            self.take_down(&giving_up);
            return false;
        }
        if self.faces.are_down() {
            self.disarm_watchdog();
        }
        let lost = self.reign.as_ref().is_none_or(|reign| reign.lost);
        if lost {
            self.reign = None;
            self.gave_up();
            return true;
        }
        let not_before = self.reign.as_ref().map_or(self.now, |reign| reign.not_before);
        if !self.faces.are_down() || not_before > self.now {
            // Whoever finds leadership vacant takes address and services at once (protocol rules 10 and 42): it is vacant only when they are
            // down here and cannot be anywhere else. Where they hang, silence must do.
            if self.now.since(giving_up.since) > self.config.timing.ttl
                && let State::GivingUp(giving_up) = &mut self.state
            {
                giving_up.renews = false;
            }
            return false;
        }
        // Everything is down: leadership is free as soon as the store can be told (protocol rule 10).
        if let State::GivingUp(giving_up) = &mut self.state {
            giving_up.releasing.get_or_insert(self.now);
        }
        let idle = self.reign.as_ref().is_some_and(|r| r.attempts.under_way.is_none() && r.next_renewal <= self.now);
        let first = giving_up.releasing.is_none()
            && self.reign.as_ref().is_some_and(|reign| reign.attempts.under_way.is_none());
        if (idle || first) && self.store_is_usable() {
            self.write_leader(Purpose::Release, None);
        }
        self.leave_unanswered()
    }

    fn take_down(&mut self, giving_up: &GivingUp) {
        if self.stop_is_running() || giving_up.again_at > self.now {
            return;
        }
        let dead = self.database.as_ref().is_some_and(|database| !database.state.runs());
        let third = self.config.timing.stop_budget / 3;
        let waited_enough = self.now.since(giving_up.since) >= third;
        if !dead && !self.faces.are_down() && !waited_enough {
            return;
        }
        let failed = giving_up.cause == Cause::DatabaseFailed || dead;
        // A leader that renews feeds its watchdog; any other must be harmless before that acts, which would kill its agent, too.
        let watchdog = if giving_up.still_renews() { None } else { self.config.watchdog };
        let reserved = CUT_SHORT + self.config.timing.clock_margin + watchdog.unwrap_or_default();
        let left = giving_up.by.since(self.now).saturating_sub(reserved);
        let fast_for = match giving_up.cause {
            _ if failed => Duration::ZERO,
            Cause::ShutdownAsked | Cause::PromotionFailed => ORDERLY.min(left.max(CUT_SHORT)),
            _ => left.min(ORDERLY),
        };
        let mode = StopMode::AtOnce { fast_for_ms: fast_for.as_millis() as u64 };
        if self.order(DatabaseOrder::Stop(mode), STOP_TIMEOUT + fast_for)
            && let State::GivingUp(giving_up) = &mut self.state
        {
            giving_up.again_at = self.now + Duration::from_millis(100);
        }
    }

    /// Leadership is free, or another's.
    pub(super) fn gave_up(&mut self) {
        let State::GivingUp(giving_up) = &self.state else { return };
        // Others first: this member had its chance, and its log may be longer than anybody can have.
        let wait = match giving_up.cause {
            Cause::LeadershipLost => Duration::ZERO,
            _ => self.config.timing.ttl,
        };
        self.hold_off_until = self.after(wait);
        self.follow_again_at = self.now;
        self.frozen = None;
        let reason = self.refusal.take();
        self.go(State::Following, Cause::GaveUp);
        self.refusal = reason;
    }
}
