//! Whole clusters of the real driver with Consul as their store: databases in memory, servers that are real.

use std::sync::Arc;
use std::time::{Duration, Instant};

use odoo_ha_backends::consul::ConsulConfig;
use odoo_ha_backends::memory::MemoryWorld;
use odoo_ha_core::driver::{HaHandle, HaNode};
use odoo_ha_core::machine::{StateName, Status};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::Timing;
use odoo_ha_tests::stores::eventually;
use tempfile::TempDir;

use crate::TIME;
use crate::server::Consul;

/// Two members, of which the first leads and the second may take over.
struct Cluster {
    world: MemoryWorld,
    members: [MemberId; 2],
    nodes: [HaHandle; 2],
    _disks: [TempDir; 2],
}

impl Cluster {
    async fn start(consul: &Consul, name: &str, ttl: Duration) -> Self {
        let world = MemoryWorld::new();
        let disks = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let members = ["node_a", "node_b"].map(|name| MemberId::new(name).unwrap());
        let node = |number: usize| {
            let cluster = ClusterId::new(name).unwrap();
            HaNode::builder()
                .dcs(Arc::new(ConsulConfig::new(consul.endpoints(), cluster.clone()).build().unwrap()))
                .database(Arc::new(world.open(&members[number])))
                .cluster(cluster)
                .member(members[number].clone())
                .endpoint(world.endpoint(&members[number]))
                .timing(Timing::with_ttl(ttl))
                .state_dir(disks[number].path().join("state"))
                .build()
                .unwrap()
                .spawn()
                .unwrap()
        };
        let first = node(0);
        until(&first, "it leads", |status| status.state == StateName::Leading).await;
        let nodes = [first, node(1)];
        let named =
            |status: &Status| status.sync_record.as_ref().is_some_and(|sync| sync.names.contains_key(&members[1]));
        until(&nodes[0], "the second is a synchronous standby", named).await;
        Self { world, members, nodes, _disks: disks }
    }

    async fn end(&self) {
        for node in &self.nodes {
            node.kill();
            node.ended().await;
        }
    }
}

async fn until(node: &HaHandle, what: &str, holds: impl Fn(&Status) -> bool) {
    eventually(what, TIME, async || holds(&node.status()).then_some(())).await;
}

/// The shortest ttl there is; Consul's own sessions would take twenty seconds.
#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_at_a_ttl_of_one_second() {
    let consul = Consul::three().await;
    let cluster = Cluster::start(&consul, "quick", Duration::from_secs(1)).await;
    let term = cluster.nodes[1].status().term;
    cluster.world.kill(&cluster.members[0]);
    cluster.nodes[0].kill();
    let began = Instant::now();
    until(&cluster.nodes[1], "the second leads", |status| status.state == StateName::Leading).await;
    println!("leadership has moved {:?} after the first was killed", began.elapsed());
    assert!(cluster.nodes[1].status().term > term);
    cluster.end().await;
}

/// Consul takes some seconds to elect a leader of its own; who leads the cluster goes on leading it.
#[tokio::test(flavor = "multi_thread")]
async fn consul_s_own_election_moves_no_leadership() {
    let consul = Consul::three().await;
    let cluster = Cluster::start(&consul, "calm", Duration::from_secs(12)).await;
    let before = cluster.nodes[0].status();
    let victim = consul.elected(0).await;
    consul.agents[victim].process.kill();
    let asked = consul.another(victim);
    consul.elected_other_than(Some(victim), asked).await;
    // It renews again, under the same term, seen by the other one.
    let sequence = |status: &Status| status.leader_record.as_ref().map(|leader| leader.mark);
    let last = sequence(&cluster.nodes[0].status());
    until(&cluster.nodes[1], "renewals are seen again", |status| sequence(status) > last).await;
    for node in &cluster.nodes {
        let now = node.status();
        assert_eq!((now.term, &now.leader), (before.term, &before.leader));
    }
    assert_eq!(cluster.nodes[0].status().state, StateName::Leading);
    cluster.end().await;
}

/// The node that leads and Consul's own leader stand on the same machine, often.
#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_though_consul_loses_its_leader_with_it() {
    let consul = Consul::three().await;
    let cluster = Cluster::start(&consul, "both", Duration::from_secs(2)).await;
    let victim = consul.elected(0).await;
    cluster.world.kill(&cluster.members[0]);
    cluster.nodes[0].kill();
    consul.agents[victim].process.kill();
    let began = Instant::now();
    until(&cluster.nodes[1], "the second leads", |status| status.state == StateName::Leading).await;
    println!("leadership has moved {:?} after the first and Consul's leader were killed", began.elapsed());
    cluster.end().await;
}
