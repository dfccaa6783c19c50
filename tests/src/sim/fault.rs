//! What breaks: drawn by chance, done to the world, told in a sentence, and mended again.
//!
//! A new fault is a [`FaultKind`], a [`Fault`] with what is drawn for it, and an arm in `draw`, `apply` and `Display`; what it leaves
//! behind is undone in [`World::mend`]. How often it comes is said in `profile.rs`.

use std::fmt;
use std::time::Duration;

use odoo_ha_core::machine::{Input, StateName};
use odoo_ha_core::member::MemberId;

use super::{Answerless, Dice, ReplayHeld, Standstill, World};

/// The kinds of faults, as a profile weighs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A database is killed.
    DatabaseKilled,
    /// A host crashes: agent and database.
    HostCrashed,
    /// An agent is killed, its database lives on.
    AgentKilled,
    /// An agent is frozen.
    AgentFrozen,
    /// A node does not reach the store.
    CutFromStore,
    /// A node's database is not reached by the others.
    CutFromPeers,
    /// Commits to the store are not answered.
    Unanswered,
    /// A database hangs.
    DatabaseHangs,
    /// A fast shutdown does not end.
    ShutdownSlow,
    /// A promotion fails.
    PromotionFails,
    /// A stopped database does not start.
    StartFails,
    /// Reads of the store fail.
    ReadsFail,
    /// The memo cannot be written.
    MemoFails,
    /// A watch shows nothing for a while.
    WatchStalled,
    /// The store is slow for a node.
    StoreSlow,
    /// An agent dies between two of its actions.
    AgentDies,
    /// The wall clock jumps.
    ClockJumps,
    /// All hosts crash at once.
    EverythingCrashed,
    /// What one node sends does not reach another; the other way is open.
    LinkCut,
    /// Some nodes and all others do not reach one another.
    Partition,
    /// Between nodes everything takes so much longer, and of a thousand messages so many are lost.
    NetworkSlow,
    /// A node reaches the store one way only: what it asks is lost (`true`), or what it is answered.
    StoreOneWay,
    /// Of a thousand calls of a node to the store so many are lost, on either way.
    StoreLossy,
    /// The store answers nobody for so long.
    StoreAway,
    /// The store loses its leader, and what is under way with it, and is away for so long.
    StoreLeaderLost,
    /// The store goes back to what it was some seconds to a minute ago.
    StoreRestored,
    /// The store is empty.
    StoreWiped,
    /// A whole machine stands still; its clock goes on.
    MachineSuspended,
    /// A whole machine stands still with all of its clocks.
    MachinePaused,
    /// A disk is full.
    DiskFull,
    /// A disk is so many times as slow.
    DiskSlow,
    /// A promotion takes so much longer; `None`: it does not end.
    PromotionSlow,
    /// A database cannot be stopped.
    StopHangs,
    /// Rewinds fail; with `true` copies break off, too.
    CopyBreaks,
    /// Rewinds and copies take so much longer.
    CopySlow,
    /// A changed setting reaches the last process of a database so much later than it is shown.
    SettingsSlow,
    /// Replay does not go on.
    ReplayHeld,
    /// Replay is so much behind.
    ReplaySlow,
    /// The address cannot be attached, cannot be detached, or nobody hears of either.
    AddressAils,
    /// The address vanishes from where it is.
    AddressLost,
    /// A standby's copy ends before what is known to have been acknowledged.
    CopyEndsEarly,
    /// A leader's copy does.
    LeaderEndsEarly,
    /// What an agent remembered is gone.
    MemoLost,
    /// A disk comes back empty.
    DiskLost,
    /// A disk comes back with another cluster's data.
    DataForeign,
    /// Services do not start, do not stop, hang, are slow, or nobody hears of it.
    ServicesAil,
    /// The files keep their role, change it slowly or not at all, or nobody hears of it.
    FilesAil,
}

