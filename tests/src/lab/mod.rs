//! The lab: hosts that are network namespaces on a bridge, with a real etcd, real agents (`odoo-ha-agent`) and a real PostgreSQL each, a client
//! that writes over the address all the time, and judges of what it and the databases saw.
//!
//! A test is a situation and a few lines: [`situation`] builds a cluster as its [`Plan`] says, waits until it is whole, lets the test do its
//! harm, waits until the cluster is whole again, and judges ([`Lab::finish`]). All of it happens in namespaces of the test's own: networks,
//! processes and mounts end with the test, however that ends.
//!
//! It never waits for a time, always for a condition with a deadline, and it judges nothing by speed.
//!
//! Where to go next: `world.rs` the namespaces · `network.rs` hosts and cuts · `store.rs` etcd · `node.rs` a node · `writer.rs` the client ·
//! `prober.rs` who accepts writes · `cluster.rs` all of it together · `judge.rs` what must never be ·
//! `faults.rs` what `chaos` draws from.

mod cluster;
mod faults;
mod judge;
mod network;
mod node;
mod plan;
mod prober;
mod programs;
mod sql;
mod store;
mod world;
mod writer;

pub use cluster::{Lab, Whole, situation};
pub use faults::Fault;
pub use network::{Host, Network};
pub use node::Node;
pub use plan::Plan;
pub use programs::Programs;
pub use store::Store;
pub use world::{in_world, program_in_world};

/// Where a lab keeps everything: a file system in memory that ends with the test's mount namespace.
pub const PLACE: &str = "/run/lab";
