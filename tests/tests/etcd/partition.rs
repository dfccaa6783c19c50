//! A member that others cannot reach.

use std::time::Duration;

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, DcsWatch, WatchEvent};
use odoo_ha_core::store::{Guard, Key, Revision};
use odoo_ha_tests::stores::{Mood, eventually};

use crate::support::{Etcd, NEW, OLD, Plan, TIME, event, put, value, write};

/// Cuts a member from all others, or joins it again.
fn part(etcd: &Etcd, cut_off: usize, mood: Mood) {
    let its = etcd.members[cut_off].process.pid();
    for (number, member) in etcd.members.iter().enumerate() {
        let proxy = member.peers.as_ref().unwrap();
        if number == cut_off {
            proxy.set(mood);
        } else {
            proxy.set_for(its, mood);
        }
    }
}

/// Waits until a watch shows this value. It may end while no member leads, and is begun anew then; it never leaves out anything.
async fn shows(store: &dyn Dcs, watch: &mut Box<dyn DcsWatch>, from: Revision, text: &str) {
    loop {
        match event(watch).await {
            Ok(WatchEvent::Changed { changes, .. }) => {
                if changes.iter().filter_map(|change| change.entry.as_ref()).any(|entry| entry.value == text.as_bytes())
                {
                    return;
                }
            }
            Ok(WatchEvent::Gap) => panic!("nothing was compacted"),
            Err(_) => *watch = store.watch(from, TIME).await.unwrap(),
        }
    }
}

async fn minority(version: &'static str, the_leader: bool) {
    let etcd = Plan::new(version, 3).proxies().serving().await;
    let store = etcd.open();
    let before = put(&store, "before").await;
    // It can never land once the majority has gone on, however late it arrives.
    let stale = write(vec![Guard::Version(Key::leader(), before)], "minority");
    let leader = etcd.leader().await;
    let cut_off = if the_leader { leader } else { (leader + 1) % 3 };
    let alone = etcd.open_at(cut_off);
    let from = alone.read(TIME).await.unwrap().revision;
    let mut lonely = alone.watch(from, TIME).await.unwrap();
    // Begins at the same member, and knows the others.
    let mut urls = etcd.urls();
    urls.rotate_left(cut_off);
    let well = odoo_ha_backends::etcd::EtcdConfig::new(crate::support::cluster("shop"), urls).build().unwrap();
    well.read(TIME).await.unwrap();
    let mut watch = well.watch(from, TIME).await.unwrap();

    part(&etcd, cut_off, Mood::Stall);
    put(&store, "majority").await;
    shows(&well, &mut watch, from, "majority").await;
    // The member has what it had, and does not show it.
    let time = Duration::from_millis(500);
    let read = alone.read(time).await;
    assert_eq!(read.as_ref().unwrap_err().kind(), ErrorKind::Unavailable, "{read:?}");
    let committed = alone.commit(&stale, time).await.unwrap_err();
    assert!(matches!(committed.kind(), ErrorKind::Unavailable | ErrorKind::Unknown), "{}", committed.chain());
    let end = event(&mut lonely).await;
    assert_eq!(end.as_ref().unwrap_err().kind(), ErrorKind::Unavailable, "{end:?}");
    // Once it has noticed, what it is asked is refused, and that is certain.
    eventually("the member knows that it has no leader", TIME, async || {
        let error = alone.commit(&stale, time).await.unwrap_err();
        (error.kind() == ErrorKind::Unavailable).then_some(())
    })
    .await;

    part(&etcd, cut_off, Mood::Open);
    eventually("the member is back", TIME, async || alone.read(Duration::from_secs(1)).await.ok()).await;
    let last = put(&well, "healed").await;
    assert_eq!(alone.read(TIME).await.unwrap().entries[&Key::leader()].version, last);
    shows(&well, &mut watch, from, "healed").await;
    let mut again = alone.watch(from, TIME).await.unwrap();
    assert!(matches!(event(&mut again).await, Ok(WatchEvent::Changed { .. })));
    assert_eq!(value(&store).await.unwrap(), b"healed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_serves_nothing_stale_3_4() {
    minority(OLD, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_serves_nothing_stale_3_5() {
    minority(NEW, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_cut_off_serves_nothing_stale() {
    minority(NEW, false).await;
}
