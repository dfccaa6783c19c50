//! All that was seen during a run, in the order in which it was seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odoo_ha_core::event::Event;

use super::node::Node;

/// One write of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// Ever-increasing, never used again.
    pub(crate) id: i64,
    pub(crate) sent: Duration,
    /// When it was acknowledged; `None`: it is not known whether it happened.
    pub(crate) acked: Option<Duration>,
    /// Whose database took it, as the database itself said.
    pub(crate) by: Option<Node>,
}

/// What a node's database looks like from beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// It accepts writes.
    Primary,
    /// It accepts reads only.
    Standby,
    /// It took a write and does not answer.
    Waiting,
    /// It does not accept connections.
    Down,
}

/// What happens to a node's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentFace {
    Running,
    Frozen,
    Gone,
}

/// From this moment on, this.
pub(crate) type Since<T> = (Duration, T);

/// What one node was seen doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeRecord {
    pub(crate) database: Vec<Since<Face>>,
    pub(crate) agent: Vec<Since<AgentFace>>,
    /// When a write from beside the database was acknowledged.
    pub(crate) local_acks: Vec<Duration>,
}

/// All that was seen. Times are those of the machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) writes: Vec<Write>,
    pub(crate) nodes: [NodeRecord; 2],
    pub(crate) events: Vec<(Duration, Node, Event)>,
}

impl Record {
    pub(crate) fn node(&self, node: Node) -> &NodeRecord {
        &self.nodes[node.index()]
    }

    pub(crate) fn node_mut(&mut self, node: Node) -> &mut NodeRecord {
        &mut self.nodes[node.index()]
    }

    /// When writes were acknowledged, in order.
    pub(crate) fn acks(&self) -> Vec<Duration> {
        self.writes.iter().filter_map(|write| write.acked).collect()
    }
}

/// Adds what is new: the same again is not.
pub(crate) fn push_if_new<T: PartialEq>(list: &mut Vec<Since<T>>, at: Duration, what: T) {
    if list.last().is_none_or(|(_, last)| *last != what) {
        list.push((at, what));
    }
}

/// The record while it is written by several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

impl Recorder {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last acknowledged write.
    pub(crate) fn last_ack(&self) -> Option<Write> {
        self.lock().writes.iter().rev().find(|write| write.acked.is_some()).copied()
    }

    /// The first acknowledged write that was sent after this moment, to this node if one is named.
    pub(crate) fn first_ack_sent_after(&self, moment: Duration, by: Option<Node>) -> Option<Write> {
        let record = self.lock();
        let from = record.writes.partition_point(|write| write.sent < moment);
        let fits = |write: &&Write| write.acked.is_some() && (by.is_none() || write.by == by);
        record.writes[from..].iter().find(fits).copied()
    }
}
