//! Odoo's files pulled by a real rsync from a real daemon: copies, changes of leader, and everything that goes wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a broken set-up is a failed test")]

mod conformance;
mod copying;
mod ssh;
mod stopping;
mod support;
mod trouble;
