//! What an operator does, at the worst moment: drawn by chance, told in a sentence.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use odoo_ha_core::machine::{Command, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::{SyncMode, Timing};
use odoo_ha_core::records::RequestKind;
use odoo_ha_core::store::Key;

use super::world::{MOST_MEMBERS, member};
use super::{Dice, World};

/// The kinds of wishes, as a profile weighs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WishKind {
    /// Leadership is to be handed over.
    Switchover,
    /// A member is to lead though nobody can hand over.
    Failover,
    /// The same, and what is lost is lost.
    FailoverWithLoss,
    /// Automatic failover is suspended.
    Pause,
    /// It is resumed.
    Resume,
    /// Commits are to be protected otherwise.
    Mode,
    /// Commits are to wait for another number of standbys.
    Quorum,
    /// The times are changed.
    Timing,
    /// The times of one member are changed.
    TimingOfOne,
    /// A member's data are replaced by a fresh copy.
    Reinit,
    /// An agent is shut down, with its database or without.
    Shutdown,
    /// A member leaves for good.
    Remove,
    /// A member joins.
    Add,
    /// A member is told to believe the store.
    Recover,
}

/// One wish, with all that was drawn for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Asked of one member: leadership is handed over, to one or to the best.
    Switchover(MemberId, Option<MemberId>),
    /// Asked of one member: another leads though nobody can hand over; whether loss is accepted.
    Failover(MemberId, MemberId, bool),
    /// Asked of one member: automatic failover is suspended.
    Pause(MemberId),
    /// Asked of one member: it is resumed.
    Resume(MemberId),
    /// Every member strives for this.
    Mode(SyncMode),
    /// Commits are to wait for so many of the standbys; for all of them.
    Quorum(Option<NonZeroU32>),
    /// Every member uses these times.
    Timing(Timing),
    /// One member uses these times.
    TimingOfOne(MemberId, Timing),
    /// A member's data are replaced by a fresh copy.
    Reinit(MemberId),
    /// An agent is shut down; whether its database is too.
    Shutdown(MemberId, bool),
    /// A member leaves for good: its agent is shut down with its database, and once nothing depends on it, its host is gone and its
    /// record is deleted.
    Remove(MemberId),
    /// A member joins.
    Add(MemberId),
    /// A member is told to believe the store.
    Recover(MemberId),
}

/// Fewer members than this are never left.
const FEWEST_MEMBERS: usize = 2;

impl Wish {
    /// Draws one of a kind for this world as it is; `None` when it makes no sense in it.
    pub fn draw(kind: WishKind, world: &World, dice: &mut Dice) -> Option<Self> {
        let on = world.somebody(dice)?;
        let present = world.present();
        let other = dice.pick(&present).cloned()?;
        let wish = match kind {
            WishKind::Switchover => Self::Switchover(on, dice.one_in(2).then_some(other)),
            WishKind::Failover => Self::Failover(on, other, false),
            WishKind::FailoverWithLoss => Self::Failover(on, other, true),
            WishKind::Pause => Self::Pause(on),
            WishKind::Resume => Self::Resume(on),
            WishKind::Mode => {
                Self::Mode(*dice.pick(&[SyncMode::Asynchronous, SyncMode::Synchronous, SyncMode::Strict])?)
            }
            WishKind::Quorum => Self::Quorum(draw_quorum(dice)),
            WishKind::Timing => Self::Timing(draw_timing(dice, 1000, 10_000)),
            WishKind::TimingOfOne => Self::TimingOfOne(on, draw_timing(dice, 1000, 10_000)),
            WishKind::Reinit => Self::Reinit(on),
            WishKind::Shutdown => Self::Shutdown(on, dice.one_in(2)),
            WishKind::Remove => (present.len() > FEWEST_MEMBERS + world.removals.len()).then_some(Self::Remove(on))?,
            // Whoever knows that the store forgot lets nobody join, and tells nobody to believe it.
            WishKind::Add | WishKind::Recover if world.store_forgot() => return None,
            WishKind::Add => {
                let names = ('a'..='z').take(MOST_MEMBERS).map(|letter| member(&letter.to_string()));
                Self::Add(names.into_iter().find(|name| !present.contains(name))?)
            }
            WishKind::Recover => Self::Recover(on),
        };
        Some(wish)
    }
}

/// How many standbys a commit waits for: one or two of them, or all.
pub(super) fn draw_quorum(dice: &mut Dice) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(dice.below(3)).unwrap_or_default())
}

