//! A node that is complete and checked, and how it begins to run.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, watch};

use crate::error::Error;
use crate::machine::{Config, Machine};
use crate::roles::Notifier;

use super::builder::HaNodeBuilder;
use super::calls::Calls;
use super::clock::Clock;
use super::control::Control;
use super::events::Events;
use super::files::FilesWatch;
use super::guardian::Guardian;
use super::handle::{HaHandle, Shared};
use super::lanes::{Lane, Lanes, NodeLanes, Place};
use super::log::Log;
use super::memo::MemoFile;
use super::notifiers::NotifierQueue;
use super::perform::{Hands, Parts};
use super::probes::{Believed, Probe};
use super::questions::Questions;
use super::watches::Watches;

/// Commands that wait to be heard. The control loop hears one in microseconds; who commands faster than that waits.
const COMMANDS: usize = 64;

/// What watches and probes have told and the control loop has not heard; who tells faster waits.
const TOLD: usize = 256;

/// A node of a cluster, complete and checked; it runs once it is [spawned](Self::spawn).
#[derive(Debug)]
#[must_use = "a node does nothing until it is spawned"]
pub struct HaNode {
    pub(super) config: Config,
    pub(super) parts: Parts,
    pub(super) probes: Vec<Probe>,
    pub(super) notifiers: Vec<Arc<dyn Notifier>>,
    pub(super) state_dir: PathBuf,
    pub(super) lanes: Arc<Lanes>,
    pub(super) clock: Arc<dyn Clock>,
    /// Drawn when it is spawned, if not given.
    pub(super) incarnation: Option<u64>,
}

impl HaNode {
    /// Puts a node together.
    pub fn builder() -> HaNodeBuilder {
        HaNodeBuilder::default()
    }

    /// Locks the state directory, reads what the member remembers, and begins to run on threads of its own. Reads and writes a small
    /// file before it returns; needs no executor.
    ///
    /// # Errors
    ///
    /// `Misconfigured`: another agent uses the state directory, it belongs to another member, or no thread can be started.
    /// `Malformed`: what the member remembers is broken, or was written by a newer version; it is never ignored. `Disk`.
    pub fn spawn(self) -> Result<HaHandle, Error> {
        let Self { config, parts, probes, notifiers, state_dir, lanes, clock, incarnation } = self;
        let (memo_file, memo) = MemoFile::open(&state_dir, &config.cluster, &config.me)?;
        let incarnation = incarnation.unwrap_or_else(|| draw_incarnation(clock.now()));
        let node_lanes = Arc::new(NodeLanes::new(&lanes, &parts.places())?);
        let helper_lanes = |kind: &str, count: usize| {
            (0..count).map(|number| lanes.lane(&format!("{kind}-{number}"))).collect::<Result<Vec<Lane>, Error>>()
        };
        let notifier_lanes = helper_lanes("notif", notifiers.len())?;
        let probe_lanes = helper_lanes("probe", probes.len())?;
        let timer = {
            let _within = node_lanes.control.handle().enter();
            clock.timer()?
        };

        let log = Log::start(&node_lanes.log, config.cluster.clone(), config.me.clone());
        let (told_sender, told) = mpsc::channel(TOLD);
        let (working, delivered) = mpsc::channel(1);
        let believed = Believed::new(&probes);
        for (number, (probe, lane)) in probes.into_iter().zip(probe_lanes).enumerate() {
            probe.start(number, &node_lanes.side, lane, told_sender.clone(), log.clone());
        }
        let (report, files) = watch::channel(None);
        if let (Some(filestore), Some(lane)) = (parts.filestore.clone(), node_lanes.at(Place::FilestoreLook)) {
            let watch = FilesWatch { filestore, clock: clock.clone(), report };
            watch.start(&node_lanes.side, lane.clone(), told_sender.clone());
        }
        let queues = notifiers.into_iter().zip(notifier_lanes).enumerate().map(|(number, (notifier, lane))| {
            NotifierQueue::start(number, notifier, (&node_lanes.side, lane), log.clone(), working.clone())
        });
        let events = Events::new(queues.collect(), log.clone());
        drop(working);

        let parts = Arc::new(parts);
        let questions = Arc::<Questions>::default();
        let hands = Hands {
            parts: parts.clone(),
            clock: clock.clone(),
            memo: Arc::new(memo_file),
            questions: questions.clone(),
            incarnation,
            turn: Arc::default(),
        };
        let budget = config.timing.stop_budget;
        let machine = Machine::new(config.clone(), memo, incarnation, clock.now());
        let (status_sender, status) = watch::channel(machine.status());
        let guarded = status_sender.clone();
        let (command_sender, commands) = mpsc::channel(COMMANDS);
        let kill = Arc::new(Notify::new());
        let shared = Shared {
            incarnation,
            next_request: AtomicU64::new(0),
            commands: command_sender,
            status,
            files,
            events: events.source(),
            kill: kill.clone(),
            control: node_lanes.control.spawner().clone(),
            config: Mutex::new(config),
        };
        let control = Control {
            machine,
            clock,
            timer,
            calls: Calls::new(hands, node_lanes.clone()),
            watches: Watches::new(parts.clone(), node_lanes.clone(), told_sender, questions),
            believed,
            commands,
            told,
            kill,
            status: status_sender,
            events,
            delivered,
            log: log.clone(),
        };
        let control = node_lanes.control.spawn(control.run());
        let side = node_lanes.side.spawner().clone();
        let guardian = Guardian { parts, lanes: node_lanes, status: guarded, log, budget };
        side.spawn(guardian.watch(control));
        Ok(HaHandle::new(shared))
    }
}

/// A number that differs at every start of every agent, and grows from start to start on one machine until that is rebooted: what was armed
/// by an earlier start is taken over by a later one, never the other way round.
fn draw_incarnation(now: crate::time::Moment) -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let micros = now.since_origin().as_micros() as u64;
    (micros << INCARNATION_RANDOM_BITS) | (hasher.finish() & ((1 << INCARNATION_RANDOM_BITS) - 1))
}

/// Leaves 52 bits for microseconds since boot: more than a century.
const INCARNATION_RANDOM_BITS: u32 = 12;
