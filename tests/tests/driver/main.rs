//! The driver with the real machine: whatever blocks, renewals go on; what was promised of handle and builder holds.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

mod bad_config;
mod blocked;
mod clocks;
mod cluster_policy;
mod filestore;
mod full_disk;
mod lifecycle;
mod log;
mod node;
mod store_records;
mod world;
