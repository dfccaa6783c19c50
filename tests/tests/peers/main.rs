//! The way from member to member over HTTP: real sockets, members with other secrets, whoever else is in the network, and a whole cluster
//! whose leader leads on without the store.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail loudly")]

mod failsafe;
mod hostile;
mod limits;
mod listening;
mod secrets;
mod support;
mod tampering;
