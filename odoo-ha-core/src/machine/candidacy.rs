//! The way to leadership: suspect, freeze, vote, take over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::CallId;
use super::calls::{STORE_RETRY, WRITE_TIMEOUT};
use super::election::{self, Verdict};
use super::input::Answer;
use super::state::{FreezeStep, Recheck, State};
use super::{Cause, Machine};
use crate::database::{DatabaseOrder, DatabaseState};
use crate::error::Failure;
use crate::event::EventKind;
use crate::lsn::Lsn;
use crate::member::MemberId;
use crate::records::{ElectionRule, LeaderRef, VoteRecord, encode};
use crate::store::{Commit, Guard, Key};
use crate::term::Term;
use crate::time::Moment;

/// Longest time of a freeze; it is usually done in 0.2 s, and after half of it the database is restarted to get it done.
pub(super) const FREEZE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a better voter is waited for to take what it may, and how long known members are waited for to vote.
const PATIENCE: Duration = Duration::from_millis(1500);
const GRACE: Duration = Duration::from_millis(250);
/// First back-off after a suspicion that was false; it doubles.
const BACK_OFF: Duration = Duration::from_millis(250);
/// Doublings of the back-off.
const MAX_DOUBLINGS: u32 = 5;
/// Time between two tries to freeze a database that did not.
const FREEZE_RETRY: Duration = Duration::from_millis(500);

impl Machine {
    /// Asks the store whether the leader record is really unchanged, by a read begun after the suspicion (protocol rule 25).
    pub(super) fn suspect(&mut self, cause: Cause) -> bool {
        let Some(against) = self.view.leader_ref() else { return false };
        let leader = self.view.holder().cloned();
        let sentence = match &leader {
            Some(leader) => format!("{leader} did not renew its leadership"),
            None => "nobody leads".into(),
        };
        self.voted_against = match (&leader, self.watched, self.view.leader.as_ref()) {
            (Some(_), Some(watch), Some(seen)) => {
                // By this member's leave the leader may believe for a ttl from when it asked.
                let ttl = seen.record.ttl();
                let since = watch.received;
                let held = self.held_until(&seen.record).map(|held| held.before(ttl));
                Some((held.map_or(since, |held| since.max(held)), ttl))
            }
            _ => None,
        };
        self.tell(EventKind::LeaderSuspected { leader }, sentence);
        let read = self.read();
        self.go(State::Suspecting { against, read }, cause);
        true
    }

    pub(super) fn suspecting(&mut self) -> bool {
        let State::Suspecting { against, .. } = self.state else { return false };
        if self.view.leader_ref() != Some(against) {
            self.go(State::Following, Cause::LeaderSeen);
            return true;
        }
        false
    }

    pub(super) fn suspicion_read(&mut self, succeeded: bool) {
        let State::Suspecting { against, .. } = self.state else { return };
        if self.view.leader_ref() != Some(against) {
            self.false_alarm();
            self.go(State::Following, Cause::LeaderSeen);
        } else if !succeeded || !self.store_is_usable() {
            self.hold_off_until = self.after(STORE_RETRY);
            self.go(State::Following, Cause::NotConfirmed);
        } else {
            // The intent is made durable while the database freezes; the vote waits for both (protocol rule 28).
            self.memo_wanted.intent = Some(against);
            self.memo_wanted.mark = self.memo_wanted.mark.max(against.mark);
            self.go(State::Freezing { against, step: FreezeStep::Freeze }, Cause::StillSilent);
            self.begin_freeze();
        }
    }

    fn false_alarm(&mut self) {
        let wait = BACK_OFF * 2_u32.pow(self.false_alarms.min(MAX_DOUBLINGS));
        self.false_alarms += 1;
        self.hold_off_until = self.after(wait);
    }

    pub(super) fn begin_freeze(&mut self) {
        self.frozen = None;
        self.following = None;
        self.order(DatabaseOrder::Freeze, FREEZE_TIMEOUT);
    }

