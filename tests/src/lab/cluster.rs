//! A whole cluster: the store, the nodes, the client, and what looks at them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use odoo_ha_core::records::{LeaderRecord, SyncRecord};
use odoo_ha_core::store::Key;
use rustix::process::Signal;

use super::judge;
use super::network::{Host, Network};
use super::node::Node;
use super::plan::{Plan, node_name};
use super::prober::{Accepted, Prober, Seen};
use super::programs::Programs;
use super::store::Store;
use super::world::in_world;
use super::writer::{PASSWORD, USER, Writer};
use crate::stores::eventually;

/// Several times what anything takes on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const STEP: Duration = Duration::from_millis(50);

/// A cluster that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The number of the node that leads.
    pub leader: usize,
    /// In which term.
    pub term: u64,
}

/// A running cluster.
#[derive(Debug)]
pub struct Lab {
    /// The nodes; the numbers of the lab count them from 0.
    pub nodes: Vec<Node>,
    /// The store.
    pub store: Store,
    /// The host of the client.
    pub client: Host,
    writer: Writer,
    seen: Seen,
    probers: Vec<Prober>,
    synchronous: AtomicBool,
    restarts: AtomicUsize,
    permitted: Mutex<Option<(Instant, Instant)>>,
    unfenced: Mutex<Option<Unfenced>>,
    plan: Plan,
    network: Network,
    programs: Programs,
}

/// Something is left behind that nothing stops.
#[derive(Debug)]
struct Unfenced {
    node: String,
    from: Instant,
    to: Instant,
}

impl Unfenced {
    fn excuses(&self, accepted: &Accepted) -> bool {
        accepted.node == self.node && self.from <= accepted.began && accepted.ended <= self.to
    }
}

/// Runs a test in a world of its own: a cluster by this plan, whole at first; the harm; whole again; and judged.
///
/// `test` is the name of the calling test within its program.
pub fn situation(test: &str, plan: Plan, harm: impl AsyncFnOnce(&mut Lab)) {
    in_world(test, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let begun = Instant::now();
            let mut lab = Lab::start(plan).await;
            println!("whole after {:.1?}", begun.elapsed());
            harm(&mut lab).await;
            lab.finish().await;
            println!("{test}: {:.1?}", begun.elapsed());
        });
    });
}

impl Lab {
    /// Starts everything and waits until it is whole. One a world.
    pub async fn start(plan: Plan) -> Self {
        let place = Path::new(super::PLACE);
        let (programs, network) = (Programs::beside(), Network::new());
        let store = Store::start(&network, &programs, plan.stores, place).await;
        let start =
            |number| Node::start(network.host(&node_name(number)), &programs, plan.settings(&store, number), place);
        let nodes: Vec<Node> = (1..=plan.nodes).map(start).collect();
        let client = network.host("client");
        prepare(&nodes).await;
        let writer = Writer::start(&client);
        let seen = Seen::default();
        let probers = nodes.iter().map(|node| prober(node, &seen)).collect();
        let synchronous = AtomicBool::new(plan.synchronous);
        let restarts = AtomicUsize::new(0);
        let (permitted, unfenced) = (Mutex::default(), Mutex::default());
        let lab = Self {
            nodes,
            store,
            client,
            writer,
            seen,
            probers,
            synchronous,
            restarts,
            permitted,
            unfenced,
            plan,
            network,
            programs,
        };
        lab.whole().await;
        lab
    }

    /// One more node, which joins by itself.
    pub fn join(&mut self) -> &Node {
        let number = self.nodes.len() + 1;
        let host = self.network.host(&node_name(number));
        let settings = self.plan.settings(&self.store, number);
        let node = Node::start(host, &self.programs, settings, Path::new(super::PLACE));
        self.probers.push(prober(&node, &self.seen));
        self.nodes.push(node);
        self.nodes.last().expect("it was just put there")
    }

    /// The leader record, as it stands in the store.
    pub async fn record(&self) -> Option<LeaderRecord> {
        self.store.record(&Key::leader()).await
    }

    /// The sync record, as it stands in the store.
    pub async fn sync_record(&self) -> Option<SyncRecord> {
        self.store.record(&Key::sync()).await
    }

