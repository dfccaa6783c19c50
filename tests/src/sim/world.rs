//! The world: whom it has, what may be done to it, and what can be asked of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use odoo_ha_core::database::{DatabaseState, Endpoint};
use odoo_ha_core::event::Event;
use odoo_ha_core::machine::{AddressFacts, Command, Config, Input, Machine, StateName};
use odoo_ha_core::member::{ClusterId, MemberId, Tags};
use odoo_ha_core::policy::{SyncMode, Timing};
use odoo_ha_core::records::RequestKind;
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;

use super::backups::{Backups, Forgot};
use super::client::Clients;
use super::fact::Fact;
use super::happenings::Happening;
use super::judge::Judge;
use super::{Answerless, Dice, History, Ids, Network, Node, Records, Store, Violation};

/// The world.
pub struct World {
    /// Now.
    pub now: Duration,
    /// The store.
    pub store: Store,
    /// The members.
    pub nodes: BTreeMap<MemberId, Node>,
    /// What the client was told is saved.
    pub acknowledged: Ids,
    /// Those of them that no failover may lose: acknowledged while the sync record said synchronous, and it never said otherwise since.
    pub promised: Ids,
    /// When it was last told so.
    pub last_acknowledged: Duration,
    /// The longest time without, since [`World::measure`].
    pub longest_gap: Duration,
    /// The client writes.
    pub writing: bool,
    /// Somebody writes to every primary directly too, address or not.
    pub direct_writers: bool,
    /// The next commits of a member to the store go wrong.
    pub answerless: BTreeMap<MemberId, Vec<Answerless>>,
    /// What the machines told.
    pub events: Vec<(Duration, Event)>,
    /// What must never be, and was.
    pub violations: Vec<Violation>,
    /// What the clients saw.
    pub history: History,
    /// The store's records, as the judges read them.
    pub records: Records,
    pub(super) clients: Clients,
    /// `None`: nobody makes any.
    pub(super) backups: Option<Backups>,
    pub(super) forgot: Option<Forgot>,
    pub(super) facts: Vec<Fact>,
    pub(super) judge: Judge,
    /// When the last writes to the leader record were sent.
    pub(super) leader_sent: VecDeque<(Vec<u8>, Duration)>,
    /// Until when each member believes to lead, in the order of the nodes, at the last look.
    pub(super) beliefs: Vec<Option<Moment>>,
    /// The last term that was taken by force, and what is lost by it accepted.
    pub(super) loss_accepted: Option<Term>,
    /// The network between the nodes.
    pub network: Network,
    /// Data that are worthless were to be started.
    pub wrong_starts: Vec<String>,
    /// Calls to the store take up to this much longer for everybody, each way.
    pub store_slow: Duration,
    pub(super) store_away_until: Duration,
    pub(super) address_term: Term,
    pub(super) dishonest_until: Duration,
    pub(super) clocks_differ: bool,
    pub(super) names: Vec<MemberId>,
    pub(super) next_internal: u64,
    /// Boxed, since a tree moves what it holds.
    pub(super) queue: BTreeMap<(Duration, u64), Box<Happening>>,
    pub(super) order: u64,
    pub(super) dice: Dice,
    pub(super) next_id: u64,
    pub(super) pending: Vec<(MemberId, usize, u64)>,
    /// Agents that a watchdog killed, and when their supervisor starts them again.
    pub(super) restarts: BTreeMap<MemberId, Duration>,
    /// Questions between members that were not answered yet.
    pub(super) asking: BTreeMap<u64, super::peers::Asking>,
    /// Who let which leader go on without the store.
    pub(super) leaves: BTreeMap<MemberId, Vec<super::peers::Leave>>,
    /// Members that are on their way out for good, and the start of the agent that was told so.
    pub removals: BTreeMap<MemberId, u64>,
    /// What was done to the world and to the store, for a person; `None`: nobody asks.
    pub tale: Option<Vec<(Duration, String)>>,
    pub(super) last_lines: [String; 2],
    /// Agents that a watchdog killed are started again after this.
    pub supervised: Option<Duration>,
    pub(super) wakes: BTreeMap<MemberId, Duration>,
    pub(super) next_tick: Option<Duration>,
}

/// When every world begins.
pub(super) const BEGIN: Duration = Duration::from_secs(1000);

/// So many members a world may have.
pub const MOST_MEMBERS: usize = 7;

