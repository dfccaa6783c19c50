//! What the tests share: a made-up world in which machines run by a clock of its own.

#[expect(clippy::expect_used, clippy::panic, reason = "a world that is asked for what cannot be fails its test")]
pub mod world;