    pub(super) fn database_frozen(&mut self, mut frozen: crate::database::Frozen) {
        if let (State::Promoting, Some(before)) = (&self.state, &self.frozen) {
            // Frozen again because it had died: it is promoted only if it still has what it voted with.
            frozen.lsn = frozen.lsn.max(before.lsn);
        }
        if let Some(database) = &mut self.database {
            database.state = DatabaseState::Standby;
            database.streaming = false;
            database.upstream = None;
            database.lsn = database.lsn.max(frozen.lsn);
            database.data_id = Some(frozen.data_id.clone());
        }
        self.frozen = Some(frozen);
    }

    pub(super) fn freeze_failed(&mut self, failure: &Failure) {
        self.trouble(format!("the database could not be frozen: {failure}"));
        let State::Freezing { against, .. } = self.state else {
            self.follow_again_at = self.after(FREEZE_RETRY);
            return;
        };
        if self.bound_by(against) {
            // The vote may be in the store: bound, whatever the database says.
            self.follow_again_at = self.after(FREEZE_RETRY);
            return;
        }
        self.false_alarm();
        self.go(State::Following, Cause::NotConfirmed);
    }

    /// Whether this member's vote against that record is in the store, or may be.
    fn bound_by(&self, against: LeaderRef) -> bool {
        let mine = self.view.votes.get(self.me());
        self.bound == Some(against) || mine.is_some_and(|seen| seen.record.against == Some(against))
    }

    pub(super) fn freezing(&mut self) -> bool {
        let State::Freezing { against, step } = self.state else { return false };
        if self.superseded(against) {
            self.go(State::Following, Cause::LeaderSeen);
            return true;
        }
        if self.leave_if_asked() {
            return true;
        }
        if matches!(step, FreezeStep::Freeze) {
            if self.may_freeze() && self.frozen.is_none() && self.follow_again_at <= self.now {
                self.order(DatabaseOrder::Freeze, FREEZE_TIMEOUT);
            }
            let may_ask = self.follow_again_at <= self.now;
            if may_ask && self.frozen.is_some() && self.memo.intent == Some(against) {
                let read = self.read();
                self.state = State::Freezing { against, step: FreezeStep::Confirm(read) };
            }
        }
        false
    }

    /// A newer leader record than the one voted against is seen: the vote binds no more (protocol rule 28). Or an operator took a store
    /// that knows nothing of it for true.
    fn superseded(&self, against: LeaderRef) -> bool {
        let recovered = self.memo_wanted.intent.is_none();
        self.store_is_usable() && (recovered || self.view.leader_ref().is_some_and(|leader| leader.mark > against.mark))
    }

    /// The read right before the vote.
    pub(super) fn confirm_read(&mut self, id: CallId, succeeded: bool) {
        let State::Freezing { against, step: FreezeStep::Confirm(read) } = self.state else { return };
        if read != id || self.superseded(against) {
            return;
        }
        if succeeded && self.store_is_usable() && self.view.leader_ref() == Some(against) {
            if self.follow_again_at <= self.now {
                self.cast_vote(against);
            } else {
                // The last try failed just now: a little later, after another look.
                self.state = State::Freezing { against, step: FreezeStep::Freeze };
            }
        } else if self.bound_by(against) {
            self.follow_again_at = self.after(STORE_RETRY);
            self.state = State::Freezing { against, step: FreezeStep::Freeze };
        } else {
            self.false_alarm();
            self.go(State::Following, Cause::NotConfirmed);
        }
    }

    fn make_vote(&mut self, against: LeaderRef) -> Option<VoteRecord> {
        let frozen = self.frozen.clone()?;
        let beside = self.database.as_ref().map_or(Term(0), |database| database.term);
        Some(VoteRecord {
            header: self.header(),
            member: self.config.me.clone(),
            data: frozen.data_id,
            against: Some(against),
            position: self.view.position(frozen.timeline, frozen.lsn, beside),
            timeline: frozen.timeline,
            priority: self.config.tags.failover_priority,
            penalty: self.penalty,
            electable: !self.config.tags.nofailover,
        })
    }

