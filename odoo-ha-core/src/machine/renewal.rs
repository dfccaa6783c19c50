//! Keeping leadership: one write to the leader record at a time, and what its fate means.

use super::action::Order;
use super::input::Answer;
use super::quorum::SyncDraft;
use super::reign::{Attempt, Purpose, Reign, SyncStep};
use super::state::State;
use super::view::Seen;
use super::{Cause, Machine};
use crate::error::{ErrorKind, Failure};
use crate::event::EventKind;
use crate::lsn::Lsn;
use crate::member::MemberId;
use crate::policy::Timing;
use crate::records::{LeaderRecord, Origin, SyncRecord, encode};
use crate::store::{Commit, Committed, Guard, Key};
use crate::term::Mark;
use crate::time::Moment;

impl Machine {
    pub(super) fn renew_if_due(&mut self) {
        let renews = match &self.state {
            State::Resuming | State::Bootstrapping | State::Promoting | State::Leading => true,
            State::HandingOver(hand_over) => !hand_over.is_committing(),
            State::GivingUp(giving_up) => giving_up.still_renews(),
            _ => false,
        };
        let due = self
            .reign
            .as_ref()
            .is_some_and(|reign| !reign.lost && reign.attempts.under_way.is_none() && reign.next_renewal <= self.now);
        if !renews || !due || !self.store_is_usable() {
            return;
        }
        let interval = self.config.timing.renew_interval;
        if let Some(reign) = self.reign.as_mut().filter(|reign| reign.store_is_silent && reign.attempts.are_many()) {
            // None of those may be forgotten while the members' leave is all there is: it is asked whether the store is back before one more is sent.
            reign.next_renewal = self.now + interval;
            self.refresh();
            return;
        }
        self.write_leader(Purpose::Renew, None);
    }

