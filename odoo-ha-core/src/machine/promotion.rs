//! From the record to the service: taking up leadership, the first database, promotion.

use std::collections::BTreeSet;
use std::time::Duration;

use super::candidacy::FREEZE_TIMEOUT;
use super::quorum::{Direction, SyncDraft};
use super::reign::{Reign, SyncStep};
use super::state::State;
use super::{Cause, Machine};
use crate::database::{
    BootstrapOrder, Bootstrapped, DatabaseOrder, DatabaseState, DatabaseStatus, PromoteOrder, Promoted,
    StartPrimaryOrder, SynchronousStandbys,
};
use crate::error::{ErrorKind, Failure};
use crate::event::EventKind;
use crate::lsn::{Lsn, Timeline};
use crate::member::MemberId;
use crate::records::{ClusterRecord, ElectionRule, HistoryRecord, HistoryRow, MAX_HISTORY_ROWS, Origin};
use crate::term::Term;

use super::Bootstrap;

/// Time between two tries to start or promote.
const RETRY: Duration = Duration::from_millis(300);

impl Machine {
    /// Takes up leadership that the record gives this member: renews first, acts when answered (protocol rule 11).
    pub(super) fn resume(&mut self) {
        let Some(seen) = self.view.leader.clone() else { return };
        let fresh = seen.record.origin == Origin::Takeover && self.memo.alone != seen.record.mark.term;
        let ttl = seen.record.ttl().max(self.config.timing.ttl);
        // The longer `ttl` is in force until the watchdog knows the shorter one: an earlier life of this agent may have told it the longer.
        let mut in_force = self.config.timing;
        in_force.ttl = ttl;
        let mut reign = Reign::new(seen.record, seen.version, in_force, None, self.now);
        if let (true, Some(address)) =
            (fresh, self.config.address.as_ref().filter(|address| !address.is_taken_by_term()))
        {
            // Taken over by an earlier life of this agent: whom it took over from may still believe.
            reign.not_before = self.now + ttl + address.longest_in_flight;
        }
        self.reign = Some(reign);
        self.go(State::Resuming, Cause::FoundItselfLeader);
    }

    pub(super) fn resuming(&mut self) -> bool {
        let Some(reign) = &self.reign else { return false };
        if reign.lost {
            self.reign = None;
            self.go(State::Following, Cause::LeadershipLost);
            return true;
        }
        if reign.belief_ends() <= self.now {
            return self.leave_unanswered();
        }
        let (serving, term) = (reign.leader.serving, reign.term);
        self.memo_wanted.mark = self.memo_wanted.mark.max(reign.leader.mark);
        self.memo_wanted.led = self.memo_wanted.led.max(term);
        if self.view.cluster.is_none() {
            self.go(State::Bootstrapping, Cause::NoCluster);
        } else if serving {
            if let Some(reign) = &mut self.reign {
                reign.needs_start = true;
            }
            self.go(State::Leading, Cause::Renewed);
        } else {
            self.go(State::Promoting, Cause::Elected);
        }
        true
    }

    /// What the database must wait for, by the record: its names; strict without names: all members, while the record admits only
    /// the leader (protocol rule 19).
    pub(super) fn standbys_by_record(&self) -> SynchronousStandbys {
        let Some(sync) = self.view.sync.as_ref().map(|seen| &seen.record) else { return SynchronousStandbys::Nobody };
        match sync.standbys() {
            SynchronousStandbys::Nobody if sync.strict && sync.rule == ElectionRule::Synchronous => {
                SynchronousStandbys::all_of(self.view.others(&self.config.me))
            }
            standbys => standbys,
        }
    }

    /// What a database is started with: the record's quorum, or the harder one that a change under way may just be recording. It may be recorded
    /// while the database starts, and then must be waited for already.
    fn standbys_for_start(&self) -> SynchronousStandbys {
        let by_record = self.standbys_by_record();
        let changing = self.reign.as_ref().and_then(|reign| match &reign.sync_step {
            SyncStep::Tightening { then } | SyncStep::Recording { draft: then } => Some(then),
            SyncStep::Settled | SyncStep::Loosening => None,
        });
        match changing {
            Some(draft) if !draft.is_covered_by(&by_record) => draft.standbys(),
            Some(_) | None => by_record,
        }
    }