    /// The number of a node that is none of these.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn other(&self, than: &[usize]) -> usize {
        (0..self.nodes.len()).find(|number| !than.contains(number)).expect("there are more nodes")
    }

    /// From now on, whether every other node is to be waited for by commits when the cluster is whole.
    pub fn expect_synchronous(&self, yes: bool) {
        self.synchronous.store(yes, Ordering::Relaxed);
    }

    /// However many agents end unasked.
    pub fn expect_any_restarts(&self) {
        self.expect_restarts(usize::MAX);
    }

    /// Sees that no two databases have accepted writes at once so far.
    ///
    /// # Panics
    ///
    /// When two have.
    pub fn judge_so_far(&self) {
        assert_eq!(judge::two_writers(&self.seen.lock().expect("nobody panicked with it")), None);
    }

    /// So many agents will have ended unasked in the end, and been started again: their guards killed them.
    pub fn expect_restarts(&self, count: usize) {
        self.restarts.store(count, Ordering::Relaxed);
    }

    /// Rows that were acknowledged from the one moment to the other may be lost: nobody else had them, in asynchronous mode.
    pub fn expect_losses(&self, from: Instant, to: Instant) {
        *self.permitted.lock().expect("nobody panicked with it") = Some((from, to));
    }

    /// A node was left with a database that nothing stopped, from the one moment to the other, in asynchronous mode: that database is no second writer to
    /// be wondered at.
    pub fn expect_unfenced(&self, number: usize, from: Instant, to: Instant) {
        let node = self.nodes[number].name().to_owned();
        *self.unfenced.lock().expect("nobody panicked with it") = Some(Unfenced { node, from, to });
    }

    /// Waits until this node streams from that one, by its own receiver.
    pub async fn streams_from(&self, number: usize, from: usize) {
        let (node, upstream) = (&self.nodes[number], &self.nodes[from]);
        let what = format!("{} streams from {}", node.name(), upstream.name());
        eventually(&what, PATIENCE, async || {
            let rows = node.ask("select sender_host, status from pg_stat_wal_receiver").await?;
            (rows == [[upstream.host().ip(), "streaming"]]).then_some(())
        })
        .await;
    }

    /// Waits until `odoo-hactl status` shows this, asked on that node.
    pub async fn shows(&self, number: usize, what: &str) {
        let node = &self.nodes[number];
        let awaited = format!("{} shows {what:?}", node.name());
        eventually(&awaited, PATIENCE, async || {
            node.hactl(&["status"]).is_ok_and(|shown| shown.contains(what)).then_some(())
        })
        .await;
    }

    /// Waits until everything is as it should be: one leads and serves, all others stream from it and (where they should) are waited for, the
    /// address is there alone, and the client has written since.
    pub async fn whole(&self) -> Whole {
        let begun = Instant::now();
        loop {
            let why = match self.look(begun).await {
                Ok(whole) => return whole,
                Err(why) => why,
            };
            assert!(begun.elapsed() < PATIENCE, "not whole within {PATIENCE:?}: {why}");
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until somebody leads in a later term and serves; who.
    pub async fn led_anew(&self, before: Whole) -> Whole {
        let what = format!("somebody leads after term {}", before.term);
        eventually(&what, PATIENCE, async || {
            let record = self.record().await.filter(|record| record.serving && record.mark.term.0 > before.term)?;
            let holder = record.holder?;
            let leader = self.nodes.iter().position(|node| node.name() == holder.as_str())?;
            Some(Whole { leader, term: record.mark.term.0 })
        })
        .await
    }

    /// Sees that for so long nobody else leads, and in no other term.
    ///
    /// # Panics
    ///
    /// When somebody does.
    pub async fn stays(&self, before: Whole, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            // The store may be away.
            if let Some(record) = self.record().await {
                let holder = record.holder.as_ref().map(ToString::to_string);
                let (name, term) = (self.nodes[before.leader].name(), record.mark.term.0);
                assert_eq!((holder.as_deref(), term), (Some(name), before.term), "after {:?}", begun.elapsed());
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until it is so, looking very often: for what does not last.
    pub async fn soon(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "within {PATIENCE:?}: {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Sees that for so long no node but this one has the address, and this one has it.
    ///
    /// # Panics
    ///
    /// When it is otherwise.
    pub async fn keeps_the_address(&self, number: usize, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            for (other, node) in self.nodes.iter().enumerate() {
                let has = node.host().has(Network::ADDRESS);
                assert_eq!(has, other == number, "{} after {:?}", node.name(), begun.elapsed());
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Waits until a node has not the address any more.
    pub async fn drops_the_address(&self, number: usize) {
        let node = &self.nodes[number];
        let what = format!("{} drops the address", node.name());
        eventually(&what, PATIENCE, async || (!node.host().has(Network::ADDRESS)).then_some(())).await;
    }

    /// Every host: of the store, of the nodes, and the client's.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.store.hosts().chain(self.nodes.iter().map(Node::host)).chain([&self.client])
    }

    /// Every host but this node's.
    pub fn hosts_but(&self, number: usize) -> impl Iterator<Item = &Host> {
        let name = self.nodes[number].name();
        self.hosts().filter(move |host| host.name() != name)
    }

    /// Waits until the client has had a write acknowledged that it began from now on.
    pub async fn writes(&self) {
        let since = Instant::now();
        eventually("the client writes", PATIENCE, async || self.wrote(since).then_some(())).await;
    }

    /// How many writes the client has had acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writer.look(|book| book.acknowledged.len())
    }

    /// Waits until the client has had so many more writes acknowledged.
    pub async fn writes_more(&self, count: usize) {
        let had = self.acknowledged();
        let what = format!("the client writes {count} rows");
        eventually(&what, PATIENCE, async || (self.acknowledged() >= had + count).then_some(())).await;
    }

    /// The longest time between two writes that the client has seen acknowledged since then, the time up to now included.
    pub fn longest_gap_since(&self, since: Instant) -> Duration {
        self.writer.look(|book| {
            let rows = book.acknowledged.iter().map(|row| row.ended).filter(|ended| *ended > since);
            let mut last = since;
            let mut longest = Duration::ZERO;
            for ended in rows.chain([Instant::now()]) {
                longest = longest.max(ended - last);
                last = ended;
            }
            longest
        })
    }

    /// What the nodes' agents have logged, one after another.
    pub fn logs(&self) -> String {
        let one = |node: &Node| format!("--- {}\n{}--- its guard\n{}", node.name(), node.log(), node.guard_log());
        self.nodes.iter().map(one).collect()
    }

    fn wrote(&self, since: Instant) -> bool {
        self.writer.look(|book| book.acknowledged.last().is_some_and(|row| row.began >= since))
    }

    /// Whether it is whole, and the client has written since; else why it is not.
    async fn look(&self, since: Instant) -> Result<Whole, String> {
        let record = self.record().await.ok_or("the store shows no leader record")?;
        let holder = record.holder.as_ref().filter(|_| record.serving).ok_or("nobody serves")?.to_string();
        let leader = self.nodes.iter().position(|node| node.name() == holder);
        let leader = leader.ok_or_else(|| format!("{holder} leads, who is nobody"))?;
        if record.paused || record.hand_over.is_some() {
            return Err("it is paused, or a hand-over is under way".into());
        }
        let names = || self.nodes.iter().map(Node::name).filter(|name| *name != holder);
        let others: BTreeSet<String> = names().map(str::to_owned).collect();
        let sync = self.sync_record().await.ok_or("the store shows no sync record")?;
        let waited: BTreeSet<String> = sync.names.keys().map(ToString::to_string).collect();
        let mut wanted = if self.synchronous.load(Ordering::Relaxed) { others.clone() } else { BTreeSet::new() };
        wanted.retain(|name| !self.plan.is_uncounted(name));
        if waited != wanted || sync.leader.as_str() != holder {
            return Err(format!("commits wait for {waited:?}, not for {wanted:?}"));
        }
        self.look_at_databases(leader, &others).await?;
        for (number, node) in self.nodes.iter().enumerate() {
            let has = node.host().has(Network::ADDRESS);
            if has != (number == leader) {
                return Err(format!("{} {} the address", node.name(), if has { "has" } else { "has not" }));
            }
        }
        if !self.wrote(since) {
            return Err("the client does not write".into());
        }
        Ok(Whole { leader, term: record.mark.term.0 })
    }

    async fn look_at_databases(&self, leader: usize, others: &BTreeSet<String>) -> Result<(), String> {
        let streaming = "select application_name from pg_stat_replication \
                         where state = 'streaming' and not pg_is_in_recovery()";
        let name = self.nodes[leader].name();
        let rows = self.nodes[leader].ask(streaming).await.ok_or(format!("the database of {name} does not answer"))?;
        let rows: BTreeSet<String> = rows.into_iter().flatten().collect();
        // One that commits never wait for may cascade; from whom is the test's to say.
        let need_not = |missing: &String| self.plan.is_uncounted(missing);
        if !rows.is_subset(others) || !others.difference(&rows).all(need_not) {
            return Err(format!("{rows:?} stream from {name}"));
        }
        for (number, node) in self.nodes.iter().enumerate().filter(|(number, _)| *number != leader) {
            let state = "select pg_is_in_recovery(), status from pg_stat_wal_receiver";
            let seen = node.ask(state).await;
            if seen.as_ref().is_none_or(|rows| rows != &[["t", "streaming"]]) {
                return Err(format!("{} (number {number}) shows {seen:?}", node.name()));
            }
        }
        Ok(())
    }

    /// Waits until it is whole, ends everything in good order, and judges: nothing acknowledged is missing on any node, never two accepted
    /// writes at once, and nothing is left behind.
    ///
    /// # Panics
    ///
    /// When something is not as it should be.
    pub async fn finish(mut self) {
        let whole = self.whole().await;
        self.writer.stop().await;
        self.probers.clear();
        self.judge(whole.leader).await;
        self.leave(whole.leader).await;
    }

    async fn judge(&self, leader: usize) {
        let (acknowledged, tried, gap) =
            self.writer.look(|book| (book.acknowledged.len(), book.tried, judge::longest_gap(book)));
        let primary = &self.nodes[leader];
        for node in std::iter::once(primary).chain(&self.nodes) {
            let rows = eventually("the rows are read", PATIENCE, async || {
                let at_end = "select pg_is_in_recovery() and pg_last_wal_replay_lsn() is distinct from pg_last_wal_receive_lsn()";
                let replayed = node.ask(at_end).await? == [["f"]];
                if replayed { node.ask("select id from written").await } else { None }
            })
            .await;
            let there: BTreeSet<i64> = rows.into_iter().flatten().filter_map(|id| id.parse().ok()).collect();
            let permitted = *self.permitted.lock().expect("nobody panicked with it");
            let lost = self.writer.look(|book| judge::lost(book, &there, permitted));
            assert!(lost.is_empty(), "{} lacks {} acknowledged rows: {lost:?}", node.name(), lost.len());
        }
        let seen = self.seen.lock().expect("nobody panicked with it");
        let timelines: BTreeSet<i32> = seen.iter().map(|accepted| accepted.timeline).collect();
        println!(
            "{acknowledged} of {tried} writes acknowledged, longest gap {gap:.2?}; {} probes accepted on timelines {timelines:?}",
            seen.len()
        );
        let unfenced = self.unfenced.lock().expect("nobody panicked with it");
        let is_excused = |accepted: &Accepted| unfenced.as_ref().is_some_and(|unfenced| unfenced.excuses(accepted));
        let counted: Vec<Accepted> = seen.iter().filter(|accepted| !is_excused(accepted)).cloned().collect();
        assert_eq!(judge::two_writers(&counted), None);
    }

    /// Ends the agents in good order, and looks that nothing of them is left.
    async fn leave(&self, leader: usize) {
        self.nodes.iter().for_each(Node::unsupervised);
        let restarts: usize = self.nodes.iter().map(Node::restarts).sum();
        let expected = self.restarts.load(Ordering::Relaxed);
        assert!(expected == usize::MAX || restarts == expected, "{restarts} agents were started again, not {expected}");
        let standbys = self.nodes.iter().enumerate().filter(|(number, _)| *number != leader).map(|(_, node)| node);
        for node in standbys.chain([&self.nodes[leader]]) {
            node.agent().signal(Signal::TERM);
            let what = format!("the agent of {} leaves", node.name());
            eventually(&what, PATIENCE, async || (!node.agent().is_running()).then_some(())).await;
        }
        eventually("nothing is left behind", PATIENCE, async || left_behind().is_empty().then_some(())).await;
        for node in &self.nodes {
            assert!(!node.host().has(Network::ADDRESS), "{} kept the address", node.name());
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("ODOO_HA_LAB_LOGS").is_some() {
            println!("{}", self.logs());
        }
    }
}

fn prober(node: &Node, seen: &Seen) -> Prober {
    Prober::start(node.name().to_owned(), node.socket(), Arc::clone(seen))
}

/// Waits until one serves, and makes the tables there.
async fn prepare(nodes: &[Node]) {
    let make = format!(
        "begin; create table written (id bigint primary key); create table probed (at timestamptz); \
         create role {USER} login password '{PASSWORD}'; grant insert on written to {USER}; commit"
    );
    let ready = async || {
        for node in nodes {
            let made = "select 1 from pg_tables where tablename = 'probed' and not pg_is_in_recovery()";
            match node.ask(made).await {
                Some(rows) if !rows.is_empty() => return Some(()),
                // On a standby it fails.
                Some(_) => _ = node.ask(&make).await,
                None => {}
            }
        }
        None
    };
    let begun = tokio::time::timeout(PATIENCE, eventually("a database can be prepared", PATIENCE * 2, ready)).await;
    let logs = || nodes.iter().map(Node::log).collect::<String>();
    assert!(begun.is_ok(), "no database can be prepared: {}", logs());
}

/// The programs of nodes that still run, in this world.
fn left_behind() -> Vec<String> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    // A guard that has nothing to guard ends some seconds later.
    let is_guard = |line: &[u8]| line.split(|byte| *byte == 0).any(|word| word == b"--odoo-ha-guard");
    let others = all.filter(|entry| !is_guard(&std::fs::read(entry.path().join("cmdline")).unwrap_or_default()));
    let programs = others.filter_map(|entry| std::fs::read_link(entry.path().join("exe")).ok());
    let names = programs.filter_map(|exe| Some(exe.file_name()?.to_string_lossy().into_owned()));
    names.filter(|name| matches!(name.as_str(), "postgres" | "ha_agent")).collect()
}
