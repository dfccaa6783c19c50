//! What the database needs besides its role: that it never is primary without leadership behind it, and slots for every member.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Machine;
use super::state::State;
use crate::database::{DatabaseOrder, DatabaseState, StopMode};
use crate::member::MemberId;
use crate::time::Moment;

/// A database found running as primary by an agent that cannot reach the store is left alone this long at most.
const UNCONFIRMED_PRIMARY: Duration = Duration::from_secs(2);
/// Longest time to stop the database or to change its slots; what hangs longer is tried again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often slots are looked after although no member came or went: a standby's must follow its replay, or they keep all log, and one that has
/// lost its log must be made anew.
const SLOTS_INTERVAL: Duration = Duration::from_secs(60);

/// What is known of the slots, and since when the database is looked after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Upkeep {
    pub(super) slots: Option<BTreeSet<MemberId>>,
    pub(super) slots_again_at: Moment,
    slots_kept_at: Moment,
    born: Moment,
}

impl Upkeep {
    pub(super) fn new(now: Moment) -> Self {
        Self { slots: None, slots_again_at: now, slots_kept_at: now, born: now }
    }
}

impl Machine {
    pub(super) fn tend_database(&mut self) {
        self.stop_unled_primary();
        if matches!(self.state, State::Following) {
            self.keep_slots();
        }
    }

    /// A database that runs as primary without leadership behind it is stopped (rule 5).
    fn stop_unled_primary(&mut self) {
        let primary = self.database.as_ref().is_some_and(|database| database.state == DatabaseState::Primary);
        let leads = self.reign.is_some() && !matches!(self.state, State::Resuming);
        if !primary || leads || self.running.is_some() || self.stop_again_at > self.now {
            return;
        }
        let left_alone = self.left_alone();
        let unconfirmed = self.now.since(self.upkeep.born) >= left_alone;
        let stop = match self.state {
            State::Joining => unconfirmed && !self.store_is_usable(),
            State::Following => {
                let paused = self.view.leader.as_ref().is_some_and(|seen| seen.record.paused);
                let cluster = self.view.leader.is_some();
                // Pause leaves a database as it is, but not two of them.
                let others = self.view.holder().is_some_and(|holder| holder != self.me());
                if self.store_is_usable() { cluster && (!paused || others) } else { unconfirmed }
            }
            // It renews before it acts; until that is answered nobody's leadership is behind this database.
            State::Resuming => {
                let waited = self.reign.as_ref().map_or(Duration::ZERO, |reign| self.now.since(reign.began));
                let paused = self.reign.as_ref().is_some_and(|reign| reign.paused);
                waited >= left_alone && !paused
            }
            _ => false,
        };
        if stop {
            self.trouble("the database runs as primary but this member does not lead: it is stopped");
            self.order(DatabaseOrder::Stop(StopMode::AtOnce { fast_for_ms: 0 }), TIMEOUT);
        }
    }

    /// How long a primary is left alone whose leadership is not confirmed. Whoever led it before may have renewed just before this agent was started, no
    /// later: it has stopped before others may take over from that.
    fn left_alone(&self) -> Duration {
        let timing = &self.config.timing;
        UNCONFIRMED_PRIMARY.min(timing.ttl.saturating_sub(timing.stop_budget + timing.clock_margin))
    }

    /// Keeps a slot for every other member, so that what they need is still there when they come back.
    pub(super) fn keep_slots(&mut self) {
        let runs = self
            .database
            .as_ref()
            .is_some_and(|database| matches!(database.state, DatabaseState::Primary | DatabaseState::Standby));
        let busy = self.running.is_some() || self.upkeep.slots_again_at > self.now;
        if !runs || busy {
            return;
        }
        let mut members = self.view.others(&self.config.me);
        members.retain(|member| !self.cascades_from_another(member));
        let is_due = self.now.since(self.upkeep.slots_kept_at) >= SLOTS_INTERVAL;
        if is_due || self.upkeep.slots.as_ref() != Some(&members) {
            self.order(DatabaseOrder::KeepSlots(members), TIMEOUT);
        }
    }
    /// Whether this leader's log reaches that member through another one. A slot that it does not use would keep the log without end; what is kept
    /// for every member anyway is enough to come back with.
    fn cascades_from_another(&self, member: &MemberId) -> bool {
        let (Some(reign), Some(seen)) = (&self.reign, self.view.members.get(member)) else { return false };
        let record = &seen.record;
        let from = record.tags.replicate_from.as_ref().filter(|from| **from != self.config.me);
        from.is_some() && record.streams_from.as_ref() == from && record.data_term == reign.term
    }

    /// The slots are as these members need them.
    pub(super) fn slots_kept(&mut self, members: BTreeSet<MemberId>) {
        (self.upkeep.slots, self.upkeep.slots_kept_at) = (Some(members), self.now);
    }
}
