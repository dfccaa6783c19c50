//! Who must acknowledge commits, and in which order that is changed (protocol rules 18 to 24).
//!
//! What makes acknowledging easier is recorded first and set in PostgreSQL after; what makes it harder is in force in PostgreSQL, behind
//! the barrier, before it is recorded. One change at a time, and none while the fate of the one before is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Machine;
use super::quorum::{Direction, SyncDraft};
use super::reign::{Silence, SyncStep};
use super::state::State;
use crate::database::{DatabaseOrder, SynchronousOrder};
use crate::error::Failure;
use crate::event::EventKind;
use crate::lsn::Lsn;
use crate::member::{DataId, MemberId};
use crate::policy::SyncMode;
use crate::records::{ElectionRule, SyncRecord};
use crate::store::{Guard, Key, Version};
use crate::term::Term;
use crate::time::Moment;

/// Longest first try of a barrier; it doubles with each failure, up to the limit: a checkpoint may take long on a busy machine, and
/// commits wait meanwhile only for a standby that streams.
const BARRIER: Duration = Duration::from_secs(4);
const MAX_BARRIER: Duration = Duration::from_secs(64);
/// After a takeover users wait this long for the named standbys to come back before they are dropped.
const RETURN_GRACE: Duration = Duration::from_millis(500);
/// How long a member that says that it streams from here is looked for at short intervals: what it says may be old.
const SAYS_SO_FOR: Duration = Duration::from_secs(5);
/// Longest time to set a value without a barrier.
const SET_TIMEOUT: Duration = Duration::from_secs(5);

impl Machine {
    pub(super) fn change_standbys(&mut self) {
        // What the database waits for is not changed on the word of a store that forgot (protocol rules 6 and 18).
        if !self.store_is_usable() {
            return;
        }
        let Some(sync) = self.view.sync.as_ref().map(|seen| seen.record.clone()) else { return };
        let Some(reign) = &self.reign else { return };
        if reign.paused && matches!(reign.sync_step, SyncStep::Settled) {
            return;
        }
        match reign.sync_step.clone() {
            SyncStep::Settled => self.next_change(&sync),
            SyncStep::Tightening { then } => {
                if self.running.is_none() && self.follow_again_at <= self.now {
                    self.tighten(&then);
                }
            }
            SyncStep::Recording { .. } => {}
            SyncStep::Loosening => self.loosen(),
        }
    }

    /// Decides the next change, if one is wanted.
    fn next_change(&mut self, sync: &SyncRecord) {
        let wanted_rule = match self.config.policy.sync_mode {
            SyncMode::Asynchronous => ElectionRule::Asynchronous,
            SyncMode::Synchronous | SyncMode::Strict => ElectionRule::Synchronous,
        };
        let wanted_strict = self.config.policy.sync_mode == SyncMode::Strict;
        if sync.rule != wanted_rule || sync.strict != wanted_strict {
            // Nobody is named by this change: to synchronous it makes taking over harder, to asynchronous it is recorded before
            // PostgreSQL waits for nobody.
            let mut draft = SyncDraft::of(sync);
            draft.strict = wanted_strict;
            if sync.rule != wanted_rule {
                draft = SyncDraft { rule: wanted_rule, names: BTreeMap::new(), k: 0, strict: wanted_strict };
            }
            self.record(draft);
            return;
        }
        if sync.leader_data != self.leader_data() {
            self.record(SyncDraft::of(sync));
            return;
        }
        let current = SyncDraft::of(sync);
        if let Some(next) = self.next_quorum(sync, &current) {
            self.change(&current, next);
            return;
        }
        let by_record = self.standbys_by_record();
        if let Some(reign) = self.reign.as_mut().filter(|reign| reign.standbys_in_force.as_ref() != Some(&by_record)) {
            reign.sync_step = SyncStep::Loosening;
        }
    }

    /// The next quorum on the way to the one that is wanted; `None`: it is.
    fn next_quorum(&self, sync: &SyncRecord, current: &SyncDraft) -> Option<SyncDraft> {
        let kept = self.to_keep(sync);
        if kept.len() < sync.names.len() {
            let answering = kept.iter().filter(|member| !self.is_silent_for_long(member)).count();
            return Some(current.towards(&kept, answering as u32));
        }
        let quorum = self.config.policy.quorum;
        let wished = current.as_wished(quorum);
        if wished != *current {
            return Some(wished);
        }
        self.to_add(sync).map(|(member, data)| current.and(member, data, quorum))
    }

