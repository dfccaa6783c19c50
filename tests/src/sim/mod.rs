//! A made-up world: machines, a store, databases, one address and a client, all moved by one clock and one seed.
//!
//! Nothing in it waits or draws by chance: the same seed gives the same run. What the machines order takes a made-up time and is done
//! to a made-up database; what is acknowledged to the client is compared with what the leader has.

mod database;
pub mod driven;
mod judgement;
mod motion;
mod node;
mod perform;
mod store;
mod world;

pub use database::Database;
pub use node::Node;
pub use store::{Answerless, Store};
pub use world::{World, member};
