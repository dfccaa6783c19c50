//! One member of the made-up cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::machine::{CallId, Config, Input, Machine, Memo};
use odoo_ha_core::member::MemberId;

use odoo_ha_core::store::{Change, Revision, Version};

use super::{Asleep, Clock, Database, Disk, Filestore, Receiver, Sender, Services, StoreLink};

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
    /// The disk under it.
    pub disk: Disk,
    /// The address is here, and reaches users.
    pub address: bool,
    /// What serves users.
    pub services: Services,
    /// Odoo's files.
    pub filestore: Filestore,
    /// The agent is frozen: nothing reaches it, and it does nothing.
    pub frozen: bool,
    /// The whole machine stands still.
    pub asleep: Option<Asleep>,
    /// Neither reads nor writes nor watches reach the store.
    pub cut_from_store: bool,
    /// What else is wrong between this node and the store.
    pub store_link: StoreLink,
    /// The node cannot be reached by other nodes' databases, nor reach them, nor be reached by users.
    pub cut_from_peers: bool,
    /// The watchdog's deadline, and which start of the agent fed it last.
    pub watchdog: Option<(Option<Duration>, u64)>,
    /// The watchdog does what it is told, but nobody hears so.
    pub watchdog_unanswered: bool,
    /// What the watchdog is told does not reach it, and nobody hears so.
    pub watchdog_deaf: bool,
    /// Promotion fails.
    pub promotion_fails: bool,
    /// Promotion takes so much longer, whatever becomes of who asked for it.
    pub promotion_takes: Duration,
    /// Promotion does not end.
    pub promotion_hangs: bool,
    /// A stopped database does not start, neither as primary nor as standby.
    pub start_fails: bool,
    /// How often its database was looked at.
    pub looks: u64,
    /// Its processes cannot be ended in time, not even with SIGKILL.
    pub stop_hangs: bool,
    /// Rewinding breaks the data.
    pub rewind_fails: bool,
    /// Copying the upstream's data breaks off in its midst.
    pub clone_fails: bool,
    /// Rewinding or copying takes so much longer.
    pub copy_takes: Duration,
    /// An order to follow this member, of data that could, never ends.
    pub follow_hangs_on: Option<MemberId>,
    /// A change of `synchronous_standby_names` reaches the last process this much later than a new session shows it.
    pub settings_take: Duration,
    /// An attach takes this much longer, and happens even if it was called off.
    pub slow_attach: Duration,
    /// The address cannot be attached.
    pub attach_fails: bool,
    /// The address cannot be detached.
    pub detach_fails: bool,
    /// Attaching and detaching happen, but nobody hears of it.
    pub address_unanswered: bool,
    /// Reads of the store fail at once; writes and the watch go on.
    pub reads_fail: bool,
    /// What is to be remembered beside the data cannot be written.
    pub memo_fails: bool,
    /// The watch shows nothing before this; then all of it, in order.
    pub watch_stalled_until: Duration,
    /// Store calls take up to this much longer, on the way there and on the way back.
    pub slow_store: Duration,
    /// This node's clock.
    pub clock: Clock,
    /// The agent dies right after so many more actions were done, before it hears of the last; it is started again after the time.
    pub dies_after: Option<(u32, Duration)>,
    /// It left for good.
    pub gone: bool,
    pub(super) waiting: Vec<Input>,
    pub(super) running: Option<CallId>,
    /// Writes to the leader record whose answers the agent has not heard, and the version that guards them.
    pub(super) renewals: BTreeMap<CallId, Version>,
    /// The order that has begun and is waited for, and until when.
    pub(super) begun: Option<CallId>,
    /// The end of the log when the barrier was begun.
    pub(super) barrier: Option<usize>,
    pub(super) watching: bool,
    /// What changed since a read that has not been answered yet: a watch begins with its answer, and from its revision on.
    pub(super) missed: Option<Vec<(Revision, Vec<Change>)>>,
    /// What a stalled watch holds back, in order.
    pub(super) late: Vec<(Revision, Vec<Change>)>,
    pub(super) receiver: Option<Receiver>,
    pub(super) senders: BTreeMap<MemberId, Sender>,
}

impl Node {
    /// A node where nothing runs and nothing is wrong.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            machine: None,
            incarnation: 0,
            memo: Memo::default(),
            database: Database::absent(),
            disk: Disk::default(),
            address: false,
            services: Services::default(),
            filestore: Filestore::default(),
            frozen: false,
            asleep: None,
            cut_from_store: false,
            store_link: StoreLink::default(),
            cut_from_peers: false,
            watchdog: None,
            watchdog_unanswered: false,
            watchdog_deaf: false,
            promotion_fails: false,
            promotion_takes: Duration::ZERO,
            promotion_hangs: false,
            start_fails: false,
            looks: 0,
            stop_hangs: false,
            rewind_fails: false,
            clone_fails: false,
            copy_takes: Duration::ZERO,
            follow_hangs_on: None,
            settings_take: Duration::ZERO,
            slow_attach: Duration::ZERO,
            attach_fails: false,
            detach_fails: false,
            address_unanswered: false,
            reads_fail: false,
            memo_fails: false,
            watch_stalled_until: Duration::ZERO,
            slow_store: Duration::ZERO,
            clock: Clock::default(),
            dies_after: None,
            gone: false,
            waiting: Vec::new(),
            running: None,
            renewals: BTreeMap::new(),
            begun: None,
            barrier: None,
            watching: false,
            missed: None,
            late: Vec::new(),
            receiver: None,
            senders: BTreeMap::new(),
        }
    }

    /// Its watchdog was not fed in time.
    pub(super) fn is_unfed(&self, now: Duration) -> bool {
        let Some((Some(deadline), _)) = self.watchdog else { return false };
        let acts_before = self.config.watchdog.unwrap_or_default();
        self.asleep.is_none() && deadline <= self.clock.shows(now).since_origin() + acts_before
    }

    /// Whether what its database sends and what is sent to it travels at all.
    pub(super) fn is_there(&self) -> bool {
        !self.cut_from_peers && self.asleep.is_none()
    }

    /// Whatever is wrong with it in itself is mended; what is dead stays dead, what sleeps sleeps on.
    pub fn mend(&mut self) {
        let database = &mut self.database;
        database.hung &= self.asleep.is_some();
        if let Some(asleep) = &mut self.asleep {
            asleep.was_hung = false;
        }
        database.slow_shutdown = false;
        database.replay_held = None;
        database.replay_takes = Duration::ZERO;
        if let Some(promotion) = &mut database.promotion {
            promotion.until.get_or_insert(Duration::ZERO);
        }
        self.disk = Disk::default();
        self.services.mend();
        self.filestore.mend();
        self.cut_from_store = false;
        self.store_link = StoreLink::default();
        self.cut_from_peers = false;
        (self.promotion_fails, self.promotion_hangs, self.promotion_takes) = (false, false, Duration::ZERO);
        (self.start_fails, self.stop_hangs, self.rewind_fails, self.clone_fails) = (false, false, false, false);
        (self.copy_takes, self.settings_take) = (Duration::ZERO, Duration::ZERO);
        self.follow_hangs_on = None;
        (self.slow_attach, self.slow_store) = (Duration::ZERO, Duration::ZERO);
        (self.attach_fails, self.detach_fails, self.address_unanswered) = (false, false, false);
        (self.reads_fail, self.memo_fails) = (false, false);
        (self.watchdog_unanswered, self.watchdog_deaf) = (false, false);
        self.watch_stalled_until = Duration::ZERO;
        self.dies_after = None;
    }
}
