//! What happened between two looks of the judges.

use std::time::Duration;

use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::{LeaderRecord, SyncRecord};
use odoo_ha_core::term::Mark;

use super::glimpse::Glimpse;

/// One thing that happened. Judges read these instead of looking at everything again.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A database told a client that its record is saved.
    Acknowledged {
        /// Whose database.
        on: MemberId,
        /// Where in its log.
        index: usize,
        /// The record.
        id: u64,
    },
    /// An order to a database, an address, services or files was carried out, or refused.
    Ordered {
        /// On whom.
        member: MemberId,
        /// What.
        order: Order,
        /// It was not refused.
        accepted: bool,
    },
    /// An agent begins what only a leader may do.
    Begun {
        /// Whose.
        member: MemberId,
        /// What.
        order: Order,
        /// It believes to lead then, by its own clock.
        believes: bool,
    },
    /// An agent says that its state changed.
    StateChanged {
        /// Whose.
        member: MemberId,
        /// To which.
        to: String,
        /// Why.
        cause: String,
    },
    /// An agent hears what a consistent read of the store has shown.
    ReadAnswered {
        /// Whose.
        member: MemberId,
    },
    /// An agent hears that its wall clock has jumped.
    ClockJumped {
        /// Whose.
        member: MemberId,
        /// When.
        at: Duration,
    },
    /// An operator tells an agent that the store is right.
    ToldToRecover {
        /// Whose.
        member: MemberId,
    },
    /// A node or its database is not what it was, more than by a longer log.
    NodeChanged {
        /// Whose.
        member: MemberId,
        /// What it was.
        before: Glimpse,
    },
    /// The leader record was written.
    LeaderWritten {
        /// What it said.
        before: Option<LeaderRecord>,
    },
    /// The sync record was written.
    SyncWritten {
        /// What it said.
        before: Option<SyncRecord>,
    },
    /// A member's vote was written.
    Voted {
        /// Whose.
        member: MemberId,
    },
    /// The leader or sync record of a store that shows less than it should was written.
    ForgetfulStoreWritten {
        /// By whom.
        member: MemberId,
        /// The newest leader record that is written down beside its data.
        remembered: Mark,
        /// The one that the store showed.
        shown: Mark,
    },
    /// The store shows less than it did: a restored backup.
    StoreForgot,
    /// A machine found one of its own invariants broken.
    MachineBroke {
        /// Whose.
        member: MemberId,
        /// Which.
        which: String,
    },
}
