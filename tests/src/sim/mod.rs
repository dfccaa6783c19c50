//! The simulator: a made-up world of machines, a store, databases, one address and clients, all moved by one clock and one seed.
//!
//! Nothing in it waits or draws by chance: the same seed gives the same run. What the machines order takes a made-up time and is done
//! to a made-up database. After every step the invariants of [`invariants`] are looked at, and what the clients saw is judged by itself
//! ([`history`]).

mod address;
mod backups;
mod campaign;
mod client;
mod clocks;
mod database;
mod dice;
mod disk;
pub mod driven;
mod fact;
mod fault;
mod glimpse;
mod happenings;
mod healing;
pub mod history;
mod ids;
pub mod invariants;
mod judge;
mod judgement;
mod losses;
mod machines;
mod motion;
mod network;
mod node;
mod operator;
mod orders;
mod peers;
mod perform;
mod plan;
mod profile;
mod record_ends;
mod records;
mod replication;
mod run;
mod services;
mod shrink;
mod store;
mod store_calls;
mod stream;
mod tally;
mod timeline;
mod violation;
mod world;

pub use campaign::{Bounds, Campaign, Report};
pub use clocks::Clock;
pub use database::{Database, HalfWay, INTERNAL, Promotion, ReplayHeld};
pub use dice::Dice;
pub use disk::Disk;
pub use fact::Fact;
pub use fault::{Ailment, FaceAilment, Fault, FaultKind};
pub use glimpse::Glimpse;
pub use healing::HEALS_WITHIN;
pub use history::History;
pub use ids::Ids;
pub use losses::FOREIGN_SYSTEM;
pub use machines::{Asleep, Standstill};
pub use network::{Link, Network};
pub use node::Node;
pub use operator::{Wish, WishKind};
pub use orders::FIRST_SYSTEM;
pub use plan::{Deed, Plan, Step};
pub use profile::{Clocks, Judged, Oddity, Profile};
pub use records::Records;
pub use run::{Broken, Outcome, run};
pub use services::{FilesRole, Filestore, Services};
pub use shrink::shrink;
pub use store::{Answerless, Store};
pub use store_calls::StoreLink;
pub use stream::{Receiver, Sender};
pub use tally::Tally;
pub use violation::Violation;
pub use world::{MOST_MEMBERS, World, member};
