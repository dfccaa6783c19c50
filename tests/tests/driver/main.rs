//! The driver with the real machine: whatever blocks, renewals go on; what was promised of handle and builder holds.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

mod blocked;
mod clocks;
mod lifecycle;
mod log;
mod node;
mod world;
