//! High availability for Odoo: the roles, a pure failover state machine, and the driver that runs it.
//!
//! An Odoo installation is a PostgreSQL database, a filestore, sessions, the Odoo and nginx processes, and one address. This
//! crate decides which node serves them, and makes sure that at most one does.
//!
//! | layer | module | what it is |
//! |---|---|---|
//! | vocabulary | [`time`], [`member`], [`term`], [`lsn`], [`store`], [`records`], [`database`], [`event`], [`failsafe`], [`policy`], [`probes`], [`error`] | plain data |
//! | roles | [`roles`] | what a backend implements: store, address, database, files, probes, notifiers |
//! | machine | [`machine`] | every decision, pure |
//! | driver | [`driver`] (feature, on by default) | the machine on threads of its own, and its public face |
//! | suites | `conformance` (feature) | what proves that an implementation keeps its role's contract |
//!
//! Each layer imports only those above it.

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod database;
#[cfg(feature = "driver")]
pub mod driver;
pub mod error;
pub mod event;
pub mod failsafe;
pub mod lsn;
pub mod machine;
pub mod member;
pub mod policy;
pub mod probes;
pub mod records;
pub mod roles;
pub mod store;
pub mod term;
mod text;
pub mod time;
