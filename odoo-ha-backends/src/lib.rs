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
//! | `log` | `Notifier` | the program's own log |
//! | `peers-http` | `Peers` | questions of one member to another over HTTP, proved by a shared secret |
//! | `guard` | `Watchdog` | a process that outlives the agent and stops the database in time |

#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "linux-address",
    feature = "listener",
    feature = "peers-http",
    feature = "postgres",
    feature = "probe-postgres"
))]
mod common;
#[cfg(feature = "consul")]
pub mod consul;
#[cfg(feature = "etcd")]
pub mod etcd;
#[cfg(feature = "guard")]
pub mod guard;
#[cfg(feature = "linux-address")]
pub mod linux_address;
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
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "peers-http",
    feature = "postgres",
    feature = "probe-postgres"
))]
pub use common::secret::Secret;