    fn cast_vote(&mut self, against: LeaderRef) {
        let Some(vote) = self.make_vote(against) else { return };
        let key = Key::vote(&self.config.me);
        let guard = match self.view.votes.get(self.me()) {
            Some(seen) => Guard::Version(key.clone(), seen.version),
            None => Guard::Absent(key.clone()),
        };
        let commit = Commit { guards: vec![guard], writes: BTreeMap::from([(key, encode(&vote))]) };
        let id = self.commit(commit, WRITE_TIMEOUT);
        self.bound = Some(against);
        self.state = State::Freezing { against, step: FreezeStep::Cast(id) };
    }

    /// The answer to a vote or to a takeover.
    pub(super) fn candidacy_finished(&mut self, id: CallId, result: Result<Answer, Failure>) {
        match &self.state {
            State::Freezing { against, step: FreezeStep::Cast(cast) } if *cast == id => {
                self.vote_answered(*against, result);
            }
            State::TakingOver(take_over)
                if take_over.attempts.under_way.as_ref().is_some_and(|attempt| attempt.id == id) =>
            {
                self.takeover_answered(result);
            }
            _ => {}
        }
    }

    fn vote_answered(&mut self, against: LeaderRef, result: Result<Answer, Failure>) {
        // Sent, or possibly sent: bound. A vote that is not in the view yet is read back; what is read is what counts.
        let confirm = self.read();
        match (result, self.make_vote(against)) {
            (Ok(_), Some(vote)) => {
                let lsn = self.frozen.as_ref().map_or(Lsn(0), |frozen| frozen.lsn);
                self.tell(EventKind::Voted { lsn }, format!("voted with {lsn}"));
                self.go(
                    State::Voting {
                        against,
                        vote,
                        since: self.now,
                        recheck: Some(Recheck { read: Some(confirm), observe: None }),
                    },
                    Cause::VoteCast,
                );
                self.observe_for_recheck();
            }
            _ => {
                self.follow_again_at = self.after(STORE_RETRY / 4);
                self.state = State::Freezing { against, step: FreezeStep::Confirm(confirm) };
            }
        }
    }

    pub(super) fn voting(&mut self) -> bool {
        let State::Voting { against, vote, since, recheck } = self.state.clone() else { return false };
        if self.superseded(against) {
            self.go(State::Following, Cause::LeaderSeen);
            return true;
        }
        if self.leave_if_asked() {
            return true;
        }
        if !self.store_is_usable() || self.view.leader_ref() != Some(against) {
            return false;
        }
        let runs = self
            .database
            .as_ref()
            .is_none_or(|database| !matches!(database.state, DatabaseState::Crashed | DatabaseState::StoppedCleanly));
        if !runs && self.running.is_none() && self.follow_again_at <= self.now {
            // It died after the vote. Frozen anew it can be promoted, if it still has what this member voted with.
            self.order(DatabaseOrder::Freeze, FREEZE_TIMEOUT);
            return false;
        }
        if let Some(recheck) = recheck {
            if recheck.read.is_some() || recheck.observe.is_some() {
                return false;
            }
            // Both looks are done and neither changed the picture.
            self.set_recheck(None);
            if self.data_reach(&vote) {
                if self.wins(against, since) {
                    self.take_over(against, vote, since);
                    return true;
                }
            } else {
                self.refuse(
                    "the local database no longer has what this member voted with; it does not stand for election",
                );
            }
            return false;
        }
        if self.follow_again_at <= self.now && self.wins(against, since) {
            let read = self.read();
            self.set_recheck(Some(Recheck { read: Some(read), observe: None }));
            self.observe_for_recheck();
        }
        false
    }

