//! One member of the made-up cluster.

use std::time::Duration;

use odoo_ha_core::machine::{CallId, Config, Input, Machine, Memo};

use odoo_ha_core::store::{Change, Revision};

use super::Database;

/// One member: its agent, its database, what it remembers, and how the world treats it.
#[derive(Debug)]
pub struct Node {
    /// Its configuration.
    pub config: Config,
    /// The agent; `None` while it is dead.
    pub machine: Option<Machine>,
    /// Counts the starts of the agent.
    pub incarnation: u64,
    /// What is durable beside the data.
    pub memo: Memo,
    /// The database.
    pub database: Database,
    /// The address is here.
    pub address: bool,
    /// The agent is frozen: nothing reaches it, and it does nothing.
    pub frozen: bool,
    /// Neither reads nor writes nor watches reach the store.
    pub cut_from_store: bool,
    /// The node cannot be reached by other nodes' databases.
    pub cut_from_peers: bool,
    /// The watchdog's deadline, and which start of the agent fed it last.
    pub watchdog: Option<(Option<Duration>, u64)>,
    /// Promotion fails.
    pub promotion_fails: bool,
    /// A stopped database does not start.
    pub start_fails: bool,
    /// An attach takes this much longer, and happens even if it was called off.
    pub slow_attach: Duration,
    /// Reads of the store fail at once; writes and the watch go on.
    pub reads_fail: bool,
    /// What is to be remembered beside the data cannot be written.
    pub memo_fails: bool,
    /// The watch shows nothing before this; then all of it, in order.
    pub watch_stalled_until: Duration,
    /// Store calls take up to this much longer, on the way there and on the way back.
    pub slow_store: Duration,
    /// By how many millionths this node's clock is fast.
    pub clock_ppm: i64,
    /// The agent dies right after so many more actions were done, before it hears of the last; it is started again after the time.
    pub dies_after: Option<(u32, Duration)>,
    /// It left for good.
    pub gone: bool,
    pub(super) waiting: Vec<Input>,
    pub(super) running: Option<CallId>,
    pub(super) watching: bool,
    /// What changed since a read that has not been answered yet: a watch begins with its answer, and from its revision on.
    pub(super) missed: Option<Vec<(Revision, Vec<Change>)>>,
}

impl Node {
    /// A node where nothing runs and nothing is wrong.
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            machine: None,
            incarnation: 0,
            memo: Memo::default(),
            database: Database::absent(),
            address: false,
            frozen: false,
            cut_from_store: false,
            cut_from_peers: false,
            watchdog: None,
            promotion_fails: false,
            start_fails: false,
            slow_attach: Duration::ZERO,
            reads_fail: false,
            memo_fails: false,
            watch_stalled_until: Duration::ZERO,
            slow_store: Duration::ZERO,
            clock_ppm: 0,
            dies_after: None,
            gone: false,
            waiting: Vec::new(),
            running: None,
            watching: false,
            missed: None,
        }
    }
}
