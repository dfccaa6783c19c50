//! Several endpoints of which some are dead, frozen or half-dead.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use odoo_ha_backends::consul::ConsulConfig;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key, Revision};
use odoo_ha_tests::stores::{Mood, Proxy, free_port};

use crate::server::Consul;
use crate::{TIME, client, failure, leader, put, shop, write};

/// A first try, as it is by default, with what a busy machine may take on top.
const ONE_TRY: Duration = Duration::from_millis(500 + 5000);

fn local(port: u16) -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), port)
}

fn nobody() -> String {
    format!("http://{}", local(free_port([127, 0, 0, 1].into())))
}

/// Every call, made with much time through a client that begins with the first endpoint, costs one short try at most.
async fn costs_one_try(endpoints: &[String]) {
    let began = Instant::now();
    let snapshot = client(endpoints).read(TIME).await.unwrap();
    let version = snapshot.entries[&Key::leader()].version;
    assert!(began.elapsed() < ONE_TRY, "a read: {:?}", began.elapsed());

    let began = Instant::now();
    let guarded = write(vec![Guard::Version(Key::leader(), version)], b"guarded");
    let store = client(endpoints);
    store.commit(&guarded, TIME).await.unwrap();
    assert!(began.elapsed() < ONE_TRY, "a guarded commit: {:?}", began.elapsed());
    // The endpoint that answered is asked first: were it not, each of these would cost a try.
    let again = Instant::now();
    for _ in 0..20 {
        put(&store, b"again").await;
    }
    assert!(again.elapsed() < 20 * Duration::from_millis(400), "{:?}", again.elapsed());

    let began = Instant::now();
    put(&client(endpoints), b"unguarded").await;
    assert!(began.elapsed() < ONE_TRY, "a commit without a guard: {:?}", began.elapsed());

    let began = Instant::now();
    drop(client(endpoints).watch(snapshot.revision, TIME).await.unwrap());
    assert!(began.elapsed() < ONE_TRY, "beginning a watch: {:?}", began.elapsed());

    // With hardly any time there is still some for everybody.
    let quick = client(endpoints).read(Duration::from_millis(900)).await.unwrap();
    assert_eq!(quick.entries[&Key::leader()].value, b"unguarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_a_holding_and_a_frozen_member_cost_one_short_try() {
    let consul = Consul::single().await;
    let good = consul.agents[0].endpoint();
    put(&client(std::slice::from_ref(&good)), b"there").await;

    println!("nobody listens there");
    costs_one_try(&[nobody(), good.clone()]).await;

    println!("it accepts and answers nothing");
    let holding = Proxy::start(local(0), consul.agents[0].http);
    holding.set(Mood::Stall);
    costs_one_try(&[format!("http://{}", holding.address()), good.clone()]).await;

    println!("it accepts and closes");
    holding.set(Mood::Cut);
    costs_one_try(&[format!("http://{}", holding.address()), good.clone()]).await;

    println!("it is frozen");
    let frozen = Consul::single().await;
    frozen.agents[0].process.freeze();
    costs_one_try(&[frozen.agents[0].endpoint(), good]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_there_it_is_unavailable_at_once() {
    let store = client(&[nobody(), nobody()]);
    let began = Instant::now();
    let text = [
        failure(store.read(TIME).await),
        failure(store.commit(&write(vec![], b"x"), TIME).await),
        failure(store.commit(&write(vec![Guard::Absent(Key::leader())], b"x"), TIME).await),
        failure(store.watch(Revision(0), TIME).await),
    ];
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    for (kind, text) in text {
        assert_eq!(kind, ErrorKind::Unavailable, "{text}");
        assert!(text.contains("cannot be reached") && text.contains("refused"), "{text}");
    }
}

/// The first endpoint passes the commit on and loses the answer; the second try finds the guard gone, because of the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_told_by_its_stamp() {
    let consul = Consul::single().await;
    let good = consul.agents[0].endpoint();
    let direct = client(std::slice::from_ref(&good));
    let mute = Proxy::start(local(0), consul.agents[0].http);
    let store = client(&[format!("http://{}", mute.address()), good]);
    for round in 0..3_u8 {
        mute.set(Mood::Open);
        let before = put(&store, &[round, 0]).await;
        mute.set(Mood::Mute);
        let commit = write(vec![Guard::Version(Key::leader(), before)], &[round, 1]);
        let version = store.commit(&commit, TIME).await.unwrap().versions[&Key::leader()];
        let seen = leader(&direct).await.unwrap();
        assert_eq!((seen.value.as_slice(), seen.version), ([round, 1].as_slice(), version));
    }
}

/// The same with one endpoint and with somebody else's write over it: nobody can tell, and so it is told.
#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_commit_is_unknown_and_may_happen_late() {
    let consul = Consul::single().await;
    let store = client(&consul.endpoints());
    let mut possible = vec![put(&store, b"before").await];
    consul.agents[0].process.freeze();
    let time = Duration::from_millis(700);
    for value in [b"late1", b"late2"] {
        let commit = write(vec![Guard::Version(Key::leader(), possible[0])], value);
        let began = Instant::now();
        let (kind, text) = failure(store.commit(&commit, time).await);
        assert_eq!(kind, ErrorKind::Unknown, "{text}");
        assert!(began.elapsed() < time + Duration::from_secs(5), "{:?}", began.elapsed());
        assert!(text.contains("may have happened") && text.contains("did not answer"), "{text}");
    }
    assert_eq!(failure(store.read(time).await).0, ErrorKind::Unavailable);
    // Nothing of a commit without a guard was sent: the look before it was not answered.
    assert_eq!(failure(store.commit(&write(vec![], b"never"), time).await).0, ErrorKind::Unavailable);
    consul.agents[0].process.thaw();
    consul.ready().await;
    // At most one of them happened, and none happens after a commit that took their guard away.
    let seen = leader(&store).await.unwrap();
    assert!([b"before".as_slice(), b"late1", b"late2"].contains(&seen.value.as_slice()), "{seen:?}");
    possible.push(seen.version);
    let last = put(&store, b"last").await;
    assert!(!possible.contains(&last));
    for _ in 0..20 {
        let seen = leader(&store).await.unwrap();
        assert_eq!((seen.value.as_slice(), seen.version), (b"last".as_slice(), last));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_slower_than_a_try_is_heard_all_the_same() {
    let consul = Consul::single().await;
    let good = consul.agents[0].endpoint();
    // No try of 20 ms is enough for one that first connects through a proxy that is stalled for 100 ms.
    let slow = Proxy::start(local(0), consul.agents[0].http);
    let config = ConsulConfig::new([format!("http://{}", slow.address())], shop()).attempt(Duration::from_millis(20));
    let store = config.build().unwrap();
    put(&client(&[good]), b"there").await;
    slow.set(Mood::Stall);
    let opened = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        slow.set(Mood::Open);
    };
    let (snapshot, ()) = tokio::join!(store.read(TIME), opened);
    assert_eq!(snapshot.unwrap().entries[&Key::leader()].value, b"there");
}
