//! Every change of state: from, to, why, and the sentence that an operator reads. The diagram in `docs/protocol.md` is drawn from this
//! table.

use super::state::StateName as S;

/// Why the state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Store and database were read for the first time.
    Informed,
    /// The agent was restarted while it was bound by a vote.
    BoundByVote,
    /// Nobody has begun this cluster.
    NoCluster,
    /// The first database exists and is recorded.
    ClusterBegun,
    /// The member that began the cluster fell silent before it was done.
    BeginnerSilent,
    /// The leader record stayed unchanged for as long as it may.
    LeaderSilent,
    /// Nobody holds leadership.
    Vacant,
    /// The store confirms that the leader record is still the same.
    StillSilent,
    /// The leader renewed after all, or somebody else leads.
    LeaderSeen,
    /// The leader asked whether it may go on without the store.
    LeaderAsked,
    /// The store or the database did not answer as it must.
    NotConfirmed,
    /// The vote stands in the store.
    VoteCast,
    /// The votes suffice and this member's is the best.
    BestVote,
    /// The leader record names this member.
    Elected,
    /// The leader record names this member, which did not write it in this life.
    FoundItselfLeader,
    /// The renewal was confirmed.
    Renewed,
    /// The database is primary, and the history says so.
    DatabasePromoted,
    /// The database does not become primary.
    PromotionFailed,
    /// Leadership could not be renewed in time.
    RenewalFailed,
    /// The leader record is another's.
    LeadershipLost,
    /// The database died or hangs.
    DatabaseFailed,
    /// The watchdog is gone and does not come back.
    WatchdogLost,
    /// A switchover was asked for.
    SwitchoverAsked,
    /// The switchover did not go through; leadership was kept.
    SwitchoverFailed,
    /// Leadership is the target's.
    HandedOver,
    /// Address, services and database are down and leadership is free, or another's.
    GaveUp,
    /// An orderly shutdown was asked for.
    ShutdownAsked,
    /// Everything is in order to leave.
    LeftInOrder,
    /// An invariant did not hold: a bug.
    InvariantBroken,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transition {
    /// From this state.
    pub from: S,
    /// To this one.
    pub to: S,
    /// For this cause.
    pub cause: Cause,
    /// The sentence for the operator.
    pub sentence: &'static str,
}

const fn row(from: S, cause: Cause, to: S, sentence: &'static str) -> Transition {
    Transition { from, to, cause, sentence }
}

