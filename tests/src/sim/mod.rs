//! A made-up world: machines, a store, databases, one address and a client, all moved by one clock and one seed.
//!
//! Nothing in it waits or draws by chance: the same seed gives the same run. What the machines order takes a made-up time and is done
//! to a made-up database; what is acknowledged to the client is compared with what the leader has.

mod campaign;
mod database;
mod dice;
mod fault;
mod judgement;
mod motion;
mod node;
mod operator;
mod perform;
mod plan;
mod profile;
mod run;
mod shrink;
mod store;
mod tally;
mod timeline;
mod world;

pub use campaign::{Campaign, Report};
pub use database::Database;
pub use dice::Dice;
pub use fault::{Fault, FaultKind};
pub use node::Node;
pub use operator::{Wish, WishKind};
pub use plan::{Deed, Plan, Step};
pub use profile::{Clocks, Judged, Profile};
pub use run::{Broken, Outcome, run};
pub use shrink::shrink;
pub use store::{Answerless, Store};
pub use tally::Tally;
pub use world::{MOST_MEMBERS, World, member};
