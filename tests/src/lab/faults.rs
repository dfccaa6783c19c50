//! Faults that have a beginning and an end, drawn by chance: for `chaos`.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;

use super::cluster::Lab;
use crate::sim::Dice;

/// What befalls a cluster for a while. Nodes are meant by their number, members of the store too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A database is killed.
    DatabaseKilled(usize),
    /// An agent is killed, and started again at the end.
    AgentKilled(usize),
    /// Everything on a node is killed, and its agent started again at the end.
    NodeKilled(usize),
    /// Everything everywhere is killed, the store too.
    AllKilled,
    /// A host's plug is out of the switch, its carrier kept.
    Unplugged(usize),
    /// A host's cable is cut.
    CableCut(usize),
    /// A node and the store do not hear each other.
    CutFromStore(usize),
    /// The store is cut off from everybody.
    StoreAway,
    /// Two nodes do not hear each other.
    Parted(usize, usize),
    /// Nobody hears a node.
    Unheard(usize),
    /// A node hears nobody.
    Deaf(usize),
    /// An agent stands still.
    AgentFrozen(usize),
    /// A database stands still.
    DatabaseFrozen(usize),
    /// A member of the store is killed, and started again at the end.
    StoreKilled(usize),
    /// An operator wishes a switchover, through a node.
    Switchover(usize),
}

impl Fault {
    /// One by chance.
    pub fn draw(dice: &mut Dice, nodes: usize, stores: usize) -> Self {
        let mut below = |limit: usize| usize::try_from(dice.below(limit as u64)).unwrap_or_default();
        let (node, kind) = (below(nodes), below(15));
        match kind {
            0 => Self::DatabaseKilled(node),
            1 => Self::AgentKilled(node),
            2 => Self::NodeKilled(node),
            3 => Self::AllKilled,
            4 => Self::Unplugged(node),
            5 => Self::CableCut(node),
            6 => Self::CutFromStore(node),
            7 => Self::StoreAway,
            8 => Self::Parted(node, (node + 1 + below(nodes - 1)) % nodes),
            9 => Self::Unheard(node),
            10 => Self::Deaf(node),
            11 => Self::AgentFrozen(node),
            12 => Self::DatabaseFrozen(node),
            13 => Self::StoreKilled(below(stores)),
            _ => Self::Switchover(node),
        }
    }

    /// How long it lasts, by chance: shorter than a `ttl`, about as long, or much longer.
    pub fn draw_length(dice: &mut Dice) -> Duration {
        Duration::from_millis(match dice.below(3) {
            0 => dice.between(50, 1_500),
            1 => dice.between(1_500, 4_500),
            _ => dice.between(4_500, 10_000),
        })
    }

    /// Whether two can be under way at a time: nothing of the one undoes the other.
    pub fn goes_with(self, other: Self) -> bool {
        let kills = |fault| {
            matches!(
                fault,
                Self::DatabaseKilled(_)
                    | Self::AgentKilled(_)
                    | Self::NodeKilled(_)
                    | Self::AllKilled
                    | Self::AgentFrozen(_)
                    | Self::DatabaseFrozen(_)
                    | Self::StoreKilled(_)
            )
        };
        let wishes = |fault| matches!(fault, Self::Switchover(_));
        // A fault of processes with one of the network, or with a wish.
        (kills(self) != kills(other)) || (wishes(self) != wishes(other))
    }

