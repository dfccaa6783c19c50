//! Servers that die, freeze, are cut off, and come back.

use std::time::{Duration, Instant};

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key, Version};
use odoo_ha_tests::stores::{Mood, eventually};

use crate::server::Consul;
use crate::{TIME, client, leader, put, shown, write};

/// What a renewal of a leader has at a ttl of 10 s.
const RENEWAL: Duration = Duration::from_secs(2);

/// Writes over this version until that is answered. Fails when one call takes longer than it may.
async fn write_over(store: &dyn Dcs, old: Version, value: &[u8]) -> Version {
    let commit = write(vec![Guard::Version(Key::leader(), old)], value);
    eventually("the store takes a commit", TIME, async || {
        let began = Instant::now();
        let result = store.commit(&commit, RENEWAL).await;
        assert!(began.elapsed() < RENEWAL + Duration::from_secs(5), "{:?}", began.elapsed());
        match result {
            Ok(committed) => Some(committed.versions[&Key::leader()]),
            Err(error) => landed(store, value, &error).await,
        }
    })
    .await
}

/// The version of a commit whose answer was lost, if it is there.
async fn landed(store: &dyn Dcs, value: &[u8], error: &Error) -> Option<Version> {
    assert!(
        matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Unavailable | ErrorKind::Conflict),
        "{}",
        error.chain()
    );
    let entry = store.read(RENEWAL).await.ok()?.entries.remove(&Key::leader())?;
    (entry.value == value).then_some(entry.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_killed() {
    let consul = Consul::three().await;
    let store = client(&consul.endpoints());
    let old = put(&store, b"before").await;
    let victim = consul.elected(0).await;
    consul.agents[victim].process.kill();
    let began = Instant::now();
    let version = write_over(&store, old, b"after").await;
    println!("writes back {:?} after the leader was killed", began.elapsed());
    let seen = leader(&store).await.unwrap();
    assert_eq!((seen.value.as_slice(), seen.version), (b"after".as_slice(), version));
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_frozen_and_left_behind() {
    let consul = Consul::three().await;
    let frozen = consul.elected(0).await;
    // The frozen one is the first to be asked: it accepts connections and answers nothing.
    let mut endpoints = consul.endpoints();
    endpoints.rotate_left(frozen);
    let store = client(&endpoints);
    let old = put(&store, b"before").await;
    consul.agents[frozen].process.freeze();
    let began = Instant::now();
    let version = write_over(&store, old, b"after").await;
    println!("writes back {:?} after the leader was frozen", began.elapsed());
    consul.elected_other_than(Some(frozen), consul.another(frozen)).await;

    // It goes on where it was, as a leader that knows nothing of the other.
    let behind = client(&[consul.agents[frozen].endpoint()]);
    consul.agents[frozen].process.thaw();
    let seen = eventually("the old leader serves again", TIME, async || {
        let answer = behind.read(Duration::from_millis(300)).await;
        answer.ok().map(|snapshot| snapshot.entries[&Key::leader()].clone())
    })
    .await;
    assert_eq!((seen.value.as_slice(), seen.version), (b"after".as_slice(), version), "it showed the past");
}

#[tokio::test(flavor = "multi_thread")]
async fn minority_cut_off() {
    let consul = Consul::three_linked().await;
    let alone = consul.elected(0).await;
    let mut endpoints = consul.endpoints();
    endpoints.rotate_left(alone);
    let (store, inside) = (client(&endpoints), client(&endpoints[..1]));
    let old = put(&store, b"before").await;
    // It waits at the one that is to be alone, which shows it nothing more.
    let watcher = client(&endpoints);
    let mut watch = watcher.watch(watcher.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), watch.next()).await.is_err());
    consul.cut_off(alone, Mood::Stall);

    // The one that is alone may not even know it yet: it must show nothing and write nothing all the same.
    let guard = vec![Guard::Version(Key::leader(), old)];
    let refused = inside.commit(&write(guard, b"minority"), RENEWAL).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Unknown | ErrorKind::Unavailable), "{}", refused.chain());
    assert_eq!(inside.read(RENEWAL).await.unwrap_err().kind(), ErrorKind::Unavailable);

    // Whoever knows the others, too, goes on.
    let began = Instant::now();
    let version = write_over(&store, old, b"majority").await;
    println!("writes back {:?} after the leader was cut off", began.elapsed());
    let began = Instant::now();
    shown(watch.as_mut(), b"majority").await;
    println!("shown {:?} later to who waited at the one that was cut off", began.elapsed());
    assert_eq!(inside.read(RENEWAL).await.unwrap_err().kind(), ErrorKind::Unavailable);

    consul.cut_off(alone, Mood::Open);
    let seen = eventually("the one that was alone serves again", TIME, async || {
        let answer = inside.read(RENEWAL).await;
        answer.ok().map(|snapshot| snapshot.entries[&Key::leader()].clone())
    })
    .await;
    assert_eq!((seen.value.as_slice(), seen.version), (b"majority".as_slice(), version));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_killed_and_restarted_with_their_data() {
    let consul = Consul::three().await;
    let store = client(&consul.endpoints());
    let version = put(&store, b"kept").await;
    for agent in &consul.agents {
        agent.process.kill();
    }
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(store.read(RENEWAL).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.commit(&write(vec![], b"no"), RENEWAL).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(began.elapsed() < RENEWAL, "a store that is away is told at once: {:?}", began.elapsed());
    for agent in &consul.agents {
        agent.process.restart();
    }
    consul.ready().await;
    let seen = leader(&store).await.unwrap();
    assert_eq!((seen.value.as_slice(), seen.version), (b"kept".as_slice(), version));
    assert!(put(&store, b"kept").await > version, "a version came back");
}
