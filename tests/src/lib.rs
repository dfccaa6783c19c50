//! What the tests share: a made-up world in which machines run by a clock of its own, mutants that prove that it sees broken rules, and
//! disks that are full.

pub mod mutants;

#[expect(clippy::expect_used, clippy::panic, reason = "a set-up that cannot be made fails its test")]
pub mod small_disk;

#[expect(clippy::expect_used, clippy::panic, reason = "a world that is asked for what cannot be fails its test")]
pub mod sim;
