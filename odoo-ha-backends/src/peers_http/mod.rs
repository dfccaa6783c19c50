//! The way from member to member over HTTP/1.1: a leader that does not reach the store asks every member whether it may go on.
//!
//! A member listens on one socket address and publishes a URL. A question is one `POST` of a few hundred bytes of JSON on a connection of its
//! own; the reply is the answer to it. Nothing is kept open, cached, or sent again.
//!
//! # Who is believed
//!
//! All members share a [`Secret`](crate::Secret). Question and reply each carry an HMAC-SHA256 (RFC 2104) of their exact bytes; the reply's covers the question's
//! as well, and every question holds a random number of its own. Tags are compared in constant time.
//!
//! | somebody in the network who does not know the secret | what comes of it |
//! |---|---|
//! | asks, or changes a question | 401, the machine never sees it; at the asker `Denied` |
//! | answers for a member, or changes a reply | `Denied`, never an acceptance |
//! | sends the reply to an earlier question, or to another member's | `Denied`: it does not belong to this question |
//! | sends a question again | the member answers that it was asked before: the machine compares `round`. One that has restarted since does not know, and holds still once more for a `ttl` for each question that was recorded, as long as its term is in force: a failover can be delayed by that, nothing is ever accepted by it |
//! | holds questions or replies back | time: belief counts from before the question, holding still from its arrival; what is held back for long is as what is sent again |
//! | opens connections and says nothing, or very slowly | they end after [2 s](READ_PATIENCE); of too many, the oldest ones that have not proved anything make room |
//! | reads along | sees names, terms and times; nothing of it is secret |
//!
//! There is no TLS: only who speaks matters, and that the tags show. A member's port belongs into a network where only members are, all the same.
//! Who knows the secret can speak for every member, so whoever reads it must be trusted like one.
//!
//! # Changing the secret
//!
//! The first secret signs questions; all of them are accepted, and a reply is signed by the one that its question was signed by. So, one after
//! another and on all members each: add the new one as the second, make it the first, leave the old one out. Secrets are read once,
//! by [`HttpPeersConfig::build`], so each step is a restart of the agents: when the store is away is no time to wait for a disk.
//!
//! ```no_run
//! use odoo_ha_backends::Secret;
//! use odoo_ha_backends::peers_http::HttpPeersConfig;
//!
//! # fn main() -> Result<(), odoo_ha_core::error::Error> {
//! let secret = Secret::from_file("/etc/odoo-ha/members.secret");
//! let peers = HttpPeersConfig::new(([0, 0, 0, 0], 7400).into(), secret).url("http://10.0.0.1:7400").build()?;
//! # Ok(())
//! # }
//! ```
//!
//! It goes into `HaNode::builder().peers(…)`, on every member.
//!
//! # What it never does
//!
//! It never takes anything for an acceptance but a reply that proves to be one, logs or shows a secret, follows a redirect or uses a proxy.
//! A reply's text is cut after [1024 bytes](MOST_REFUSAL_BYTES).
//!
//! # What it cannot do
//!
//! Addresses of a name are tried one after another within the asker's time. Publish an address, or a name that has one.
//!
//! # Where to go next
//!
//! [`HttpPeersConfig`] what can be set · `peers.rs` the role · `client.rs` asking · `server.rs` being asked · `proof.rs` the tags · `wire.rs` the bytes.

mod client;
mod config;
mod error;
mod hall;
mod peers;
mod proof;
mod server;
mod target;
mod wire;

pub use self::config::HttpPeersConfig;
pub use self::hall::{ANSWER_PATIENCE, MOST_CONNECTIONS, MOST_QUESTIONS, READ_PATIENCE};
pub use self::peers::HttpPeers;
pub use self::wire::{MOST_BODY_BYTES, MOST_REFUSAL_BYTES};
