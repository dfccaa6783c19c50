//! The `listener` backend: a [`FloatingIp`](odoo_ha_core::roles::FloatingIp) that is a TCP address of one machine, held by at most
//! one of its processes.
//!
//! Attached, a [`ListenerAddress`] listens and hands every connection on to the node's own service; detached, it does not listen and
//! has reset everything that was open through it. Two processes cannot both listen: without `SO_REUSEPORT` the kernel refuses the
//! second (`socket(7)`). So clusters of several processes on one machine (a quickstart, tests) have a real address that moves, and
//! the kernel drops it with the process that dies.
//!
//! With a fence file, which all processes of the machine that may hold the address share, the highest term that asked for it is
//! remembered, and an older one is refused whoever asks.
//!
//! # What it never does
//!
//! It never takes the address away from a process that has it (attaching is `NotReady` then), never reads what it forwards, and never
//! queues: a slow reader slows its writer, and beyond [`MOST_CONNECTIONS`] new ones wait in the kernel's own bounded queue.
//!
//! # What it cannot do
//!
//! A **frozen** process keeps its sockets, so the address too: a guard has to kill it. And the kernel of a frozen holder goes on
//! completing handshakes until then.
//!
//! # Where to go next
//!
//! [`ListenerConfig`] what can be set · `address.rs` the role · `worker.rs` the thread that holds the socket · `forward.rs` one
//! connection · `common/fence.rs` the term that is remembered.

mod address;
mod config;
mod forward;
mod worker;

pub use self::address::ListenerAddress;
pub use self::config::{ListenerConfig, Target};
pub use self::worker::MOST_CONNECTIONS;
