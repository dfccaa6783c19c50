//! The in-memory implementations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::memory::{
    CommitFault, MemoryDcs, MemoryNetwork, MemoryNotifier, MemoryProbe, MemoryReplication, MemoryWatchdog, MemoryWorld,
};
use odoo_ha_core::conformance::{self, Node, NotifierBench, ReplicationBench, ReplicationWorld};
use odoo_ha_core::database::{StopMode, Upstream};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::roles::{
    Dcs, Feed, FloatingIp, FloatingIpCapabilities, Notifier, ReplicationCapabilities, ReplicationManager, Verdict,
    WatchEvent, Watchdog,
};
use odoo_ha_core::store::{Commit, Key, Revision};
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;

use crate::timer;

fn cluster(name: &str) -> ClusterId {
    ClusterId::new(name).unwrap()
}

fn write(value: &[u8]) -> Commit {
    Commit { guards: Vec::new(), writes: BTreeMap::from([(Key::leader(), value.to_vec())]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_dcs_conforms() {
    let store = MemoryDcs::new(cluster("first"));
    let bench = |cluster: &ClusterId| Ok(Arc::new(store.for_cluster(cluster.clone())) as Arc<dyn Dcs>);
    let report = conformance::dcs(&bench, &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test]
async fn memory_dcs_fails_as_it_is_told() {
    let time = Duration::from_millis(50);
    let store = MemoryDcs::new(cluster("faults"));
    let other = store.another_client();
    let leader =
        || async { other.read(time).await.unwrap().entries.get(&Key::leader()).map(|entry| entry.value.clone()) };

    store.fail_next_commit(CommitFault::LostRequest);
    store.fail_next_commit(CommitFault::LostAnswer);
    store.fail_next_commit(CommitFault::Late(Duration::from_millis(100)));
    assert_eq!(store.commit(&write(b"request"), time).await.unwrap_err().kind(), ErrorKind::Unknown);
    assert_eq!(leader().await, None);
    assert_eq!(store.commit(&write(b"answer"), time).await.unwrap_err().kind(), ErrorKind::Unknown);
    assert_eq!(leader().await, Some(b"answer".to_vec()));
    let mut watch = other.watch(other.read(time).await.unwrap().revision, time).await.unwrap();
    assert_eq!(store.commit(&write(b"late"), time).await.unwrap_err().kind(), ErrorKind::Unknown);
    assert_eq!(leader().await, Some(b"answer".to_vec()));
    assert!(matches!(watch.next().await.unwrap(), WatchEvent::Changed { .. }));
    assert_eq!(leader().await, Some(b"late".to_vec()));

    store.set_cut_off(true);
    assert_eq!(store.read(time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.commit(&write(b"cut"), time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(leader().await, Some(b"late".to_vec()));
    store.set_cut_off(false);
    store.set_delay(time * 2);
    assert_eq!(store.commit(&write(b"slow"), time).await.unwrap_err().kind(), ErrorKind::Unknown);
    assert_eq!(leader().await, Some(b"slow".to_vec()));
    store.lose_everything();
    assert_eq!(leader().await, None);
    assert_eq!(watch.next().await.unwrap(), WatchEvent::Gap);
    let mut ahead = other.watch(Revision(u64::MAX), time).await.unwrap();
    assert_eq!(ahead.next().await.unwrap(), WatchEvent::Gap);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_floating_ip_conforms_whatever_it_promises() {
    for (fences, moves) in [(false, false), (true, false), (false, true), (true, true)] {
        let promised = FloatingIpCapabilities::none().fences_by_term(fences).moves_authoritatively(moves);
        let bench = || {
            let network = MemoryNetwork::new(promised);
            Ok((Arc::new(network.node()) as Arc<dyn FloatingIp>, Arc::new(network.node()) as Arc<dyn FloatingIp>))
        };
        let report = conformance::floating_ip(&bench, &timer).await;
        println!("fences_by_term {fences}, moves_authoritatively {moves}: {report}");
        report.assert_passed();
        assert_eq!(report.skips().count(), usize::from(!fences) + usize::from(!moves));
    }
}

#[derive(Debug)]
struct World(MemoryWorld);

fn member(node: Node) -> MemberId {
    MemberId::new(match node {
        Node::A => "node_a",
        Node::B => "node_b",
    })
    .unwrap()
}

#[async_trait]
impl ReplicationWorld for World {
    fn upstream(&self, node: Node) -> Upstream {
        let member = member(node);
        Upstream { endpoint: self.0.endpoint(&member), member }
    }

    async fn open(&self, node: Node) -> Result<Arc<dyn ReplicationManager>, Error> {
        Ok(Arc::new(self.0.open(&member(node))))
    }

    async fn write(&self, node: Node, timeout: Duration) -> Result<(), Error> {
        self.0.write(&member(node), timeout).await.map(|_| ())
    }

    async fn kill(&self, node: Node) -> Result<(), Error> {
        self.0.kill(&member(node));
        Ok(())
    }
}

struct Worlds;

#[async_trait]
impl ReplicationBench for Worlds {
    fn capabilities(&self) -> ReplicationCapabilities {
        MemoryWorld::new().open(&member(Node::A)).capabilities()
    }

    async fn world(&self) -> Result<Arc<dyn ReplicationWorld>, Error> {
        Ok(Arc::new(World(MemoryWorld::new())))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_replication_conforms() {
    let report = conformance::replication(&Worlds, &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test]
async fn a_hung_database_is_unresponsive_and_can_be_stopped() {
    use odoo_ha_core::database::{BootstrapOrder, DatabaseState};
    let time = Duration::from_millis(50);
    let world = MemoryWorld::new();
    let database: MemoryReplication = world.open(&member(Node::A));
    database.bootstrap(&BootstrapOrder { term: Term(1), adopt: false }, time).await.unwrap();
    world.set_hung(&member(Node::A), true);
    assert_eq!(database.status(time).await.unwrap().state, DatabaseState::Unresponsive);
    assert_eq!(database.stop(StopMode::Fast, time).await.unwrap_err().kind(), ErrorKind::Unknown);
    let stopped = database.stop(StopMode::AtOnce { fast_for_ms: 10 }, time).await.unwrap();
    assert!(!stopped.clean);
    assert_eq!(database.status(time).await.unwrap().state, DatabaseState::Crashed);
}

#[tokio::test]
async fn memory_probe_conforms() {
    let (healthy, unhealthy, hanging) = (MemoryProbe::new("good"), MemoryProbe::new("bad"), MemoryProbe::new("hung"));
    unhealthy.set(Ok(Verdict::Unhealthy("told so".into())));
    hanging.hang();
    let report = conformance::health_probe(&healthy, &unhealthy, Some(&hanging), &timer).await;
    println!("{report}");
    report.assert_passed();
}

struct Notifiers(MemoryNotifier);

#[async_trait]
impl NotifierBench for Notifiers {
    fn notifier(&self) -> Arc<dyn Notifier> {
        Arc::new(self.0.clone())
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        Some(self.0.events().into_iter().map(|event| event.id).collect())
    }

    fn failing(&self) -> Option<Arc<dyn Notifier>> {
        let silent = MemoryNotifier::new();
        silent.set_silent(true);
        Some(Arc::new(silent))
    }
}

#[tokio::test]
async fn memory_notifier_conforms() {
    let report = conformance::notifier(&Notifiers(MemoryNotifier::new()), &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test]
async fn memory_watchdog_acts_once_and_tells_when_it_is_lost() {
    let time = Duration::from_secs(1);
    let at = |seconds| Moment::from_origin(Duration::from_secs(seconds));
    let feed = |term, seconds| Feed { incarnation: 1, term: Term(term), deadline: Some(at(seconds)) };
    let dog = MemoryWatchdog::new(Duration::from_secs(2));
    assert_eq!(dog.feed(feed(1, 10), time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    dog.arm(feed(1, 10), time).await.unwrap();
    dog.feed(feed(1, 20), time).await.unwrap();
    assert_eq!(dog.handle_time(at(17)), None);
    assert_eq!(dog.handle_time(at(18)), Some(Term(1)));
    assert_eq!(dog.handle_time(at(99)), None);
    assert_eq!(dog.feed(feed(1, 30), time).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(dog.arm(feed(1, 30), time).await.unwrap_err().kind(), ErrorKind::Fenced);
    dog.arm(feed(2, 30), time).await.unwrap();
    dog.disarm(time).await.unwrap();
    assert_eq!(dog.handle_time(at(99)), None);
    dog.arm(feed(2, 30), time).await.unwrap();
    let told = Arc::new(Mutex::new(false));
    let (watched, tell) = (dog.clone(), Arc::clone(&told));
    let waiting = tokio::spawn(async move {
        watched.lost().await;
        *tell.lock().unwrap() = true;
    });
    assert!(!*told.lock().unwrap());
    dog.die();
    waiting.await.unwrap();
    assert!(*told.lock().unwrap());
    assert_eq!(dog.feed(feed(2, 40), time).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
