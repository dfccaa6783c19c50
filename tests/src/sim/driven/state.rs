//! What the world is made of, at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odoo_ha_core::driver::HaHandle;
use odoo_ha_core::machine::StateName;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::SyncRecord;
use odoo_ha_core::store::{Change, Revision};
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::chance::{Chance, Trace};
use super::clock::SimClock;
use super::data::Data;
use super::faults::End;
use super::mood::{Kind, Mood};
use super::turns::NodeTurns;
use super::{Store, Violation};

/// The world, shared by everybody in it. All of them run on one thread.
pub(super) type World = Arc<Mutex<State>>;

/// Belief without an end (the cluster is paused) is cut to this.
const LONGEST_BELIEF: Duration = Duration::from_secs(3600);

/// Locks it: a panic of a made-up backend leaves it whole.
pub(super) fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a commit goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unanswered {
    /// It is done, and never answered.
    Done,
    /// It is lost on the way.
    NotDone,
    /// It arrives only after so long, and is never answered.
    Late(Duration),
}

/// One call of a role under way.
#[derive(Debug)]
pub(super) struct LiveCall {
    pub(super) kind: Kind,
    pub(super) verb: &'static str,
    pub(super) lane: String,
    /// When it has to be over.
    pub(super) deadline: Instant,
}

/// A watchdog that is armed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    pub(super) incarnation: u64,
    pub(super) deadline: Option<Moment>,
}

/// What was last seen of a member's own belief.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) state: StateName,
    leads_for: Option<Duration>,
    /// Until when it believes to lead.
    pub(super) believes_until: Option<Instant>,
}

/// One node: the machine, and the agent on it.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) clock: Arc<SimClock>,
    /// Counts the starts of the agent.
    pub(super) life: u64,
    /// The agent; `None` while it is dead.
    pub(super) agent: Option<HaHandle>,
    pub(super) turns: Arc<NodeTurns>,
    /// Since when the agent has been neither frozen nor dead.
    pub(super) awake_since: Instant,
    pub(super) picture: Picture,
    pub(super) data: Data,
    pub(super) address: bool,
    pub(super) services: bool,
    pub(super) leads_files: bool,
    /// Its files' backend failed in this life of the agent. The driver waits for no such backend, so it may lead for too long.
    pub(super) files_ail: bool,
    /// Where the agent keeps its memo.
    pub(super) memo: PathBuf,
    pub(super) armed: Option<Armed>,
    /// Rung when something changes that is waited for. Not a `watch` channel: that wakes its receivers in an order drawn by chance.
    pub(super) bell: Arc<Notify>,
    pub(super) cut_from_store: bool,
    pub(super) cut_from_peers: bool,
    /// Store calls take up to this much longer, each way.
    pub(super) slow_store: Duration,
    /// The watch shows nothing before this.
    pub(super) watch_still_until: Instant,
    /// An operator's wish is on its way.
    pub(super) asked: bool,
    /// The watch that runs ends: with a gap (`true`) or an error.
    pub(super) watch_ends: Option<bool>,
    pub(super) unanswered: Vec<Unanswered>,
    /// What the next calls of a kind meet.
    pub(super) moods: BTreeMap<Kind, Vec<Mood>>,
    pub(super) calls: BTreeMap<u64, LiveCall>,
    /// Which kind of call each lane was used by.
    pub(super) lanes: BTreeMap<String, Kind>,
}

impl Site {
    pub(super) fn new(clock: Arc<SimClock>, turns: Arc<NodeTurns>, memo: PathBuf, now: Instant) -> Self {
        Self {
            clock,
            life: 0,
            agent: None,
            turns,
            awake_since: now,
            picture: Picture { state: StateName::Stopped, leads_for: None, believes_until: None },
            data: Data::absent(),
            address: false,
            services: false,
            leads_files: false,
            files_ail: false,
            memo,
            armed: None,
            bell: Arc::default(),
            cut_from_store: false,
            cut_from_peers: false,
            slow_store: Duration::ZERO,
            watch_still_until: now,
            asked: false,
            watch_ends: None,
            unanswered: Vec::new(),
            moods: BTreeMap::new(),
            calls: BTreeMap::new(),
            lanes: BTreeMap::new(),
        }
    }