/// One fault, with all that was drawn for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A database is killed.
    DatabaseKilled(MemberId),
    /// A host crashes: agent and database.
    HostCrashed(MemberId),
    /// An agent is killed, its database lives on.
    AgentKilled(MemberId),
    /// An agent is frozen: nothing reaches it, and it does nothing.
    AgentFrozen(MemberId),
    /// A node does not reach the store.
    CutFromStore(MemberId),
    /// A node's database is not reached by the others.
    CutFromPeers(MemberId),
    /// The next commits of an agent to the store are not answered.
    Unanswered(MemberId, Vec<Answerless>),
    /// A database hangs.
    DatabaseHangs(MemberId),
    /// A fast shutdown does not end.
    ShutdownSlow(MemberId),
    /// A promotion fails.
    PromotionFails(MemberId),
    /// A stopped database does not start.
    StartFails(MemberId),
    /// Reads of the store fail; writes and the watch go on.
    ReadsFail(MemberId),
    /// The memo cannot be written.
    MemoFails(MemberId),
    /// A watch shows nothing for so long.
    WatchStalled(MemberId, Duration),
    /// Each way to the store and back takes up to so much longer.
    StoreSlow(MemberId, Duration),
    /// An agent dies after so many more actions, before it hears of the last, and is started again after so long.
    AgentDies(MemberId, u32, Duration),
    /// The wall clock jumps.
    ClockJumps(MemberId),
    /// All hosts crash at once.
    EverythingCrashed,
    /// What one node sends does not reach another; the other way is open.
    LinkCut(MemberId, MemberId),
    /// Some nodes and all others do not reach one another.
    Partition(Vec<MemberId>),
    /// Between nodes everything takes so much longer, and of a thousand messages so many are lost.
    NetworkSlow(Duration, u16),
    /// A node reaches the store one way only: what it asks is lost (`true`), or what it is answered.
    StoreOneWay(MemberId, bool),
    /// Of a thousand calls of a node to the store so many are lost, on either way.
    StoreLossy(MemberId, u16),
    /// The store answers nobody for so long.
    StoreAway(Duration),
    /// The store loses its leader, and what is under way with it, and is away for so long.
    StoreLeaderLost(Duration),
    /// The store goes back to what it was so many seconds ago.
    StoreRestored(usize),
    /// The store is empty.
    StoreWiped,
    /// A whole machine stands still; its clock goes on.
    MachineSuspended(MemberId),
    /// A whole machine stands still with all of its clocks.
    MachinePaused(MemberId),
    /// A disk is full.
    DiskFull(MemberId),
    /// A disk is so many times as slow.
    DiskSlow(MemberId, u32),
    /// A promotion takes so much longer; `None`: it does not end.
    PromotionSlow(MemberId, Option<Duration>),
    /// A database cannot be stopped.
    StopHangs(MemberId),
    /// Rewinds fail; with `true` copies break off, too.
    CopyBreaks(MemberId, bool),
    /// Rewinds and copies take so much longer.
    CopySlow(MemberId, Duration),
    /// A changed setting reaches the last process of a database so much later than it is shown.
    SettingsSlow(MemberId, Duration),
    /// Replay does not go on.
    ReplayHeld(MemberId, ReplayHeld),
    /// Replay is so much behind.
    ReplaySlow(MemberId, Duration),
    /// The address cannot be attached, cannot be detached, or nobody hears of either.
    AddressAils(MemberId, Ailment),
    /// The address vanishes from where it is.
    AddressLost,
    /// A host dies and is back after so long; its copy ends so many records before what the leader has published.
    CopyEndsEarly(MemberId, usize, Duration),
    /// An agent dies and is back after so long; what it remembered is gone.
    MemoLost(MemberId, Duration),
    /// A host dies and is back after so long with an empty disk.
    DiskLost(MemberId, Duration),
    /// A host dies and is back after so long with another cluster's data.
    DataForeign(MemberId, Duration),
    /// Services do not do what they are told.
    ServicesAil(MemberId, FaceAilment),
    /// The files do not do what they are told.
    FilesAil(MemberId, FaceAilment),
}

