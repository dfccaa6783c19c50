//! Taking leadership: the commit that is guarded by the records and every counted vote, and what its fate means.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::{CallId, Order};
use super::calls::{STORE_RETRY, WRITE_TIMEOUT};
use super::election::{self, Ballot};
use super::input::Answer;
use super::quorum;
use super::reign::{Attempt, Attempts, Purpose, Reign};
use super::state::State;
use super::{AddressFacts, Bootstrap, Cause, Machine};
use crate::error::{ErrorKind, Failure};
use crate::event::EventKind;
use crate::lsn::{Lsn, Timeline};
use crate::member::MemberId;
use crate::policy::SyncMode;
use crate::records::{
    ElectionRule, LeaderRecord, LeaderRef, Origin, RequestOutcome, RequestRecord, SyncRecord, VoteRecord,
};
use crate::store::{Commit, Guard, Key, Version};
use crate::term::{Mark, Term};
use crate::time::Moment;

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
    pub(super) fn take_over(&mut self, against: LeaderRef, vote: VoteRecord, since: Moment) {
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
        let idle = take_over.attempts.under_way.is_none();
        let unsent = idle && take_over.attempts.unsettled.is_empty();
        let due = idle && take_over.read.is_none() && take_over.again_at <= self.now;
        if changed && self.store_is_usable() && idle {
            self.go(State::Following, Cause::LeaderSeen);
            return true;
        }
        let left = if unsent { self.leave_if_asked() } else { self.leave_unanswered() };
        if !left && due && self.shutdown.is_none() && self.store_is_usable() {
            return self.send_takeover();
        }
        left
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
            sent_ms: Some(self.clock_ms()),
            hand_over: None,
            excluded: Default::default(),
            failsafe: None,
        };
        let draft = quorum::after(&sync.record, &self.config.me);
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
            origin: if self.config.bootstrap == Bootstrap::Adopt { Origin::Adoption } else { Origin::Bootstrap },
            serving: false,
            ttl_ms: timing.ttl.as_millis() as u64,
            suspicion_ms: timing.suspicion.as_millis() as u64,
            paused: false,
            timeline: Timeline(1),
            lsn: Lsn(0),
            sent_ms: Some(self.clock_ms()),
            hand_over: None,
            excluded: Default::default(),
            failsafe: None,
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

    pub(super) fn takeover_answered(&mut self, result: Result<Answer, Failure>) {
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
                    self.watch_leader();
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
        let begins = matches!(attempt.leader.origin, Origin::Bootstrap | Origin::Adoption);
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
            attach_takes: Duration::ZERO,
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