    /// Lets it begin.
    pub fn begin(self, lab: &Lab) {
        match self {
            Self::DatabaseKilled(node) => lab.nodes[node].kill_database(),
            Self::AgentKilled(node) => lab.nodes[node].agent().kill(),
            Self::NodeKilled(node) => lab.nodes[node].kill_everything(),
            Self::AllKilled => {
                lab.nodes.iter().for_each(super::Node::kill_everything);
                lab.store.processes().for_each(|member| member.kill());
            }
            Self::AgentFrozen(node) => lab.nodes[node].agent().freeze(),
            Self::DatabaseFrozen(node) => lab.nodes[node].signal_database(Signal::STOP),
            Self::StoreKilled(member) => lab.store.member(member).kill(),
            // An answer is not waited for: whatever the operator hears, the cluster must be whole.
            Self::Switchover(node) => lab.nodes[node].wish(&["switchover"]),
            Self::Unplugged(_)
            | Self::CableCut(_)
            | Self::CutFromStore(_)
            | Self::StoreAway
            | Self::Parted(..)
            | Self::Unheard(_)
            | Self::Deaf(_) => self.cut(lab, false),
        }
    }

    /// Lets it end.
    pub fn end(self, lab: &Lab) {
        match self {
            Self::DatabaseKilled(_) | Self::Switchover(_) => {}
            Self::AgentKilled(node) | Self::NodeKilled(node) => lab.nodes[node].agent().restart(),
            Self::AllKilled => {
                lab.store.processes().for_each(|member| member.restart());
                lab.nodes.iter().for_each(|node| node.agent().restart());
            }
            Self::AgentFrozen(node) => lab.nodes[node].agent().thaw(),
            Self::DatabaseFrozen(node) => lab.nodes[node].signal_database(Signal::CONT),
            Self::StoreKilled(member) => lab.store.member(member).restart(),
            Self::Unplugged(_)
            | Self::CableCut(_)
            | Self::CutFromStore(_)
            | Self::StoreAway
            | Self::Parted(..)
            | Self::Unheard(_)
            | Self::Deaf(_) => self.cut(lab, true),
        }
    }

    fn cut(self, lab: &Lab, mended: bool) {
        match self {
            Self::Unplugged(node) => lab.nodes[node].host().plugged(mended),
            Self::CableCut(node) => lab.nodes[node].host().carrier(mended),
            Self::CutFromStore(node) => {
                lab.store.hosts().for_each(|store| store.reaches(lab.nodes[node].host(), mended));
            }
            Self::StoreAway => lab.store.hosts().for_each(|store| store.plugged(mended)),
            Self::Parted(one, other) => lab.nodes[one].host().reaches(lab.nodes[other].host(), mended),
            Self::Unheard(node) => {
                lab.hosts_but(node).for_each(|other| other.hears(lab.nodes[node].host(), mended));
            }
            Self::Deaf(node) => lab.hosts_but(node).for_each(|other| lab.nodes[node].host().hears(other, mended)),
            _ => {}
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |number: &usize| format!("node{}", number + 1);
        match self {
            Self::DatabaseKilled(of) => write!(f, "the database of {} is killed", node(of)),
            Self::AgentKilled(of) => write!(f, "the agent of {} is killed", node(of)),
            Self::NodeKilled(of) => write!(f, "everything on {} is killed", node(of)),
            Self::AllKilled => f.write_str("everything everywhere is killed"),
            Self::Unplugged(of) => write!(f, "the plug of {} is out", node(of)),
            Self::CableCut(of) => write!(f, "the cable of {} is cut", node(of)),
            Self::CutFromStore(of) => write!(f, "{} and the store do not hear each other", node(of)),
            Self::StoreAway => f.write_str("the store is cut off from everybody"),
            Self::Parted(one, other) => write!(f, "{} and {} do not hear each other", node(one), node(other)),
            Self::Unheard(of) => write!(f, "nobody hears {}", node(of)),
            Self::Deaf(of) => write!(f, "{} hears nobody", node(of)),
            Self::AgentFrozen(of) => write!(f, "the agent of {} stands still", node(of)),
            Self::DatabaseFrozen(of) => write!(f, "the database of {} stands still", node(of)),
            Self::StoreKilled(member) => write!(f, "store{} is killed", member + 1),
            Self::Switchover(of) => write!(f, "a switchover is wished at {}", node(of)),
        }
    }
}
