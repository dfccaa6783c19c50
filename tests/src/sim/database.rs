//! Databases whose log is a list, so that "is a prefix of" and "was acknowledged" can be looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::{DatabaseState, DatabaseStatus, PromoteOrder, StandbyStatus, SynchronousStandbys};
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::term::Term;

/// Records that no client wrote have ids from here on, each another.
pub const INTERNAL: u64 = 1 << 63;

/// What stands in the way of replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayHeld {
    /// A reader, who is ended when a freeze needs it.
    ByReader,
    /// Nobody knows what; not even a restart helps.
    Stuck,
}

/// What left the data worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalfWay {
    /// A rewind that did not end.
    Rewind,
    /// A copy that did not end.
    Clone,
}

/// A promotion that has begun. It goes on whatever becomes of who asked for it.
#[derive(Clone, Debug)]
pub struct Promotion {
    /// When it is done; `None` for never.
    pub until: Option<Duration>,
    /// What was asked for.
    pub order: PromoteOrder,
}

/// One member's database.
#[derive(Clone, Debug)]
pub struct Database {
    /// What it is doing.
    pub state: DatabaseState,
    /// Of which cluster.
    pub system_id: Option<SystemId>,
    /// Which copy.
    pub data_id: Option<DataId>,
    /// Beside the data.
    pub term: Term,
    /// The timeline of the next record.
    pub timeline: u32,
    /// All that was written or received: of each record the timeline it was written on, and the client's id (from [`INTERNAL`] on: nobody's).
    /// A record is written once, so two logs that have the same one at the same place are the same up to there.
    pub log: Vec<(u32, u64)>,
    /// So much of it is on disk; the rest is lost in a crash, and is sent to nobody.
    pub flushed: usize,
    /// So much of it a standby has replayed.
    pub replayed: usize,
    /// Whom it follows.
    pub upstream: Option<MemberId>,
    /// It streams.
    pub streaming: bool,
    /// Who must have a record before it is acknowledged, as a new session shows it.
    pub synchronous: SynchronousStandbys,
    /// Settings by which some process may still go, and until when.
    pub before: Vec<(SynchronousStandbys, Duration)>,
    /// The data are a standby's: they are not started as primary.
    pub in_recovery: bool,
    /// It does not answer.
    pub hung: bool,
    /// A fast shutdown does not end in time.
    pub slow_shutdown: bool,
    /// A fast shutdown is under way: nothing is written any more, standbys still receive.
    pub stopping: bool,
    /// A promotion is under way.
    pub promotion: Option<Promotion>,
    /// Where the timeline before was left.
    pub switched_at: usize,
    /// Replay does not go on.
    pub replay_held: Option<ReplayHeld>,
    /// Replay is this much behind what is on disk.
    pub replay_takes: Duration,
    /// The data are worthless.
    pub broken: Option<HalfWay>,
    /// It says "saved" before anybody else has it, whatever it was told to wait for.
    pub hasty: bool,
    /// Which start of its processes this is.
    pub run: u64,
    /// How often its slots were looked after.
    pub slots_kept: u32,
    pub(super) flushing: Option<(Duration, usize)>,
    pub(super) replaying: Option<(Duration, usize)>,
}

/// What takes its time goes on: one portion after the other, or all at once.
fn proceed(done: &mut usize, going: &mut Option<(Duration, usize)>, to: usize, now: Duration, takes: Duration) {
    *done = (*done).min(to);
    if takes.is_zero() {
        (*done, *going) = (to, None);
        return;
    }
    if let Some((at, reached)) = *going
        && at <= now
    {
        (*done, *going) = (reached.min(to).max(*done), None);
    }
    if going.is_none() && *done < to {
        *going = Some((now + takes, to));
    }
}

impl Database {
    /// No data.
    pub fn absent() -> Self {
        Self {
            state: DatabaseState::Absent,
            system_id: None,
            data_id: None,
            term: Term(0),
            timeline: 0,
            log: Vec::new(),
            flushed: 0,
            replayed: 0,
            upstream: None,
            streaming: false,
            synchronous: SynchronousStandbys::Nobody,
            before: Vec::new(),
            in_recovery: false,
            hung: false,
            slow_shutdown: false,
            stopping: false,
            promotion: None,
            switched_at: 0,
            replay_held: None,
            replay_takes: Duration::ZERO,
            broken: None,
            hasty: false,
            run: 0,
            slots_kept: 0,
            flushing: None,
            replaying: None,
        }
    }

