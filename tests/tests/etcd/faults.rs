//! Members that are dead, frozen, silent, or gone and back.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key};
use odoo_ha_tests::stores::{Mood, Proxy};

use crate::support::{Etcd, NEW, OLD, Plan, TIME, cluster, put, value, version, write};

/// What is given to a call in these tests, and what a member that does not answer may cost of it: far from the whole.
const CALL: Duration = Duration::from_secs(10);
const ONE_TRY: Duration = Duration::from_secs(4);

/// A read, a guarded commit and an unguarded one, each within a try or two.
async fn all_calls_work(store: &dyn Dcs, why: &str) {
    let begun = Instant::now();
    let seen = store.read(CALL).await.unwrap_or_else(|error| panic!("{why}: {}", error.chain()));
    let read = begun.elapsed();
    let guard = seen.entries.get(&Key::leader()).map(|entry| Guard::Version(Key::leader(), entry.version));
    let done = store.commit(&write(guard.into_iter().collect(), "guarded"), CALL).await;
    done.unwrap_or_else(|error| panic!("{why}: {}", error.chain()));
    let guarded = begun.elapsed() - read;
    store.commit(&write(vec![], "unguarded"), CALL).await.unwrap_or_else(|error| panic!("{why}: {}", error.chain()));
    let unguarded = begun.elapsed() - read - guarded;
    drop(store.watch(seen.revision, CALL).await.unwrap_or_else(|error| panic!("{why}: {}", error.chain())));
    println!("{why}: read {read:?}, guarded commit {guarded:?}, unguarded commit {unguarded:?}");
    assert!(begun.elapsed() < ONE_TRY, "{why}: {:?}", begun.elapsed());
}

