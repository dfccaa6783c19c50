//! What goes wrong, by chance, and how it ends.

use std::time::Duration;

use odoo_ha_core::member::MemberId;
use tokio::time::Instant;

use super::cluster::Cluster;
use super::mood::{Kind, Mood};
use super::state::{State, Unanswered, locked};

/// After an agent died, its supervisor starts it again within this.
const SUPERVISED: (u64, u64) = (200, 4000);

/// Before a step on which of them an agent is frozen; some of the time at once.
const WORST_LANES: [Option<&str>; 8] =
    [None, None, Some("db"), Some("db"), Some("addr"), Some("serv"), Some("store"), Some("disk")];

/// What ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The agent goes on.
    Thaw,
    /// The agent is started again.
    Start,
    /// The store can be reached, as fast as ever.
    Store,
    /// The other nodes can be reached.
    Peers,
    /// The database answers, stops, receives.
    Data,
    /// The memo can be written.
    Disk,
}

impl State {
    fn ends_after(&mut self, name: &MemberId, after: Duration, end: End) {
        self.ends.push((Instant::now() + after, name.clone(), end));
    }

    /// The database's processes die.
    pub(super) fn kill_database(&mut self, name: &MemberId) {
        let site = self.site_mut(name);
        site.data.crash();
        site.ring();
        self.client.pending.retain(|(on, _, _)| on != name);
    }

    /// The agent's process dies, and its address with it (a socket of its own). What it had sent arrives.
    pub(super) fn kill_agent(&mut self, name: &MemberId) {
        let after = self.chance.millis(SUPERVISED.0, SUPERVISED.1);
        let site = self.site_mut(name);
        let Some(agent) = site.agent.take() else { return };
        site.address = false;
        site.leads_files = false;
        site.calls.clear();
        site.look(true);
        site.turns.end();
        self.to_bury.push((name.clone(), agent));
        self.ends.retain(|(_, of, end)| of != name || *end != End::Thaw);
        self.ends_after(name, after, End::Start);
    }

    fn freeze_agent(&mut self, name: &MemberId, after: Duration) {
        let site = self.site_mut(name);
        // With its watchdog dead, nobody would stop it: a double loss, which is documented.
        let unguarded = site.believes(Instant::now()) && site.armed.is_none();
        if !unguarded || !self.guarded {
            // Often just before something begins.
            let lane = self.chance.pick(&WORST_LANES).flatten();
            self.site(name).turns.freeze(lane);
            self.ends_after(name, after, End::Thaw);
        }
    }

    fn kill_watchdog(&mut self, name: &MemberId) {
        let site = self.site_mut(name);
        if !site.turns.freezes() {
            site.armed = None;
            site.ring();
        }
    }

    fn mood(&mut self) -> Mood {
        let time = self.chance.millis(20, 6000);
        match self.chance.below(7) {
            0 => Mood::Slow(time),
            1 => Mood::Hang,
            2 => Mood::DoneUnanswered,
            3 => Mood::Fail,
            4 => Mood::DoneFailed,
            5 => Mood::Panic,
            _ => Mood::Block(time),
        }
    }

    /// Some calls of one kind go wrong.
    fn sour(&mut self, name: &MemberId) {
        let Some(kind) = self.chance.pick(&Kind::MOODY) else { return };
        for _ in 0..=self.chance.below(3) {
            let mood = self.mood();
            self.tell(format_args!("{name}: fault: {kind:?} {mood:?}"));
            self.site_mut(name).files_ail |= kind == Kind::Files;
            self.site_mut(name).moods.entry(kind).or_default().push(mood);
        }
    }

    /// The faults of the store, and of the way to it.
    fn store_fault(&mut self, name: &MemberId) {
        let long = self.chance.millis(300, 9000);
        match self.chance.below(7) {
            0 | 1 => {
                self.site_mut(name).cut_from_store = true;
                self.ends_after(name, long, End::Store);
            }
            2 => {
                self.site_mut(name).slow_store = self.chance_slow();
                self.ends_after(name, long, End::Store);
            }
            3 => self.site_mut(name).watch_still_until = Instant::now() + long,
            4 => {
                let gap = self.chance.one_in(2);
                self.site_mut(name).watch_ends = Some(gap);
            }
            _ => {
                let late = self.chance.millis(100, 4000);
                let fate = [Unanswered::Done, Unanswered::NotDone, Unanswered::Late(late)];
                let fate = self.chance.pick(&fate);
                self.site_mut(name).unanswered.extend(fate);
            }
        }
    }

    fn chance_slow(&mut self) -> Duration {
        self.chance.millis(10, 1000)
    }

