//! A reign: what a member that holds leadership by the record knows of its own right to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::database::{Promoted, SynchronousStandbys};
use crate::lsn::Lsn;
use crate::member::MemberId;
use crate::policy::Timing;
use crate::records::{ClusterRecord, HistoryRecord, LeaderRecord, PlannedHandOver, RequestRecord, SyncRecord};
use crate::store::Version;
use crate::term::{Nonce, Term};
use crate::time::Moment;

use super::action::CallId;
use super::quorum::SyncDraft;

/// What a write to the leader record is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// To take leadership.
    TakeOver,
    /// To keep it.
    Renew,
    /// To leave it vacant.
    Release,
    /// To give it to another.
    HandOver,
}

/// One write to the leader record, and what else goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) id: CallId,
    pub(super) purpose: Purpose,
    pub(super) nonce: Nonce,
    /// When it was sent: belief counts from here.
    pub(super) sent: Moment,
    pub(super) leader: LeaderRecord,
    /// The times whose `ttl` it writes: what is reserved for stopping follows the record (protocol rule 4).
    pub(super) timing: Timing,
    pub(super) sync: Option<SyncRecord>,
    pub(super) history: Option<HistoryRecord>,
    pub(super) cluster: Option<ClusterRecord>,
    pub(super) request: Option<RequestRecord>,
}

impl Attempt {
    /// When belief ends and giving up must begin, if this is what stands in the store.
    fn ends(&self) -> Ends {
        match self.purpose {
            Purpose::Renew | Purpose::TakeOver => Ends::of(&self.leader, self.sent, &self.timing),
            Purpose::Release | Purpose::HandOver => Ends { belief: self.sent, give_up: self.sent },
        }
    }
}

/// The end of a belief, and when giving up must begin for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    belief: Moment,
    give_up: Moment,
}

impl Ends {
    fn of(record: &LeaderRecord, sent: Moment, timing: &Timing) -> Self {
        if record.paused {
            return Self { belief: Moment::MAX, give_up: Moment::MAX };
        }
        Self::at(sent + record.ttl(), timing)
    }

    /// Belief that ends then.
    pub(super) fn at(belief: Moment, timing: &Timing) -> Self {
        Self { belief, give_up: belief.before(timing.clock_margin + timing.stop_budget) }
    }

    fn max(self, other: Self) -> Self {
        Self { belief: self.belief.max(other.belief), give_up: self.give_up.max(other.give_up) }
    }

    fn min(self, other: Self) -> Self {
        Self { belief: self.belief.min(other.belief), give_up: self.give_up.min(other.give_up) }
    }
}

/// Writes to one version of the leader record: at most one under way, and those whose fate is not known. All are guarded by
/// that version, so at most one of them ever happens, and none once another has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Attempts {
    pub(super) under_way: Option<Attempt>,
    pub(super) unsettled: Vec<Attempt>,
    /// Of those that were forgotten: they may have landed, and belief does not outlive what they wrote.
    forgotten: Option<Ends>,
}

/// More writes than this are never left unsettled: the oldest are forgotten, and one of them that landed is then taken for
/// somebody else's (leadership is given up).
const MAX_UNSETTLED: usize = 32;

impl Attempts {
    pub(super) fn all(&self) -> impl Iterator<Item = &Attempt> {
        self.unsettled.iter().chain(&self.under_way)
    }

    /// Nothing was written that the last confirmed version does not know of.
    fn are_settled(&self) -> bool {
        self.under_way.is_none() && self.unsettled.is_empty() && self.forgotten.is_none()
    }

    /// Whether some were forgotten that may have landed.
    pub(super) const fn were_forgotten(&self) -> bool {
        self.forgotten.is_some()
    }

    /// One more would make the oldest be forgotten.
    pub(super) fn are_many(&self) -> bool {
        self.unsettled.len() >= MAX_UNSETTLED - 1
    }

    /// The write under way ended without a certain answer.
    pub(super) fn unanswered(&mut self) {
        if let Some(attempt) = self.under_way.take() {
            if self.unsettled.len() == MAX_UNSETTLED {
                let ends = self.unsettled.remove(0).ends();
                self.forgotten = Some(self.forgotten.map_or(ends, |before| before.min(ends)));
            }
            self.unsettled.push(attempt);
        }
    }

    /// The write whose effect is seen in the store, if one of these is it. It settles all of them.
    pub(super) fn landed(&mut self, nonce: Nonce) -> Option<Attempt> {
        let landed = self.all().find(|attempt| attempt.nonce == nonce).cloned()?;
        *self = Self::default();
        Some(landed)
    }
}

/// How far a change of the synchronous standbys is. What makes acknowledging easier is recorded first; what makes it harder is in
/// force in PostgreSQL first (protocol rule 18).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum SyncStep {
    /// Record and database agree, as far as is known.
    Settled,
    /// The database is being told to wait for more standbys, behind the barrier; then this is recorded.
    Tightening { then: SyncDraft },
    /// Every renewal carries this until one is confirmed; then the database may be told to wait for fewer.
    Recording { draft: SyncDraft },
    /// The record is confirmed and asks less than the database does.
    Loosening,
}

