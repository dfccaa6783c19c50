//! The `linux-address` backend: a [`FloatingIp`](odoo_ha_core::roles::FloatingIp) that is an address on a network interface of this host.
//!
//! Attaching asks the network whether anybody has the address (ARP, or neighbour discovery for IPv6), adds it to the interface, and
//! announces it, so that neighbours that remember the old holder's hardware address learn the new one at once; without that, a
//! client's connections may hang for minutes. While the address is held, [`look`](odoo_ha_core::roles::FloatingIp::look) announces it again
//! from time to time: a switch that was cut off when it moved learns of it when it is back. Detaching removes it from the interface.
//!
//! The kernel keeps an address when the process that added it dies. So a guard has to drop it: [`LinuxAddressConfig::drop_command`] is what
//! it has to run.
//!
//! # What it never does
//!
//! It never takes the address from a host that answers for it (attaching is `NotReady` then), never touches another address or
//! interface, and starts no thread and no program. Nor does it add or announce anything after its caller's time, suspension included, or once a
//! detach has begun. It has no memory beyond whether it attached, which only says whether to announce.
//!
//! One setting it changes: where the kernel would remove the other IPv4 addresses of a network together with the first, as Linux by itself does,
//! it switches that off for the interface (`promote_secondaries`), and leaves it off. Where it may not, it warns.
//!
//! # What it cannot do
//!
//! - It does not fence by term across hosts: with a fence file an older term is refused on this host alone. The winner of a failover
//!   waits out the old leader's `ttl` before its first attach.
//! - Two hosts that cannot hear each other can both have the address. The old holder drops it before its leadership ends.
//! - A connection that is open through the address when it goes is cut by nobody here: its client hears of it from the next holder, whose
//!   kernel answers with a reset, or by its own timeouts.
//! - On an interface that is no Ethernet nobody is asked and nothing is announced.
//!
//! It needs root, or the capabilities `CAP_NET_ADMIN` and `CAP_NET_RAW`.
//!
//! # Where to go next
//!
//! [`LinuxAddressConfig`] what can be set · `address.rs` the role · `client.rs` what is asked of the kernel · `frames.rs` what is said on the
//! wire · `sysctl.rs` what the kernel is set to · `error.rs` what the kernel's refusals mean.

mod address;
mod client;
mod config;
mod error;
mod frames;
mod sysctl;

pub use self::address::LinuxAddress;
pub use self::config::LinuxAddressConfig;
