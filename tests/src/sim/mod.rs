//! A made-up world: machines, a store, databases, one address and a client, all moved by one clock and one seed.
//!
//! Nothing in it waits or draws by chance: the same seed gives the same run. What the machines order takes a made-up time and is done
//! to a made-up database; what is acknowledged to the client is compared with what the leader has.

mod client;
mod database;
mod deed;
mod glimpse;
mod healing;
pub mod history;
pub mod invariants;
mod judge;
mod judgement;
mod motion;
mod node;
mod perform;
mod records;
mod store;
mod violation;
mod world;

pub use database::{Broken, Database};
pub use deed::Deed;
pub use glimpse::Glimpse;
pub use healing::HEALS_WITHIN;
pub use history::History;
pub use node::Node;
pub use records::Records;
pub use store::{Answerless, Store};
pub use violation::Violation;
pub use world::{World, member};
