//! Suites that hold an implementation of a role against the role's contract.
//!
//! A backend of your own is proved by the suite of its role, as the library's own are. You supply a bench (a store to
//! make clients of, a pair of nodes that share an address, …) and a [`Timer`] of the runtime that your backend runs on; the
//! suite runs its checks one after another and gives a [`Report`].
//!
//! | role | suite | bench |
//! |---|---|---|
//! | `Dcs` | [`dcs()`] | [`DcsBench`], or a closure that makes a client |
//! | `FloatingIp` | [`floating_ip()`] | [`FloatingIpBench`], or a closure that makes two nodes |
//! | `FilestoreSync` | [`filestore()`] | [`FilestoreBench`] |
//! | `ReplicationManager` | [`replication()`] | [`ReplicationBench`] |
//! | `HealthProbe` | [`health_probe()`] | three probes |
//! | `Notifier` | [`notifier()`] | [`NotifierBench`] |
//! | `Peers` | [`peers()`] | [`PeersBench`] |
//! | `ServiceManager` | [`services()`] | [`ServicesBench`] |
//! | `Watchdog` | [`watchdog()`] | [`WatchdogBench`] |
//!
//! A check that the implementation's capabilities exclude is skipped, and the report says so and why. No check waits for a fixed
//! time in the hope that something has happened by then; what must never happen is looked for during [`QUIET`].
//!
//! Nothing here needs a particular runtime, reads the environment or writes a file. The suites are no benchmark and inject no faults: what a
//! backend does when its server dies is a matter of its own tests.
//!
//! Go on with [`Report`], then with the suite of your role.

mod bench;
mod dcs;
mod filestore;
mod floating_ip;
mod notifier;
mod peers;
mod probe;
mod replication;
mod report;
mod services;
mod timer;
mod watchdog;

pub use bench::{HANGS_AFTER, QUIET};
pub use dcs::{DcsBench, dcs};
pub use filestore::{FilestoreBench, FilestoreNode, filestore};
pub use floating_ip::{FloatingIpBench, Pair, floating_ip};
pub use notifier::{NotifierBench, notifier};
pub use peers::{PeersBench, PeersPair, peers};
pub use probe::health_probe;
pub use replication::{Node, ReplicationBench, ReplicationWorld, replication};
pub use report::{Check, Finding, Outcome, Report};
pub use services::{ServicesBench, ServicesWorld, services};
pub use timer::{BoxFuture, Timer};
pub use watchdog::{WatchdogBench, WatchdogNode, watchdog};
