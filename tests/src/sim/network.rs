//! The network between nodes: directed links that delay, lose, or are cut one way.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::member::MemberId;

use super::{Dice, Node, World};

/// One direction between two nodes.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Nothing arrives; what is on its way waits, as TCP's retransmissions do, until the connection is given up.
    pub cut: bool,
    /// How long everything takes.
    pub delay: Duration,
    /// Of a thousand messages so many are lost and arrive with the next retransmission.
    pub loss: u16,
}

impl Link {
    /// How long the next message takes, a retransmission included.
    pub(super) fn transit(&self, dice: &mut Dice) -> Duration {
        const RETRANSMISSION: Duration = Duration::from_millis(200);
        let lost = self.loss > 0 && dice.below(1000) < u64::from(self.loss);
        if lost { self.delay + RETRANSMISSION } else { self.delay }
    }
}

/// All links between nodes.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// What a link is like of which nothing else is said.
    pub usual: Link,
    /// A connection on which nothing arrives for so long is given up (`wal_receiver_timeout`, `wal_sender_timeout`). With zero a cut is
    /// noticed at once.
    pub notice: Duration,
    links: BTreeMap<MemberId, BTreeMap<MemberId, Link>>,
}

impl Network {
    /// One direction.
    pub fn link(&self, from: &MemberId, to: &MemberId) -> &Link {
        if self.links.is_empty() {
            return &self.usual;
        }
        self.links.get(from).and_then(|links| links.get(to)).unwrap_or(&self.usual)
    }

    /// One direction, to be changed.
    pub fn link_mut(&mut self, from: &MemberId, to: &MemberId) -> &mut Link {
        let usual = self.usual.clone();
        self.links.entry(from.clone()).or_default().entry(to.clone()).or_insert(usual)
    }

    /// Every link is as usual again.
    pub fn mend(&mut self) {
        self.links.clear();
    }
}

impl World {
    /// Cuts one direction: what `from` sends does not reach `to`.
    pub fn cut_link(&mut self, from: &MemberId, to: &MemberId) {
        self.network.link_mut(from, to).cut = true;
    }

    /// Cuts both directions between the members of one side and all others.
    pub fn partition(&mut self, side: &[MemberId]) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for from in &names {
            for to in names.iter().filter(|to| side.contains(from) != side.contains(to)) {
                self.cut_link(from, to);
            }
        }
    }

    /// Whatever is wrong with the network and with the store as a whole is mended.
    pub fn heal_world(&mut self) {
        self.network.mend();
        self.network.usual = Link::default();
        self.store_slow = Duration::ZERO;
        self.store_away_until = self.now;
    }

    /// Whether what one node sends reaches the other: the link is there, and neither is cut off, dead or asleep.
    pub fn reaches(&self, from: &MemberId, to: &MemberId) -> bool {
        let is_there = |name| self.nodes.get(name).is_some_and(Node::is_there);
        is_there(from) && is_there(to) && !self.network.link(from, to).cut
    }

    /// Whether two nodes can talk with one another.
    pub fn talk(&self, one: &MemberId, other: &MemberId) -> bool {
        self.reaches(one, other) && self.reaches(other, one)
    }
}
