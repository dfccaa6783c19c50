//! Reigns and their order: terms, sequence numbers, nonces.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts reigns: grows by one at every change of leadership and is the fencing token of every action on the world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Term(pub u64);

impl Term {
    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells apart everything that one node ever wrote: no two writes share a nonce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Nonce {
    /// Differs at every start of every agent, and grows from start to start on one machine.
    pub incarnation: u64,
    /// Counts the writes of that process.
    pub number: u64,
}

/// Where a leader record stands in the order of all leader records of a cluster.
///
/// Only a later record of the same store has a greater mark: the term grows with every change of leadership, the
/// sequence with every rewrite.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The term.
    pub term: Term,
    /// Grows by one at every rewrite of the leader record, across terms.
    pub sequence: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.sequence)
    }
}
