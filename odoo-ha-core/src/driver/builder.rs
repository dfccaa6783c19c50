//! Puts a node together.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::database::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::machine::{AddressFacts, Bootstrap, Config};
use crate::member::{ClusterId, MemberId, Tags};
use crate::policy::{Policy, ProbeSettings, SyncMode, Timing};
use crate::roles::{
    Dcs, FilestoreSync, FloatingIp, HealthProbe, Notifier, Peers, ReplicationManager, ServiceManager, Watchdog,
};

use super::clock::{Clock, SystemClock};
use super::lanes::Lanes;
use super::node::HaNode;
use super::perform::Parts;
use super::probes::Probe;
use super::watchdog_pair::WatchdogPair;

/// Most probes and most notifiers of one node: each has a thread of its own.
const MAX_HELPERS: usize = 32;

/// Puts a node together. Made by [`HaNode::builder`](super::HaNode::builder).
///
/// Needed are cluster, member, endpoint, store, database and state directory. All else has a default, or is left out.
#[derive(Debug, Default)]
#[must_use]
pub struct HaNodeBuilder {
    cluster: Option<ClusterId>,
    member: Option<MemberId>,
    endpoint: Option<Endpoint>,
    dcs: Option<Arc<dyn Dcs>>,
    database: Option<Arc<dyn ReplicationManager>>,
    address: Option<Arc<dyn FloatingIp>>,
    services: Option<Arc<dyn ServiceManager>>,
    filestore: Option<Arc<dyn FilestoreSync>>,
    watchdog: Option<Arc<dyn Watchdog>>,
    peers: Option<Arc<dyn Peers>>,
    probes: Vec<(Arc<dyn HealthProbe>, ProbeSettings)>,
    notifiers: Vec<Arc<dyn Notifier>>,
    timing: Timing,
    policy: Policy,
    policy_in_store: bool,
    tags: Tags,
    bootstrap: Bootstrap,
    founders: BTreeSet<MemberId>,
    state_dir: Option<PathBuf>,
    lanes: Option<Arc<Lanes>>,
    clock: Option<Arc<dyn Clock>>,
    incarnation: Option<u64>,
}

impl HaNodeBuilder {
    /// The cluster that this node belongs to. Needed.
    pub fn cluster(mut self, cluster: ClusterId) -> Self {
        self.cluster = Some(cluster);
        self
    }

    /// The name of this node in it. Needed.
    pub fn member(mut self, member: MemberId) -> Self {
        self.member = Some(member);
        self
    }

    /// Where this node's database listens for the other members. Needed.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// The coordination store, bound to this cluster. Needed.
    pub fn dcs(mut self, dcs: Arc<dyn Dcs>) -> Self {
        self.dcs = Some(dcs);
        self
    }

    /// The local database. Needed.
    pub fn database(mut self, database: Arc<dyn ReplicationManager>) -> Self {
        self.database = Some(database);
        self
    }

    /// The address that follows safe leadership.
    pub fn address(mut self, address: Arc<dyn FloatingIp>) -> Self {
        self.address = Some(address);
        self
    }

    /// What serves users, started on the leader only.
    pub fn services(mut self, services: Arc<dyn ServiceManager>) -> Self {
        self.services = Some(services);
        self
    }

    /// The files.
    pub fn filestore(mut self, filestore: Arc<dyn FilestoreSync>) -> Self {
        self.filestore = Some(filestore);
        self
    }

    /// What makes the node harmless when the agent is gone. Without one a leader whose agent dies goes on until its host is
    /// restarted or fenced by other means. Called again, it adds another: all of them are armed then ([`WatchdogPair`]), in the order of the calls.
    pub fn watchdog(mut self, watchdog: Arc<dyn Watchdog>) -> Self {
        self.watchdog = Some(match self.watchdog.take() {
            Some(first) => Arc::new(WatchdogPair::new(first, watchdog)),
            None => watchdog,
        });
        self
    }

    /// The way to the other members (*failsafe*): a leader that does not reach the store asks every member that may take over whether it may
    /// go on, and goes on while all of them accept. Without one it gives up when its belief ends, however well everybody is.
    ///
    /// Every member of the cluster needs the same kind of way: one that cannot be asked is one that does not accept. Where this member is
    /// reached ([`Peers::address`]) is asked for once, when the node is built, and published in the store.
    pub fn peers(mut self, peers: Arc<dyn Peers>) -> Self {
        self.peers = Some(peers);
        self
    }

    /// One more probe. Names must differ.
    pub fn probe(mut self, probe: Arc<dyn HealthProbe>, settings: ProbeSettings) -> Self {
        self.probes.push((probe, settings));
        self
    }

    /// One more notifier.
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// The times; by default those of a `ttl` of 5 s.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// What the cluster strives for; by default synchronous replication.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The cluster's policy is to stand in the store, where [`change_policy`](super::change_policy) changes it for all members at run time: the first leader writes
    /// its own there. By default it is not written; one that stands there is followed in any case.
    pub fn policy_in_store(mut self, policy_in_store: bool) -> Self {
        self.policy_in_store = policy_in_store;
        self
    }

