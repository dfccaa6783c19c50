//! Both nodes together: started, looked at, and taken down.

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::member::ClusterId;
use odoo_ha_core::policy::SyncMode;
use rustix::process::Signal;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::args::DemoArgs;
use super::clock;
use super::control::{NodeStatus, Question, Said};
use super::host::Postgres;
use super::node::Node;
use super::node_config::NodeConfig;
use super::processes::{self, Reaper};
use super::record::{AgentFace, Recorder, push_if_new};
use super::session::Session;
use super::supervisor::Supervisor;
use super::trouble::Trouble;
use super::work_dir::WorkDir;

/// How long a look at a database may take.
const LOOK_DEADLINE: Duration = Duration::from_millis(500);

/// An acknowledged write no older than this shows that the client is being served.
const FRESH: Duration = Duration::from_millis(250);

/// How long each node may take to leave in good order.
const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

/// How long a PostgreSQL may take to end when it is told to do so at once.
const QUIT_DEADLINE: Duration = Duration::from_secs(3);

/// The two nodes.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: [Supervisor; 2],
    pub(crate) address_port: u16,
    pub(crate) mode: SyncMode,
    recorder: Recorder,
}

impl Cluster {
    /// Writes the nodes' configurations; starts nothing yet.
    pub(crate) fn new(
        args: &DemoArgs,
        postgres: &Postgres,
        work_dir: &WorkDir,
        ports: [u16; 3],
        reaper: &Reaper,
        recorder: Recorder,
        lines: &UnboundedSender<(Node, Said)>,
    ) -> Result<Self, Trouble> {
        let [port_a, port_b, address_port] = ports;
        let mode = args.sync.mode();
        let cluster = args.dcs.new_cluster()?;
        let founders = vec![Node::A.member()?, Node::B.member()?];
        let supervisor = |node: Node, port: u16| -> Result<Supervisor, Trouble> {
            let config = NodeConfig {
                cluster: cluster.clone(),
                member: node.member()?,
                founders: founders.clone(),
                dir: work_dir.node(node),
                store: args.dcs.clone(),
                store_file: work_dir.path().join("store.sqlite"),
                port,
                address_port,
                pg_bin: postgres.bin_dir.clone(),
                ttl: args.ttl,
                sync_mode: mode,
            };
            config.write()?;
            Ok(Supervisor::new(node, config, reaper.clone(), lines.clone()))
        };
        let nodes = [supervisor(Node::A, port_a)?, supervisor(Node::B, port_b)?];
        Ok(Self { nodes, address_port, mode, recorder })
    }

    /// What the cluster is called in its store.
    pub(crate) fn name(&self) -> &ClusterId {
        &self.nodes[0].config.cluster
    }

    pub(crate) fn node(&self, node: Node) -> &Supervisor {
        &self.nodes[node.index()]
    }

    pub(crate) fn node_mut(&mut self, node: Node) -> &mut Supervisor {
        &mut self.nodes[node.index()]
    }

    pub(crate) fn ports(&self) -> [u16; 2] {
        [self.nodes[0].config.port, self.nodes[1].config.port]
    }

    /// Starts an agent, and writes down that it runs.
    pub(crate) fn start(&mut self, node: Node) -> Result<(), Trouble> {
        self.node_mut(node).restart_if_ended()?;
        self.note_agent(node, AgentFace::Running);
        Ok(())
    }

    /// Writes down what an agent does.
    pub(crate) fn note_agent(&self, node: Node, face: AgentFace) {
        push_if_new(&mut self.recorder.lock().node_mut(node).agent, clock::now(), face);
    }

    /// Writes down which agents have ended by themselves.
    pub(crate) fn note_ended(&self) {
        for supervisor in &self.nodes {
            if supervisor.how_ended().is_some() {
                self.note_agent(supervisor.node, AgentFace::Gone);
            }
        }
    }

    /// What both nodes say of themselves.
    pub(crate) async fn statuses(&self) -> [Option<NodeStatus>; 2] {
        let [a, b] = &self.nodes;
        let (a, b) = tokio::join!(a.status(), b.status());
        [a, b]
    }

    /// Who leads, by its own word.
    pub(crate) async fn leader(&self) -> Option<Node> {
        let statuses = self.statuses().await;
        Node::BOTH.into_iter().find(|node| {
            statuses[node.index()].as_ref().is_some_and(|status| status.state == "leading" && status.address_here)
        })
    }