    fn set_recheck(&mut self, to: Option<Recheck>) {
        if let State::Voting { recheck, .. } = &mut self.state {
            *recheck = to;
        }
    }

    fn observe_for_recheck(&mut self) {
        self.observing = None;
        self.next_observation = self.now;
        self.observe_if_due();
        let looking = self.observing;
        if let State::Voting { recheck: Some(recheck), .. } = &mut self.state {
            recheck.observe = looking;
        }
    }

    pub(super) fn recheck_observed(&mut self, id: CallId, succeeded: bool) {
        if let State::Voting { recheck: Some(recheck), .. } = &mut self.state
            && recheck.observe == Some(id)
        {
            if succeeded {
                recheck.observe = None;
            } else {
                self.recheck_failed();
            }
        }
    }

    /// A look before a takeover failed: later again.
    pub(super) fn recheck_failed(&mut self) {
        self.set_recheck(None);
        self.follow_again_at = self.after(STORE_RETRY);
        self.next_observation = self.after(STORE_RETRY);
    }

    fn data_reach(&self, vote: &VoteRecord) -> bool {
        self.database.as_ref().is_some_and(|database| {
            database.state == DatabaseState::Standby
                && !database.streaming
                && database.data_id.as_ref() == Some(&vote.data)
                && database.lsn >= vote.position.lsn
        })
    }

    /// Whether this member is to take over now, by the votes in the view.
    pub(super) fn wins(&mut self, against: LeaderRef, since: Moment) -> bool {
        let (Some(sync), Some(leader)) = (
            self.view.sync.as_ref().map(|seen| seen.record.clone()),
            self.view.leader.as_ref().map(|seen| seen.record.clone()),
        ) else {
            return false;
        };
        if leader.paused && self.forced().is_none() {
            self.refuse(
                "automatic failover is suspended, and the wish that this member voted for was replaced: it takes nothing; ask it to fail over \
                 again, or wait for the member that is asked now",
            );
            return false;
        }
        let mut ballots = election::ballots(&self.view, against);
        if self.forced() == Some(true) && self.now.since(since) >= GRACE {
            // The operator named this member and accepts, in words, what is lost with it.
            return ballots.contains_key(self.me());
        }
        let waited = self.now.since(since);
        let complete = self.electorate().iter().all(|member| ballots.contains_key(member));
        if !complete && waited < GRACE {
            return false;
        }
        // Any admitted set may elect its own best: a better one that does not take what it may is waited for, then passed over.
        let maximum_lag = self.config.policy.maximum_lag_on_failover;
        let mut passed_over = Duration::ZERO;
        loop {
            match election::decide(&sync, &leader, &ballots, maximum_lag) {
                Verdict::Winner(member) if member == *self.me() => return waited >= passed_over,
                Verdict::Winner(better) => {
                    passed_over += PATIENCE;
                    if waited < passed_over {
                        return false;
                    }
                    ballots.remove(&better);
                }
                Verdict::TooFew(why) | Verdict::Nobody(why) => {
                    if passed_over.is_zero() {
                        self.refuse(why);
                    }
                    return false;
                }
            }
        }
    }

    /// Members that can be expected to vote soon.
    fn electorate(&self) -> Vec<MemberId> {
        let (Some(leader), Some(sync)) = (&self.view.leader, &self.view.sync) else { return Vec::new() };
        self.view
            .members
            .iter()
            .filter(|(member, seen)| {
                let record = &seen.record;
                let counts = match sync.record.rule {
                    ElectionRule::Synchronous => sync.record.names.contains_key(*member),
                    ElectionRule::Asynchronous => record.data_term == leader.record.mark.term,
                };
                Some(*member) != leader.record.holder.as_ref()
                    && **member != sync.record.leader
                    && counts
                    && !record.tags.nofailover
                    && !record.leaving
            })
            .map(|(member, _)| member.clone())
            .collect()
    }
}
