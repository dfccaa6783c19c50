//! Looks for what must never be, after every step of the world.

use std::time::Duration;

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::{Action, CallId, Machine, Order};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::store::{Commit, Guard, Key};
use odoo_ha_core::time::Moment;

use super::fact::Fact;
use super::glimpse::Glimpse;
use super::invariants::{self, Invariant};
use super::{Node, Violation, World};

/// More violations than this are not kept: the first says what is wrong, and many break again at every step.
const MOST_VIOLATIONS: usize = 50;

/// So many writes to the leader record may be on their way, or are looked for in the store.
const MOST_SENT: usize = 64;

/// The invariants, and what was seen at the last look.
#[derive(Default)]
pub(super) struct Judge {
    invariants: Vec<Box<dyn Invariant>>,
    glimpses: Vec<(MemberId, Glimpse)>,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self { invariants: invariants::all(), glimpses: Vec::new() }
    }

    /// Notes which nodes are not what they were.
    fn compare(&mut self, world: &mut World) {
        let same = self.glimpses.len() == world.nodes.len()
            && self.glimpses.iter().zip(world.nodes.keys()).all(|((seen, _), name)| seen == name);
        if !same {
            let before = std::mem::take(&mut self.glimpses);
            for (name, node) in &world.nodes {
                let known = before.iter().find(|(seen, _)| seen == name).map(|(_, glimpse)| glimpse.clone());
                self.glimpses.push((name.clone(), known.unwrap_or_else(|| Glimpse::of(node))));
            }
        }
        for ((name, glimpse), node) in self.glimpses.iter_mut().zip(world.nodes.values()) {
            if glimpse.still_is(node) {
                glimpse.grow(node);
            } else {
                let before = std::mem::replace(glimpse, Glimpse::of(node));
                world.facts.push(Fact::NodeChanged { member: name.clone(), before });
            }
        }
    }
}

impl World {
    /// Looks for what must never be.
    pub fn look(&mut self) {
        let mut judge = std::mem::take(&mut self.judge);
        self.read_records();
        judge.compare(self);
        self.note_beliefs();
        if !self.facts.is_empty() {
            self.forgive_what_is_accepted();
        }
        for invariant in &mut judge.invariants {
            if let Some(text) = invariant.look(self) {
                self.violate(invariant.name(), text);
            }
        }
        self.facts.clear();
        self.judge = judge;
    }

    /// Several invariants ask for these.
    pub(super) fn note_beliefs(&mut self) {
        self.beliefs.clear();
        let beliefs = self.nodes.values().map(|node| node.machine.as_ref().and_then(Machine::leads_until));
        self.beliefs.extend(beliefs);
    }

    /// Every node, and until when its member believes to lead, at this look.
    pub(super) fn beliefs(&self) -> impl Iterator<Item = (&MemberId, &Node, Option<Moment>)> {
        self.nodes.iter().zip(&self.beliefs).map(|((name, node), until)| (name, node, *until))
    }

    /// An order was carried out, or refused. What changes nothing that is judged is not noted.
    pub(super) fn note_order(&mut self, member: &MemberId, order: &Order, accepted: bool) {
        let noted = match order {
            Order::Read | Order::Commit(_) | Order::Remember(_) | Order::LookAtAddress => false,
            Order::ArmWatchdog { .. }
            | Order::FeedWatchdog { .. }
            | Order::DisarmWatchdog
            | Order::AskMember { .. }
            | Order::AnswerMember { .. } => false,
            Order::Database(order) => *order != DatabaseOrder::Observe,
            _ => true,
        };
        if noted {
            self.facts.push(Fact::Ordered { member: member.clone(), order: order.clone(), accepted });
        }
    }

    /// An agent begins something. What only a leader may do is noted, and writes to the leader record are counted from now.
    pub(super) fn note_begin(&mut self, member: &MemberId, action: &Action) {
        let leads = match &action.order {
            Order::AttachAddress { .. } | Order::StartServices { .. } => true,
            Order::Database(order) => matches!(
                order,
                DatabaseOrder::Promote(_)
                    | DatabaseOrder::StartPrimary(_)
                    | DatabaseOrder::Bootstrap(_)
                    | DatabaseOrder::SetSynchronous(_)
            ),
            Order::Commit(commit) => {
                self.note_renewal(member, action.id, commit);
                false
            }
            _ => false,
        };
        if leads {
            let now = self.moment(member);
            let until = self.nodes.get(member).and_then(|node| node.machine.as_ref()).and_then(Machine::leads_until);
            let believes = until.is_some_and(|until| until > now);
            self.facts.push(Fact::Begun { member: member.clone(), order: action.order.clone(), believes });
        }
    }

    fn note_renewal(&mut self, member: &MemberId, id: CallId, commit: &Commit) {
        let Some(bytes) = commit.writes.get(&Key::leader()) else { return };
        if self.leader_sent.len() == MOST_SENT {
            self.leader_sent.pop_front();
        }
        self.leader_sent.push_back((bytes.clone(), self.now));
        let guard = commit.guards.iter().find_map(|guard| match guard {
            Guard::Version(key, version) if *key == Key::leader() => Some(*version),
            Guard::Version(..) | Guard::Absent(_) => None,
        });
        self.node_mut(member).renewals.extend(guard.map(|version| (id, version)));
    }

    /// When the leader record that stands in the store was sent there, if an agent sent it not long ago.
    pub(super) fn leader_sent_at(&self) -> Option<Duration> {
        let entry = self.store.entries().get(&Key::leader())?;
        self.leader_sent.iter().rev().find(|(bytes, _)| *bytes == entry.value).map(|(_, at)| *at)
    }

    /// What an operator accepts to lose with a failover by force is nobody's promise any more.
    fn forgive_what_is_accepted(&mut self) {
        for index in 0..self.facts.len() {
            match &self.facts[index] {
                Fact::LeaderWritten { before } => {
                    if let Some(term) = self.records.taken_with_loss(before.as_ref()) {
                        self.loss_accepted = Some(term);
                    }
                }
                Fact::NodeChanged { member, before } => {
                    let Some(node) = self.nodes.get(member) else { continue };
                    if before.became_primary(node) && Some(node.database.term) == self.loss_accepted {
                        let lost = self.promised.without_log(&node.database.log);
                        self.promised.take_away(&lost);
                        self.history.forgive();
                        self.loss_accepted = None;
                    }
                }
                _ => {}
            }
        }
    }

    /// Something was seen that must never be.
    pub fn violate(&mut self, invariant: &'static str, text: String) {
        if self.violations.len() < MOST_VIOLATIONS {
            self.violations.push(Violation { invariant, at: self.now, text });
        }
    }
}
