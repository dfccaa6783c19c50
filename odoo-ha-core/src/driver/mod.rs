//! The driver: runs a [`Machine`](crate::machine::Machine) on threads of its own and performs what it says.
//!
//! It **chooses nothing**. If it needed to know what a cluster is, the machine would have forgotten to decide something. And it
//! **never lets anything slow stand between the clock and a renewal**: not SQL, a disk, a cloud's API, a chat service, the embedder's
//! executor or log. So
//!
//! - the machine, timers and channels have a thread of their own, on which no code of a role, of the embedder or of its log
//!   subscriber runs;
//! - every kind of call has a thread of its own: the store; the memo's disk; orders to the database, its status, its stop; setting the address up
//!   and taking it down; services likewise; the watchdog; asking other members; the filestore; its status; each notifier; each probe; the log. Code that blocks its thread holds
//!   up its own kind and nothing else;
//! - every call has a deadline, after which it is dropped and answered without it; a panic is an answer too;
//! - every queue is bounded.
//!
//! What a role should know: its methods run on different runtimes, each of one thread (`tokio::task::block_in_place`
//! is not possible there, `spawn_blocking` is). A connection kept between calls belongs to the runtime that it was opened on.
//!
//! Where to go next: [`HaNode::builder`] and [`HaHandle`] for embedders; inside, `control` is the loop, `calls` keeps
//! "one answer for each action", `perform` is the table from action to method, `lanes` are the threads, `watches` is what is waited for all the time.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use odoo_ha_core::database::Endpoint;
//! use odoo_ha_core::driver::{HaNode, Streamed};
//! use odoo_ha_core::error::Error;
//! use odoo_ha_core::member::{ClusterId, MemberId};
//! use odoo_ha_core::policy::Timing;
//! use odoo_ha_core::roles::{Dcs, FloatingIp, Notifier, ReplicationManager};
//!
//! async fn serve(
//!     dcs: Arc<dyn Dcs>,
//!     database: Arc<dyn ReplicationManager>,
//!     address: Arc<dyn FloatingIp>,
//!     chat: Arc<dyn Notifier>,
//! ) -> Result<(), Error> {
//!     let node = HaNode::builder()
//!         .cluster(ClusterId::new("shop")?)
//!         .member(MemberId::new("node_a")?)
//!         .endpoint(Endpoint { host: "10.0.0.1".into(), port: 5432 })
//!         .dcs(dcs)
//!         .database(database)
//!         .address(address)
//!         .notifier(chat)
//!         .timing(Timing::default())
//!         .state_dir("/var/lib/odoo-ha")
//!         .build()?
//!         .spawn()?;
//!     let mut events = node.events();
//!     while let Some(next) = events.next().await {
//!         match next {
//!             Streamed::Event(event) => println!("{}", event.sentence),
//!             Streamed::Missed(count) => println!("{count} events were missed"),
//!         }
//!         if node.status().refusal.is_some() {
//!             break;
//!         }
//!     }
//!     node.shutdown(true).await
//! }
//! ```

mod builder;
mod calls;
mod clock;
mod cluster_policy;
mod control;
mod events;
mod files;
mod guardian;
mod handle;
mod lanes;
mod log;
mod memo;
mod node;
mod notifiers;
mod perform;
mod probes;
mod questions;
mod repeated;
mod watchdog_pair;
mod watches;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod situations;

pub use builder::HaNodeBuilder;
pub use clock::{Clock, SystemClock, Timer};
pub use cluster_policy::{change_policy, read_policy};
pub use events::{EventStream, Streamed};
pub use files::FilestoreReport;
pub use handle::{HaHandle, StatusChanges};
pub use lanes::{Lanes, Turns};
pub use node::HaNode;
pub use watchdog_pair::WatchdogPair;
