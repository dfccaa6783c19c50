//! What tests of coordination stores share: real processes that are killed, frozen and started again, a proxy that cuts and stalls
//! connections, certificates good and bad, free ports, waiting for a condition, and a judge of what clients saw.
//!
//! It knows no store: what is particular to one is beside that store's tests. Nothing outlives the test that started it, not
//! even when the test is killed.

mod certificates;
mod history;
mod ports;
mod process;
mod programs;
mod proxy;
mod wait;

pub use certificates::{Authority, Issued};
pub use history::History;
pub use ports::free_port;
pub use process::StoreProcess;
pub use programs::{find_tool, find_tree, tool};
pub use proxy::{Mood, Proxy};
pub use wait::eventually;