/// What tells one life of an agent from all others. Drawn at random by the real driver; here it is enough that no two starts of any agents
/// share it.
pub(super) fn drawn(name: &MemberId, lives: u64) -> u64 {
    name.as_str().bytes().map(u64::from).sum::<u64>() << 32 | lives
}

/// A member by its letter.
pub fn member(name: &str) -> MemberId {
    MemberId::new(name).expect("a test names its members well")
}

impl World {
    /// Members `a`, `b`, … with defaults, all alive, with nothing begun.
    pub fn new(members: usize, mode: SyncMode, seed: u64) -> Self {
        Self::with(members, seed, |config| config.policy.sync_mode = mode)
    }

    /// The same with other configurations.
    pub fn with(members: usize, seed: u64, change: impl Fn(&mut Config)) -> Self {
        let mut world = Self {
            now: BEGIN,
            store: Store::default(),
            nodes: BTreeMap::new(),
            acknowledged: Ids::default(),
            promised: Ids::default(),
            last_acknowledged: BEGIN,
            longest_gap: Duration::ZERO,
            writing: true,
            direct_writers: false,
            history: History::default(),
            records: Records::default(),
            clients: Clients::default(),
            backups: None,
            forgot: None,
            facts: Vec::new(),
            judge: Judge::new(),
            leader_sent: VecDeque::new(),
            beliefs: Vec::new(),
            loss_accepted: None,
            answerless: BTreeMap::new(),
            events: Vec::new(),
            violations: Vec::new(),
            network: Network::default(),
            wrong_starts: Vec::new(),
            store_slow: Duration::ZERO,
            store_away_until: Duration::ZERO,
            address_term: Term(0),
            dishonest_until: Duration::ZERO,
            clocks_differ: false,
            names: Vec::new(),
            next_internal: 0,
            queue: BTreeMap::new(),
            order: 0,
            dice: Dice::new(seed),
            next_id: 0,
            pending: Vec::new(),
            restarts: BTreeMap::new(),
            asking: BTreeMap::new(),
            leaves: BTreeMap::new(),
            removals: BTreeMap::new(),
            tale: None,
            last_lines: Default::default(),
            supervised: None,
            wakes: BTreeMap::new(),
            next_tick: None,
        };
        for letter in ('a'..='z').take(members) {
            let name = member(&letter.to_string());
            let cluster = ClusterId::new("world").expect("a good name");
            let endpoint = Endpoint { host: name.to_string(), port: 5432 };
            let mut config = Config::new(cluster, name.clone(), endpoint);
            config.timing = Timing::with_ttl(Duration::from_secs(5));
            config.address = Some(AddressFacts::default());
            config.watchdog = Some(Duration::from_millis(600));
            change(&mut config);
            config.check().expect("a test's configuration is sound");
            world.nodes.insert(name.clone(), Node::new(config));
            world.start_agent(&name);
        }
        world
    }

    /// A new member joins while the world runs, configured as the others are, without data. One that had left may come back so.
    pub fn add_node(&mut self, name: &MemberId) {
        let Some(mut config) = self.nodes.values().find(|node| !node.gone).map(|node| node.config.clone()) else {
            return;
        };
        config.me = name.clone();
        config.endpoint = Endpoint { host: name.to_string(), port: 5432 };
        config.tags = Tags::default();
        config.peer = config.peer.map(|_| name.to_string());
        let lives = self.nodes.get(name).map_or(0, |node| node.incarnation);
        let node = Node { incarnation: lives, ..Node::new(config) };
        self.nodes.insert(name.clone(), node);
        self.start_agent(name);
    }

    /// A member's host is gone for good, with its data.
    pub(super) fn remove_node(&mut self, name: &MemberId) {
        self.kill_agent(name);
        self.wakes.remove(name);
        self.restarts.remove(name);
        self.pending.retain(|(on, _, _)| on != name);
        let node = self.node_mut(name);
        let config = node.config.clone();
        // What is on its way to the old host finds nobody.
        let incarnation = node.incarnation + 1;
        *node = Node { incarnation, gone: true, ..Node::new(config) };
    }

    /// A member.
    pub fn node(&self, name: &MemberId) -> &Node {
        self.nodes.get(name).expect("a test names members that are")
    }

    /// A member.
    pub fn node_mut(&mut self, name: &MemberId) -> &mut Node {
        self.nodes.get_mut(name).expect("a test names members that are")
    }

    /// The next number by chance.
    pub fn chance(&mut self, below: u64) -> u64 {
        self.dice.below(below)
    }

