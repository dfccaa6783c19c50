//! A whole cluster of three: the store goes away, and the leader goes on by the leave of the others, or gives up in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odoo_ha_backends::memory::{MemoryDcs, MemoryNetwork, MemoryNotifier, MemoryServices, MemoryWorld};
use odoo_ha_core::driver::{HaHandle, HaNode};
use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::{Bootstrap, StateName, Status};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::Timing;
use odoo_ha_core::roles::{FloatingIpCapabilities, ServiceManager, ServiceState};
use odoo_ha_core::term::Term;
use odoo_ha_tests::stores::eventually;
use tempfile::TempDir;

use super::support::{config, free_address};

/// With seconds to spare between the questions and the end of belief: a busy machine must not look like a lost member.
const TTL: Duration = Duration::from_secs(4);

/// No wait is longer, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn timing() -> Timing {
    let mut timing = Timing::with_ttl(TTL);
    timing.stop_budget = Duration::from_millis(500);
    timing.renew_interval = Duration::from_millis(500);
    timing
}

struct Node {
    name: MemberId,
    handle: HaHandle,
    store: MemoryDcs,
    services: MemoryServices,
    notifier: MemoryNotifier,
    _disk: TempDir,
}

/// Three members; the first leads, and the others know it.
struct Cluster {
    leader: Node,
    others: [Node; 2],
    term: Term,
}

impl Cluster {
    async fn start() -> Self {
        let store = MemoryDcs::new(ClusterId::new("shop").unwrap());
        let (world, network) = (MemoryWorld::new(), MemoryNetwork::new(FloatingIpCapabilities::none()));
        let node = |name, bootstrap| Node::start(name, bootstrap, &store, &world, &network);
        let leader = node("node_a", Bootstrap::Create);
        leader.until("it leads", |status| status.state == StateName::Leading).await;
        let others = [node("node_b", Bootstrap::Never), node("node_c", Bootstrap::Never)];
        for other in &others {
            other.until("it follows", |status| status.state == StateName::Following).await;
        }
        let names = others.iter().map(|other| other.name.clone()).collect();
        let listed = leader.until("it serves, and both others are listed", |status| {
            let listed = status.leader_record.as_ref().and_then(|record| record.failsafe.as_ref());
            status.address_here && listed == Some(&names) && names.iter().all(|name| publishes(status, name))
        });
        listed.await;
        let term = leader.handle.status().term;
        Self { leader, others, term }
    }

    fn all(&self) -> impl Iterator<Item = &Node> {
        std::iter::once(&self.leader).chain(&self.others)
    }

    /// Nobody notices anything while this goes on.
    async fn goes_on_for(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let status = self.leader.handle.status();
            assert_eq!((status.state, status.term), (StateName::Leading, self.term), "{status:#?}");
            assert!(status.address_here, "{status:#?}");
            let services = self.leader.services.status(PATIENCE).await.unwrap();
            assert_eq!(services, ServiceState::Running);
            for other in &self.others {
                let status = other.handle.status();
                assert_eq!((status.state, status.term), (StateName::Following, self.term), "{status:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(self) {
        self.all().for_each(|node| node.handle.kill());
    }
}

fn publishes(status: &Status, name: &MemberId) -> bool {
    status.members.get(name).is_some_and(|record| record.peer.is_some())
}

impl Node {
    fn start(
        name: &str,
        bootstrap: Bootstrap,
        store: &MemoryDcs,
        world: &MemoryWorld,
        network: &MemoryNetwork,
    ) -> Self {
        let (name, disk) = (MemberId::new(name).unwrap(), tempfile::tempdir().unwrap());
        let (store, services) = (store.another_client(), MemoryServices::new());
        let notifier = MemoryNotifier::new();
        let handle = HaNode::builder()
            .cluster(ClusterId::new("shop").unwrap())
            .member(name.clone())
            .endpoint(world.endpoint(&name))
            .dcs(Arc::new(store.clone()))
            .database(Arc::new(world.open(&name)))
            .address(Arc::new(network.node()))
            .services(Arc::new(services.clone()))
            .peers(Arc::new(config(free_address()).build().unwrap()))
            .notifier(Arc::new(notifier.clone()))
            .bootstrap(bootstrap)
            .timing(timing())
            .state_dir(disk.path().join("state"))
            .build()
            .unwrap()
            .spawn()
            .unwrap();
        Self { name, handle, store, services, notifier, _disk: disk }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Status) -> bool) {
        let what = format!("{}: {what}", self.name);
        eventually(&what, PATIENCE, async || holds(&self.handle.status()).then_some(())).await;
    }

    async fn says(&self, active: bool) {
        let said = self.notifier.wait_for(|event| event.kind == EventKind::Failsafe { active });
        let said = tokio::time::timeout(PATIENCE, said).await;
        assert!(said.is_ok(), "{}: {:#?}", self.name, self.notifier.events());
    }

    fn leads(&self) -> bool {
        self.handle.status().state == StateName::Leading
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_away_for_all_and_nobody_notices() {
    let cluster = Cluster::start().await;
    cluster.all().for_each(|node| node.store.set_cut_off(true));
    cluster.goes_on_for(TTL * 4).await;
    cluster.leader.says(true).await;
    cluster.all().for_each(|node| node.store.set_cut_off(false));
    cluster.leader.says(false).await;
    cluster.goes_on_for(TTL).await;
    assert_eq!(cluster.leader.services.starts(), 1);
    cluster.kill();
}

/// The others reach it, and could take over; they promised not to.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_alone_does_not_reach_the_store_and_nobody_notices() {
    let cluster = Cluster::start().await;
    cluster.leader.store.set_cut_off(true);
    cluster.goes_on_for(TTL * 4).await;
    cluster.leader.says(true).await;
    cluster.leader.store.set_cut_off(false);
    cluster.leader.says(false).await;
    cluster.goes_on_for(TTL).await;
    cluster.kill();
}

/// A member that does not answer may be one that takes over.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_gone_as_well_and_the_leader_gives_up_in_time() {
    let cluster = Cluster::start().await;
    cluster.all().for_each(|node| node.store.set_cut_off(true));
    cluster.leader.says(true).await;
    let [other, gone] = &cluster.others;
    gone.handle.kill();
    gone.handle.ended().await;
    let begun = Instant::now();
    let leader = &cluster.leader;
    leader.until("it leads no longer", |status| status.state != StateName::Leading && !status.address_here).await;
    // What it was last let do ends within a ttl; the rest is for a busy machine.
    assert!(begun.elapsed() < TTL * 2, "{:?}", begun.elapsed());
    let stopped = async || {
        let services = leader.services.status(PATIENCE).await.unwrap();
        (services == ServiceState::Stopped && leader.handle.status().leads_for.is_none()).then_some(())
    };
    eventually("nothing serves", PATIENCE, stopped).await;
    cluster.all().for_each(|node| node.store.set_cut_off(false));
    let again = async || (leader.leads() || other.leads()).then_some(());
    eventually("somebody leads again", PATIENCE, again).await;
    cluster.kill();
}
