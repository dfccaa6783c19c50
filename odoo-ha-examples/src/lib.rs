//! Programs built on odoo-ha.
//!
//! `agent` is a complete node from one file, `hactl` what an operator asks its cluster with; [`quickstart`] is a real two-node failover on one machine; `examples/embedding.rs` is the
//! smallest embedding.

#[cfg(feature = "agent")]
pub mod agent;
#[cfg(feature = "agent")]
pub mod hactl;
pub mod quickstart;