/// What may be wrong with the address on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ailment {
    /// It cannot be attached.
    AttachFails,
    /// It cannot be detached.
    DetachFails,
    /// Both happen, and nobody hears of it.
    Unanswered,
    /// An attach takes so many milliseconds, and happens even if it was called off.
    Slow(u64),
}

/// What is wrong with services or files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaceAilment {
    /// They do not start, or do not take their role.
    UpFails,
    /// They do not stop, or do not leave their role.
    DownFails,
    /// It does not end.
    Hangs,
    /// It takes so many milliseconds longer: less than the shortest time allowed for it.
    Slow(u64),
    /// It happens, or some of it, and is told to have failed.
    Unanswered,
}

impl FaceAilment {
    fn draw(dice: &mut Dice) -> Self {
        match dice.below(5) {
            0 => Self::UpFails,
            1 => Self::DownFails,
            2 => Self::Hangs,
            3 => Self::Slow(dice.between(50, 9000)),
            _ => Self::Unanswered,
        }
    }
}

impl Fault {
    /// Draws one of a kind for this world as it is. Half of all faults hit whoever leads.
    pub fn draw(kind: FaultKind, world: &World, dice: &mut Dice) -> Option<Self> {
        let whom = world.somebody(dice)?;
        let fault = match kind {
            FaultKind::DatabaseKilled => Self::DatabaseKilled(whom),
            FaultKind::HostCrashed => Self::HostCrashed(whom),
            FaultKind::AgentKilled => Self::AgentKilled(whom),
            FaultKind::AgentFrozen => Self::AgentFrozen(whom),
            FaultKind::CutFromStore => Self::CutFromStore(whom),
            FaultKind::CutFromPeers => Self::CutFromPeers(whom),
            FaultKind::Unanswered => {
                let count = dice.between(1, 3);
                let answers = (0..count).map(|_| match dice.below(3) {
                    0 => Answerless::Done,
                    1 => Answerless::NotDone,
                    _ => Answerless::Later(dice.between(100, 4100)),
                });
                Self::Unanswered(whom, answers.collect())
            }
            FaultKind::DatabaseHangs => Self::DatabaseHangs(whom),
            FaultKind::ShutdownSlow => Self::ShutdownSlow(whom),
            FaultKind::PromotionFails => Self::PromotionFails(whom),
            FaultKind::StartFails => Self::StartFails(whom),
            FaultKind::ReadsFail => Self::ReadsFail(whom),
            FaultKind::MemoFails => Self::MemoFails(whom),
            FaultKind::WatchStalled => Self::WatchStalled(whom, millis(dice.between(1, 8000))),
            FaultKind::StoreSlow => Self::StoreSlow(whom, millis(dice.between(10, 1010))),
            FaultKind::AgentDies => Self::AgentDies(whom, dice.below(12) as u32, millis(dice.below(3000))),
            FaultKind::ClockJumps => Self::ClockJumps(whom),
            FaultKind::EverythingCrashed => Self::EverythingCrashed,
            FaultKind::LinkCut => Self::LinkCut(whom.clone(), world.another(&whom, dice)?),
            FaultKind::Partition => {
                let mut side = vec![whom.clone()];
                side.extend(world.present().into_iter().filter(|name| *name != whom && dice.one_in(3)));
                Self::Partition(side)
            }
            FaultKind::NetworkSlow => Self::NetworkSlow(millis(dice.below(200)), dice.below(200) as u16),
            FaultKind::StoreOneWay => Self::StoreOneWay(whom, dice.one_in(2)),
            FaultKind::StoreLossy => Self::StoreLossy(whom, dice.between(20, 600) as u16),
            FaultKind::StoreAway => Self::StoreAway(millis(dice.between(100, 12_000))),
            FaultKind::StoreLeaderLost => Self::StoreLeaderLost(millis(dice.between(100, 4000))),
            FaultKind::StoreRestored => {
                let seconds = dice.below(60) as usize;
                world.may_forget(seconds).then_some(Self::StoreRestored(seconds))?
            }
            FaultKind::StoreWiped => world.may_forget_all().then_some(Self::StoreWiped)?,
            FaultKind::MachineSuspended => Self::MachineSuspended(whom),
            FaultKind::MachinePaused => Self::MachinePaused(whom),
            FaultKind::DiskFull => Self::DiskFull(whom),
            FaultKind::DiskSlow => Self::DiskSlow(whom, dice.between(5, 50) as u32),
            FaultKind::PromotionSlow => {
                Self::PromotionSlow(whom, (!dice.one_in(4)).then(|| millis(dice.between(100, 9000))))
            }
            FaultKind::StopHangs => Self::StopHangs(whom),
            FaultKind::CopyBreaks => Self::CopyBreaks(whom, dice.one_in(2)),
            FaultKind::CopySlow => Self::CopySlow(whom, millis(dice.between(500, 9000))),
            FaultKind::SettingsSlow => Self::SettingsSlow(whom, millis(dice.between(5, 3000))),
            FaultKind::ReplayHeld => {
                Self::ReplayHeld(whom, if dice.one_in(3) { ReplayHeld::Stuck } else { ReplayHeld::ByReader })
            }
            FaultKind::ReplaySlow => Self::ReplaySlow(whom, millis(dice.between(10, 4000))),
            FaultKind::AddressAils => {
                let ailment = match dice.below(4) {
                    0 => Ailment::AttachFails,
                    1 => Ailment::DetachFails,
                    2 => Ailment::Unanswered,
                    _ => Ailment::Slow(dice.between(50, 900)),
                };
                Self::AddressAils(whom, ailment)
            }
            FaultKind::AddressLost => Self::AddressLost,
            FaultKind::CopyEndsEarly
            | FaultKind::LeaderEndsEarly
            | FaultKind::MemoLost
            | FaultKind::DiskLost
            | FaultKind::DataForeign => {
                let (records, away) = (dice.between(1, 40) as usize, millis(dice.below(3000)));
                let leads = world.leads_by_record(&whom);
                let fits = match kind {
                    FaultKind::CopyEndsEarly => !leads,
                    FaultKind::LeaderEndsEarly => leads,
                    _ => true,
                };
                (fits && world.may_lose(&whom)).then_some(match kind {
                    FaultKind::MemoLost => Self::MemoLost(whom, away),
                    FaultKind::DiskLost => Self::DiskLost(whom, away),
                    FaultKind::DataForeign => Self::DataForeign(whom, away),
                    _ => Self::CopyEndsEarly(whom, records, away),
                })?
            }
            FaultKind::ServicesAil => Self::ServicesAil(whom, FaceAilment::draw(dice)),
            FaultKind::FilesAil => Self::FilesAil(whom, FaceAilment::draw(dice)),
        };
        Some(fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DatabaseKilled(whom) => write!(f, "the database of {whom} is killed"),
            Self::HostCrashed(whom) => write!(f, "the host of {whom} crashes"),
            Self::AgentKilled(whom) => write!(f, "the agent of {whom} is killed, its database lives on"),
            Self::AgentFrozen(whom) => write!(f, "the agent of {whom} is frozen"),
            Self::CutFromStore(whom) => write!(f, "{whom} does not reach the store"),
            Self::CutFromPeers(whom) => write!(f, "the database of {whom} is not reached by the others"),
            Self::Unanswered(whom, answers) => {
                write!(f, "the next commits of {whom} to the store are not answered:")?;
                for (at, answer) in answers.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    match answer {
                        Answerless::Done => write!(f, "{comma} done")?,
                        Answerless::NotDone => write!(f, "{comma} not done")?,
                        Answerless::Later(ms) => write!(f, "{comma} done {ms} ms later")?,
                    }
                }
                Ok(())
            }
            Self::DatabaseHangs(whom) => write!(f, "the database of {whom} hangs"),
            Self::ShutdownSlow(whom) => write!(f, "the database of {whom} does not shut down in time"),
            Self::PromotionFails(whom) => write!(f, "the database of {whom} cannot be promoted"),
            Self::StartFails(whom) => write!(f, "the database of {whom} does not start once it is stopped"),
            Self::ReadsFail(whom) => write!(f, "{whom} cannot read the store"),
            Self::MemoFails(whom) => write!(f, "{whom} cannot write its memo"),
            Self::WatchStalled(whom, wait) => write!(f, "the watch of {whom} shows nothing for {wait:?}"),
            Self::StoreSlow(whom, wait) => write!(f, "the store is up to {wait:?} slower for {whom}, each way"),
            Self::AgentDies(whom, after, away) => {
                write!(f, "the agent of {whom} dies after {after} more actions, and is back {away:?} later")
            }
            Self::ClockJumps(whom) => write!(f, "the wall clock of {whom} jumps"),
            Self::EverythingCrashed => write!(f, "all hosts crash"),
            Self::LinkCut(from, to) => write!(f, "what {from} sends does not reach {to}"),
            Self::Partition(side) => {
                let names: Vec<&str> = side.iter().map(MemberId::as_str).collect();
                write!(f, "{} and all others do not reach one another", names.join(", "))
            }
            Self::NetworkSlow(delay, loss) => {
                write!(f, "between nodes everything takes {delay:?} longer, and {loss} of 1000 messages are lost")
            }
            Self::StoreOneWay(whom, true) => write!(f, "what {whom} asks the store is lost"),
            Self::StoreOneWay(whom, false) => write!(f, "what the store answers {whom} is lost"),
            Self::StoreLossy(whom, loss) => write!(f, "{loss} of 1000 calls of {whom} to the store are lost"),
            Self::StoreAway(wait) => write!(f, "the store answers nobody for {wait:?}"),
            Self::StoreLeaderLost(wait) => write!(f, "the store loses its leader and is away for {wait:?}"),
            Self::StoreRestored(seconds) => {
                write!(f, "a backup of the store comes back, {} to {} s old", seconds, seconds + 1)
            }
            Self::StoreWiped => write!(f, "the store is empty"),
            Self::MachineSuspended(whom) => write!(f, "the machine of {whom} is suspended"),
            Self::MachinePaused(whom) => write!(f, "the machine of {whom} is paused, its clocks with it"),
            Self::DiskFull(whom) => write!(f, "the disk of {whom} is full"),
            Self::DiskSlow(whom, times) => write!(f, "the disk of {whom} is {times} times as slow"),
            Self::PromotionSlow(whom, Some(wait)) => write!(f, "promotions of {whom} take {wait:?} longer"),
            Self::PromotionSlow(whom, None) => write!(f, "promotions of {whom} do not end"),
            Self::StopHangs(whom) => write!(f, "the database of {whom} cannot be stopped"),
            Self::CopyBreaks(whom, false) => write!(f, "rewinds of {whom} fail"),
            Self::CopyBreaks(whom, true) => write!(f, "rewinds and copies of {whom} break off"),
            Self::CopySlow(whom, wait) => write!(f, "rewinds and copies of {whom} take {wait:?} longer"),
            Self::SettingsSlow(whom, wait) => write!(f, "settings of {whom} are in force {wait:?} later than shown"),
            Self::ReplayHeld(whom, ReplayHeld::ByReader) => write!(f, "a reader holds replay on {whom}"),
            Self::ReplayHeld(whom, ReplayHeld::Stuck) => write!(f, "replay on {whom} is stuck"),
            Self::ReplaySlow(whom, wait) => write!(f, "replay on {whom} is {wait:?} behind"),
            Self::AddressAils(whom, ailment) => write!(f, "the address on {whom}: {ailment:?}"),
            Self::AddressLost => write!(f, "the address vanishes"),
            Self::CopyEndsEarly(whom, records, away) => {
                write!(
                    f,
                    "the host of {whom} dies and is back {away:?} later, {records} records short of what was published"
                )
            }
            Self::MemoLost(whom, away) => write!(f, "the agent of {whom} dies, and its memo is gone {away:?} later"),
            Self::DiskLost(whom, away) => write!(f, "the host of {whom} dies and is back {away:?} later without data"),
            Self::DataForeign(whom, away) => {
                write!(f, "the host of {whom} dies and is back {away:?} later with another cluster's data")
            }
            Self::ServicesAil(whom, ailment) => write!(f, "the services of {whom}: {ailment:?}"),
            Self::FilesAil(whom, ailment) => write!(f, "the files of {whom}: {ailment:?}"),
        }
    }
}