/// Every change of state that there is.
pub const TRANSITIONS: &[Transition] = &[
    row(S::Joining, Cause::Informed, S::Following, "store and database are known; this member follows"),
    row(
        S::Joining,
        Cause::BoundByVote,
        S::Freezing,
        "this member had voted before its agent restarted and stays frozen",
    ),
    row(S::Following, Cause::NoCluster, S::TakingOver, "no cluster exists; this member begins it"),
    row(
        S::Following,
        Cause::BeginnerSilent,
        S::TakingOver,
        "the member that began the cluster fell silent; this one begins it",
    ),
    row(S::TakingOver, Cause::NoCluster, S::Bootstrapping, "this member makes the cluster's first database"),
    row(S::Resuming, Cause::NoCluster, S::Bootstrapping, "this member goes on making the cluster's first database"),
    row(S::Bootstrapping, Cause::ClusterBegun, S::Leading, "the cluster has begun; this member leads"),
    row(
        S::Bootstrapping,
        Cause::PromotionFailed,
        S::GivingUp,
        "the first database could not be made; leadership is released",
    ),
    row(
        S::Following,
        Cause::LeaderSilent,
        S::Suspecting,
        "the leader record stayed unchanged for as long as it may; the store is asked",
    ),
    row(S::Following, Cause::Vacant, S::Suspecting, "nobody holds leadership; the store is asked"),
    row(S::Suspecting, Cause::LeaderSeen, S::Following, "the leader record has changed after all"),
    row(S::Suspecting, Cause::LeaderAsked, S::Following, "the leader lives, and may go on without the store"),
    row(S::Suspecting, Cause::NotConfirmed, S::Following, "the store did not answer; nothing is done"),
    row(
        S::Suspecting,
        Cause::StillSilent,
        S::Freezing,
        "the leader record is unchanged; this member stops receiving, to vote",
    ),
    row(
        S::Freezing,
        Cause::LeaderSeen,
        S::Following,
        "a newer leader record was seen before the vote; this member follows it",
    ),
    row(S::Freezing, Cause::NotConfirmed, S::Following, "the vote could not be prepared; this member follows again"),
    row(S::Freezing, Cause::VoteCast, S::Voting, "this member has voted and stays frozen"),
    row(S::Voting, Cause::LeaderSeen, S::Following, "a newer leader record was seen; this member follows it"),
    row(
        S::Voting,
        Cause::BestVote,
        S::TakingOver,
        "the votes suffice and this member's is the best; it asks for leadership",
    ),
    row(S::TakingOver, Cause::LeaderSeen, S::Following, "another was first; this member follows"),
    row(
        S::TakingOver,
        Cause::NotConfirmed,
        S::Voting,
        "a vote or record changed meanwhile; the votes are counted again",
    ),
    row(S::TakingOver, Cause::Elected, S::Promoting, "this member is elected; its database becomes primary"),
    row(
        S::TakingOver,
        Cause::FoundItselfLeader,
        S::Resuming,
        "the election was confirmed too late to count on it; this member renews first",
    ),
    row(
        S::Following,
        Cause::FoundItselfLeader,
        S::Resuming,
        "the leader record names this member; it renews before it acts",
    ),
    row(S::Resuming, Cause::LeadershipLost, S::Following, "leadership is another's"),
    row(S::Resuming, Cause::Elected, S::Promoting, "leadership is confirmed; the database becomes primary"),
    row(S::Resuming, Cause::Renewed, S::Leading, "leadership is confirmed; this member leads on"),
    row(S::Promoting, Cause::DatabasePromoted, S::Leading, "the database is primary; this member leads"),
    row(
        S::Promoting,
        Cause::PromotionFailed,
        S::GivingUp,
        "the database did not become primary; leadership is handed back",
    ),
    row(
        S::Promoting,
        Cause::RenewalFailed,
        S::GivingUp,
        "leadership could not be renewed in time; everything is stopped before it ends",
    ),
    row(S::Promoting, Cause::LeadershipLost, S::GivingUp, "leadership is another's; everything is stopped"),
    row(
        S::Bootstrapping,
        Cause::RenewalFailed,
        S::GivingUp,
        "leadership could not be renewed in time; everything is stopped before it ends",
    ),
    row(S::Bootstrapping, Cause::LeadershipLost, S::GivingUp, "leadership is another's; everything is stopped"),
    row(
        S::Leading,
        Cause::RenewalFailed,
        S::GivingUp,
        "leadership could not be renewed in time; everything is stopped before it ends",
    ),
    row(S::Leading, Cause::LeadershipLost, S::GivingUp, "leadership is another's; everything is stopped"),
    row(
        S::Leading,
        Cause::DatabaseFailed,
        S::GivingUp,
        "the database died; leadership is released so that another member can take it",
    ),
    row(S::Leading, Cause::WatchdogLost, S::GivingUp, "nothing guards this node any more; leadership is released"),
    row(
        S::Leading,
        Cause::ShutdownAsked,
        S::GivingUp,
        "the agent shuts down and nobody can take over; leadership is released",
    ),
    row(
        S::Leading,
        Cause::SwitchoverAsked,
        S::HandingOver,
        "a switchover begins: address and services go down, then the database",
    ),
    row(S::HandingOver, Cause::SwitchoverFailed, S::Leading, "the switchover did not go through; this member leads on"),
    row(S::HandingOver, Cause::HandedOver, S::Following, "leadership is handed over; this member follows"),
    row(
        S::HandingOver,
        Cause::RenewalFailed,
        S::GivingUp,
        "leadership could not be renewed in time; everything is stopped before it ends",
    ),
    row(S::HandingOver, Cause::LeadershipLost, S::GivingUp, "leadership is another's; everything is stopped"),
    row(S::GivingUp, Cause::GaveUp, S::Following, "everything is stopped and leadership is free; this member follows"),
    row(S::Joining, Cause::ShutdownAsked, S::Leaving, "the agent shuts down"),
    row(S::Following, Cause::ShutdownAsked, S::Leaving, "the agent shuts down"),
    row(S::Freezing, Cause::ShutdownAsked, S::Leaving, "the agent shuts down; a vote that it may have sent stands"),
    row(S::Voting, Cause::ShutdownAsked, S::Leaving, "the agent shuts down; its vote stands"),
    row(
        S::TakingOver,
        Cause::ShutdownAsked,
        S::Leaving,
        "the agent shuts down; if the store elects this member all the same, that ends by itself",
    ),
    row(
        S::Resuming,
        Cause::ShutdownAsked,
        S::Leaving,
        "the agent shuts down; the store did not say whether this member still leads, and leadership ends by itself",
    ),
    row(
        S::GivingUp,
        Cause::ShutdownAsked,
        S::Leaving,
        "everything is stopped and the agent shuts down; the store could not be told, and leadership ends by itself",
    ),
    row(S::Resuming, Cause::LeftInOrder, S::Stopped, "the cluster is paused; the agent leaves the database running"),
    row(S::Leading, Cause::LeftInOrder, S::Stopped, "the cluster is paused; the agent leaves the database running"),
    row(S::Leaving, Cause::LeftInOrder, S::Stopped, "the agent has left in good order"),
    row(
        S::Promoting,
        Cause::InvariantBroken,
        S::GivingUp,
        "a rule did not hold (a bug: please report it); this member steps down",
    ),
    row(
        S::Bootstrapping,
        Cause::InvariantBroken,
        S::GivingUp,
        "a rule did not hold (a bug: please report it); this member steps down",
    ),
    row(
        S::Leading,
        Cause::InvariantBroken,
        S::GivingUp,
        "a rule did not hold (a bug: please report it); this member steps down",
    ),
    row(
        S::HandingOver,
        Cause::InvariantBroken,
        S::GivingUp,
        "a rule did not hold (a bug: please report it); this member steps down",
    ),
];

/// The row for a change, if there is one.
pub(super) fn find(from: S, to: S, cause: Cause) -> Option<&'static Transition> {
    TRANSITIONS.iter().find(|row| row.from == from && row.to == to && row.cause == cause)
}

/// The table as a Mermaid state diagram.
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> joining\n");
    for Transition { from, to, cause, .. } in TRANSITIONS {
        text.push_str(&format!("    {from} --> {to}: {cause:?}\n"));
    }
    text.push_str("    stopped --> [*]\n");
    text
}

/// The table as Markdown.
pub fn table() -> String {
    let mut text = String::from("| from | to | cause | what the operator reads |\n|---|---|---|---|\n");
    for Transition { from, to, cause, sentence } in TRANSITIONS {
        text.push_str(&format!("| {from} | {to} | {cause:?} | {sentence} |\n"));
    }
    text
}