    /// The right to act in this term is durable, and what makes this node harmless is armed.
    fn ready_to_act(&mut self) -> bool {
        let Some(term) = self.reign.as_ref().map(|reign| reign.term) else { return false };
        if self.memo.led != term {
            self.memo_wanted.led = self.memo_wanted.led.max(term);
            return false;
        }
        self.watchdog_is_armed()
    }

    pub(super) fn bootstrapping(&mut self) -> bool {
        let Some(reign) = &self.reign else { return false };
        if reign.cluster.is_none() && self.view.cluster.is_some() && reign.leader.serving {
            self.tell(EventKind::ClusterBootstrapped, "the cluster has begun".into());
            self.go(State::Leading, Cause::ClusterBegun);
            return true;
        }
        let (began, term) = (reign.began, reign.term);
        let waits = reign.cluster.is_some() || reign.serving;
        if !waits && self.running.is_none() && self.follow_again_at <= self.now && self.ready_to_act() {
            if self.now.since(began) > self.config.timing.clone_timeout {
                self.hand_back("the first database was not made in time");
                return true;
            }
            let adopt = self.config.bootstrap == Bootstrap::Adopt;
            let timeout = self.config.timing.promote_timeout;
            self.order(DatabaseOrder::Bootstrap(BootstrapOrder { term, adopt }), timeout);
        }
        false
    }

    pub(super) fn bootstrapped(&mut self, made: &Bootstrapped) {
        let header = self.header();
        let me = self.config.me.clone();
        if let Some(database) = &mut self.database {
            database.state = DatabaseState::Primary;
            database.system_id = Some(made.system_id);
            database.data_id = Some(made.data_id.clone());
            database.timeline = made.timeline;
            database.lsn = made.lsn;
        }
        let draft = self.view.sync.as_ref().map(|seen| SyncDraft::of(&seen.record));
        let now = self.now;
        let Some(reign) = &mut self.reign else { return };
        reign.leader.timeline = made.timeline;
        reign.cluster = Some(ClusterRecord { header: header.clone(), system_id: made.system_id });
        let row = HistoryRow { term: reign.term, leader: me, timeline: made.timeline, switch_lsn: Lsn(0) };
        reign.history = Some(HistoryRecord { header, rows: vec![row] });
        reign.serving = true;
        reign.recovered_to = Some(made.lsn);
        reign.standbys_in_force = Some(SynchronousStandbys::Nobody);
        if let Some(draft) = draft {
            reign.sync_step = SyncStep::Recording { draft };
        }
        reign.next_renewal = now;
    }

    pub(super) fn bootstrap_failed(&mut self, failure: &Failure) {
        self.follow_again_at = self.after(RETRY * 4);
        match failure.kind {
            ErrorKind::Misconfigured | ErrorKind::Disk | ErrorKind::Denied | ErrorKind::Unsupported => {
                self.refuse(format!("the first database cannot be made: {failure}"));
                self.hand_back("the first database cannot be made");
            }
            _ => self.trouble(format!("the first database is not made yet: {failure}")),
        }
    }

