//! Following the leader, waiting for one, and noticing when there is none any more.

use std::time::Duration;

use super::action::CallId;
use super::{Cause, Machine};
use crate::database::{DatabaseOrder, DatabaseState, FollowOrder, Followed, FollowedBy, Upstream};
use crate::error::{ErrorKind, Failure};
use crate::event::EventKind;
use crate::records::{ElectionRule, LeaderRecord, Origin, RequestKind, RequestOutcome};
use crate::time::Moment;

/// Time between two tries to follow.
const FOLLOW_RETRY: Duration = Duration::from_millis(500);
/// How long a winner that could not be promoted leaves the next election to the others.
const EXCLUDED_FOR: Duration = Duration::from_secs(30);
/// Why a member does not stand for election though nobody leads (protocol rules 13 and 27).
const NEVER_LEADS: &str = "nobody leads and this member must not: it is tagged nofailover, in so many words or because its replay is delayed \
                           (recovery_min_apply_delay); start a member that may lead, or lift the tag and restart this agent";

impl Machine {
    pub(super) fn following(&mut self) -> bool {
        if self.leave_if_asked() {
            return true;
        }
        if !self.store_is_usable() || self.database.is_none() || self.foreign_data() {
            return false;
        }
        let Some(leader) = self.view.leader.as_ref().map(|seen| seen.record.clone()) else {
            return self.begin_cluster_if_allowed();
        };
        // A watchdog that was told to wait for ever is let go first: others count by the end that the record gives.
        let bounded = leader.paused || self.watchdog_is_bounded();
        if leader.holder.as_ref() == Some(self.me()) && bounded && self.may_resume(&leader) {
            self.resume();
            return true;
        }
        if self.beginner_is_silent(&leader) {
            return self.begin_cluster_again(&leader);
        }
        if let Some(cause) = self.suspicion_due(&leader) {
            return self.suspect(cause);
        }
        self.follow_leader(&leader);
        false
    }

    /// Nobody leads, and this member must not: it says so as long as that lasts.
    fn refuse_to_lead(&mut self, leader: &LeaderRecord) {
        let lost = self.suspicious_at(leader).is_some_and(|at| at <= self.now);
        if lost && self.config.tags.nofailover {
            self.refuse(NEVER_LEADS);
        } else if !lost && self.refusal.as_deref() == Some(NEVER_LEADS) {
            self.refusal = None;
        }
    }

    /// How long the watched version of the leader record has been unchanged.
    pub(super) fn silent_for(&self) -> Duration {
        self.watched.map_or(Duration::ZERO, |watch| self.now.since(watch.received))
    }

    /// Whether an operator asks this member to take over by force.
    pub(super) fn forced(&self) -> Option<bool> {
        let request = self.view.request.as_ref().map(|seen| &seen.record)?;
        match &request.kind {
            RequestKind::Failover { target, accept_data_loss }
                if request.outcome == RequestOutcome::Pending && target == self.me() =>
            {
                Some(*accept_data_loss)
            }
            _ => None,
        }
    }

    /// When the watched leader record may be taken for abandoned; `None`: never, as it stands.
    pub(super) fn suspicious_at(&self, leader: &LeaderRecord) -> Option<Moment> {
        let watch = self.watched?;
        let forced = self.forced().is_some();
        if leader.paused && !forced {
            return None;
        }
        if leader.holder.is_none() {
            return Some(watch.received);
        }
        let synchronous = self.view.sync.as_ref().is_some_and(|seen| seen.record.rule == ElectionRule::Synchronous);
        // Durability needs no clock, so the sender's will do; what hangs on belief counts from the receipt (protocol rules 11 and 42).
        let at = if synchronous && !forced { watch.sent + leader.suspicion() } else { watch.received + leader.ttl() };
        // What it promised a leader that could not reach the store, it keeps.
        Some(self.held_until(leader).map_or(at, |held| at.max(held)))
    }

    /// Whether this member is one that votes, whatever its data.
    pub(super) fn may_vote(&self, leader: &LeaderRecord) -> bool {
        let Some(database) = &self.database else { return false };
        let data_fit = match database.state {
            DatabaseState::Absent | DatabaseState::Unresponsive | DatabaseState::Primary => false,
            DatabaseState::StoppedCleanly
            | DatabaseState::Crashed
            | DatabaseState::Starting
            | DatabaseState::Standby => true,
        };
        data_fit
            && self.view.cluster.is_some()
            && !self.config.tags.nofailover
            && !self.reinit
            && !self.needs_discard
            && !self.is_excluded(leader)
    }