    /// Makes a change in its order: what is easier is recorded first, what is harder is in force first (protocol rule 18).
    fn change(&mut self, current: &SyncDraft, next: SyncDraft) {
        let dropped: Vec<MemberId> =
            current.names.keys().filter(|name| !next.names.contains_key(*name)).cloned().collect();
        match current.direction_to(&next) {
            Some(Direction::Easier) => self.record(next.clone()),
            Some(Direction::Harder) => {
                if let Some(reign) = &mut self.reign {
                    reign.sync_step = SyncStep::Tightening { then: next.clone() };
                }
            }
            None => {
                self.broken_invariant = Some(format!("{current:?} may not be followed by {next:?}"));
                return;
            }
        }
        for member in dropped {
            let sentence = if next.strict {
                format!("{member} is silent and is no longer counted among the standbys that have every commit")
            } else {
                format!("{member} is silent and is no longer waited for")
            };
            self.tell(EventKind::StandbyDropped { member }, sentence);
        }
    }

    /// Writes this with the next renewal, at once.
    fn record(&mut self, draft: SyncDraft) {
        let now = self.now;
        if let Some(reign) = &mut self.reign {
            reign.sync_step = SyncStep::Recording { draft };
            reign.next_renewal = now;
        }
    }

    /// The named members that commits go on waiting for.
    fn to_keep(&self, sync: &SyncRecord) -> BTreeSet<MemberId> {
        let announced = self.reign.as_ref().is_some_and(|reign| reign.announced);
        let wanted = |member: &MemberId, data: &DataId| {
            self.view.members.get(member).is_none_or(|seen| {
                let record = &seen.record;
                let untagged = record.tags.may_be_synchronous();
                !record.leaving && untagged && record.data.as_ref().is_none_or(|now| now == data)
            })
        };
        let mut kept: BTreeSet<MemberId> = sync
            .names
            .iter()
            .filter(|(member, data)| wanted(member, data) && !self.is_silent_for_long(member))
            .map(|(member, _)| member.clone())
            .collect();
        // While users are served, a strict leader keeps its last standby named: nothing is acknowledged without it, and it may be elected.
        // Before, the record drops it, so that the address need not wait; PostgreSQL goes on waiting for all members.
        if sync.strict && announced && kept.is_empty() {
            let last = sync.names.iter().rfind(|(member, data)| wanted(member, data));
            if sync.k as usize == sync.names.len() {
                kept.extend(last.map(|(member, _)| member.clone()));
            } else if last.is_some() {
                // Of any k, nothing is dropped before enough of them are back to acknowledge that.
                return sync.members();
            }
        }
        kept
    }

    fn is_silent_for_long(&self, member: &MemberId) -> bool {
        let timing = &self.config.timing;
        self.reign.as_ref().is_some_and(|reign| {
            let limit = if reign.announced { timing.standby_timeout } else { timing.standby_timeout.min(RETURN_GRACE) };
            reign.silent.get(member).is_some_and(|silence| self.now.since(silence.since) >= limit)
        })
    }

    /// A member that streams, has what it is owed, and may be named. A connection that is dead seems to stream until the database notices: naming
    /// its member would make commits wait for nobody.
    fn to_add(&self, sync: &SyncRecord) -> Option<(MemberId, DataId)> {
        if sync.rule == ElectionRule::Asynchronous || self.follow_again_at > self.now {
            return None;
        }
        let reign = self.reign.as_ref()?;
        let history_is_recorded = reign.history.is_none() && reign.leader.serving;
        if !history_is_recorded {
            return None;
        }
        let fit = |member: &MemberId| !sync.names.contains_key(member) && !reign.silent.contains_key(member);
        self.streaming_standbys().into_iter().filter(fit).find_map(|member| {
            let data = self.copy_to_count_on(&member, reign.term)?.clone();
            Some((member, data))
        })
    }

    /// The copy of a member that may be named, by what it says of itself.
    fn copy_to_count_on(&self, member: &MemberId, term: Term) -> Option<&DataId> {
        let record = &self.view.members.get(member)?.record;
        let wanted = !record.leaving
            && record.tags.may_be_synchronous()
            && record.system_id == self.view.cluster.as_ref().map(|seen| seen.record.system_id)
            && record.data_term == term;
        record.data.as_ref().filter(|_| wanted)
    }