    pub(super) fn promoting(&mut self) -> bool {
        let Some(reign) = &self.reign else { return false };
        if reign.promoted.is_some() {
            if reign.leader.serving && reign.history.is_none() {
                self.go(State::Leading, Cause::DatabasePromoted);
                return true;
            }
            return false;
        }
        if self.now.since(reign.began) > self.config.timing.promote_timeout {
            self.hand_back("the database did not become primary in time");
            return true;
        }
        let (reserved, term) = (reign.leader.timeline, reign.term);
        if self.running.is_some() || self.follow_again_at > self.now || !self.ready_to_act() || !self.store_is_usable()
        {
            return false;
        }
        // Who was handed leadership did not vote, so it may still receive; and a database that died since is not running: only one that runs
        // frozen is promoted.
        let needs_freeze = |database: &DatabaseStatus| match database.state {
            DatabaseState::Standby => database.streaming || database.upstream.is_some(),
            DatabaseState::StoppedCleanly | DatabaseState::Crashed => database.timeline < reserved,
            DatabaseState::Absent | DatabaseState::Starting | DatabaseState::Primary | DatabaseState::Unresponsive => {
                false
            }
        };
        if self.database.as_ref().is_some_and(needs_freeze) {
            self.order(DatabaseOrder::Freeze, FREEZE_TIMEOUT);
            return false;
        }
        // One that had become primary of this reign before it died is started as that; the promotion is then found done.
        let died_as_primary = |database: &DatabaseStatus| {
            matches!(database.state, DatabaseState::StoppedCleanly | DatabaseState::Crashed) && database.term == term
        };
        if self.database.as_ref().is_some_and(died_as_primary) {
            self.start_primary();
            return false;
        }
        let Some(system_id) = self.view.cluster.as_ref().map(|seen| seen.record.system_id) else { return false };
        let Some(reign) = &self.reign else { return false };
        let at_least = match &reign.leader.origin {
            Origin::HandOver { shutdown, .. } => *shutdown,
            Origin::Takeover | Origin::Bootstrap | Origin::Adoption => {
                self.frozen.as_ref().map_or(reign.leader.lsn, |frozen| frozen.lsn)
            }
        };
        let order = PromoteOrder {
            term: reign.term,
            timeline: reign.leader.timeline,
            system_id,
            at_least,
            synchronous: self.standbys_by_record(),
            members: self.view.others(&self.config.me),
        };
        let timeout = self.config.timing.promote_timeout;
        self.order(DatabaseOrder::Promote(order), timeout);
        false
    }

    pub(super) fn promoted(&mut self, term: Term, standbys: &SynchronousStandbys, promoted: Promoted, took: Duration) {
        if let Some(database) = &mut self.database {
            database.state = DatabaseState::Primary;
            database.timeline = promoted.timeline;
            database.lsn = promoted.lsn;
            database.streaming = false;
            database.synchronous = Some(standbys.clone());
        }
        let duration_ms = took.as_millis() as u64;
        let sentence = format!("the database is primary on timeline {} after {duration_ms} ms", promoted.timeline);
        let kind = EventKind::Promoted { timeline: promoted.timeline, switch_lsn: promoted.switch_lsn, duration_ms };
        self.tell(kind, sentence);
        let history = self.history_with(term, promoted.timeline, promoted.switch_lsn);
        let streaming = self.streaming_standbys();
        let now = self.now;
        let sync = self.view.sync.as_ref().map(|seen| seen.record.clone());
        let Some(reign) = &mut self.reign else { return };
        if reign.term != term {
            return;
        }
        reign.history = Some(history);
        reign.serving = true;
        reign.recovered_to = Some(promoted.lsn);
        reign.standbys_in_force = Some(standbys.clone());
        reign.leader.timeline = reign.leader.timeline.max(promoted.timeline);
        reign.promoted = Some(promoted);
        reign.next_renewal = now;
        reign.sync_step = SyncStep::Loosening;
        // Users do not wait for the old leader, dead or on its way back; it is named again when it streams.
        if let Some(sync) = sync.filter(|sync| sync.rule == ElectionRule::Synchronous && !sync.strict) {
            let comes = |name: &MemberId| streaming.contains(name) || reign.voters.contains(name);
            let kept: BTreeSet<MemberId> = sync.names.keys().filter(|name| comes(name)).cloned().collect();
            let current = SyncDraft::of(&sync);
            let draft = current.towards(&kept, kept.len() as u32);
            // Where any k suffice, counting one less is harder: that has time until users are served.
            if current.direction_to(&draft) == Some(Direction::Easier) {
                reign.sync_step = SyncStep::Recording { draft };
            }
        }
        self.next_observation = now;
    }

