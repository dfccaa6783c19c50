//! Leadership: watching the database, and when to step down.

use std::collections::BTreeSet;

use super::giving_up::GivingUp;
use super::state::State;
use super::{Cause, Machine};
use crate::event::EventKind;
use crate::member::MemberId;
use crate::policy::OnDatabaseDeath;
use crate::records::ElectionRule;

impl Machine {
    /// Whether leadership ends now, or soon: then everything is stopped before it does (rules 1 and 2).
    pub(super) fn step_down_if_due(&mut self) -> bool {
        let leads = match &self.state {
            State::Bootstrapping | State::Promoting | State::Leading => true,
            State::HandingOver(hand_over) => !hand_over.is_committing() || self.reign.as_ref().is_some_and(|r| r.lost),
            _ => false,
        };
        if !leads {
            return false;
        }
        if let Some(broken) = self.broken_invariant.take() {
            let sentence = format!("a rule did not hold: {broken}");
            self.tell(EventKind::InvariantBroken { which: broken.clone() }, sentence);
            self.give_up(&broken, Cause::InvariantBroken);
            return true;
        }
        let Some(reign) = &self.reign else { return false };
        if reign.lost {
            self.give_up("the leader record is another's", Cause::LeadershipLost);
            return true;
        }
        if reign.give_up_at() <= self.now {
            self.give_up("leadership could not be renewed in time", Cause::RenewalFailed);
            return true;
        }
        let unguarded = self.watchdog_missing_since().is_some_and(|since| self.now.since(since) >= reign.leader.ttl());
        if unguarded && matches!(self.state, State::Leading) && !reign.paused {
            self.give_up("the watchdog is lost and cannot be armed again", Cause::WatchdogLost);
            return true;
        }
        false
    }

    pub(super) fn give_up(&mut self, why: &str, cause: Cause) {
        let belief_ends = self.reign.as_ref().map_or(self.now, super::reign::Reign::belief_ends);
        let reason = why.to_owned();
        self.tell(EventKind::LeadershipGivenUp { reason: reason.clone() }, format!("leadership is given up: {reason}"));
        let renews = matches!(cause, Cause::DatabaseFailed | Cause::PromotionFailed | Cause::ShutdownAsked);
        if let Some(reign) = &mut self.reign {
            reign.plan = None;
        }
        self.go(State::GivingUp(GivingUp::new(cause, renews, self.now, belief_ends)), cause);
        self.refusal = Some(reason);
    }

    pub(super) fn leading(&mut self) -> bool {
        let Some(reign) = &self.reign else { return false };
        if reign.needs_start {
            self.start_primary();
            return false;
        }
        if self.answer_requests() {
            return true;
        }
        self.change_standbys();
        self.keep_slots();
        false
    }

    /// The database died or hangs: leadership is released when another can take it, or the database is restarted in place.
    pub(super) fn database_failed(&mut self, why: &str) {
        let synchronous = self.view.sync.as_ref().is_some_and(|s| s.record.rule == ElectionRule::Synchronous);
        let release = match self.config.policy.on_database_death {
            OnDatabaseDeath::Auto => synchronous,
            OnDatabaseDeath::Release => true,
            OnDatabaseDeath::Restart => false,
        };
        let paused = self.reign.as_ref().is_some_and(|reign| reign.paused);
        let exhausted = self.reign.as_ref().is_some_and(|reign| reign.restarts >= self.config.policy.restarts);
        // What a store that forgot shows of others means nothing.
        let another = self.store_is_usable() && self.others_suffice();
        if !paused && another && (release || exhausted) {
            self.give_up(why, Cause::DatabaseFailed);
            return;
        }
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.needs_start = true;
            reign.announced = false;
            reign.restarts += 1;
            reign.next_renewal = now;
        }
        self.following = None;
    }

    /// Whether the others could elect one of them if leadership were free now, without this member's copy.
    fn others_suffice(&self) -> bool {
        let Some(sync) = self.view.sync.as_ref().map(|seen| &seen.record) else { return false };
        let electable = self.electable_others();
        let data = |member: &MemberId| self.view.members.get(member).and_then(|seen| seen.record.data.clone());
        let voters = electable.into_iter().filter_map(|member| data(&member).map(|data| (member, data))).collect();
        sync.admits(&voters)
    }

    /// Who could be elected if leadership were free now, as far as the record and the database tell.
    pub(super) fn electable_others(&self) -> BTreeSet<MemberId> {
        let Some(sync) = self.view.sync.as_ref().map(|seen| &seen.record) else { return BTreeSet::new() };
        self.view
            .members
            .iter()
            .filter(|(member, seen)| {
                let record = &seen.record;
                *member != self.me()
                    && !record.tags.nofailover
                    && !record.leaving
                    && record.data.is_some()
                    && match sync.rule {
                        ElectionRule::Synchronous => sync.names.get(*member) == record.data.as_ref(),
                        ElectionRule::Asynchronous => record.streams_from.as_ref() == Some(self.me()),
                    }
            })
            .map(|(member, _)| member.clone())
            .collect()
    }

    /// Standbys that stream from this member, by its database.
    pub(super) fn streaming_standbys(&self) -> BTreeSet<MemberId> {
        let Some(database) = &self.database else { return BTreeSet::new() };
        let streaming = database.standbys.iter().filter(|(_, standby)| standby.streaming);
        streaming.map(|(member, _)| member.clone()).collect()
    }
}