    /// The members that the next version of the sync record names anew.
    fn new_names(&self) -> Vec<(MemberId, DataId)> {
        let Some(SyncStep::Recording { draft }) = self.reign.as_ref().map(|reign| &reign.sync_step) else {
            return Vec::new();
        };
        let named = self.view.sync.as_ref().map(|seen| &seen.record.names);
        let is_new = |member: &MemberId, data: &DataId| named.and_then(|names| names.get(member)) != Some(data);
        let names = draft.names.iter().filter(|(member, data)| is_new(member, data));
        names.map(|(member, data)| (member.clone(), data.clone())).collect()
    }

    /// A member that says meanwhile that it leaves, or has another copy, is not named any more: the record stays as it is. The database may wait for
    /// more by now: that the record goes without it is confirmed before the database is told.
    pub(super) fn name_only_the_fit(&mut self) {
        let Some(term) = self.reign.as_ref().map(|reign| reign.term) else { return };
        let unfit: Vec<MemberId> = self
            .new_names()
            .into_iter()
            .filter(|(member, data)| self.copy_to_count_on(member, term) != Some(data))
            .map(|(member, _)| member)
            .collect();
        let Some(as_recorded) = self.view.sync.as_ref().map(|seen| SyncDraft::of(&seen.record)) else { return };
        if let Some(SyncStep::Recording { draft }) = self.reign.as_mut().map(|reign| &mut reign.sync_step)
            && !unfit.is_empty()
        {
            *draft = as_recorded;
        }
    }

    /// A member is named only as it was when that was decided: with this copy, and not about to discard it. It discards nothing before its own record
    /// says so and a later read shows that it is not named (protocol rule 30). So one of the two writes is first, and the other sees it.
    pub(super) fn guards_of_new_names(&self) -> Vec<Guard> {
        let version = |member: &MemberId| self.view.members.get(member).map(|seen| seen.version);
        self.new_names()
            .iter()
            .filter_map(|(member, _)| Some(Guard::Version(Key::member(member), version(member)?)))
            .collect()
    }

    /// Tells the database to wait for more, behind the barrier.
    fn tighten(&mut self, then: &SyncDraft) {
        let Some(reign) = &mut self.reign else { return };
        reign.standbys_in_force = None;
        let barrier = (BARRIER * 2_u32.pow(reign.barrier_failures.min(4))).min(MAX_BARRIER);
        let order = SynchronousOrder { term: reign.term, standbys: then.standbys(), barrier: true };
        self.order(DatabaseOrder::SetSynchronous(order), barrier);
    }

    /// The record is confirmed; the database is told to wait for no more than it says.
    fn loosen(&mut self) {
        let standbys = self.standbys_by_record();
        let Some(reign) = &mut self.reign else { return };
        if reign.standbys_in_force.as_ref() == Some(&standbys) {
            reign.sync_step = SyncStep::Settled;
            return;
        }
        let order = SynchronousOrder { term: reign.term, standbys, barrier: false };
        if self.running.is_none() && self.follow_again_at <= self.now {
            self.order(DatabaseOrder::SetSynchronous(order), SET_TIMEOUT);
        }
    }

    pub(super) fn synchronous_set(&mut self, order: &SynchronousOrder) {
        let now = self.now;
        let Some(reign) = &mut self.reign else { return };
        reign.standbys_in_force = Some(order.standbys.clone());
        if let (SyncStep::Tightening { then }, true) = (reign.sync_step.clone(), order.barrier) {
            reign.barrier_failures = 0;
            reign.sync_step = SyncStep::Recording { draft: then };
            reign.next_renewal = now;
        }
    }

    pub(super) fn synchronous_failed(&mut self, order: &SynchronousOrder, failure: &Failure) {
        self.follow_again_at = self.after(Duration::from_millis(500));
        self.trouble(format!("the synchronous standbys could not be changed: {failure}"));
        let current = self.view.sync.as_ref().map(|seen| SyncDraft::of(&seen.record));
        if !order.barrier || !self.store_is_usable() {
            return;
        }
        // The database may wait for more than the record says. Going back is loosening: recorded first, confirmed, then set.
        if let Some(reign) = &mut self.reign {
            reign.barrier_failures += 1;
        }
        if let Some(current) = current {
            self.record(current);
        }
    }