    /// The end of what is on disk.
    pub fn lsn(&self) -> Lsn {
        Lsn(self.flushed.min(self.log.len()) as u64)
    }

    /// Adds a record.
    pub fn append(&mut self, id: u64) {
        self.log.push((self.timeline, id));
    }

    /// Everything is on disk.
    pub fn flush(&mut self) {
        (self.flushed, self.flushing) = (self.log.len(), None);
    }

    /// What was not on disk is lost; no process is left.
    pub fn crash(&mut self) {
        self.log.truncate(self.flushed);
        self.end_processes();
        if self.state.runs() {
            self.state = DatabaseState::Crashed;
        }
    }

    /// Nothing of it runs any more.
    pub(super) fn end_processes(&mut self) {
        (self.streaming, self.hung, self.stopping) = (false, false, false);
        (self.promotion, self.flushing, self.replaying) = (None, None, None);
        self.replay_held = self.replay_held.filter(|held| *held == ReplayHeld::Stuck);
        self.before.clear();
    }

    /// What is written comes to disk, and what is on disk is replayed.
    pub(super) fn proceed(&mut self, now: Duration, flush_takes: Duration) {
        proceed(&mut self.flushed, &mut self.flushing, self.log.len(), now, flush_takes);
        if !self.in_recovery {
            self.replayed = self.flushed;
        } else if self.replay_held.is_none() {
            proceed(&mut self.replayed, &mut self.replaying, self.flushed, now, self.replay_takes);
        }
        if !self.before.is_empty() {
            self.before.retain(|(_, until)| *until > now);
        }
    }

    /// Whether it sends log to whoever streams from it.
    pub(super) fn sends(&self) -> bool {
        matches!(self.state, DatabaseState::Primary | DatabaseState::Standby) || self.stopping
    }

    /// Sets who is waited for. Some processes go by the old setting until then, some by the new one from now on: whichever is easier is enough.
    pub(super) fn wait_for(&mut self, standbys: &SynchronousStandbys, until: Duration, now: Duration) {
        if self.synchronous != *standbys {
            let old = std::mem::replace(&mut self.synchronous, standbys.clone());
            if until > now {
                self.before.push((old, until));
            }
        }
    }

    /// Whether a commit may be acknowledged that these standbys have flushed.
    pub fn is_enough(&self, flushed: impl Fn(&MemberId) -> bool) -> bool {
        let enough = |standbys: &SynchronousStandbys| match standbys {
            SynchronousStandbys::Nobody => true,
            SynchronousStandbys::AllOf(names) => names.iter().all(&flushed),
            SynchronousStandbys::AnyOf { k, names } => names.iter().filter(|name| flushed(name)).count() >= *k as usize,
        };
        self.hasty || enough(&self.synchronous) || self.before.iter().any(|(standbys, _)| enough(standbys))
    }

    /// Whether this log is the beginning of the other.
    pub fn is_prefix_of(&self, other: &Database) -> bool {
        self.log.last().is_none_or(|last| other.log.get(self.log.len() - 1) == Some(last))
    }

    /// How many records the two have in common.
    pub fn common_with(&self, other: &Database) -> usize {
        let (mut low, mut high) = (0, self.log.len().min(other.log.len()));
        while low < high {
            let middle = (low + high).div_ceil(2);
            if self.log[middle - 1] == other.log[middle - 1] {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The timeline of the last record.
    pub fn last_timeline(&self) -> Timeline {
        Timeline(self.log[..self.flushed.min(self.log.len())].last().map_or(self.timeline, |(timeline, _)| *timeline))
    }

    /// As read.
    pub fn status(&self, standbys: BTreeMap<MemberId, StandbyStatus>) -> DatabaseStatus {
        let mut status = DatabaseStatus::absent();
        status.term = self.term;
        if self.broken.is_some() {
            status.weaknesses.push("the data were left half-way by a rewind or a clone: they are not used".into());
            return status;
        }
        let mute = (self.hung && self.state.runs()) || self.stopping;
        status.state = if mute { DatabaseState::Unresponsive } else { self.state };
        status.system_id = self.system_id;
        status.data_id = self.data_id.clone();
        if mute {
            return status;
        }
        status.timeline =
            if self.state == DatabaseState::Primary { Timeline(self.timeline) } else { self.last_timeline() };
        status.lsn = self.lsn();
        status.replayed = Lsn(self.replayed as u64);
        status.streaming = self.streaming;
        status.upstream = self.upstream.clone();
        status.standbys = standbys;
        status.synchronous = Some(self.synchronous.clone());
        status
    }
}
