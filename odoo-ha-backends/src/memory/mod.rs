//! In-memory implementations of every role, for tests of programs that embed the library and for one-process clusters.
//!
//! Each keeps its role's contract (all pass its suite in `odoo_ha_core::conformance`), and each can be made to fail as the real
//! thing does: a store that does not answer, a database that hangs, a watchdog that dies. What is shared between nodes is an
//! object of its own: [`MemoryDcs`] clients of one store, a [`MemoryNetwork`] with one address, a [`MemoryWorld`] of databases.
//!
//! | role | type | faults |
//! |---|---|---|
//! | `Dcs` | [`MemoryDcs`] | unanswered commits, no connection, delay, lost content |
//! | `FloatingIp` | [`MemoryFloatingIp`] on a [`MemoryNetwork`] | no answer |
//! | `ReplicationManager` | [`MemoryReplication`] in a [`MemoryWorld`] | killed, hung, cut off, erased |
//! | `FilestoreSync` | [`MemoryFilestore`] | no answer |
//! | `Peers` | [`MemoryPeers`] | no answer |
//! | `HealthProbe` | [`MemoryProbe`] | any verdict |
//! | `Notifier` | [`MemoryNotifier`] | no answer |
//! | `ServiceManager` | [`MemoryServices`] | no answer |
//! | `Watchdog` | [`MemoryWatchdog`] | lost |
//!
//! Nothing here outlives the process, touches a disk or a network, or is fit for production.

mod database;
mod dcs;
mod filestore;
mod floating_ip;
mod notifier;
mod peers;
mod probe;
mod replication;
mod services;
mod switch;
mod wal;
mod watchdog;
mod world;

pub use dcs::{CommitFault, MemoryDcs};
pub use filestore::{FilestoreRole, MemoryFilestore};
pub use floating_ip::{MemoryFloatingIp, MemoryNetwork};
pub use notifier::MemoryNotifier;
pub use peers::MemoryPeers;
pub use probe::MemoryProbe;
pub use replication::MemoryReplication;
pub use services::MemoryServices;
pub use watchdog::MemoryWatchdog;
pub use world::MemoryWorld;
