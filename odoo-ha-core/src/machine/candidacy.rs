//! The way to leadership: suspect, freeze, vote, take over.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{CallId, Order};
use super::calls::{STORE_RETRY, WRITE_TIMEOUT};
use super::election::{self, Ballot, Verdict};
use super::input::Answer;
use super::reign::{Attempt, Attempts, Purpose, Reign};
use super::state::{FreezeStep, Recheck, State};
use super::{AddressFacts, Cause, Machine};
use crate::database::{DatabaseOrder, DatabaseState};
use crate::error::{ErrorKind, Failure};
use crate::event::EventKind;
use crate::lsn::{Lsn, Timeline};
use crate::member::MemberId;
use crate::policy::SyncMode;
use crate::records::{
    ElectionRule, LeaderRecord, LeaderRef, Origin, RequestOutcome, RequestRecord, SyncRecord, VoteRecord, encode,
};
use crate::store::{Commit, Guard, Key, Version};
use crate::term::{Mark, Term};
use crate::time::Moment;

/// Longest time of a freeze; it is usually done in 0.2 s, and after half of it the database is restarted to get it done.
pub(super) const FREEZE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a better voter is waited for to take what it may, and how long known members are waited for to vote.
const PATIENCE: Duration = Duration::from_millis(1500);
const GRACE: Duration = Duration::from_millis(250);
/// First back-off after a suspicion that was false; it doubles.
const BACK_OFF: Duration = Duration::from_millis(500);
/// Doublings of the back-off.
const MAX_DOUBLINGS: u32 = 4;

/// A takeover under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TakeOver {
    /// Against which record; `None`: there is none.
    pub(super) against: Option<LeaderRef>,
    /// The vote that wins; `None` while a cluster is begun.
    pub(super) vote: Option<VoteRecord>,
    /// Since when this member has voted.
    pub(super) since: Moment,
    pub(super) attempts: Attempts,
    /// The sync record that it replaces.
    pub(super) before: Option<SyncRecord>,
    pub(super) read: Option<CallId>,
    pub(super) again_at: Moment,
}

impl TakeOver {
    /// Of a cluster that does not exist.
    pub(super) fn of_nothing(now: Moment) -> Self {
        Self {
            against: None,
            vote: None,
            since: now,
            attempts: Attempts::default(),
            before: None,
            read: None,
            again_at: now,
        }
    }