    /// A change of the sync record is confirmed.
    pub(super) fn sync_recorded(&mut self) {
        let sync = self.view.sync.as_ref().map(|seen| &seen.record);
        let strict = sync.is_some_and(|sync| sync.strict && sync.rule == ElectionRule::Synchronous);
        let names: Vec<MemberId> = sync.map(|sync| sync.names.keys().cloned().collect()).unwrap_or_default();
        let k = sync.map_or(0, |sync| sync.k);
        let shown: Vec<&str> = names.iter().map(MemberId::as_str).collect();
        let sentence = if shown.is_empty() && strict {
            "commits wait: no standby has every commit, and the mode is strict".to_owned()
        } else if shown.is_empty() {
            "commits are acknowledged by the leader alone".to_owned()
        } else if (k as usize) < shown.len() {
            format!("commits are acknowledged when any {k} of {} have them", shown.join(", "))
        } else {
            format!("commits are acknowledged when {} has them", shown.join(" and "))
        };
        self.tell(EventKind::SynchronousStandbysChanged { names, k }, sentence);
    }

    /// Notes which standbys answer: those that are named, and those that might be. Called with each look at the database; `previous` is what the
    /// look before gave, and when.
    pub(super) fn watch_standbys(&mut self, previous: (Lsn, Moment)) {
        if !matches!(self.state, State::Leading) {
            return;
        }
        let interval = self.observe_interval();
        let (Some(sync), Some(database)) = (self.view.sync.as_ref().map(|seen| &seen.record), &self.database) else {
            return;
        };
        // What is missing now had been written by the look before: so long it has been waited for already. Not longer than a look usually is
        // ago: the agent, or the machine, may have stood still meanwhile.
        let (now, since) = (self.now, previous.1.max(self.now.before(interval)));
        let Some(reign) = &mut self.reign else { return };
        let mut watched: BTreeSet<MemberId> = sync.names.keys().chain(database.standbys.keys()).cloned().collect();
        if let SyncStep::Tightening { then } | SyncStep::Recording { draft: then } = &reign.sync_step {
            watched.extend(then.names.keys().cloned());
        }
        reign.silent.retain(|name, _| watched.contains(name));
        for name in watched {
            let owed = reign.silent.get(&name).map_or(previous.0, |silence| silence.owed);
            let standby = database.standbys.get(&name).filter(|standby| standby.streaming);
            if standby.is_some_and(|standby| standby.flushed >= owed) {
                reign.silent.remove(&name);
            } else {
                // One that has just gone away by itself, to vote perhaps, may have answered until now.
                let since = if standby.is_some() { since } else { now };
                reign.silent.entry(name).or_insert(Silence { since, owed });
            }
        }
    }

    /// Whether a look at the standbys is wanted soon.
    pub(super) fn waits_for_standbys(&self) -> bool {
        let Some(reign) = &self.reign else { return false };
        let named =
            |member: &MemberId| self.view.sync.as_ref().is_some_and(|seen| seen.record.names.contains_key(member));
        !matches!(reign.sync_step, SyncStep::Settled)
            || reign.silent.keys().any(named)
            || self.somebody_says_it_streams()
    }

    /// Whether a member that is not named yet says in the store that it streams from here, and did not say so long ago.
    fn somebody_says_it_streams(&self) -> bool {
        let Some(sync) = self.view.sync.as_ref().map(|seen| &seen.record) else { return false };
        let seen_streaming = self.streaming_standbys();
        let news = |member: &MemberId, version: Version| match self.said_to_stream.get(member) {
            Some((noticed, at)) if *noticed == version => self.now.since(*at) < SAYS_SO_FOR,
            Some(_) | None => true,
        };
        sync.rule == ElectionRule::Synchronous
            && self.view.members.iter().any(|(member, seen)| {
                seen.record.streams_from.as_ref() == Some(self.me())
                    && !sync.names.contains_key(member)
                    && !seen_streaming.contains(member)
                    && news(member, seen.version)
            })
    }

    /// Notes who says so since when. Called with each look at the database.
    pub(super) fn note_who_says_it_streams(&mut self) {
        let (now, mut before) = (self.now, std::mem::take(&mut self.said_to_stream));
        let me = &self.config.me;
        let says_so = self.view.members.iter().filter(|(_, seen)| seen.record.streams_from.as_ref() == Some(me));
        self.said_to_stream = says_so
            .map(|(member, seen)| {
                let noticed = before.remove(member).filter(|(version, _)| *version == seen.version);
                (member.clone(), noticed.unwrap_or((seen.version, now)))
            })
            .collect();
    }
}
