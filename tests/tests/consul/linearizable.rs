//! Several clients at once, while the servers suffer: what they see could have happened one after another.

use std::time::{Duration, Instant};

use odoo_ha_backends::consul::{ConsulConfig, ConsulDcs};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;
use odoo_ha_tests::stores::{History, Mood};

use crate::server::Consul;

/// What a call may take; short, so that many end as unknown.
const CALL: Duration = Duration::from_millis(800);

/// Answered calls of each client in one history. Long histories with many unknown commits take long to judge.
const ANSWERS: u32 = 14;

/// A client that begins with this server and knows the others, of a cluster of its own for each history.
fn client(consul: &Consul, name: &str, first: usize) -> ConsulDcs {
    let mut endpoints = consul.endpoints();
    endpoints.rotate_left(first);
    ConsulConfig::new(endpoints, ClusterId::new(name).unwrap()).build().unwrap()
}

/// One history, during which something is done to the servers.
async fn suffers(consul: &Consul, name: &str, harm: impl Future<Output = ()>) {
    let began = Instant::now();
    let history = History::default();
    let clients = [0, 1, 2].map(|first| client(consul, name, first));
    let [a, b, c] = &clients;
    let (one, two, three, ()) = tokio::join!(
        history.client(1, a, ANSWERS, CALL),
        history.client(2, b, ANSWERS, CALL),
        history.client(3, c, ANSWERS, CALL),
        harm,
    );
    println!("{name}: {} calls, {} of unknown outcome, {:?}", history.len(), one + two + three, began.elapsed());
    history.assert_linearizable();
    // All clients end up seeing the same.
    let seen = a.read(crate::TIME).await.unwrap().entries;
    assert_eq!(b.read(crate::TIME).await.unwrap().entries, seen);
}

async fn soon() {
    tokio::time::sleep(Duration::from_millis(40)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_see_under_faults_is_linearizable() {
    let consul = Consul::three_linked().await;
    suffers(&consul, "healthy", async {}).await;

    let leads = consul.elected(0).await;
    suffers(&consul, "leader_frozen", async {
        soon().await;
        consul.agents[leads].process.freeze();
        consul.elected_other_than(Some(leads), consul.another(leads)).await;
        consul.agents[leads].process.thaw();
    })
    .await;

    consul.ready().await;
    let leads = consul.elected(0).await;
    suffers(&consul, "leader_cut_off", async {
        soon().await;
        consul.cut_off(leads, Mood::Stall);
        consul.elected_other_than(Some(leads), consul.another(leads)).await;
        soon().await;
        consul.cut_off(leads, Mood::Open);
    })
    .await;

    consul.ready().await;
    let leads = consul.elected(0).await;
    suffers(&consul, "follower_cut_off", async {
        soon().await;
        consul.cut_off(consul.another(leads), Mood::Cut);
        soon().await;
        consul.cut_off(consul.another(leads), Mood::Open);
    })
    .await;

    consul.ready().await;
    let leads = consul.elected(0).await;
    suffers(&consul, "leader_killed", async {
        soon().await;
        consul.agents[leads].process.kill();
        consul.elected_other_than(Some(leads), consul.another(leads)).await;
        consul.agents[leads].process.restart();
    })
    .await;
}
