//! How much may go wrong in one run. The space is exhausted within these.

use super::state::Wrong;

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Every node has a clock of its own that goes on, or not, whatever the others do: rates without any bound. A node that is frozen
    /// for hours is one whose clock shows nothing of it, or all of it. Durability must hold even so (design 2.3).
    Independent,
    /// One time for all; agents are frozen and thawed by steps of their own. Who believes to lead is bounded by rates only.
    Common,
}

/// What may happen in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Commits of a client. One shows a loss; two show a log of which one part was acknowledged.
    pub writes: u8,
    /// Crashes, of an agent, a database or both. Two, so that who took over can fall too.
    pub crashes: u8,
    /// Calls to the store whose answer is lost, done or not or done later.
    pub lost: u8,
    /// Agents that are frozen for a while (one common time only: with clocks of their own it is what clocks do).
    pub freezes: u8,
    /// Operators' switchovers.
    pub switchovers: u8,
}

/// A mistake put between the machine and the world, to see that the checker finds it. What the machine orders is changed, or what it is
/// told; the machine is the real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None.
    None,
    /// A freeze is answered but not done: the voter goes on receiving (protocol rule 26).
    FreezeSkipped,
    /// A takeover is guarded by nothing (protocol rule 15).
    TakeoverUnguarded,
    /// A commit of the leader is not guarded by its own last renewal (protocol rule 9).
    RenewalUnguarded,
    /// The database waits for fewer as soon as the record that says so is sent, not when it is confirmed (protocol rule 18).
    LoosenedFirst,
    /// The database is not told to wait for more before the record says so (protocol rule 18).
    TightenedLate,
    /// The intent to vote is not durable: an agent that starts anew knows nothing of a vote that it had sent (protocol rule 28).
    IntentForgotten,
    /// A winner's database is promoted waiting for nobody, whatever the record says (protocol rule 20).
    PromotedWithoutNames,
}

impl Mistake {
    /// All that are mistakes.
    pub const ALL: [Self; 7] = [
        Self::FreezeSkipped,
        Self::TakeoverUnguarded,
        Self::RenewalUnguarded,
        Self::LoosenedFirst,
        Self::TightenedLate,
        Self::IntentForgotten,
        Self::PromotedWithoutNames,
    ];
}

/// From where the exploration begins. Each is reached by a fixed schedule of the same steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Agents without data, and an empty store.
    Nothing,
    /// `a` leads, and the sync record names all others.
    Whole,
    /// `a` was killed while it led, `b` leads, and `a` comes back.
    FailedOver,
    /// `a` leads and has dropped the last member from the sync record; that member begins to stream again.
    Dropped,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many members: 2 or 3 are sensible.
    pub members: usize,
    /// How many steps from the beginning.
    pub depth: u16,
    /// How time passes.
    pub clocks: Clocks,
    /// From where.
    pub beginning: Beginning,
    /// How much may go wrong.
    pub budget: Budget,
    /// How many standbys a commit waits for; 0: all of them.
    pub quorum: u32,
    /// Reads of the store and writes of the memo are steps of their own; else they are done at once.
    pub fine: bool,
    /// What is wrong on purpose.
    pub mistake: Mistake,
    /// Look for this alone; else for everything. A mistake is often seen where it is made, long before it costs a commit.
    pub only: Option<Wrong>,
}

impl Bounds {
    /// The usual ones.
    pub const fn new(members: usize, depth: u16) -> Self {
        Self {
            members,
            depth,
            clocks: Clocks::Independent,
            beginning: Beginning::Whole,
            budget: Budget { writes: 1, crashes: 1, lost: 1, freezes: 0, switchovers: 0 },
            quorum: 0,
            fine: false,
            mistake: Mistake::None,
            only: None,
        }
    }
}