    /// The operator's words about this member.
    pub fn tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// Whether this member may begin the cluster; by default with a new, empty database.
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    /// Members that must have reported that they hold no data before a new database is made.
    pub fn founders(mut self, founders: impl IntoIterator<Item = MemberId>) -> Self {
        self.founders = founders.into_iter().collect();
        self
    }

    /// The directory where the member keeps what it must not forget: beside the data, on the same durable disk, but not in the
    /// data directory, which may be replaced. Made if its parent exists. Needed.
    pub fn state_dir(mut self, state_dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(state_dir.into());
        self
    }

    /// The threads to run on, to be shared with other nodes; by default the node makes its own. A process with many nodes needs open files, too: one a node
    /// for its state directory, and what the backends take (with `etcd` three more, so 1,000 nodes want `ulimit -n` above 4,100).
    pub fn lanes(mut self, lanes: Arc<Lanes>) -> Self {
        self.lanes = Some(lanes);
        self
    }

    /// The clock; by default [`SystemClock`]. Replaced only by simulators.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The number of this start of the agent; by default drawn. Given only by simulators, which must not draw by chance: it differs at
    /// every start of every agent, and grows from start to start of one member.
    #[doc(hidden)]
    pub fn incarnation(mut self, incarnation: u64) -> Self {
        self.incarnation = Some(incarnation);
        self
    }

    /// Checks everything and makes the node. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming all that is missing, or the rule that is broken with the values that break it, and what to do.
    pub fn build(self) -> Result<HaNode, Error> {
        let missing = self.missing();
        let (Some(cluster), Some(member), Some(endpoint), Some(dcs), Some(database), Some(state_dir)) =
            (self.cluster, self.member, self.endpoint, self.dcs, self.database, self.state_dir)
        else {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("the node is not complete: {}", missing.join(", ")),
            )
            .hint("call these methods of the builder"));
        };
        let mut config = Config::new(cluster, member, endpoint);
        config.timing = self.timing;
        config.policy = self.policy;
        config.policy_in_store = self.policy_in_store;
        config.tags = self.tags;
        config.bootstrap = self.bootstrap;
        config.founders = self.founders;
        config.address = self.address.as_ref().map(|address| {
            let can = address.capabilities();
            AddressFacts {
                fences_by_term: can.fences_by_term,
                moves_authoritatively: can.moves_authoritatively,
                longest_in_flight: can.longest_in_flight,
                attach_takes: can.attach_takes,
            }
        });
        config.peer = self.peers.as_ref().map(|peers| peers.address());
        config.services = self.services.is_some();
        config.filestore = self.filestore.is_some();
        config.watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.acts_before());
        config.check()?;
        check_database(&config, database.as_ref())?;
        let probes = checked_probes(self.probes)?;
        if probes.len() > MAX_HELPERS || self.notifiers.len() > MAX_HELPERS {
            return Err(Error::new(
                ErrorKind::Misconfigured,
                format!("{} probes and {} notifiers, at most {MAX_HELPERS} each", probes.len(), self.notifiers.len()),
            )
            .hint("each has a thread of its own; let one do the work of several"));
        }
        Ok(HaNode {
            config,
            parts: Parts {
                dcs,
                database,
                address: self.address,
                services: self.services,
                filestore: self.filestore,
                watchdog: self.watchdog,
                peers: self.peers,
            },
            probes,
            notifiers: self.notifiers,
            state_dir,
            lanes: self.lanes.unwrap_or_default(),
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            incarnation: self.incarnation,
        })
    }

    fn missing(&self) -> Vec<&'static str> {
        [
            (self.cluster.is_none(), "cluster"),
            (self.member.is_none(), "member"),
            (self.endpoint.is_none(), "endpoint"),
            (self.dcs.is_none(), "dcs"),
            (self.database.is_none(), "database"),
            (self.state_dir.is_none(), "state_dir"),
        ]
        .into_iter()
        .filter_map(|(missing, name)| missing.then_some(name))
        .collect()
    }
}

/// Refuses what the database backend cannot do.
fn check_database(config: &Config, database: &dyn ReplicationManager) -> Result<(), Error> {
    let can = database.capabilities();
    if !can.synchronous && config.policy.sync_mode != SyncMode::Asynchronous {
        return Err(Error::new(
            ErrorKind::Misconfigured,
            format!("policy sync_mode {:?}, but the database backend is not capable of it", config.policy.sync_mode),
        )
        .hint("set sync_mode = asynchronous and accept that a failover may lose commits, or use another backend"));
    }
    if !can.bootstrap && config.bootstrap == Bootstrap::Create {
        return Err(Error::new(
            ErrorKind::Misconfigured,
            "bootstrap Create, but the database backend makes no databases",
        )
        .hint("use Adopt on the one member whose data are the right ones, and Never on the others"));
    }
    Ok(())
}

fn checked_probes(probes: Vec<(Arc<dyn HealthProbe>, ProbeSettings)>) -> Result<Vec<Probe>, Error> {
    let mut names = BTreeSet::new();
    probes
        .into_iter()
        .map(|(probe, settings)| {
            settings.check()?;
            let name = probe.name().to_owned();
            if !names.insert(name.clone()) {
                return Err(Error::new(ErrorKind::Misconfigured, format!("two probes are named {name:?}"))
                    .hint("give each its own name: status and logs tell them apart by it"));
            }
            Ok(Probe { name, probe, settings })
        })
        .collect()
}
