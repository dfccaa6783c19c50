//! The agent's HTTP interface: what load balancers, monitoring and operators ask of one node.
//!
//! It runs on a thread of its own and reads pictures of the node, so whatever is asked of it, however often and by whom, delays nothing of the
//! node (a picture that nobody renews goes out of date by itself: leadership in it ends at its moment). A port that is taken is tried again and
//! keeps no node from running.
//!
//! Where to go next: `routes.rs` what is answered to what, without a socket · `picture.rs` the status as JSON · `metrics.rs` as Prometheus reads it ·
//! `tally.rs` what has happened so far · `wish.rs` what operators ask for · `server.rs` sockets and limits.

mod metrics;
mod picture;
mod routes;
mod server;
mod tally;
mod wish;

pub(crate) use server::start;
