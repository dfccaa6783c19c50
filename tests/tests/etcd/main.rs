//! The etcd backend on real etcd, 3.4 and 3.5, with one member and with three.
//!
//! Every test has an etcd of its own, on free ports and in a directory of its own; `.ci/peers` has unpacked the programs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a broken set-up is a failed test"
)]

mod access;
mod conformance;
mod contents;
mod discovery;
mod faults;
mod history;
mod meanings;
mod partition;
mod support;
mod tls;
mod watches;