/// What is known of leadership that this member holds by the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reign {
    pub(super) term: Term,
    /// The last version of the leader record that is known to be this member's.
    pub(super) leader: LeaderRecord,
    pub(super) version: Version,
    /// The times whose `ttl` that version has.
    pub(super) timing: Timing,
    /// When the write of that version was sent; `None`: by another process, nothing is believed.
    pub(super) confirmed: Option<Moment>,
    /// The wall clock jumped then: what was sent before confirms nothing.
    pub(super) jumped_at: Option<Moment>,
    /// Leadership is lost by the record; nothing may be renewed.
    pub(super) lost: bool,
    /// The store has answered nothing since a write that it left unanswered.
    pub(super) store_is_silent: bool,
    /// The members' leave to go on without the store.
    pub(super) leave: super::failsafe::Leave,
    pub(super) attempts: Attempts,
    pub(super) next_renewal: Moment,
    /// The cluster asks for this in the next versions.
    pub(super) serving: bool,
    pub(super) paused: bool,
    pub(super) plan: Option<PlannedHandOver>,
    pub(super) excluded: BTreeSet<MemberId>,
    /// The sync record that the takeover replaced: what stands again if nothing comes of this reign.
    pub(super) before: Option<SyncRecord>,
    /// To be written with the next renewal.
    pub(super) history: Option<HistoryRecord>,
    pub(super) cluster: Option<ClusterRecord>,
    pub(super) request: Option<RequestRecord>,
    pub(super) sync_step: SyncStep,
    /// The next renewal carries neither a change of the sync record nor an answer to a wish: the one before it met a conflict.
    pub(super) renew_alone: bool,
    /// The strictest value that the database may have.
    pub(super) standbys_in_force: Option<SynchronousStandbys>,
    /// Since when a standby has not answered.
    pub(super) silent: BTreeMap<MemberId, Silence>,
    /// What a member's last look gave, to see whether it moves.
    pub(super) began: Moment,
    /// Who voted for it, and so is about to come back.
    pub(super) voters: BTreeSet<MemberId>,
    /// Before this, what hangs on belief may still be elsewhere.
    pub(super) not_before: Moment,
    pub(super) promoted: Option<Promoted>,
    /// Where recovery ended: on every named standby before anybody reads it.
    pub(super) recovered_to: Option<Lsn>,
    pub(super) restarts: u32,
    /// The database must be started before it serves.
    pub(super) needs_start: bool,
    /// Observations in a row without an answer from the database.
    pub(super) mute_observations: u32,
    pub(super) barrier_failures: u32,
    pub(super) announced: bool,
    /// A switchover did not go through since the agent was last asked to leave: it does not try forever.
    pub(super) hand_over_failed: bool,
}

/// How long a standby has been silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Silence {
    pub(super) since: Moment,
    /// What the primary had written by then.
    pub(super) owed: Lsn,
}

impl Reign {
    pub(super) fn new(
        leader: LeaderRecord,
        version: Version,
        timing: Timing,
        confirmed: Option<Moment>,
        now: Moment,
    ) -> Self {
        Self {
            term: leader.mark.term,
            serving: leader.serving,
            paused: leader.paused,
            plan: None,
            before: None,
            excluded: leader.excluded.clone(),
            leader,
            version,
            timing,
            confirmed,
            jumped_at: None,
            lost: false,
            store_is_silent: false,
            leave: super::failsafe::Leave::default(),
            attempts: Attempts::default(),
            next_renewal: now,
            history: None,
            cluster: None,
            request: None,
            sync_step: SyncStep::Settled,
            renew_alone: false,
            standbys_in_force: None,
            silent: BTreeMap::new(),
            began: now,
            voters: BTreeSet::new(),
            not_before: now,
            promoted: None,
            recovered_to: None,
            restarts: 0,
            needs_start: false,
            mute_observations: 0,
            barrier_failures: 0,
            announced: false,
            hand_over_failed: false,
        }
    }

    /// Until when leadership is certain: `ttl` after the moment **before** the confirmed renewal was sent, and not beyond what a renewal
    /// that was sent since would give (protocol rule 4). [`Moment::MAX`] while paused.
    pub(super) fn belief_ends(&self) -> Moment {
        self.ends().belief
    }

    fn ends(&self) -> Ends {
        let none = Ends { belief: Moment::ORIGIN, give_up: Moment::ORIGIN };
        let Some(confirmed) = self.confirmed.filter(|_| !self.lost) else { return none };
        let ends = Ends::of(&self.leader, confirmed, &self.timing);
        let by_leave = self.leave.ends(&self.timing);
        if self.attempts.are_settled() {
            return by_leave.map_or(ends, |(_, leave)| ends.max(leave));
        }
        let all = self.attempts.all().map(Attempt::ends).chain(self.attempts.forgotten);
        let by_store = all.fold(ends, Ends::min);
        // Nobody was asked whether leadership may be left, nor what a write that is forgotten may have listed.
        let only_renewals = self.attempts.all().all(|attempt| attempt.purpose == Purpose::Renew);
        let counts = only_renewals && !self.attempts.were_forgotten();
        // What was written since may list whom nobody asked, and give less time: leave goes no further than that.
        let by_leave = by_leave.filter(|_| counts).map(|(asked, leave)| {
            let since = self.attempts.all().filter(|attempt| attempt.sent >= asked);
            since.map(Attempt::ends).fold(leave, Ends::min)
        });
        by_leave.map_or(by_store, |leave| by_store.max(leave))
    }

    /// When giving up must begin, so that the database has stopped before belief ends, whatever the rates of the clocks.
    pub(super) fn give_up_at(&self) -> Moment {
        self.ends().give_up
    }

    /// When the node must be harmless: what the watchdog is told. `None`: no end.
    pub(super) fn harmless_by(&self) -> Option<Moment> {
        let ends = self.belief_ends();
        (ends != Moment::MAX).then(|| ends.before(self.timing.clock_margin))
    }

    /// How long one renewal is waited for.
    pub(super) fn renewal_timeout(timing: &Timing) -> Duration {
        timing.renew_interval.max(Duration::from_millis(200))
    }
}
