//! A cluster of real drivers in the made-up world: how agents start and end, and how time passes.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use odoo_ha_core::database::Endpoint;
use odoo_ha_core::driver::{HaHandle, HaNode, Lanes, Streamed};
use odoo_ha_core::error::Error;
use odoo_ha_core::event::EventKind;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::{Policy, ProbeSettings, SyncMode, Timing};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::chance::Chance;
use super::clock::SimClock;
use super::mood::Link;
use super::state::{Site, State, World, locked};
use super::turns::NodeTurns;
use super::{Options, Profile};

/// The cluster's name.
pub(super) const CLUSTER: &str = "world";

/// How often what moves by itself is moved.
const TICK: Duration = Duration::from_millis(5);

/// A whole cluster is looked for once in so many ticks.
const WHOLE_EVERY: u64 = 20;

/// From the first start to a whole cluster, and from the last fault.
const HEALS_WITHIN: Duration = Duration::from_secs(60);

/// An agent that is killed has let go of its files within this.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Clocks differ by no more than so many millionths from the world's: two of them by less than `clock_margin`.
const MAX_PPM: u64 = 9_900;

/// The cluster.
pub(super) struct Cluster {
    pub(super) world: World,
    seed: u64,
    rounds: u32,
    timing: Timing,
    disk: TempDir,
}

impl Cluster {
    /// Makes it; nothing runs yet.
    pub(super) fn new(seed: u64, options: &Options) -> Self {
        let mut chance = Chance::new(seed, 2);
        let members = options.members.unwrap_or(2 + chance.below(4) as usize).clamp(1, 26);
        let mode = match chance.below(6) {
            0 => SyncMode::Asynchronous,
            1 => SyncMode::Strict,
            _ => SyncMode::Synchronous,
        };
        let mode = options.mode.unwrap_or(mode);
        let mut state = State::new(seed, mode);
        state.client.direct = chance.one_in(2);
        let guarded = !chance.one_in(4);
        state.guarded = guarded;
        let disk = scratch();
        let mut timing = Timing::with_ttl(Duration::from_millis(2000 + 500 * chance.below(5)));
        // Short, so that an order that is never answered ends within a run.
        timing.promote_timeout = Duration::from_secs(8);
        timing.switchover_timeout = Duration::from_secs(8);
        timing.clone_timeout = Duration::from_secs(12);
        for letter in ('a'..='z').take(members) {
            let name = MemberId::new(letter.to_string()).expect("a letter is a good name");
            let ppm = chance.below(2 * MAX_PPM) as i64 - MAX_PPM as i64;
            let memo = disk.path().join(name.as_str()).join("memo.json");
            let clock = Arc::new(SimClock::new(state.began, ppm));
            state.sites.insert(name, Site::new(clock, NodeTurns::new(chance.clone()), memo, state.began));
        }
        state.about = format!("{members} members, {mode:?}, ttl {:?}, watchdogs {guarded}", timing.ttl);
        let about = state.about.clone();
        state.tell(format_args!("{about}"));
        let rounds = match options.profile {
            Profile::Calm => 0,
            Profile::Harsh => options.rounds,
        };
        Self { world: Arc::new(Mutex::new(state)), seed, rounds, timing, disk }
    }

    /// Runs it from its beginning, through its faults, to where it has to be whole again.
    pub(super) async fn play(&self) {
        let names = locked(&self.world).names();
        for name in names {
            self.start_agent(&name);
        }
        self.becomes_whole("after its start").await;
        locked(&self.world).client.writing = true;
        for _ in 0..self.rounds {
            for _ in 0..=self.below(3) {
                self.one_fault();
                self.pass(self.millis(2000)).await;
                if !locked(&self.world).violations.is_empty() {
                    return;
                }
            }
            if self.below(2) == 0 {
                // Who has just died is seen to its end before it is started again.
                self.step().await;
                self.heal();
            }
            self.pass(self.millis(8000)).await;
            if !locked(&self.world).violations.is_empty() {
                return;
            }
        }
        self.step().await;
        self.heal();
        self.becomes_whole("after the last fault").await;
    }

    fn below(&self, below: u64) -> u64 {
        locked(&self.world).chance.below(below)
    }

    fn millis(&self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }

    /// Lets time pass, until something is wrong.
    async fn pass(&self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end && locked(&self.world).violations.is_empty() {
            self.step().await;
        }
    }

    async fn step(&self) {
        sleep(TICK).await;
        self.end_faults(Instant::now());
        locked(&self.world).tick();
        let dead = std::mem::take(&mut locked(&self.world).to_bury);
        for (name, agent) in dead {
            agent.kill();
            if timeout(ENDS_WITHIN, agent.ended()).await.is_err() {
                locked(&self.world).violated("alive", format!("{name}: killed, and does not end"));
            }
        }
    }

    async fn becomes_whole(&self, when: &str) {
        let end = Instant::now() + HEALS_WITHIN;
        loop {
            self.step().await;
            let mut state = locked(&self.world);
            if !state.violations.is_empty() {
                return;
            }
            if !state.looks.is_multiple_of(WHOLE_EVERY) {
                continue;
            }
            let Some(missing) = state.not_whole() else { return };
            if Instant::now() >= end {
                let refusals: Vec<String> = state
                    .sites
                    .iter()
                    .map(|(name, site)| {
                        let status = site.agent.as_ref().map(HaHandle::status);
                        let said = status.map(|status| format!("{:?}, {:?}", status.state, status.refusal));
                        format!("{name}: {said:?}, database {:?} at {}", site.data.state, site.data.lsn())
                    })
                    .collect();
                let what = format!("{HEALS_WITHIN:?} {when}: {missing}; {refusals:#?}");
                state.violated("healed", what);
                return;
            }
        }
    }

