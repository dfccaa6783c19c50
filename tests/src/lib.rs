//! What the tests share: a made-up world in which machines run by a clock of its own.

pub mod world;
