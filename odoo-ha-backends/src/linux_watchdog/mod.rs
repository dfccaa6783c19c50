//! The `linux-watchdog` backend: a [`Watchdog`](odoo_ha_core::roles::Watchdog) that is the kernel's (`/dev/watchdog`): a machine whose
//! device nobody feeds is reset.
//!
//! **Untested on a device.** It is written from the kernel's documentation (`Documentation/watchdog/watchdog-api.rst`,
//! `Documentation/ABI/testing/sysfs-class-watchdog`) and tested against a file that behaves like one. Try it on your machines, with
//! nobody on them, before you rely on it.
//!
//! While leadership lasts, a thread of its own feeds the device; it does so only when a whole device timeout fits before the deadline, so
//! that the machine is down when the deadline comes, whoever has frozen by then. After the last feed that fits it feeds no more until it is told a later
//! deadline. It needs nothing of a database: it is for what no process can do, such as agent and guard killed together. Beside the
//! `guard` backend, of which it knows nothing, it makes a pair (`odoo_ha_core::driver::WatchdogPair`).
//!
//! # What the device must be
//!
//! - Free: one program may have it open. systemd takes it with `RuntimeWatchdogSec`, `watchdogd` as well.
//! - With a timeout of whole seconds that is shorter than what is left of leadership at a feed, so `ttl` must be 2 s or more. The timeout is set by
//!   `wdctl` (util-linux), as the kernel takes it by `ioctl` only, and then read back from sysfs.
//! - Such that it can be stopped: a node that gave up in good order must not be reset. So `nowayout` must be off, and the driver must know the
//!   magic close; both are looked up in sysfs.
//!
//! # What it never does
//!
//! It feeds no device past a deadline, and none that it could not stop again.
//!
//! # What it cannot do
//!
//! - A thread that is stopped between its look at the clock and its write, some microseconds, and goes on much later, feeds late.
//! - Not every driver counts exactly; [`acts_before`](LinuxWatchdogConfig::acts_before) is the reserve for that.
//! - It knows no terms: a second agent is kept out by the device, which one program only can have open.
//! - A leader whose agent is dead for longer than the device's timeout has its machine reset, also when a guard has stopped the database in good order.
//! - While the cluster is paused, the device is stopped: a pause means that nothing is made harmless.
//!
//! # Where to go next
//!
//! `config.rs` what can be set · `leave.rs` when to feed, without clock or device · `device.rs` the device and sysfs · `keeper.rs` the
//! thread that feeds · `watchdog.rs` the role.

mod config;
mod device;
mod keeper;
mod leave;
mod watchdog;

pub use self::config::LinuxWatchdogConfig;
pub use self::watchdog::LinuxWatchdog;
pub use crate::common::clock::now;