    /// Starts the agent of a member, if it is dead.
    pub(super) fn start_agent(&self, name: &MemberId) {
        let link = {
            let mut state = locked(&self.world);
            let chance = Chance::new(self.seed, 1000 + state.calls);
            let site = state.site_mut(name);
            if site.agent.is_some() {
                return;
            }
            site.life += 1;
            site.turns = NodeTurns::new(chance);
            site.awake_since = Instant::now();
            site.lanes.clear();
            site.files_ail = false;
            let link = Link { world: self.world.clone(), me: name.clone(), life: site.life };
            state.tell(format_args!("{name}: the agent starts"));
            link
        };
        match self.spawn(&link) {
            Ok(agent) => {
                self.listen(&link, &agent);
                let mut state = locked(&self.world);
                let site = state.site_mut(name);
                site.agent = Some(agent);
                site.look(true);
            }
            Err(error) => locked(&self.world).violated("alive", format!("{name} does not start: {}", error.chain())),
        }
    }

    fn spawn(&self, link: &Link) -> Result<HaHandle, Error> {
        let (clock, turns, mode, guarded) = {
            let state = locked(&self.world);
            let site = state.site(&link.me);
            (site.clock.clone(), site.turns.clone(), state.mode, state.guarded)
        };
        let mut policy = Policy::default();
        policy.sync_mode = mode;
        let roles = Arc::new(link.clone());
        // Grows from start to start, and no two members share it.
        let letter = link.me.as_str().bytes().map(u64::from).sum::<u64>();
        let mut builder = HaNode::builder();
        if guarded {
            builder = builder.watchdog(roles.clone());
        }
        builder
            .cluster(ClusterId::new(CLUSTER)?)
            .member(link.me.clone())
            .endpoint(Endpoint { host: link.me.to_string(), port: 5432 })
            .dcs(roles.clone())
            .database(roles.clone())
            .address(roles.clone())
            .services(roles.clone())
            .filestore(roles.clone())
            .notifier(roles.clone())
            .probe(roles, ProbeSettings::default())
            .timing(self.timing)
            .policy(policy)
            .state_dir(self.state_dir(&link.me))
            .lanes(Arc::new(Lanes::in_turns(Handle::current(), turns)))
            .clock(clock)
            .incarnation((link.life << 16) | letter)
            .build()?
            .spawn()
    }

    /// Hears what an agent tells, for as long as it lives.
    fn listen(&self, link: &Link, agent: &HaHandle) {
        let (mut pictures, mut events) = (agent.status_changes(), agent.events());
        let heard = link.clone();
        tokio::spawn(async move {
            while pictures.next().await.is_some() {
                if let Some(site) = heard.site(&mut locked(&heard.world)) {
                    site.look(true);
                }
            }
            let mut state = locked(&heard.world);
            if heard.site(&mut state).is_some() {
                state.violated("alive", format!("{}: the agent ended by itself", heard.me));
            }
        });
        let heard = link.clone();
        // Its name is drawn by the system.
        let disk = self.disk.path().display().to_string();
        tokio::spawn(async move {
            while let Some(next) = events.next().await {
                let Streamed::Event(event) = next else { continue };
                let mut state = locked(&heard.world);
                let sentence = event.sentence.replace(&disk, "");
                state.tell(format_args!("{} {}: {sentence}", event.member, event.term));
                if let EventKind::InvariantBroken { which } = &event.kind {
                    state.violated("machine", format!("{}: {which}", event.member));
                }
            }
        });
    }

    /// An operator asks this member to hand leadership to the best.
    pub(super) fn switchover(&self, name: &MemberId) {
        let (world, name) = (self.world.clone(), name.clone());
        let agent = {
            let mut state = locked(&self.world);
            let site = state.site_mut(&name);
            // One at a time: who is told first of two that wait for one answer is drawn by chance.
            let Some(agent) = site.agent.clone().filter(|_| !site.asked) else { return };
            site.asked = true;
            agent
        };
        tokio::spawn(async move {
            let result = agent.switchover(None).await;
            let mut state = locked(&world);
            state.site_mut(&name).asked = false;
            match result {
                Ok(()) => state.tell(format_args!("{name}: the switchover is done")),
                Err(error) => state.tell(format_args!("{name}: the switchover: {}", error.kind())),
            }
        });
    }

    fn state_dir(&self, name: &MemberId) -> PathBuf {
        self.disk.path().join(name.as_str())
    }

    /// The memo cannot be written any more, or again.
    pub(super) fn disk_full(&self, name: &MemberId, full: bool) {
        // A directory where the new memo is to be: it cannot be made as a file. That it is there already, or gone, is fine.
        let path = self.state_dir(name).join("memo.json.new");
        let _ = if full { fs::create_dir(path) } else { fs::remove_dir(path) };
    }
}

/// Where the state directories are: in memory if possible, as a run writes thousands of small files durably.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a run needs a directory for temporary files")
}
