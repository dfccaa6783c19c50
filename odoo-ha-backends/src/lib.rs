//! Implementations of the roles of `odoo-ha-core`: one technology, one feature, one folder.
//!
//! No feature is on by default, none pulls another's client, and no backend knows of another. Each translates between a role
//! and its technology; what to do is decided in the core.
//!
//! | feature | role | what it is |
//! |---|---|---|
//! | `memory` | all | in-memory implementations, for tests of embedders |
//! | `sqlite` | `Dcs` | one file, for several processes of one machine |
//! | `consul` | `Dcs` | Consul 1.8 and later, for clusters of several machines |
//! | `etcd` | `Dcs` | etcd 3.4 and later; building it takes `protoc` |
//! | `postgres` | `ReplicationManager` | PostgreSQL streaming replication |
//! | `listener` | `FloatingIp` | a TCP address that one local process holds |
//! | `linux-address` | `FloatingIp` | an address on a network interface of this host, announced by ARP and neighbour discovery |
//! | `probe-postgres`, `probe-tcp`, `probe-http` | `HealthProbe` | a real write path, a connection, a URL |
//! | `systemd`, `command` | `ServiceManager` | units of systemd, programs; both in one order by [`Services`] |
//! | `rsync` | `FilestoreSync` | attachments and sessions, pulled from the leader by rsync |
//! | `log` | `Notifier` | the program's own log |
//! | `webhook`, `slack` | `Notifier` | JSON to a URL, signed; a line to Slack |
//! | `peers-http` | `Peers` | questions of one member to another over HTTP, proved by a shared secret |
//! | `guard` | `Watchdog` | a process that outlives the agent and stops the database in time |
//! | `linux-watchdog` | `Watchdog` | the kernel's `/dev/watchdog`; untested on a device |
//!
//! # The guard in a program of your own
//!
//! The `guard` backend needs no program beside yours: when it is armed, it starts the running program a second time (`/proc/self/exe`, so the very
//! file that runs, also after an update), with a first argument that no program uses. One line makes a program ready for that, first in `main`,
//! before threads, runtimes and the parsing of arguments:
//!
//! ```no_run
//! # #[cfg(feature = "guard")]
//! fn main() {
//!     odoo_ha_backends::guard::run_if_guard();
//!     // everything else
//! }
//! # #[cfg(not(feature = "guard"))]
//! # fn main() {}
//! ```
//!
//! A program that cannot have it names another one that does, with `GuardConfig::program`; one that forgot it is told so when the guard is
//! armed. `odoo-ha-examples/examples/embedding.rs` is a whole program with it.

#[cfg(feature = "command")]
pub mod command;
mod common;
#[cfg(feature = "consul")]
pub mod consul;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "guard")]
pub mod guard;
#[cfg(feature = "linux-address")]
pub mod linux_address;
#[cfg(feature = "linux-watchdog")]
pub mod linux_watchdog;
#[cfg(feature = "listener")]
pub mod listener;
#[cfg(feature = "log")]
pub mod log;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "peers-http")]
pub mod peers_http;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "probe-http")]
pub mod probe_http;
#[cfg(feature = "probe-postgres")]
pub mod probe_postgres;
#[cfg(feature = "probe-tcp")]
pub mod probe_tcp;
#[cfg(feature = "rsync")]
pub mod rsync;
#[cfg(feature = "slack")]
pub mod slack;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "systemd")]
pub mod systemd;
#[cfg(feature = "webhook")]
pub mod webhook;

#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "peers-http",
    feature = "postgres",
    feature = "probe-postgres",
    feature = "rsync",
    feature = "webhook",
    feature = "slack"
))]
pub use common::secret::Secret;
#[cfg(any(feature = "systemd", feature = "command"))]
pub use common::services::{Activity, Service, Services};