    /// Takes note of what the agent believes now. `fresh`: its status was made at this very moment.
    pub(super) fn look(&mut self, fresh: bool) {
        let Some(status) = self.agent.as_ref().map(HaHandle::status) else {
            self.picture.believes_until = None;
            return;
        };
        let left = status.leads_for;
        if fresh || left != self.picture.leads_for {
            let (now, rate) = (Instant::now(), self.clock.rate);
            let ends = |left: Duration| rate.instant(rate.moment(now) + left.min(LONGEST_BELIEF));
            self.picture.believes_until = left.map(ends);
        }
        self.picture = Picture { state: status.state, leads_for: left, ..self.picture };
    }

    /// Whether the agent believes to lead.
    pub(super) fn believes(&self, now: Instant) -> bool {
        self.agent.is_some() && self.picture.believes_until.is_some_and(|until| until > now)
    }

    pub(super) fn ring(&self) {
        self.bell.notify_waiters();
    }
}

/// What the client did and was told.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) writing: bool,
    /// Somebody writes to every primary directly too, address or not.
    pub(super) direct: bool,
    pub(super) next_id: u64,
    /// On which node, where in its log, which write.
    pub(super) pending: Vec<(MemberId, usize, u64)>,
    /// What it was told is saved.
    pub(super) acknowledged: BTreeSet<u64>,
    /// Those of them that no failover may lose.
    pub(super) promised: BTreeSet<u64>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) began: Instant,
    pub(super) mode: SyncMode,
    /// Who is in it, with which times, for a person.
    pub(super) about: String,
    /// How often something went wrong, or was wished.
    pub(super) faults: u64,
    /// Every node has a watchdog.
    pub(super) guarded: bool,
    pub(super) chance: Chance,
    pub(super) trace: Trace,
    pub(super) store: Store,
    /// All changes, for watches.
    pub(super) changes: Vec<(Revision, Instant, Vec<Change>)>,
    pub(super) store_bell: Arc<Notify>,
    /// Which votes suffice, as the store has it.
    pub(super) sync_record: Option<SyncRecord>,
    pub(super) sites: BTreeMap<MemberId, Site>,
    pub(super) client: Client,
    pub(super) violations: Vec<Violation>,
    pub(super) calls: u64,
    pub(super) looks: u64,
    /// The reigns that served.
    pub(super) reigns: BTreeSet<Term>,
    /// Whom the promises were last looked for on, and in which term.
    pub(super) checked: Option<(MemberId, Term)>,
    /// Agents that died, and have to be seen to their end.
    pub(super) to_bury: Vec<(MemberId, HaHandle)>,
    /// What ends by itself, and when.
    pub(super) ends: Vec<(Instant, MemberId, End)>,
}

impl State {
    pub(super) fn new(seed: u64, mode: SyncMode) -> Self {
        Self {
            began: Instant::now(),
            mode,
            about: String::new(),
            faults: 0,
            guarded: true,
            chance: Chance::new(seed, 1),
            trace: Trace::new(),
            store: Store::default(),
            changes: Vec::new(),
            store_bell: Arc::default(),
            sync_record: None,
            sites: BTreeMap::new(),
            client: Client::default(),
            violations: Vec::new(),
            calls: 0,
            looks: 0,
            reigns: BTreeSet::new(),
            checked: None,
            to_bury: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// How long the world has been.
    pub(super) fn age(&self) -> Duration {
        Instant::now() - self.began
    }

    pub(super) fn names(&self) -> Vec<MemberId> {
        self.sites.keys().cloned().collect()
    }

    pub(super) fn site(&self, name: &MemberId) -> &Site {
        self.sites.get(name).expect("only members of the world are asked for")
    }

    pub(super) fn site_mut(&mut self, name: &MemberId) -> &mut Site {
        self.sites.get_mut(name).expect("only members of the world are asked for")
    }

    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let at = self.age();
        self.trace.note(at, what);
    }

    pub(super) fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let at = self.age();
        self.trace.tell(at, what);
    }

    /// Something was that must never be.
    pub(super) fn violated(&mut self, judge: &'static str, what: String) {
        self.tell(format_args!("VIOLATION {judge}: {what}"));
        let at = self.age();
        self.violations.push(Violation { at, judge, what });
    }
}
