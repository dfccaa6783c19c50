//! A coordination store in Consul's key/value store, for clusters of several machines. Consul 1.8 and later.
//!
//! A thin client of three things: listing a prefix, transactions, and queries that wait. Nothing depends on sessions, locks or
//! agents' checks, so a cluster's times do not depend on Consul's. It never deletes.
//!
//! - **Reads** list the whole prefix of the cluster with `consistent`: the leader of the Consul servers makes sure that it still is,
//!   then answers from one moment. Any endpoint passes that on; one that was left behind cannot, so nothing stale is shown.
//! - **Commits** are one transaction each: a check for every guard, then the writes. A version is Consul's `ModifyIndex`. Consul
//!   keeps it when a key is written as it is; so every commit writes a number of its own into the key's flags, and equal bytes
//!   get a new version, too.
//! - **Watches** are waiting queries. Each answer is the whole cluster, so what a watch tells is the difference to what it told before: a
//!   key that changed several times is shown as it is last. Restored or emptied stores are a gap. While a query waits at a
//!   server that was cut off from the others, nothing is told for [`watch_wait`](ConsulConfig::watch_wait).
//!
//! # Limits
//!
//! Consul takes 64 operations and 512 KiB (values in base64) in one transaction; a commit beyond that is not sent and
//! says so. A client with a watch keeps two or three connections; Consul takes 200 from one address (`limits.http_max_conns_per_client`):
//! raise that where one process embeds more than sixty clusters.
//!
//! # Rights
//!
//! One rule suffices: `key_prefix "odoo-ha/CLUSTER/" { policy = "write" }`, also where `acl.enable_key_list_policy` is on. A rule for
//! less than the whole prefix is a trap: Consul does not refuse to list what may not be read, it leaves it out. Token and
//! certificates are read again when they are refused.
//!
//! # TLS
//!
//! An endpoint's host must be a name or address in its certificate. Certificates of Consul's own CA have `localhost`, `127.0.0.1` and
//! `server.DATACENTER.consul`; for servers that are asked by other names, add those (`consul tls cert create -additional-dnsname`).
//!
//! Go on with [`ConsulConfig`], then [`ConsulDcs`].

mod attempts;
mod client;
mod config;
mod credentials;
mod dcs;
mod error;
mod listing;
mod watch;
mod wire;

pub use config::ConsulConfig;
pub use dcs::ConsulDcs;
