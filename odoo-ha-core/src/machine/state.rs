//! The states of a member.

use std::fmt;

use crate::records::{LeaderRef, VoteRecord};
use crate::time::Moment;

use super::action::CallId;
use super::giving_up::GivingUp;
use super::hand_over::HandOver;
use super::takeover::TakeOver;

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

/// A state and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    Joining,
    Bootstrapping,
    Following,
    Suspecting { against: LeaderRef, read: CallId },
    Freezing { against: LeaderRef, step: FreezeStep },
    Voting { against: LeaderRef, vote: VoteRecord, since: Moment, recheck: Option<Recheck> },
    TakingOver(Box<TakeOver>),
    Resuming,
    Promoting,
    Leading,
    HandingOver(HandOver),
    GivingUp(GivingUp),
    Leaving { stop_database: bool, since: Moment },
    Stopped,
}

/// How far a freeze is: each step begins when the one before is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FreezeStep {
    /// The database is being frozen, and the intent to vote made durable.
    Freeze,
    /// The store is asked whether the leader record is still the same.
    Confirm(CallId),
    /// The vote is being written.
    Cast(CallId),
}

/// The last look before a takeover: store and database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recheck {
    pub(super) read: Option<CallId>,
    pub(super) observe: Option<CallId>,
}

impl State {
    pub(super) const fn name(&self) -> StateName {
        match self {
            Self::Joining => StateName::Joining,
            Self::Bootstrapping => StateName::Bootstrapping,
            Self::Following => StateName::Following,
            Self::Suspecting { .. } => StateName::Suspecting,
            Self::Freezing { .. } => StateName::Freezing,
            Self::Voting { .. } => StateName::Voting,
            Self::TakingOver(_) => StateName::TakingOver,
            Self::Resuming => StateName::Resuming,
            Self::Promoting => StateName::Promoting,
            Self::Leading => StateName::Leading,
            Self::HandingOver(_) => StateName::HandingOver,
            Self::GivingUp(_) => StateName::GivingUp,
            Self::Leaving { .. } => StateName::Leaving,
            Self::Stopped => StateName::Stopped,
        }
    }
}