fn urls_after(first: SocketAddr, etcd: &Etcd) -> EtcdConfig {
    let urls = std::iter::once(format!("http://{first}")).chain(etcd.urls());
    EtcdConfig::new(cluster("shop"), urls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_not_there_or_never_answers_costs_one_try() {
    let etcd = Plan::new(NEW, 1).serving().await;
    put(&etcd.open(), "first").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap();
    all_calls_work(&urls_after(silent, &etcd).build().unwrap(), "a listener that never accepts").await;
    // It accepts, and holds what it is sent.
    let stalled = Proxy::start("127.0.0.1:0".parse().unwrap(), etcd.members[0].client);
    stalled.set(Mood::Stall);
    all_calls_work(&urls_after(stalled.address(), &etcd).build().unwrap(), "a member that never answers").await;
    // It answers what connects, and then no more.
    stalled.set(Mood::Open);
    let store = urls_after(stalled.address(), &etcd).build().unwrap();
    all_calls_work(&store, "a member that answers").await;
    stalled.set(Mood::Stall);
    let seen = store.read(CALL).await.unwrap();
    let guard = Guard::Version(Key::leader(), seen.entries[&Key::leader()].version);
    store.commit(&write(vec![guard], "later"), CALL).await.unwrap();
    drop(listener);
    all_calls_work(&urls_after(silent, &etcd).build().unwrap(), "nobody listens").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_and_every_call_ends_in_time() {
    let etcd = Plan::new(NEW, 1).serving().await;
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), etcd.members[0].client);
    let store = EtcdConfig::new(cluster("shop"), [format!("http://{}", proxy.address())]).build().unwrap();
    let from = store.read(TIME).await.unwrap().revision;
    for (mood, connected) in [(Mood::Stall, true), (Mood::Stall, false), (Mood::Cut, false), (Mood::Mute, false)] {
        proxy.set(mood);
        for milliseconds in [1, 30, 300] {
            let time = Duration::from_millis(milliseconds);
            let begun = Instant::now();
            assert_eq!(store.read(time).await.unwrap_err().kind(), ErrorKind::Unavailable);
            let committed = store.commit(&write(vec![], "x"), time).await.unwrap_err();
            assert!(matches!(committed.kind(), ErrorKind::Unavailable | ErrorKind::Unknown), "{}", committed.chain());
            if !connected && mood == Mood::Stall {
                // What was never connected was never sent.
                assert_eq!(committed.kind(), ErrorKind::Unavailable, "{}", committed.chain());
            }
            assert_eq!(store.watch(from, time).await.unwrap_err().kind(), ErrorKind::Unavailable);
            assert!(begun.elapsed() < time * 3 + Duration::from_secs(5), "{mood:?} {time:?}: {:?}", begun.elapsed());
        }
    }
    proxy.set(Mood::Open);
    put(&store, "again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_is_followed_by_another() {
    for version in [OLD, NEW] {
        let etcd = Plan::new(version, 3).serving().await;
        let store = etcd.open();
        put(&store, "before").await;
        let leader = etcd.leader().await;
        etcd.members[leader].process.kill();
        let begun = Instant::now();
        put(&store, "after").await;
        println!("{version}: a commit was done {:?} after the leader was killed", begun.elapsed());
        assert_eq!(value(&store).await.unwrap(), b"after");
        etcd.members[leader].process.restart();
        etcd.serves().await;
        assert_eq!(value(&etcd.open_at(leader)).await.unwrap(), b"after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_frozen_serves_nothing_stale_when_it_goes_on() {
    let etcd = Plan::new(NEW, 3).serving().await;
    let store = etcd.open();
    put(&store, "before").await;
    let leader = etcd.leader().await;
    let old = etcd.open_at(leader);
    old.read(TIME).await.unwrap();
    etcd.members[leader].process.freeze();
    let begun = Instant::now();
    let after = put(&store, "after").await;
    println!("a commit was done {:?} after the leader was frozen", begun.elapsed());
    // It still believes that it leads when it wakes up; what it is asked meanwhile waits in its socket.
    let asked = tokio::spawn({
        let old = old.clone();
        async move { old.read(CALL).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    etcd.members[leader].process.thaw();
    let shown = asked.await.unwrap().map(|snapshot| snapshot.entries[&Key::leader()].version);
    assert!(shown.as_ref().is_ok_and(|shown| *shown == after), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_member_costs_one_try() {
    let etcd = Plan::new(NEW, 3).serving().await;
    let leader = etcd.leader().await;
    let follower = (leader + 1) % 3;
    let mut urls = etcd.urls();
    urls.rotate_left(follower);
    let store = EtcdConfig::new(cluster("shop"), urls).build().unwrap();
    all_calls_work(&store, "all members are fine").await;
    etcd.members[follower].process.freeze();
    all_calls_work(&store, "the member in use is frozen").await;
    // With as little time as a renewal has at a ttl of 1 s.
    let little = Duration::from_millis(200);
    let mut guard = Guard::Version(Key::leader(), put(&store, "begin").await);
    for round in 0..20 {
        let done = store.commit(&write(vec![guard], format!("{round}")), little).await;
        guard = Guard::Version(Key::leader(), version(&done.unwrap()));
    }
    etcd.members[follower].process.thaw();
    all_calls_work(&store, "it goes on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_killed_and_started_again_with_their_data() {
    let etcd = Plan::new(OLD, 3).serving().await;
    let store = etcd.open();
    let before = put(&store, "kept").await;
    let from = store.read(TIME).await.unwrap().revision;
    for member in &etcd.members {
        member.process.kill();
    }
    let time = Duration::from_millis(300);
    assert_eq!(store.read(time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.commit(&write(vec![], "x"), time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.watch(from, time).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for member in &etcd.members {
        member.process.restart();
    }
    etcd.serves().await;
    let kept = store.read(TIME).await.unwrap();
    assert_eq!(
        (kept.entries[&Key::leader()].version, kept.entries[&Key::leader()].value.as_slice()),
        (before, b"kept".as_slice())
    );
    let after = store.commit(&write(vec![Guard::Version(Key::leader(), before)], "on"), TIME).await.unwrap();
    assert!(version(&after) > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_unknown_and_lands_once() {
    let etcd = Plan::new(NEW, 1).serving().await;
    let direct = etcd.open();
    let begin = put(&direct, "begin").await;
    let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), etcd.members[0].client);
    let short = Duration::from_millis(600);
    // One way to the store, whose answers are lost: it landed, and nobody can tell.
    let single = EtcdConfig::new(cluster("shop"), [format!("http://{}", proxy.address())]).build().unwrap();
    single.read(TIME).await.unwrap();
    proxy.set(Mood::Mute);
    let guard = Guard::Version(Key::leader(), begin);
    let error = single.commit(&write(vec![guard.clone()], "guarded"), short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{}", error.chain());
    assert_eq!(value(&direct).await.unwrap(), b"guarded");
    // Two ways: the second meets what the first has done, and must not call that somebody else's.
    proxy.set(Mood::Open);
    let both = urls_after(proxy.address(), &etcd).build().unwrap();
    let begin = put(&both, "begin").await;
    proxy.set(Mood::Mute);
    let guard = Guard::Version(Key::leader(), begin);
    let error = both.commit(&write(vec![guard], "met itself"), TIME).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{}", error.chain());
    assert_eq!(value(&direct).await.unwrap(), b"met itself");
    // Without a guard of its own it is sent by one way only.
    proxy.set(Mood::Open);
    let store = urls_after(proxy.address(), &etcd).build().unwrap();
    let from = store.read(TIME).await.unwrap().revision;
    let mut watch = direct.watch(from, TIME).await.unwrap();
    proxy.set(Mood::Mute);
    let error = store.commit(&write(vec![], "once"), short).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{}", error.chain());
    proxy.set(Mood::Open);
    put(&direct, "end").await;
    assert_eq!(crate::support::until_shown(&mut watch, "end").await, [b"once".to_vec(), b"end".to_vec()]);
}

/// A client whose connections belong to a runtime that has ended works in the next one.
#[test]
fn a_client_outlives_the_runtime_that_it_was_first_used_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (etcd, store) = runtime().block_on(async {
        let etcd = Plan::new(NEW, 1).serving().await;
        let store = etcd.open();
        put(&store, "one").await;
        (etcd, store)
    });
    runtime().block_on(async {
        all_calls_work(&store, "another runtime").await;
    });
    drop(etcd);
}
