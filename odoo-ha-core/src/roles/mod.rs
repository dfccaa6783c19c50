//! The roles that a backend plays: traits that the driver calls and that anybody may implement.
//!
//! What holds for all of them:
//!
//! - **Deadline.** Every call has a `timeout` from its caller. An implementation ends by then, with an error whose kind
//!   says whether the operation may have happened ([`ErrorKind`](crate::error::ErrorKind)); the driver drops
//!   the future a little later if it does not.
//! - **Cancelling** (dropping the future) is like an unanswered call: the operation may have happened or may still
//!   happen, unless the method says more. It leaves the implementation usable.
//! - **Idempotent.** Every operation may be repeated, after an error, an unanswered call, or a crash of the agent.
//! - **Term.** What acts on the outside world carries the term as a fencing token. An implementation that can
//!   remember the highest term it saw refuses an older one as [`Fenced`](crate::error::ErrorKind::Fenced).
//! - **No policy.** An implementation translates. It does not retry, cache, decide, or read the environment.
//! - **Object-safe, `Send + Sync`**: held as `Arc<dyn Role>`. Methods may be called concurrently; where a role
//!   promises more, it says so.
//!
//! An implementation is proved by its role's suite in `conformance` (feature of that name).

mod dcs;
mod filestore;
mod floating_ip;
mod notifier;
mod peers;
mod probe;
mod replication;
mod services;
mod watchdog;

pub use dcs::{Dcs, DcsCapabilities, DcsWatch, WatchEvent};
pub use filestore::{FilestoreStatus, FilestoreSync};
pub use floating_ip::{AddressState, FloatingIp, FloatingIpCapabilities};
pub use notifier::Notifier;
pub use peers::{Asked, Peers};
pub use probe::{HealthProbe, Verdict};
pub use replication::{ReplicationCapabilities, ReplicationManager};
pub use services::{ServiceManager, ServiceState};
pub use watchdog::{Feed, Watchdog};