    fn data_fault(&mut self, name: &MemberId) {
        let long = self.chance.millis(300, 9000);
        match self.chance.below(3) {
            0 => self.site_mut(name).data.hung = true,
            1 => self.site_mut(name).data.slow_shutdown = true,
            _ => self.site_mut(name).data.receives = 1,
        }
        self.ends_after(name, long, End::Data);
    }
}

/// What can go wrong, or be wanted.
#[derive(Clone, Copy, Debug)]
enum Fault {
    DatabaseDies,
    NodeDies,
    AgentDies,
    AgentFreezes,
    Store,
    CutFromPeers,
    WallClockJumps,
    Switchover,
    DatabaseAils,
    WatchdogDies,
    DiskFull,
    CallsGoWrong,
}

impl Fault {
    /// As often as they stand here.
    const ALL: [Self; 18] = [
        Self::DatabaseDies,
        Self::DatabaseDies,
        Self::NodeDies,
        Self::NodeDies,
        Self::AgentDies,
        Self::AgentFreezes,
        Self::AgentFreezes,
        Self::Store,
        Self::Store,
        Self::CutFromPeers,
        Self::WallClockJumps,
        Self::Switchover,
        Self::DatabaseAils,
        Self::WatchdogDies,
        Self::DiskFull,
        Self::CallsGoWrong,
        Self::CallsGoWrong,
        Self::CallsGoWrong,
    ];
}

impl Cluster {
    /// One thing goes wrong, or an operator wants something; on the leader as often as on all others together.
    pub(super) fn one_fault(&self) {
        let mut state = locked(&self.world);
        let names = state.names();
        let at = state.chance.below(names.len() as u64) as usize;
        let leads = state.chance.one_in(2);
        let Some(name) = state.leader().filter(|_| leads).or(names.get(at)).cloned() else { return };
        let name = &name;
        let long = state.chance.millis(100, 9000);
        let Some(fault) = state.chance.pick(&Fault::ALL) else { return };
        state.faults += 1;
        state.tell(format_args!("{name}: {fault:?}, {long:?}"));
        match fault {
            Fault::DatabaseDies => state.kill_database(name),
            Fault::NodeDies => {
                state.kill_database(name);
                state.kill_agent(name);
                state.site_mut(name).armed = None;
            }
            Fault::AgentDies => state.kill_agent(name),
            Fault::AgentFreezes => state.freeze_agent(name, long),
            Fault::Store => state.store_fault(name),
            Fault::CutFromPeers => {
                state.site_mut(name).cut_from_peers = true;
                state.ends_after(name, long, End::Peers);
            }
            Fault::WallClockJumps => {
                let seconds = state.chance.below(7200) as i64 - 3600;
                state.site(name).clock.jump(seconds);
            }
            Fault::Switchover => {
                drop(state);
                self.switchover(name);
            }
            Fault::DatabaseAils => state.data_fault(name),
            Fault::WatchdogDies => state.kill_watchdog(name),
            Fault::DiskFull => {
                self.disk_full(name, true);
                state.ends_after(name, long, End::Disk);
            }
            Fault::CallsGoWrong => state.sour(name),
        }
    }

    /// What has run its time ends.
    pub(super) fn end_faults(&self, now: Instant) {
        let due: Vec<(MemberId, End)> = {
            let mut state = locked(&self.world);
            let (due, later) = std::mem::take(&mut state.ends).into_iter().partition(|(at, _, _)| *at <= now);
            state.ends = later;
            due.into_iter().map(|(_, name, end): (Instant, MemberId, End)| (name, end)).collect()
        };
        for (name, end) in due {
            self.end_fault(&name, end);
        }
    }

    fn end_fault(&self, name: &MemberId, end: End) {
        let mut state = locked(&self.world);
        state.note(format_args!("{name}: {end:?}"));
        let site = state.site_mut(name);
        match end {
            End::Thaw => {
                site.awake_since = Instant::now();
                site.turns.thaw();
            }
            End::Start => {
                drop(state);
                self.start_agent(name);
            }
            End::Store => {
                site.cut_from_store = false;
                site.slow_store = Duration::ZERO;
            }
            End::Peers => site.cut_from_peers = false,
            End::Data => {
                site.data.hung = false;
                site.data.slow_shutdown = false;
                site.data.receives = usize::MAX;
            }
            End::Disk => self.disk_full(name, false),
        }
    }

    /// Everything ends.
    pub(super) fn heal(&self) {
        let names = {
            let mut state = locked(&self.world);
            state.tell(format_args!("every fault ends"));
            let now = Instant::now();
            for site in state.sites.values_mut() {
                site.moods.clear();
                site.unanswered.clear();
                site.watch_still_until = now;
            }
            state.names()
        };
        for name in &names {
            for end in [End::Thaw, End::Store, End::Peers, End::Data, End::Disk, End::Start] {
                self.end_fault(name, end);
            }
        }
        locked(&self.world).ends.clear();
    }
}
