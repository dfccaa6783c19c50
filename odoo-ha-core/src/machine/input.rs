//! What the machine is told.

use crate::database::DatabaseAnswer;
use crate::error::Failure;
use crate::failsafe::{Question, Reply};
use crate::policy::{Policy, Timing};
use crate::records::RequestKind;
use crate::store::{Change, Committed, Revision, Snapshot};

use super::action::CallId;

/// What the machine is told, together with the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// Nothing but the time.
    Time,
    /// An action has ended.
    Finished {
        /// Which.
        id: CallId,
        /// How.
        result: Result<Answer, Failure>,
    },
    /// The watch shows changes.
    Changed {
        /// The moment of the last of them.
        revision: Revision,
        /// The keys.
        changes: Vec<Change>,
    },
    /// The watch is over; changes may have been missed.
    WatchLost,
    /// The process of the database that ran has ended.
    DatabaseExited,
    /// The armed watchdog is gone.
    WatchdogLost,
    /// A probe changed its mind.
    Health {
        /// Its name.
        probe: String,
        /// What it found.
        healthy: bool,
        /// The summed weights of all failing probes now.
        penalty: u32,
    },
    /// The wall clock moved against the monotonic one.
    ClockJumped,
    /// A leader asks whether it may go on. It is answered with an `AnswerMember` of the same ticket.
    Questioned {
        /// Names the question.
        ticket: u64,
        /// What is asked.
        question: Question,
    },
    /// Somebody on this node wants something.
    Command(Command),
}

/// The answer to an action that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// To `Read`.
    Snapshot(Snapshot),
    /// To `Commit`.
    Committed(Committed),
    /// To `Database`.
    Database(DatabaseAnswer),
    /// To `LookAtAddress`: whether it is here.
    AddressHere(bool),
    /// To `AskMember`.
    Asked(Reply),
    /// To everything else.
    Done,
}

/// What somebody on this node wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Ask the cluster for this, under this id (see [`RequestRecord`](crate::records::RequestRecord)).
    Request {
        /// Names the wish.
        id: String,
        /// What is wished.
        kind: RequestKind,
    },
    /// Replace this member's data by a fresh copy of the leader's.
    Reinit,
    /// Take what the store shows for true though it is older than what this member remembers.
    Recover,
    /// Strive for something else, unless the cluster's policy stands in the store.
    SetPolicy(Policy),
    /// Use other times, checked already.
    SetTiming(Timing),
    /// Leave in good order: hand over if this member leads and somebody can take it, leave the synchronous set, then stop the
    /// database if `stop_database`.
    Shutdown {
        /// Whether the database is stopped too. A leader's always is, unless nobody can take over and this is `false`.
        stop_database: bool,
    },
}