impl World {
    /// Lets a fault happen.
    pub fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::DatabaseKilled(whom) => self.kill_database(whom),
            Fault::HostCrashed(whom) => self.crash_host(whom),
            Fault::AgentKilled(whom) => self.kill_agent(whom),
            Fault::AgentFrozen(whom) => self.freeze_agent(whom),
            Fault::CutFromStore(whom) => self.node_mut(whom).cut_from_store = true,
            Fault::CutFromPeers(whom) => self.node_mut(whom).cut_from_peers = true,
            Fault::Unanswered(whom, answers) => {
                self.answerless.entry(whom.clone()).or_default().extend(answers.iter().copied());
            }
            Fault::DatabaseHangs(whom) => self.node_mut(whom).database.hung = true,
            Fault::ShutdownSlow(whom) => self.node_mut(whom).database.slow_shutdown = true,
            Fault::PromotionFails(whom) => self.node_mut(whom).promotion_fails = true,
            Fault::StartFails(whom) => self.node_mut(whom).start_fails = true,
            Fault::ReadsFail(whom) => self.node_mut(whom).reads_fail = true,
            Fault::MemoFails(whom) => self.node_mut(whom).memo_fails = true,
            Fault::WatchStalled(whom, wait) => self.node_mut(whom).watch_stalled_until = self.now + *wait,
            Fault::StoreSlow(whom, wait) => self.node_mut(whom).slow_store = *wait,
            Fault::AgentDies(whom, after, away) => self.node_mut(whom).dies_after = Some((*after, *away)),
            Fault::ClockJumps(whom) => self.input(whom, Input::ClockJumped),
            Fault::EverythingCrashed => {
                for whom in self.present() {
                    self.crash_host(&whom);
                }
            }
            Fault::LinkCut(from, to) => self.cut_link(from, to),
            Fault::Partition(side) => self.partition(side),
            Fault::NetworkSlow(delay, loss) => {
                (self.network.usual.delay, self.network.usual.loss) = (*delay, *loss);
            }
            Fault::StoreOneWay(whom, true) => self.node_mut(whom).store_link.requests_lost = true,
            Fault::StoreOneWay(whom, false) => self.node_mut(whom).store_link.answers_lost = true,
            Fault::StoreLossy(whom, loss) => self.node_mut(whom).store_link.loss = *loss,
            Fault::StoreAway(wait) => self.store_goes_away(*wait),
            Fault::StoreLeaderLost(wait) => self.store_loses_leader(*wait),
            Fault::StoreRestored(seconds) => self.forget(Some(*seconds)),
            Fault::StoreWiped => self.forget(None),
            Fault::MachineSuspended(whom) => self.freeze_machine(whom, Standstill::ClockGoesOn),
            Fault::MachinePaused(whom) => self.freeze_machine(whom, Standstill::AllClocks),
            Fault::DiskFull(whom) => self.node_mut(whom).disk.full = true,
            Fault::DiskSlow(whom, times) => self.node_mut(whom).disk.slow = *times,
            Fault::PromotionSlow(whom, Some(wait)) => self.node_mut(whom).promotion_takes = *wait,
            Fault::PromotionSlow(whom, None) => self.node_mut(whom).promotion_hangs = true,
            Fault::StopHangs(whom) => self.node_mut(whom).stop_hangs = true,
            Fault::CopyBreaks(whom, copies) => {
                let node = self.node_mut(whom);
                (node.rewind_fails, node.clone_fails) = (true, *copies);
            }
            Fault::CopySlow(whom, wait) => self.node_mut(whom).copy_takes = *wait,
            Fault::SettingsSlow(whom, wait) => self.node_mut(whom).settings_take = *wait,
            Fault::ReplayHeld(whom, held) => self.node_mut(whom).database.replay_held = Some(*held),
            Fault::ReplaySlow(whom, wait) => self.node_mut(whom).database.replay_takes = *wait,
            Fault::AddressAils(whom, ailment) => {
                let node = self.node_mut(whom);
                match ailment {
                    Ailment::AttachFails => node.attach_fails = true,
                    Ailment::DetachFails => node.detach_fails = true,
                    Ailment::Unanswered => node.address_unanswered = true,
                    Ailment::Slow(ms) => node.slow_attach = millis(*ms),
                }
            }
            Fault::AddressLost => self.lose_address(),
            Fault::CopyEndsEarly(whom, records, away) => self.copy_ends_early(whom, *records, *away),
            Fault::MemoLost(whom, away) => self.memo_is_lost(whom, *away),
            Fault::DiskLost(whom, away) => self.disk_is_lost(whom, *away),
            Fault::DataForeign(whom, away) => self.data_are_foreign(whom, *away),
            Fault::ServicesAil(whom, ailment) => {
                let services = &mut self.node_mut(whom).services;
                match ailment {
                    FaceAilment::UpFails => services.start_fails = true,
                    FaceAilment::DownFails => services.stop_fails = true,
                    FaceAilment::Hangs => services.hangs = true,
                    FaceAilment::Slow(ms) => services.slow = millis(*ms),
                    FaceAilment::Unanswered => services.unanswered = true,
                }
            }
            Fault::FilesAil(whom, ailment) => {
                let files = &mut self.node_mut(whom).filestore;
                match ailment {
                    FaceAilment::UpFails | FaceAilment::DownFails => files.fails = true,
                    FaceAilment::Hangs => files.hangs = true,
                    FaceAilment::Slow(ms) => files.slow = millis(*ms),
                    FaceAilment::Unanswered => files.unanswered = true,
                }
            }
        }
    }

    /// Undoes everything that was broken on one member, and starts its agent if it does not run.
    pub fn mend(&mut self, name: &MemberId) {
        let leaves = self.removals.contains_key(name);
        self.answerless.remove(name);
        if self.node(name).asleep.is_some() {
            self.wake_machine(name);
        }
        if self.is_foreign(name) {
            self.kill_agent(name);
            self.empty_disk(name);
        }
        self.node_mut(name).mend();
        self.show_watch(name);
        let node = self.node(name);
        let left = node.machine.as_ref().is_none_or(|machine| machine.state() == StateName::Stopped);
        if left && !leaves {
            self.start_agent(name);
        } else if self.node(name).frozen {
            self.thaw_agent(name);
        }
    }

    /// Undoes everything that was broken.
    pub fn heal(&mut self) {
        self.finish_removals();
        self.heal_world();
        for name in self.present() {
            self.mend(&name);
        }
        self.answerless.clear();
        self.network.mend();
    }

    /// Another member than this, by chance.
    fn another(&self, than: &MemberId, dice: &mut Dice) -> Option<MemberId> {
        let others: Vec<MemberId> = self.present().into_iter().filter(|name| name != than).collect();
        dice.pick(&others).cloned()
    }

    /// The members that are in the cluster, or should be.
    pub fn present(&self) -> Vec<MemberId> {
        self.nodes.iter().filter(|(_, node)| !node.gone).map(|(name, _)| name.clone()).collect()
    }

    /// One of them by chance: whoever leads by the record as often as all together.
    pub fn somebody(&self, dice: &mut Dice) -> Option<MemberId> {
        let holder = self.store.leader_record().and_then(|record| record.holder);
        let (leads, anybody) = (dice.one_in(2), dice.roll());
        let present = self.present();
        match holder.filter(|holder| leads && present.contains(holder)) {
            Some(holder) => Some(holder),
            None => Dice::new(anybody).pick(&present).cloned(),
        }
    }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
