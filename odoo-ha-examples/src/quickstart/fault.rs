//! What is done to the cluster, and what it is held to.

use std::time::Duration;

use clap::ValueEnum;
use odoo_ha_core::policy::SyncMode;

/// Something done to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// SIGKILL to PostgreSQL's main process and all its children.
    KillDatabase,
    /// SIGKILL to the agent and to all of PostgreSQL at once.
    KillNode,
    /// SIGSTOP to the agent; PostgreSQL runs on.
    FreezeAgent,
    /// A planned move to the other node.
    Switchover,
    /// A planned move back.
    SwitchBack,
}

/// What a fault may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest time between two acknowledged writes.
    pub gap: Duration,
    /// Acknowledged writes that may be missing afterwards; `None` where the mode promises nothing.
    pub lost: Option<usize>,
    /// Longest time until the cluster is whole again, from the moment it can be.
    pub rejoin: Duration,
}

impl Fault {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 5] =
        [Self::KillDatabase, Self::KillNode, Self::FreezeAgent, Self::Switchover, Self::SwitchBack];

    /// What happened, in two or three words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::KillDatabase => "database killed",
            Self::KillNode => "node and database killed",
            Self::FreezeAgent => "agent frozen",
            Self::Switchover => "switchover",
            Self::SwitchBack => "switch back",
        }
    }

    /// What is being done to this node, as a sentence.
    pub fn sentence(self, node: &str, other: &str) -> String {
        match self {
            Self::KillDatabase => format!("SIGKILL to all of PostgreSQL on {node}"),
            Self::KillNode => format!("SIGKILL to the agent and to all of PostgreSQL on {node}"),
            Self::FreezeAgent => format!("SIGSTOP to the agent of {node}; its PostgreSQL runs on"),
            Self::Switchover => format!("switch over from {node} to {other}"),
            Self::SwitchBack => format!("switch back from {node} to {other}"),
        }
    }

    /// Whether the other node must have taken over afterwards.
    pub const fn moves_leadership(self, mode: SyncMode) -> bool {
        match self {
            // Without a standby that has everything, the database is restarted where it was.
            Self::KillDatabase => !matches!(mode, SyncMode::Asynchronous),
            Self::KillNode | Self::FreezeAgent | Self::Switchover | Self::SwitchBack => true,
        }
    }

    /// What it may cost.
    pub fn limits(self, ttl: Duration, mode: SyncMode) -> Limits {
        let second = Duration::from_secs(1);
        let rejoin = 5 * second;
        let gap = match self {
            // Restarted where it was: how long PostgreSQL's crash recovery takes is not ours to say, but nobody waits longer
            // than for the other node to take over.
            Self::KillDatabase if mode == SyncMode::Asynchronous => ttl + second,
            // A strict leader acknowledges nothing by itself: users wait until the other node is back.
            Self::KillDatabase if mode == SyncMode::Strict => second + rejoin,
            Self::KillNode | Self::FreezeAgent if mode == SyncMode::Strict => ttl + second + rejoin,
            Self::KillNode | Self::FreezeAgent => ttl + second,
            Self::KillDatabase | Self::Switchover | Self::SwitchBack => second,
        };
        let unpromised = matches!((self, mode), (Self::KillNode, SyncMode::Asynchronous));
        let lost = if unpromised { None } else { Some(0) };
        Limits { gap, lost, rejoin }
    }
}