/// Times for a ttl between these many milliseconds: short ones more often, and in half of all cases a suspicion before the ttl is over.
pub(super) fn draw_timing(dice: &mut Dice, shortest: u64, longest: u64) -> Timing {
    let top = if dice.one_in(2) { shortest + (longest - shortest) / 5 } else { longest };
    let ttl = dice.between(shortest, top);
    let mut timing = Timing::with_ttl(Duration::from_millis(ttl));
    timing.standby_timeout = Duration::from_millis(dice.between(300, 2000));
    // A winner whose database died holds on for so long before it hands back: often as long as nobody says anything else.
    let longest = if dice.one_in(2) { 60_000 } else { 15_000 };
    timing.promote_timeout = Duration::from_millis(dice.between(5000, longest));
    timing.switchover_timeout = Duration::from_millis(dice.between(5000, 15_000));
    if dice.one_in(2) {
        timing.renew_interval = Duration::from_millis(dice.between(50, ttl / 5));
    }
    if dice.one_in(2) {
        let least = (timing.renew_interval * 2).max(Timing::MIN_SUSPICION);
        timing.suspicion = Duration::from_millis(dice.between(least.as_micros().div_ceil(1000) as u64, ttl));
    }
    timing
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switchover(on, Some(target)) => write!(f, "{on} is asked to switch over to {target}"),
            Self::Switchover(on, None) => write!(f, "{on} is asked to switch over"),
            Self::Failover(on, target, false) => write!(f, "{on} is asked to fail over to {target}, without loss"),
            Self::Failover(on, target, true) => write!(f, "{on} is asked to fail over to {target}, whatever is lost"),
            Self::Pause(on) => write!(f, "{on} is asked to pause"),
            Self::Resume(on) => write!(f, "{on} is asked to resume"),
            Self::Mode(mode) => write!(f, "the mode is set to {}", format!("{mode:?}").to_lowercase()),
            Self::Quorum(Some(k)) => write!(f, "commits are to wait for any {k} of the standbys"),
            Self::Quorum(None) => write!(f, "commits are to wait for all of the standbys"),
            Self::Timing(timing) => write!(
                f,
                "the times are set: ttl {:?}, renewed every {:?}, suspicion after {:?}",
                timing.ttl, timing.renew_interval, timing.suspicion
            ),
            Self::TimingOfOne(whom, timing) => write!(
                f,
                "the times of {whom} are set: ttl {:?}, renewed every {:?}, suspicion after {:?}",
                timing.ttl, timing.renew_interval, timing.suspicion
            ),
            Self::Reinit(whom) => write!(f, "{whom} is to replace its data by a fresh copy"),
            Self::Shutdown(whom, true) => write!(f, "the agent of {whom} is shut down, its database too"),
            Self::Shutdown(whom, false) => write!(f, "the agent of {whom} is shut down, its database not"),
            Self::Remove(whom) => write!(f, "{whom} is to leave for good"),
            Self::Add(whom) => write!(f, "{whom} joins, without data"),
            Self::Recover(whom) => write!(f, "{whom} is told to believe the store"),
        }
    }
}

impl World {
    /// Does what an operator wishes.
    pub fn wish(&mut self, wish: &Wish) {
        match wish {
            Wish::Switchover(on, target) => self.request(on, RequestKind::Switchover { target: target.clone() }),
            Wish::Failover(on, target, accept_data_loss) => {
                self.switch_off_paused_leader(target);
                let kind = RequestKind::Failover { target: target.clone(), accept_data_loss: *accept_data_loss };
                self.request(on, kind);
            }
            Wish::Pause(on) => self.request(on, RequestKind::Pause),
            Wish::Resume(on) => self.request(on, RequestKind::Resume),
            Wish::Mode(mode) => {
                for name in self.present() {
                    let policy = &mut self.node_mut(&name).config.policy;
                    policy.sync_mode = *mode;
                    let policy = *policy;
                    self.command(&name, Command::SetPolicy(policy));
                }
            }
            Wish::Quorum(quorum) => {
                for name in self.present() {
                    let policy = &mut self.node_mut(&name).config.policy;
                    policy.quorum = *quorum;
                    let policy = *policy;
                    self.command(&name, Command::SetPolicy(policy));
                }
            }
            Wish::Timing(timing) => {
                for name in self.present() {
                    self.node_mut(&name).config.timing = *timing;
                    self.command(&name, Command::SetTiming(*timing));
                }
            }
            Wish::TimingOfOne(whom, timing) => {
                self.node_mut(whom).config.timing = *timing;
                self.command(whom, Command::SetTiming(*timing));
            }
            Wish::Reinit(whom) => self.command(whom, Command::Reinit),
            Wish::Shutdown(whom, stop_database) => {
                self.command(whom, Command::Shutdown { stop_database: *stop_database });
            }
            Wish::Remove(whom) => {
                self.removals.insert(whom.clone(), self.node(whom).incarnation);
                self.command(whom, Command::Shutdown { stop_database: true });
            }
            Wish::Add(whom) => self.add_node(whom),
            Wish::Recover(whom) => self.command(whom, Command::Recover),
        }
    }

    /// A paused leader has no end of its own: before leadership is forced away from it, the operator makes sure that it is off, as
    /// the library says (protocol rule 5).
    fn switch_off_paused_leader(&mut self, target: &MemberId) {
        let holder = self.store.leader_record().filter(|record| record.paused).and_then(|record| record.holder);
        if let Some(holder) = holder.filter(|holder| holder != target && self.nodes.contains_key(holder)) {
            self.note(|| format!("the host of {holder} is switched off first, because the cluster is paused"));
            self.crash_host(&holder);
        }
    }

    fn request(&mut self, on: &MemberId, kind: RequestKind) {
        self.order += 1;
        let id = format!("wish-{}", self.order);
        self.command(on, Command::Request { id, kind });
    }

    /// Members that left in order are gone for good, unless the cluster depends on their data: those are brought back, as are those
    /// whose agent died on the way out.
    pub fn finish_removals(&mut self) {
        if self.store_forgot() {
            return;
        }
        for (name, incarnation) in self.removals.clone() {
            if self.node(&name).incarnation != incarnation {
                // It was started anew meanwhile, and knows of nothing.
                self.removals.remove(&name);
                continue;
            }
            let state = self.node(&name).machine.as_ref().map(odoo_ha_core::machine::Machine::state);
            if state.is_some_and(|state| state != StateName::Stopped) {
                continue;
            }
            self.removals.remove(&name);
            let needed =
                self.store.sync_record().is_none_or(|record| record.leader == name || record.names.contains_key(&name));
            let led = self.store.leader_record().is_none_or(|record| record.holder.as_ref() == Some(&name));
            if state.is_none() || needed || led {
                self.start_agent(&name);
            } else {
                self.remove_node(&name);
                self.delete_raw(&Key::member(&name));
            }
        }
    }
}