    /// Of a cluster that has no database yet.
    pub(super) fn of_unfinished(against: LeaderRef, now: Moment) -> Self {
        Self { against: Some(against), ..Self::of_nothing(now) }
    }
}

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
            (Some(_), Some((_, since)), Some(seen)) => Some((since, seen.record.ttl())),
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

    pub(super) fn database_frozen(&mut self, frozen: crate::database::Frozen) {
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
            self.follow_again_at = self.after(BACK_OFF);
            return;
        };
        if self.bound_by(against) {
            // The vote may be in the store: bound, whatever the database says.
            self.follow_again_at = self.after(BACK_OFF);
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
        if matches!(step, FreezeStep::Freeze) {
            if self.running.is_none() && self.frozen.is_none() && self.follow_again_at <= self.now {
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
        if let Some(stop_database) = self.shutdown {
            self.go(State::Leaving { stop_database, since: self.now }, Cause::ShutdownAsked);
            return true;
        }
        if !self.store_is_usable() || self.view.leader_ref() != Some(against) {
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
    fn wins(&mut self, against: LeaderRef, since: Moment) -> bool {
        let (Some(sync), Some(leader)) = (
            self.view.sync.as_ref().map(|seen| seen.record.clone()),
            self.view.leader.as_ref().map(|seen| seen.record.clone()),
        ) else {
            return false;
        };
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

    fn take_over(&mut self, against: LeaderRef, vote: VoteRecord, since: Moment) {
        let take_over = TakeOver { vote: Some(vote), since, ..TakeOver::of_unfinished(against, self.now) };
        self.go(State::TakingOver(Box::new(take_over)), Cause::BestVote);
    }

    pub(super) fn taking_over(&mut self) -> bool {
        let State::TakingOver(take_over) = &self.state else { return false };
        let mine = self.view.leader.as_ref().filter(|seen| seen.record.writer == self.config.me);
        let seen = mine.map(|seen| (seen.version, seen.record.header.nonce));
        if let Some((version, nonce)) = seen
            && let Some(attempt) = take_over.attempts.clone().landed(nonce)
        {
            return self.elected(attempt, version);
        }
        let changed = self.view.leader_ref() != take_over.against;
        let settled = take_over.attempts.under_way.is_none() && take_over.read.is_none();
        if changed && self.store_is_usable() && take_over.attempts.under_way.is_none() {
            self.go(State::Following, Cause::LeaderSeen);
            return true;
        }
        if settled && take_over.again_at <= self.now && self.store_is_usable() {
            return self.send_takeover();
        }
        false
    }

    fn send_takeover(&mut self) -> bool {
        let State::TakingOver(take_over) = self.state.clone() else { return false };
        let (commit, attempt) = match &take_over.vote {
            None => match self.first_reign(take_over.against) {
                Some(pair) => pair,
                None => return false,
            },
            Some(vote) => {
                let Some(against) = take_over.against else { return false };
                let still = self.wins(against, take_over.since);
                match still.then(|| self.next_reign(against, vote)).flatten() {
                    Some(pair) => pair,
                    None if take_over.attempts.unsettled.is_empty() => {
                        self.go(
                            State::Voting { against, vote: vote.clone(), since: take_over.since, recheck: None },
                            Cause::NotConfirmed,
                        );
                        return true;
                    }
                    None => return false,
                }
            }
        };
        let id = self.call(Order::Commit(commit), WRITE_TIMEOUT.min(self.config.timing.ttl / 2), None);
        let before = self.view.sync.as_ref().map(|seen| seen.record.clone());
        if let State::TakingOver(take_over) = &mut self.state {
            // All of these are guarded by one version of it, so it is the same for whichever lands.
            take_over.before = before;
            take_over.attempts.under_way = Some(Attempt { id, ..attempt });
        }
        false
    }

    /// The commit that takes leadership: guarded by the leader record, the sync record and every counted vote (protocol rule 15).
    fn next_reign(&mut self, against: LeaderRef, vote: &VoteRecord) -> Option<(Commit, Attempt)> {
        let before = self.view.leader.clone()?.record;
        let sync = self.view.sync.clone()?;
        let ballots = election::ballots(&self.view, against);
        let header = self.header();
        let remembered = self.view.members.values().map(|seen| seen.record.remembered.term).max().unwrap_or_default();
        let term = before.mark.term.max(remembered).max(self.memo.mark.term).next();
        let newest = ballots.values().map(|ballot| ballot.seen.record.timeline).max().unwrap_or_default();
        let recorded = self.view.history.as_ref().and_then(|seen| seen.record.rows.last()).map(|row| row.timeline);
        let lsn = match sync.record.rule {
            ElectionRule::Asynchronous => vote.position.lsn,
            ElectionRule::Synchronous => before.lsn.min(vote.position.lsn),
        };
        let timing = self.config.timing;
        let leader = LeaderRecord {
            header: header.clone(),
            mark: Mark { term, sequence: before.mark.sequence + 1 },
            holder: Some(self.config.me.clone()),
            writer: self.config.me.clone(),
            origin: Origin::Takeover,
            serving: false,
            ttl_ms: timing.ttl.as_millis() as u64,
            suspicion_ms: timing.suspicion.as_millis() as u64,
            paused: before.paused,
            timeline: before.timeline.max(newest).max(recorded.unwrap_or_default()).next(),
            lsn,
            hand_over: None,
            excluded: Default::default(),
        };
        let draft = election::after(&sync.record, &self.config.me);
        let sync_record = SyncRecord {
            header: header.clone(),
            mark: leader.mark,
            rule: draft.rule,
            leader: self.config.me.clone(),
            leader_data: Some(vote.data.clone()),
            names: draft.names,
            k: draft.k,
            strict: draft.strict,
        };
        let mut guards =
            vec![Guard::Version(Key::leader(), against.version), Guard::Version(Key::sync(), sync.version)];
        for (member, Ballot { seen, .. }) in &ballots {
            guards.push(Guard::Version(Key::vote(member), seen.version));
        }
        let request = self.forced_done(&header, &mut guards);
        let attempt = self.attempt(leader, Some(sync_record), request);
        let mut commit = Commit { guards, ..Commit::default() };
        super::renewal::put(&mut commit, &attempt);
        Some((commit, attempt))
    }

    fn forced_done(&self, header: &crate::records::Header, guards: &mut Vec<Guard>) -> Option<RequestRecord> {
        self.forced()?;
        let seen = self.view.request.as_ref()?;
        guards.push(Guard::Version(Key::request(), seen.version));
        Some(RequestRecord { header: header.clone(), outcome: RequestOutcome::Done, ..seen.record.clone() })
    }

    fn attempt(&self, leader: LeaderRecord, sync: Option<SyncRecord>, request: Option<RequestRecord>) -> Attempt {
        Attempt {
            id: CallId(0),
            purpose: Purpose::TakeOver,
            nonce: leader.header.nonce,
            sent: self.now,
            leader,
            timing: self.config.timing,
            sync,
            history: None,
            cluster: None,
            request,
        }
    }

    /// The commit that begins a cluster, or begins it anew after its beginner fell silent.
    fn first_reign(&mut self, against: Option<LeaderRef>) -> Option<(Commit, Attempt)> {
        let header = self.header();
        let timing = self.config.timing;
        let remembered = self.view.members.values().map(|seen| seen.record.remembered.term).max().unwrap_or_default();
        let sequence = against.map_or(0, |leader| leader.mark.sequence) + 1;
        let term = against.map_or(Term(0), |leader| leader.mark.term).max(remembered).max(self.memo.mark.term).next();
        let leader = LeaderRecord {
            header: header.clone(),
            mark: Mark { term, sequence },
            holder: Some(self.config.me.clone()),
            writer: self.config.me.clone(),
            origin: Origin::Bootstrap,
            serving: false,
            ttl_ms: timing.ttl.as_millis() as u64,
            suspicion_ms: timing.suspicion.as_millis() as u64,
            paused: false,
            timeline: Timeline(1),
            lsn: Lsn(0),
            hand_over: None,
            excluded: Default::default(),
        };
        let rule = match self.config.policy.sync_mode {
            SyncMode::Asynchronous => ElectionRule::Asynchronous,
            SyncMode::Synchronous | SyncMode::Strict => ElectionRule::Synchronous,
        };
        let sync = SyncRecord {
            header,
            mark: leader.mark,
            rule,
            leader: self.config.me.clone(),
            leader_data: None,
            names: BTreeMap::new(),
            k: 0,
            strict: false,
        };
        let guards = match (against, &self.view.sync) {
            (None, _) => vec![
                Guard::Absent(Key::leader()),
                Guard::Absent(Key::sync()),
                Guard::Absent(Key::cluster()),
                Guard::Absent(Key::history()),
            ],
            (Some(against), Some(sync)) => vec![
                Guard::Version(Key::leader(), against.version),
                Guard::Version(Key::sync(), sync.version),
                Guard::Absent(Key::cluster()),
            ],
            (Some(_), None) => return None,
        };
        let attempt = self.attempt(leader, Some(sync), None);
        let mut commit = Commit { guards, ..Commit::default() };
        super::renewal::put(&mut commit, &attempt);
        Some((commit, attempt))
    }

    fn takeover_answered(&mut self, result: Result<Answer, Failure>) {
        let State::TakingOver(take_over) = &mut self.state else { return };
        match result {
            Ok(Answer::Committed(committed)) => {
                let attempt = take_over.attempts.under_way.take();
                let version = committed.versions.get(&Key::leader()).copied();
                if let (Some(attempt), Some(version)) = (attempt, version) {
                    self.view.leader = Some(super::view::Seen { version, record: attempt.leader.clone() });
                    if let (Some(record), Some(version)) =
                        (attempt.sync.clone(), committed.versions.get(&Key::sync()).copied())
                    {
                        self.view.sync = Some(super::view::Seen { version, record });
                    }
                    self.watched = self.view.leader_ref().map(|version| (version, self.now));
                    self.elected(attempt, version);
                }
            }
            Ok(_) => self.broken_invariant = Some("a commit was answered with something else".into()),
            Err(failure) => {
                match failure.kind {
                    ErrorKind::Conflict | ErrorKind::Unavailable | ErrorKind::Denied => {
                        take_over.attempts.under_way = None;
                    }
                    _ => take_over.attempts.unanswered(),
                }
                take_over.again_at = self.now + STORE_RETRY / 4;
                let read = self.read();
                if let State::TakingOver(take_over) = &mut self.state {
                    take_over.read = Some(read);
                }
            }
        }
    }

    /// A read has ended while a takeover is under way. What it shows is looked at by the next step; a failed one is repeated.
    pub(super) fn takeover_read(&mut self, _id: CallId, succeeded: bool) {
        if let State::TakingOver(take_over) = &mut self.state
            && succeeded
        {
            take_over.read = None;
        }
    }

    /// Leadership is this member's by the record.
    fn elected(&mut self, attempt: Attempt, version: Version) -> bool {
        let begins = attempt.leader.origin == Origin::Bootstrap;
        let mut reign = Reign::new(attempt.leader.clone(), version, attempt.timing, Some(attempt.sent), self.now);
        let late = reign.give_up_at() <= self.now;
        if late {
            reign.confirmed = None;
        }
        if let State::TakingOver(take_over) = &self.state {
            reign.before = take_over.before.clone();
        }
        reign.not_before = self.others_are_harmless_at();
        if let State::TakingOver(take_over) = &self.state
            && let Some(against) = take_over.against
        {
            reign.voters = election::ballots(&self.view, against).into_keys().collect();
        }
        let forced = self.view.leader.as_ref().is_some_and(|seen| seen.record.paused) && self.voted_against.is_some();
        self.reign = Some(reign);
        self.memo_wanted.mark = self.memo_wanted.mark.max(attempt.leader.mark);
        self.memo_wanted.led = attempt.leader.mark.term;
        let lsn_gap = attempt.leader.lsn.bytes_since(self.frozen.as_ref().map_or(attempt.leader.lsn, |f| f.lsn));
        let sentence = format!("{} was elected for term {}", self.config.me, attempt.leader.mark.term);
        self.tell(EventKind::LeaderElected { from: self.previous_holder(), lsn_gap }, sentence);
        if forced {
            self.trouble(
                "the cluster was paused when it was taken over by force: a leader cut off from the store has no end while paused and may still \
                 serve; make sure that it does not",
            );
        }
        if late {
            self.go(State::Resuming, Cause::FoundItselfLeader);
        } else if begins {
            self.go(State::Bootstrapping, Cause::NoCluster);
        } else {
            self.go(State::Promoting, Cause::Elected);
        }
        true
    }

    fn previous_holder(&self) -> Option<MemberId> {
        let last = self.view.history.as_ref().and_then(|seen| seen.record.rows.last());
        last.map(|row| row.leader.clone())
    }

    /// When nobody else can hold what hangs on belief any more (protocol rules 35 and 42).
    fn others_are_harmless_at(&self) -> Moment {
        let takes_over = matches!(&self.state, State::TakingOver(take_over) if take_over.against.is_some());
        if !takes_over {
            return self.now;
        }
        let address = self.config.address.unwrap_or(AddressFacts {
            fences_by_term: true,
            moves_authoritatively: true,
            longest_in_flight: Duration::ZERO,
        });
        let more_hangs_on_belief = self.config.services || self.config.filestore;
        if address.is_taken_by_term() && !more_hangs_on_belief {
            return self.now;
        }
        // The record was watched unchanged; whoever held it stops believing a ttl after this member first saw it at the latest.
        // A vacant record was released by one that had stopped everything.
        match self.voted_against {
            // Nor can an attach of its own that was under way still happen, unless the backend would not refuse it.
            Some((since, ttl)) if address.fences_by_term => since + ttl,
            Some((since, ttl)) => since + ttl + address.longest_in_flight,
            None => self.now,
        }
    }
}