    /// Whether this member could not take up leadership that it had won, just now. When nobody else leads for long it tries again, and
    /// at once if an operator says so.
    pub(super) fn is_excluded(&self, leader: &LeaderRecord) -> bool {
        leader.excluded.contains(self.me()) && self.silent_for() < EXCLUDED_FOR && self.forced().is_none()
    }

    /// A wish to replace this member's data ends with the leader that they were to be copied from, unless they may be going already: nobody
    /// else might have what they have.
    fn keep_data_without_leader(&mut self, leader: &LeaderRecord) {
        let lost = self.suspicious_at(leader).is_some_and(|at| at <= self.now);
        if lost && self.reinit && !self.may_discard && self.may_freeze() {
            self.reinit = false;
            self.trouble(
                "no leader serves whose data could be copied: this member keeps its own; ask again once one does",
            );
        }
    }

    fn suspicion_due(&mut self, leader: &LeaderRecord) -> Option<Cause> {
        self.keep_data_without_leader(leader);
        self.refuse_to_lead(leader);
        if !self.may_freeze() || !self.may_vote(leader) || self.now < self.hold_off_until {
            return None;
        }
        let at = self.suspicious_at(leader)?;
        if self.now < at {
            return None;
        }
        Some(if leader.holder.is_none() { Cause::Vacant } else { Cause::LeaderSilent })
    }

    /// Makes the local database follow the holder, once that serves.
    fn follow_leader(&mut self, leader: &LeaderRecord) {
        let Some(holder) = leader.holder.clone() else { return };
        if holder == *self.me() {
            self.refuse(
                "the leader record names this member, but it does not remember that reign or lacks its data: it waits until the record may be taken over",
            );
            return;
        }
        if self.bound.is_some_and(|bound| leader.mark <= bound.mark) {
            self.refuse(
                "this member has voted against this very leader record: it receives nothing before it has seen a newer one",
            );
            return;
        }
        self.announce_streaming();
        if !leader.serving || !self.may_follow(leader.mark.term) || self.now < self.follow_again_at {
            return;
        }
        let runs = self.database.as_ref().is_some_and(|database| database.state == DatabaseState::Standby);
        if self.streams() {
            self.dry_since = self.now;
        }
        let upstream = self.pick_upstream(leader, &holder);
        let wanted = (leader.mark.term, upstream.clone());
        // A standby that is told to follow and gets nothing for long may have data that cannot: it is decided anew.
        let dry = self.now.since(self.dry_since) >= leader.ttl();
        if self.following.as_ref() == Some(&wanted) && runs && !self.reinit && !dry {
            return;
        }
        // What is followed is remembered first: a store that forgets must not lead back.
        if self.memo.mark.term < leader.mark.term {
            self.memo_wanted.mark = self.memo_wanted.mark.max(leader.mark);
            return;
        }
        if (self.needs_discard || self.reinit) && !self.may_discard {
            self.ask_to_discard();
            return;
        }
        let (Some(endpoint), Some(system_id)) =
            (self.view.endpoint(&upstream).cloned(), self.view.cluster.as_ref().map(|seen| seen.record.system_id))
        else {
            return;
        };
        let order = FollowOrder {
            term: leader.mark.term,
            upstream: Upstream { member: upstream, endpoint },
            timeline: leader.timeline,
            system_id,
            may_discard: self.may_discard,
            reclone: self.reinit,
            members: self.view.others(&self.config.me),
        };
        self.follow_began.get_or_insert(self.now);
        self.dry_since = self.now;
        self.streaming_announced = false;
        let timeout = self.config.timing.clone_timeout;
        self.order(DatabaseOrder::Follow(order), timeout);
    }

    fn announce_streaming(&mut self) {
        let Some((_, upstream)) = self.following.clone() else { return };
        if self.streaming_announced || !self.streams() {
            return;
        }
        self.streaming_announced = true;
        let sentence = format!("the database streams from {upstream}");
        self.tell(EventKind::Streaming { leader: upstream }, sentence);
    }