    /// Whether the other node streams from this one, as this one's database says.
    pub(crate) async fn feeds_the_other(&self, node: Node, must_be_synchronous: bool) -> bool {
        let look = async {
            let session = Session::beside(&self.node(node).config, LOOK_DEADLINE).await.ok()?;
            let other = node.other().name();
            let sync = if must_be_synchronous { "AND sync_state IN ('sync', 'quorum')" } else { "" };
            let sql = format!(
                "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '{other}' {sync}"
            );
            let rows = session.column(&sql).await.ok()?;
            Some(!rows.is_empty())
        };
        timeout(LOOK_DEADLINE, look).await.ok().flatten().unwrap_or(false)
    }

    /// What is still missing until one node serves the client and the other follows it as it should.
    ///
    /// # Errors
    ///
    /// The first thing that is missing, in a few words.
    pub(crate) async fn is_whole(&self, client_writes: bool) -> Result<Node, String> {
        for supervisor in &self.nodes {
            if let Some(how) = supervisor.how_ended() {
                return Err(format!("the agent of {} has ended ({how})", supervisor.node.name()));
            }
        }
        let statuses = self.statuses().await;
        let mut seen = Vec::new();
        for (node, status) in Node::BOTH.into_iter().zip(&statuses) {
            let Some(status) = status else { return Err(format!("{} does not answer", node.name())) };
            if let Some(refusal) = &status.refusal {
                return Err(format!("{}: {refusal}", node.name()));
            }
            seen.push(format!("{} {}", node.name(), status.state.replace('_', " ")));
        }
        let seen = seen.join(", ");
        let state = |node: Node| statuses[node.index()].as_ref();
        let leads = |node: &Node| state(*node).is_some_and(|status| status.state == "leading" && status.address_here);
        let Some(leader) = Node::BOTH.into_iter().find(leads) else { return Err(seen) };
        let other = leader.other();
        if state(other).is_none_or(|status| status.state != "following") {
            return Err(seen);
        }
        let synchronous = self.mode != SyncMode::Asynchronous;
        if !self.feeds_the_other(leader, false).await {
            return Err(format!("{seen}; {} does not stream yet", other.name()));
        }
        let counted = state(leader).is_some_and(|status| status.synchronous.iter().any(|name| name == other.name()));
        if synchronous && !(counted && self.feeds_the_other(leader, true).await) {
            return Err(format!("{seen}; commits do not wait for {} yet", other.name()));
        }
        let fresh = |at: Duration| clock::now().saturating_sub(at) < FRESH;
        if client_writes && !self.recorder.last_ack().is_some_and(|ack| ack.acked.is_some_and(fresh)) {
            return Err(format!("{seen}; the client is not served yet"));
        }
        Ok(leader)
    }

    /// The ids that are in the table of this node's database.
    pub(crate) async fn written(&self, node: Node) -> Result<BTreeSet<i64>, Trouble> {
        let failed = || Trouble::new(format!("The database of {} could not be read for the last check.", node.name()));
        let session = Session::beside(&self.node(node).config, LOOK_DEADLINE).await.map_err(|_| failed())?;
        let rows = session.column(super::writer::LIST).await.map_err(|_| failed())?;
        Ok(rows.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Lets both nodes leave in good order, the follower first.
    pub(crate) async fn leave(&self) {
        let first = self.leader().await.map_or(Node::B, Node::other);
        for node in [first, first.other()] {
            let supervisor = self.node(node);
            let left = async {
                supervisor.order(&Question::Shutdown).await?;
                while supervisor.pid().is_some() {
                    sleep(Duration::from_millis(20)).await;
                }
                Ok::<(), Trouble>(())
            };
            let _killed_otherwise = timeout(LEAVE_DEADLINE, left).await;
        }
    }

    /// Ends every process that the demo started.
    pub(crate) async fn kill(&self) {
        let databases = self.databases();
        // PostgreSQL takes its shared memory with it when it is told to quit, and leaves it behind when it is killed.
        let others = || {
            let databases: BTreeSet<i32> = self.databases().into_iter().flatten().collect();
            processes::descendants().difference(&databases).copied().collect()
        };
        processes::kill_together(others);
        for database in &databases {
            for postmaster in processes::heads(database) {
                processes::signal(postmaster, Signal::QUIT);
            }
        }
        let until = clock::now() + QUIT_DEADLINE;
        while clock::now() < until && !processes::descendants().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
        processes::kill_together(processes::descendants);
    }

    fn databases(&self) -> [BTreeSet<i32>; 2] {
        Node::BOTH.map(|node| processes::of_database(&self.node(node).config.data_dir()))
    }
}
