//! Programs built on odoo-ha.
//!
//! [`quickstart`] is a real two-node failover on one machine; `examples/embedding.rs` is the smallest embedding.

pub mod quickstart;