    fn history_with(&mut self, term: Term, timeline: Timeline, switch_lsn: Lsn) -> HistoryRecord {
        let header = self.header();
        let mut rows = self.view.history.as_ref().map(|seen| seen.record.rows.clone()).unwrap_or_default();
        rows.retain(|row| row.term < term && row.timeline < timeline);
        rows.push(HistoryRow { term, leader: self.config.me.clone(), timeline, switch_lsn });
        let surplus = rows.len().saturating_sub(MAX_HISTORY_ROWS);
        rows.drain(..surplus);
        HistoryRecord { header, rows }
    }

    pub(super) fn promote_failed(&mut self, failure: &Failure) {
        self.follow_again_at = self.after(RETRY);
        self.trouble(format!("the database is not primary yet: {failure}"));
        let hopeless = matches!(
            failure.kind,
            ErrorKind::Fenced | ErrorKind::Misconfigured | ErrorKind::Diverged | ErrorKind::Unsupported
        );
        if hopeless && matches!(self.state, State::Promoting) {
            self.hand_back(&format!("the database cannot become primary: {failure}"));
        }
    }

    /// A winner that cannot serve gives leadership back and is not elected against that version (protocol rule 17).
    fn hand_back(&mut self, why: &str) {
        if let Some(reign) = &mut self.reign {
            reign.excluded.insert(self.config.me.clone());
        }
        self.give_up(why, Cause::PromotionFailed);
    }

    /// Starts the local data as primary, or makes sure that they run so.
    pub(super) fn start_primary(&mut self) {
        if self.running.is_some() || self.follow_again_at > self.now || !self.ready_to_act() || !self.store_is_usable()
        {
            return;
        }
        let Some(term) = self.reign.as_ref().map(|reign| reign.term) else { return };
        let order = StartPrimaryOrder {
            term,
            synchronous: self.standbys_for_start(),
            members: self.view.others(&self.config.me),
        };
        let timeout = self.config.timing.promote_timeout;
        self.order(DatabaseOrder::StartPrimary(order), timeout);
    }

    pub(super) fn primary_started(&mut self, order: &StartPrimaryOrder, started: &crate::database::Started) {
        if let Some(database) = &mut self.database {
            database.state = DatabaseState::Primary;
            database.timeline = started.timeline;
            database.lsn = database.lsn.max(started.lsn);
        }
        let Some(reign) = &mut self.reign else { return };
        if reign.term != order.term {
            return;
        }
        reign.needs_start = false;
        reign.mute_observations = 0;
        reign.standbys_in_force = Some(order.synchronous.clone());
        let acknowledged = reign.leader.lsn;
        let sentence = format!("the database serves as primary from {}", started.lsn);
        if started.lsn < acknowledged {
            let why = format!(
                "the database ends at {} but {acknowledged} was acknowledged: it has lost data and does not serve",
                started.lsn
            );
            self.refuse(why.clone());
            self.give_up(&why, Cause::DatabaseFailed);
            return;
        }
        // What recovery replayed may never have been acknowledged: it is read only once it is on every named standby.
        reign.recovered_to = Some(started.lsn);
        reign.announced = false;
        if matches!(reign.sync_step, SyncStep::Settled) {
            reign.sync_step = SyncStep::Loosening;
        }
        self.tell(EventKind::DatabaseRestarted, sentence);
    }

    pub(super) fn start_failed(&mut self, failure: &Failure) {
        self.follow_again_at = self.after(RETRY);
        self.trouble(format!("the database does not serve as primary yet: {failure}"));
        let restarts = self.config.policy.restarts;
        let Some(reign) = &mut self.reign else { return };
        reign.restarts += 1;
        // Nobody takes over from a paused leader, so it never releases either: it goes on trying, and says so.
        let hopeless = !reign.paused && (failure.kind == ErrorKind::Fenced || reign.restarts > restarts);
        if hopeless && matches!(self.state, State::Leading) {
            self.give_up(&format!("the database cannot be started: {failure}"), Cause::DatabaseFailed);
        }
    }
}