    /// Now, by a node's own clock.
    pub(super) fn moment(&self, name: &MemberId) -> Moment {
        self.moment_of(name, self.now)
    }

    /// What a node's own clock shows then.
    pub(super) fn moment_of(&self, name: &MemberId, at: Duration) -> Moment {
        self.node(name).clock.shows(at)
    }

    /// All members' names, taken while all are gone through; [`put_names`](Self::put_names) gives them back.
    pub(super) fn take_names(&mut self) -> Vec<MemberId> {
        let mut names = std::mem::take(&mut self.names);
        if names.len() != self.nodes.len() || !names.iter().eq(self.nodes.keys()) {
            names = self.nodes.keys().cloned().collect();
        }
        names
    }

    pub(super) fn put_names(&mut self, names: Vec<MemberId>) {
        self.names = names;
    }

    /// Lets each node's clock run at a rate of its own, within one part in a hundred of the truth. Agents are started anew.
    pub fn spread_clocks(&mut self) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for name in names {
            let ppm = self.chance(19_900) as i64 - 9_950;
            self.set_clock(&name, ppm);
            self.start_agent(&name);
        }
    }

    /// Starts the agent anew.
    pub fn start_agent(&mut self, name: &MemberId) {
        self.wake_machine(name);
        let now = self.moment(name);
        let node = self.node_mut(name);
        node.incarnation += 1;
        node.dies_after = None;
        let lives = node.incarnation;
        node.frozen = false;
        node.address = false;
        (node.running, node.begun, node.barrier) = (None, None, None);
        node.watching = false;
        node.missed = None;
        node.late.clear();
        node.waiting.clear();
        node.renewals.clear();
        let drawn = drawn(name, lives);
        node.machine = Some(Machine::new(node.config.clone(), node.memo.clone(), drawn, now));
        self.drain(name);
    }

    /// Kills the agent; its database lives on, its address (a socket of its own) is gone.
    pub fn kill_agent(&mut self, name: &MemberId) {
        let node = self.node_mut(name);
        node.machine = None;
        node.address = false;
        (node.running, node.begun, node.barrier) = (None, None, None);
        node.watching = false;
    }

    /// Nothing of a host runs any more, and nothing of it starts anything again.
    pub fn crash_host(&mut self, name: &MemberId) {
        self.kill_agent(name);
        self.node_mut(name).watchdog = None;
        self.restarts.remove(name);
        self.stop_services_and_files(name);
        self.kill_database(name);
    }

    /// Kills the database: what was not flushed is lost.
    pub fn kill_database(&mut self, name: &MemberId) {
        let incarnation = self.node(name).incarnation;
        let node = self.node_mut(name);
        if node.database.state.runs() {
            node.database.crash();
            node.senders.clear();
        }
        self.drop_receiver(name);
        self.pending.retain(|(on, _, _)| on != name);
        self.after(Duration::from_millis(3), Happening::Input(name.clone(), incarnation, Input::DatabaseExited));
    }

    /// Stops the agent's time; what comes for it waits.
    pub fn freeze_agent(&mut self, name: &MemberId) {
        self.node_mut(name).frozen = true;
    }

    /// Lets it go on.
    pub fn thaw_agent(&mut self, name: &MemberId) {
        if self.node(name).asleep.is_some() {
            self.wake_machine(name);
        }
        let node = self.node_mut(name);
        node.frozen = false;
        for input in std::mem::take(&mut node.waiting) {
            self.hand(name, input);
        }
        self.hand(name, Input::Time);
    }

    /// Hands a machine what it would be told by its own node.
    pub fn input(&mut self, name: &MemberId, input: Input) {
        self.hand(name, input);
    }

    /// Every watch breaks, so that everybody reads the store anew.
    pub fn refresh_everybody(&mut self) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for name in names {
            self.hand(&name, Input::WatchLost);
        }
    }

    /// Somebody foreign writes to the store.
    pub fn put_raw(&mut self, key: odoo_ha_core::store::Key, value: Vec<u8>) {
        let (revision, changes) = self.store.put_raw(key, value);
        self.tell_watchers(revision, &changes);
    }

    /// Somebody foreign deletes a key.
    pub fn delete_raw(&mut self, key: &odoo_ha_core::store::Key) {
        let (revision, changes) = self.store.delete_raw(key);
        self.tell_watchers(revision, &changes);
    }

    /// Asks for something on a member.
    pub fn command(&mut self, name: &MemberId, command: Command) {
        self.hand(name, Input::Command(command));
    }

    /// Asks for a switchover on a member.
    pub fn switchover(&mut self, on: &MemberId, target: Option<&MemberId>) {
        let id = format!("wish-{}", self.order);
        let kind = RequestKind::Switchover { target: target.cloned() };
        self.command(on, Command::Request { id, kind });
    }

    /// Who leads by its own belief.
    pub fn believers(&self) -> Vec<MemberId> {
        let leads = |name: &MemberId, node: &Node| {
            let now = self.moment(name);
            !node.frozen
                && node.machine.as_ref().is_some_and(|machine| machine.leads_until().is_some_and(|end| end > now))
        };
        self.nodes.iter().filter(|(name, node)| leads(name, node)).map(|(name, _)| name.clone()).collect()
    }

    /// The member that serves: its agent leads and the address is there.
    pub fn leader(&self) -> Option<MemberId> {
        self.nodes
            .iter()
            .find(|(_, node)| {
                node.address
                    && !node.frozen
                    && node.database.state == DatabaseState::Primary
                    && node.machine.as_ref().is_some_and(|m| m.state() == StateName::Leading)
            })
            .map(|(name, _)| name.clone())
    }

    /// The state of a member's machine.
    pub fn state(&self, name: &MemberId) -> Option<StateName> {
        self.node(name).machine.as_ref().map(|machine| machine.state())
    }

    /// Everybody else streams from the leader, and (synchronous) is waited for.
    pub fn whole(&self) -> bool {
        let Some(leader) = self.leader() else { return false };
        let asynchronous = self.node(&leader).config.policy.sync_mode == SyncMode::Asynchronous;
        let Some(record) = self.store.sync() else { return false };
        if !self.nodes.iter().all(|(name, node)| *name == leader || node.gone || self.has_its_log_from(name, &leader)) {
            return false;
        }
        let may_be_left_out = |node: &Node| asynchronous || !node.config.tags.may_be_synchronous();
        let others = || self.nodes.iter().filter(|(name, node)| **name != leader && !node.gone);
        if !others().all(|(name, node)| may_be_left_out(node) || record.names.contains_key(name)) {
            return false;
        }
        // A status is a copy of much: asked for last.
        let Some(status) = self.node(&leader).machine.as_ref().map(Machine::status) else { return false };
        let says = |name, node: &Node| {
            let upstream = status.members.get(name).and_then(|member| member.streams_from.as_ref());
            upstream == Some(&leader) || upstream.is_some() && upstream == node.config.tags.replicate_from.as_ref()
        };
        others().all(|(name, node)| says(name, node))
    }

    /// Whether this member streams from the leader, or, if its tag says so, from another that does.
    pub fn has_its_log_from(&self, name: &MemberId, leader: &MemberId) -> bool {
        let mut at = name;
        // One step more than there are members goes in a circle.
        for _ in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(at).filter(|node| node.database.streaming) else { return false };
            match node.database.upstream.as_ref() {
                Some(upstream) if upstream == leader => return true,
                Some(upstream) if node.config.tags.replicate_from.as_ref() == Some(upstream) => at = upstream,
                _ => return false,
            }
        }
        false
    }

    /// Begins to measure the longest time without an acknowledged write.
    pub fn measure(&mut self) {
        self.longest_gap = Duration::ZERO;
        self.last_acknowledged = self.now;
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.run_to(until, |_| false);
    }

    /// Lets time pass until something holds; panics with the story when it does not within the limit.
    pub fn run_until(&mut self, what: &str, limit: Duration, holds: impl Fn(&Self) -> bool) {
        let until = self.now + limit;
        if !self.run_to(until, &holds) {
            panic!("not within {limit:?}: {what}\n{}", self.story());
        }
    }

    /// Lets time pass until something holds, or the limit is over. Returns whether it holds.
    pub fn reach(&mut self, limit: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let until = self.now + limit;
        self.run_to(until, holds)
    }

    /// How long it lives.
    pub fn age(&self) -> Duration {
        self.now.saturating_sub(BEGIN)
    }

    /// The longest ttl that a member is configured with.
    pub fn longest_ttl(&self) -> Duration {
        let present = self.nodes.values().filter(|node| !node.gone);
        present.map(|node| node.config.timing.ttl).max().unwrap_or_default()
    }

    /// Writes down what was done, for a person.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(tale) = &mut self.tale {
            tale.push((self.now, what()));
        }
    }
}
