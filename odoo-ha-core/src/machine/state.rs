//! The states of a member.

use std::fmt;

/// The names of the states, as operators see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// Store or database are not known yet.
    Joining,
    /// Makes the first database of a new cluster.
    Bootstrapping,
    /// Follows the leader, or waits for one.
    Following,
    /// The leader was silent; asks the store once more.
    Suspecting,
    /// Stops receiving, to vote.
    Freezing,
    /// Has voted and is frozen.
    Voting,
    /// Asks the store for leadership.
    TakingOver,
    /// Finds itself in the leader record and renews before it acts.
    Resuming,
    /// Has leadership and makes its database primary.
    Promoting,
    /// Leads.
    Leading,
    /// Leads, and hands over to another.
    HandingOver,
    /// Takes address, services and database down, then releases leadership.
    GivingUp,
    /// Leaves in good order.
    Leaving,
    /// Has left.
    Stopped,
}

impl StateName {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Joining,
        Self::Bootstrapping,
        Self::Following,
        Self::Suspecting,
        Self::Freezing,
        Self::Voting,
        Self::TakingOver,
        Self::Resuming,
        Self::Promoting,
        Self::Leading,
        Self::HandingOver,
        Self::GivingUp,
        Self::Leaving,
        Self::Stopped,
    ];

    /// The name as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Bootstrapping => "bootstrapping",
            Self::Following => "following",
            Self::Suspecting => "suspecting",
            Self::Freezing => "freezing",
            Self::Voting => "voting",
            Self::TakingOver => "taking_over",
            Self::Resuming => "resuming",
            Self::Promoting => "promoting",
            Self::Leading => "leading",
            Self::HandingOver => "handing_over",
            Self::GivingUp => "giving_up",
            Self::Leaving => "leaving",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

