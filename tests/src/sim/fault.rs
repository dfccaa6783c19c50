//! What breaks: drawn by chance, done to the world, told in a sentence, and mended again.
//!
//! A new fault is a [`FaultKind`], a [`Fault`] with what is drawn for it, and an arm in `draw`, `apply` and `Display`; what it leaves
//! behind is undone in [`World::mend`]. How often it comes is said in `profile.rs`.

use std::fmt;
use std::time::Duration;

use odoo_ha_core::machine::{Input, StateName};
use odoo_ha_core::member::MemberId;

use super::{Answerless, Dice, World};

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
        }
    }
}

impl World {
    /// Lets a fault happen.
    pub fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::DatabaseKilled(whom) => self.kill_database(whom),
            Fault::HostCrashed(whom) => {
                self.kill_agent(whom);
                self.kill_database(whom);
            }
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
                    self.kill_agent(&whom);
                    self.kill_database(&whom);
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
        let node = self.node_mut(name);
        node.mend();
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
        self.network.mend();
        self.store_away_until = Duration::ZERO;
        for name in self.present() {
            self.mend(&name);
        }
        self.answerless.clear();
        self.network.mend();
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