    /// Writes the leader record, guarded by the version of this member's own last one. For `HandOver`, to whom.
    pub(super) fn write_leader(&mut self, purpose: Purpose, target: Option<(&MemberId, Lsn)>) {
        let header = self.header();
        let known_lsn = self.acknowledged_lsn();
        let timing = self.timing_to_write();
        let wanted_interval = self.config.timing.renew_interval;
        self.name_only_the_fit();
        self.forget_overtaken_answer();
        let Some(reign) = &self.reign else { return };
        if reign.attempts.under_way.is_some() {
            return;
        }
        let sequence = reign.attempts.all().map(|a| a.leader.mark.sequence).max();
        let sequence = sequence.unwrap_or(0).max(reign.leader.mark.sequence) + 1;
        let mut leader = LeaderRecord {
            header: header.clone(),
            mark: Mark { term: reign.term, sequence },
            writer: self.config.me.clone(),
            holder: Some(self.config.me.clone()),
            serving: reign.serving,
            ttl_ms: timing.ttl.as_millis() as u64,
            suspicion_ms: timing.suspicion.as_millis() as u64,
            paused: reign.paused,
            lsn: reign.leader.lsn.max(known_lsn),
            // Not before it is known how far the clock jumped: what was stated before says nothing of what is stated after.
            sent_ms: reign.jumped_at.is_none().then(|| self.clock_ms()),
            hand_over: reign.plan.clone(),
            excluded: reign.excluded.clone(),
            origin: reign.leader.origin.clone(),
            timeline: reign.leader.timeline,
            failsafe: if reign.serving { self.whom_to_ask() } else { None },
        };
        let mut sync = match &reign.sync_step {
            SyncStep::Recording { draft } if !reign.renew_alone => {
                Some((draft.clone(), self.config.me.clone(), self.leader_data()))
            }
            SyncStep::Recording { .. } | SyncStep::Settled | SyncStep::Tightening { .. } | SyncStep::Loosening => None,
        };
        match purpose {
            Purpose::Renew | Purpose::TakeOver => {}
            Purpose::Release => {
                leader.holder = None;
                leader.hand_over = None;
                leader.failsafe = None;
                // Never primary, it acknowledged nothing: who could be elected before can be again (protocol rule 17).
                let unused = self.stopped_before_promotion(reign).then(|| reign.before.clone()).flatten();
                sync = unused.map(|before| (SyncDraft::of(&before), before.leader, before.leader_data));
            }
            Purpose::HandOver => {
                let Some((target, shutdown)) = target else { return };
                let Some(before) = self.view.sync.as_ref().map(|seen| &seen.record) else { return };
                let Some(data) = self.view.members.get(target).and_then(|seen| seen.record.data.clone()) else {
                    return;
                };
                sync = Some((super::quorum::after(before, target), target.clone(), Some(data)));
                leader.mark.term = reign.term.next();
                // The versions after this one are stated by another clock.
                leader.sent_ms = None;
                leader.holder = Some(target.clone());
                leader.origin = Origin::HandOver { from: self.config.me.clone(), shutdown };
                leader.serving = false;
                leader.hand_over = None;
                leader.timeline = leader.timeline.next();
                leader.excluded.clear();
                leader.failsafe = None;
                leader.lsn = leader.lsn.min(shutdown);
            }
        }
        let sync = sync.map(|(draft, member, data)| SyncRecord {
            header: header.clone(),
            mark: leader.mark,
            rule: draft.rule,
            leader: member,
            leader_data: data,
            names: draft.names,
            k: draft.k,
            strict: draft.strict,
        });
        let purpose_names = purpose == Purpose::Renew;
        let attempt = Attempt {
            id: super::CallId(0),
            purpose,
            nonce: header.nonce,
            sent: self.now,
            leader,
            timing,
            sync,
            history: reign.history.clone(),
            cluster: reign.cluster.clone(),
            request: reign.request.clone().filter(|_| !reign.renew_alone),
        };
        let mut commit = Commit { guards: vec![Guard::Version(Key::leader(), reign.version)], ..Commit::default() };
        if attempt.sync.is_some() {
            let Some(seen) = &self.view.sync else { return };
            commit.guards.push(Guard::Version(Key::sync(), seen.version));
            if purpose_names {
                commit.guards.extend(self.guards_of_new_names());
            }
        }
        if attempt.request.is_some() {
            // The answer to a wish takes the place of that wish only.
            let Some(seen) = &self.view.request else { return };
            commit.guards.push(Guard::Version(Key::request(), seen.version));
        }
        put(&mut commit, &attempt);
        let timeout = Reign::renewal_timeout(&timing).min(Reign::renewal_timeout(&reign.timing));
        let id = self.call(Order::Commit(commit), timeout, None);
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.attempts.under_way = Some(Attempt { id, ..attempt });
            reign.next_renewal = now + timing.renew_interval.min(wanted_interval);
        }
    }

    /// The database has stopped, and its last record is older than this reign's timeline.
    fn stopped_before_promotion(&self, reign: &Reign) -> bool {
        let State::GivingUp(giving_up) = &self.state else { return false };
        let older = giving_up.stopped.as_ref().is_some_and(|stopped| stopped.timeline < reign.leader.timeline);
        older && reign.promoted.is_none() && !reign.leader.serving
    }

    /// The times that the next record states. A shorter `ttl` is written only when the watchdog knows as early an end, as others count by it
    /// from then on (protocol rule 4).
    fn timing_to_write(&mut self) -> Timing {
        let wanted = self.config.timing;
        let Some(reign) = &self.reign else { return wanted };
        let in_force = reign.timing;
        if wanted.ttl >= in_force.ttl || reign.paused || self.watchdog_ends_by(self.after(wanted.ttl)) {
            return wanted;
        }
        self.feed_watchdog();
        in_force
    }

    /// A position that is known to have been acknowledged, or (nobody else acknowledges) the end of the leader's own log.
    fn acknowledged_lsn(&self) -> Lsn {
        let Some(database) = &self.database else { return Lsn(0) };
        let serves = self.reign.as_ref().is_some_and(|reign| reign.announced && !reign.needs_start);
        if !serves {
            return Lsn(0);
        }
        let by_record = self.view.sync.as_ref().map(|seen| SyncDraft::of(&seen.record));
        // One who is just being named counts from the record that names it: what is published with it must be on it.
        let changing = match self.reign.as_ref().map(|reign| &reign.sync_step) {
            Some(SyncStep::Tightening { then } | SyncStep::Recording { draft: then }) => Some(then),
            Some(SyncStep::Settled | SyncStep::Loosening) | None => None,
        };
        let flushed = |name: &MemberId| database.standbys.get(name).map_or(Lsn(0), |standby| standby.flushed);
        let quorums = by_record.iter().chain(changing);
        quorums.filter_map(|quorum| quorum.acknowledged(flushed)).fold(database.lsn, Lsn::min)
    }

    pub(super) fn renewal_finished(&mut self, result: Result<Answer, Failure>) {
        match result {
            Ok(Answer::Committed(committed)) => {
                let attempt = self.reign.as_mut().and_then(|reign| {
                    let attempt = reign.attempts.under_way.take();
                    reign.attempts = super::reign::Attempts::default();
                    attempt
                });
                if let Some(attempt) = attempt {
                    self.renewed(attempt, &committed);
                }
            }
            Ok(_) => self.broken_invariant = Some("a commit was answered with something else".into()),
            Err(failure) => {
                let Some(reign) = &mut self.reign else { return };
                match failure.kind {
                    // Nothing of it is or will be in the store.
                    ErrorKind::Conflict | ErrorKind::Unavailable | ErrorKind::Denied => {
                        let attempt = reign.attempts.under_way.take();
                        // A member that rewrites its record again and again, or an operator its wish, must not keep the leader from renewing.
                        reign.renew_alone =
                            attempt.is_some_and(|attempt| attempt.sync.is_some() || attempt.request.is_some());
                    }
                    _ => {
                        reign.attempts.unanswered();
                        reign.store_is_silent = true;
                    }
                }
                reign.next_renewal = self.now + super::calls::STORE_RETRY.min(self.config.timing.renew_interval);
                if failure.kind == ErrorKind::Denied {
                    self.refuse(format!("the store refuses the leader's writes: {failure}"));
                }
                // An earlier write may have landed, or somebody else was first: only a read can tell.
                self.refresh();
            }
        }
    }

    /// A write to the leader record is known to have happened. `committed` has the versions of what it wrote.
    fn renewed(&mut self, attempt: Attempt, committed: &Committed) {
        let version = |key: &Key| committed.versions.get(key).copied();
        let Some(leader_version) = version(&Key::leader()) else {
            self.broken_invariant = Some("a commit was answered without the version of what it wrote".into());
            return;
        };
        self.view.leader = Some(Seen { version: leader_version, record: attempt.leader.clone() });
        if let (Some(record), Some(version)) = (attempt.sync.clone(), version(&Key::sync())) {
            self.view.sync = Some(Seen { version, record });
        }
        if let (Some(record), Some(version)) = (attempt.history.clone(), version(&Key::history())) {
            self.view.history = Some(Seen { version, record });
        }
        if let (Some(record), Some(version)) = (attempt.cluster.clone(), version(&Key::cluster())) {
            self.view.cluster = Some(Seen { version, record });
        }
        if let (Some(record), Some(version)) = (attempt.request.clone(), version(&Key::request())) {
            self.view.request = Some(Seen { version, record });
        }
        self.watch_leader();
        self.settle(attempt);
    }

    /// What a landed write means. The view has it already.
    fn settle(&mut self, attempt: Attempt) {
        let Some(version) = self.view.leader.as_ref().map(|seen| seen.version) else { return };
        let (data, now) = (self.leader_data(), self.now);
        let Some(reign) = &mut self.reign else { return };
        match attempt.purpose {
            Purpose::TakeOver | Purpose::Renew => {
                reign.version = version;
                if reign.jumped_at.is_none_or(|jumped| attempt.sent >= jumped) {
                    reign.confirmed = Some(attempt.sent);
                    reign.jumped_at = None;
                } else {
                    // Not counted from before the jump. With another ttl, what was kept at the jump ends when it did, or as this record gives.
                    let (before, after) = (reign.leader.ttl(), attempt.leader.ttl());
                    let ends = |confirmed: Moment| (confirmed + before).min(attempt.sent + after);
                    reign.confirmed = reign.confirmed.map(|confirmed| ends(confirmed).before(after));
                    reign.next_renewal = now;
                }
                reign.store_is_silent = false;
                reign.leader = attempt.leader;
                reign.timing = attempt.timing;
                reign.history = reign.history.take().filter(|wanted| Some(wanted) != attempt.history.as_ref());
                reign.cluster = reign.cluster.take().filter(|wanted| Some(wanted) != attempt.cluster.as_ref());
                reign.request = reign.request.take().filter(|wanted| Some(wanted) != attempt.request.as_ref());
                let recorded = match (&reign.sync_step, &attempt.sync) {
                    (SyncStep::Recording { draft }, Some(sync)) => {
                        *draft == SyncDraft::of(sync) && sync.leader_data == data
                    }
                    _ => false,
                };
                if recorded {
                    reign.sync_step = SyncStep::Loosening;
                    self.sync_recorded();
                } else if std::mem::take(&mut reign.renew_alone) {
                    reign.next_renewal = now;
                }
                self.store_confirms();
                self.feed_watchdog();
            }
            Purpose::Release => {
                self.reign = None;
                self.tell(EventKind::LeadershipReleased, "leadership is free".into());
                self.gave_up();
            }
            Purpose::HandOver => {
                self.reign = None;
                let target = attempt.leader.holder.clone();
                if let Some(target) = target {
                    let sentence = format!("leadership was handed over to {target}");
                    self.tell(EventKind::HandedOver { target }, sentence);
                }
                if matches!(self.state, State::HandingOver(_)) {
                    self.go(State::Following, Cause::HandedOver);
                }
            }
        }
    }

    /// Looks in the view for the effect of a write whose fate was not known, and for a record that is no longer this member's.
    pub(super) fn look_for_own_effect(&mut self) {
        let Some(seen) = self.view.leader.clone() else { return };
        if self.stale.is_some() {
            return;
        }
        let Some(reign) = &mut self.reign else { return };
        if seen.version == reign.version || reign.lost {
            return;
        }
        let mine = seen.record.writer == self.config.me;
        if let Some(attempt) = reign.attempts.landed(seen.record.header.nonce).filter(|_| mine) {
            self.settle(attempt);
        } else if seen.record.mark > reign.leader.mark {
            reign.lost = true;
        }
    }

    /// A read for a reign has ended.
    pub(super) fn settle_read(&mut self, _id: super::CallId, _succeeded: bool) {}

    /// The copy that the sync record names for the leader.
    pub(super) fn leader_data(&self) -> Option<crate::member::DataId> {
        let by_database = self.database.as_ref().and_then(|database| database.data_id.clone());
        by_database.or_else(|| self.view.sync.as_ref().and_then(|seen| seen.record.leader_data.clone()))
    }
}

/// What an attempt writes.
pub(super) fn put(commit: &mut Commit, attempt: &Attempt) {
    commit.writes.insert(Key::leader(), encode(&attempt.leader));
    if let Some(sync) = &attempt.sync {
        commit.writes.insert(Key::sync(), encode(sync));
    }
    if let Some(history) = &attempt.history {
        commit.writes.insert(Key::history(), encode(history));
    }
    if let Some(cluster) = &attempt.cluster {
        commit.writes.insert(Key::cluster(), encode(cluster));
    }
    if let Some(request) = &attempt.request {
        commit.writes.insert(Key::request(), encode(request));
    }
}
