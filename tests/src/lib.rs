//! What the tests share: a made-up world in which machines run by a clock of its own, a model of all orders of events, mutants that prove that
//! broken rules are seen, disks that are full, real stores with their faults, and whole clusters on hosts of their own.

pub mod mutants;

#[expect(clippy::expect_used, clippy::panic, reason = "a set-up that cannot be made fails its test")]
pub mod small_disk;

#[expect(clippy::expect_used, clippy::panic, reason = "a world that is asked for what cannot be fails its test")]
pub mod sim;

#[expect(clippy::expect_used, clippy::panic, reason = "a beginning that cannot be reached fails its test")]
pub mod model;

#[cfg(feature = "real")]
#[expect(clippy::unwrap_used, reason = "a set-up that cannot be made fails its test")]
pub mod fake_watchdog;

#[cfg(feature = "real")]
#[expect(clippy::unwrap_used, reason = "a set-up that cannot be made fails its test")]
pub mod receiver;

#[cfg(feature = "real")]
#[expect(clippy::expect_used, clippy::panic, reason = "a set-up that cannot be made fails its test")]
pub mod stores;

#[cfg(feature = "real")]
#[expect(clippy::expect_used, clippy::panic, reason = "a set-up that cannot be made fails its test")]
pub mod lab;

#[cfg(feature = "real")]
pub mod bench;
