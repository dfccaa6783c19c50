//! A made-up world: machines, a store, databases, one address and a client, all moved by one clock and one seed.
//!
//! Nothing in it waits or draws by chance: the same seed gives the same run. What the machines order takes a made-up time and is done
//! to a made-up database; what is acknowledged to the client is compared with what the leader has.

mod address;
mod clocks;
mod database;
mod disk;
mod judgement;
mod machines;
mod motion;
mod network;
mod node;
mod orders;
mod perform;
mod replication;
mod services;
mod store;
mod store_calls;
mod world;

pub use clocks::Clock;
pub use database::{Database, HalfWay, INTERNAL, Promotion, ReplayHeld};
pub use disk::Disk;
pub use machines::{Asleep, Standstill};
pub use network::{Link, Network};
pub use node::Node;
pub use replication::{Receiver, Sender};
pub use services::{FilesRole, Filestore, Services};
pub use store::{Answerless, Store};
pub use store_calls::StoreLink;
pub use world::{World, member};
