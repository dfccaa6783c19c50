//! What members say to one another without the store: a leader that cannot reach it asks all of them whether it may go on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::member::{ClusterId, MemberId};
use crate::term::Mark;

/// "May I lead on?": asked by a leader of every member that its record lists, when the store does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Question {
    /// Of which cluster.
    pub cluster: ClusterId,
    /// Who asks.
    pub from: MemberId,
    /// Who is asked.
    pub to: MemberId,
    /// The version of the leader record that the asker was last confirmed in.
    pub mark: Mark,
    /// Whoever accepts neither suspects nor votes for this many milliseconds from when the question arrived.
    pub ttl_ms: u64,
    /// The start of the asker's agent, and how often it has asked since: a question that was sent again by somebody else is refused.
    pub round: (u64, u64),
}

impl Question {
    /// How long whoever accepts holds still.
    pub const fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The asker may go on: this member does nothing against it for the `ttl` of the question.
    Accepted,
    /// It may not, and why.
    Refused(String),
}
