//! What the machine wants done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::database::{DatabaseOrder, Endpoint};
use crate::failsafe::{Question, Reply};
use crate::member::{ClusterId, MemberId};
use crate::records::LeaderRef;
use crate::store::Commit;
use crate::term::{Mark, Term};
use crate::time::Moment;

/// Names one action; its answer bears the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// One thing to do. The driver does it and hands the answer back as [`Input::Finished`](super::Input::Finished) with the same
/// id: exactly one answer for each action, in any order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Action {
    /// Names it.
    pub id: CallId,
    /// What to do.
    pub order: Order,
    /// The longest it may take. When it is over the driver answers with a failure of kind `Unknown` (a read: `Unavailable`).
    pub timeout: Duration,
    /// Not to be begun at or after this moment: it is answered with `Fenced` then. Set on what may only be done with safe
    /// leadership, and looked at immediately before.
    pub not_after: Option<Moment>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Read the store. When no watch runs, one begins at the revision that is read.
    Read,
    /// Write to the store.
    Commit(Commit),
    /// Keep this beside the data, fsynced, before answering.
    Remember(Memo),
    /// To the local database. A `Stop` takes the place of one that runs: that one is dropped first, and answered `Unknown`.
    Database(DatabaseOrder),
    /// Make the address reach this node.
    AttachAddress {
        /// The fencing token.
        term: Term,
    },
    /// Make it not.
    DetachAddress,
    /// Look where it is.
    LookAtAddress,
    /// Start what serves users.
    StartServices {
        /// The fencing token.
        term: Term,
    },
    /// Stop it.
    StopServices,
    /// Become the side of the files that users write to.
    LeadFilestore {
        /// The fencing token.
        term: Term,
    },
    /// Become a copy.
    FollowFilestore {
        /// The reign.
        term: Term,
        /// Of whom.
        leader: MemberId,
        /// Where the leader is.
        endpoint: Option<Endpoint>,
    },
    /// Neither.
    RestFilestore,
    /// Arm the watchdog, or take over one that an earlier start of the agent armed.
    ArmWatchdog {
        /// The reign.
        term: Term,
        /// When the node must be harmless; `None` while paused.
        deadline: Option<Moment>,
    },
    /// Move its deadline.
    FeedWatchdog {
        /// The reign.
        term: Term,
        /// When the node must be harmless; `None` while paused.
        deadline: Option<Moment>,
    },
    /// Tell it that the node is harmless.
    DisarmWatchdog,
    /// Ask another member whether this leader may go on.
    AskMember {
        /// Where it said that it can be asked; `None`: it said nothing.
        at: Option<String>,
        /// What is asked.
        question: Question,
    },
    /// Answer a leader that asked.
    AnswerMember {
        /// Which question.
        ticket: u64,
        /// The answer.
        reply: Reply,
    },
}

/// What a member keeps beside its data, so that neither a restart of the agent nor a store that forgot can mislead it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Memo {
    /// The cluster; `None` before the first.
    pub cluster: Option<ClusterId>,
    /// The newest leader record that it acted on.
    pub mark: Mark,
    /// The highest term in which this member itself led.
    pub led: Term,
    /// The highest own term in which nobody before can hold what hangs on belief any more.
    #[serde(default)]
    pub alone: Term,
    /// The leader record that it voted against, or was about to: it stays frozen until it has seen a newer one.
    pub intent: Option<LeaderRef>,
}