    /// Data may go only when no election counts on them: this member's record says so, and by a read begun after that its name is
    /// out of the sync record, and its vote is void because the leader record is newer than the one it named (protocol rule 30).
    fn ask_to_discard(&mut self) {
        let counted = self.counted();
        if counted {
            self.refuse(
                "this member's data must be replaced, but the sync record counts on them: it waits until the leader has dropped it",
            );
        }
        self.follow_again_at = self.after(FOLLOW_RETRY / 2);
        if counted {
            self.refresh();
        } else if self.is_known_to_leave() && !self.discard_read.is_some_and(|id| self.reads.contains_key(&id)) {
            self.discard_read = Some(self.read());
        }
    }

    pub(super) fn counted(&self) -> bool {
        self.view
            .sync
            .as_ref()
            .is_none_or(|seen| seen.record.names.contains_key(self.me()) || seen.record.leader == *self.me())
    }

    /// A read has ended while following.
    pub(super) fn follower_read(&mut self, id: CallId, succeeded: bool) {
        if self.discard_read != Some(id) {
            return;
        }
        self.discard_read = None;
        let newer = match (self.view.leader_ref(), self.memo.intent) {
            (Some(leader), Some(intent)) => leader.mark > intent.mark,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let wanted = self.needs_discard || self.reinit;
        if succeeded && wanted && self.store_is_usable() && newer && !self.counted() {
            self.may_discard = true;
            self.follow_again_at = self.now;
        }
    }

    pub(super) fn followed(&mut self, order: &FollowOrder, followed: &Followed) {
        let before = self.following.replace((order.term, order.upstream.member.clone()));
        let again = before == self.following && followed.by == FollowedBy::Nothing;
        self.dry_since = self.now;
        self.needs_discard = false;
        self.may_discard = false;
        self.false_alarms = 0;
        self.hold_off_until = self.now;
        self.refusal = None;
        if let Some(database) = &mut self.database {
            database.state = DatabaseState::Standby;
            database.upstream = Some(order.upstream.member.clone());
            database.streaming = false;
            database.data_id = Some(followed.data_id.clone());
            database.system_id = Some(order.system_id);
            database.term = order.term;
        }
        self.slots_kept(order.members.clone());
        if order.reclone {
            self.reinit = false;
        }
        let began = self.follow_began.take().unwrap_or(self.now);
        if again {
            // It got nothing for a while, and that is not the fault of its data: nothing new.
            return;
        }
        let duration_ms = self.now.since(began).as_millis() as u64;
        let leader = order.upstream.member.clone();
        let sentence = format!("the database follows {leader} after {duration_ms} ms");
        self.tell(EventKind::Rejoined { leader, by: followed.by, duration_ms }, sentence);
    }

    pub(super) fn follow_failed(&mut self, order: &FollowOrder, failure: &Failure) {
        self.follow_again_at = self.after(FOLLOW_RETRY);
        self.following = None;
        self.may_discard = false;
        if self.is_cascade(&order.upstream.member) {
            // Only the leader can show that data must go.
            self.upstream_failed(&order.upstream.member, &failure.to_string());
            return;
        }
        if failure.kind == ErrorKind::Diverged && !order.may_discard {
            self.needs_discard = true;
            self.follow_again_at = self.now;
            return;
        }
        let text = format!("the database does not follow {} yet: {failure}", order.upstream.member);
        match failure.kind {
            ErrorKind::Misconfigured | ErrorKind::Disk | ErrorKind::Denied | ErrorKind::Fenced => self.refuse(text),
            _ => self.trouble(text),
        }
    }

    /// Whether leadership that the record gives this member may be taken up without an election: it led in that very term, by its own
    /// memory; or it was handed over and has the data (protocol rules 6, 11, 40).
    fn may_resume(&self, leader: &LeaderRecord) -> bool {
        if self.running.is_some() || self.now < self.hold_off_until {
            return false;
        }
        let Some(database) = &self.database else { return false };
        if self.memo.led == leader.mark.term && leader.writer == *self.me() {
            return true;
        }
        match &leader.origin {
            Origin::HandOver { shutdown, .. } if leader.writer != *self.me() || self.memo.led < leader.mark.term => {
                database.state == DatabaseState::Standby && database.lsn >= *shutdown && !leader.serving
            }
            _ => false,
        }
    }
}
