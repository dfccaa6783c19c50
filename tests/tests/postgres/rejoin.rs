//! Members come back: as they are, rewound, or cloned anew.

use std::time::Instant;

use odoo_ha_core::database::{DatabaseState, FollowOrder, FollowedBy, StopMode};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;

use crate::support::{LONG, Place, all_of, followed_by, ids, kill, pair, streaming, take_over, value};

#[tokio::test]
async fn an_old_leader_that_stopped_cleanly_follows_as_it_is() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let stopped = a.stop(StopMode::Fast, LONG).await.unwrap();
    let promoted = take_over(&b, &begun, 2, 2).await;
    assert_eq!(promoted.switch_lsn, stopped.lsn);
    let clock = Instant::now();
    let followed = a.follow(&place.order(begun.system_id, "b", 2, 2), LONG).await.unwrap();
    println!("rejoin as it is: {} ms", clock.elapsed().as_millis());
    assert_eq!((followed.by, followed.data_id), (FollowedBy::Nothing, begun.data_id));
    streaming(&b, "a").await;
    let status = a.status(LONG).await.unwrap();
    assert_eq!((status.term, status.timeline), (Term(2), odoo_ha_core::lsn::Timeline(2)));
}

#[tokio::test]
async fn an_old_leader_that_crashed_with_all_replicated_follows_as_it_is() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
    place.client("a").await.batch_execute("create table t (n int)").await.unwrap();
    streaming(&a, "b").await;
    kill(&a).await;
    take_over(&b, &begun, 2, 2).await;
    let result = a.follow(&place.order(begun.system_id, "b", 2, 2), LONG).await;
    // A background record may have been written, and not sent, in the last instant.
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Diverged);
        return;
    }
    streaming(&b, "a").await;
}

/// `a` has commits that `b`, the new leader of term 2 and timeline 2, never got.
async fn diverged(
    place: &Place,
) -> (odoo_ha_backends::postgres::PostgresReplication, odoo_ha_backends::postgres::PostgresReplication, FollowOrder) {
    let (a, b, begun) = pair(place).await;
    let client = place.client("a").await;
    client.batch_execute("create table t as select generate_series(1, 1000) n").await.unwrap();
    streaming(&a, "b").await;
    b.freeze(LONG).await.unwrap();
    client.batch_execute("insert into t values (-1)").await.unwrap();
    kill(&a).await;
    take_over(&b, &begun, 2, 2).await;
    place.client("b").await.batch_execute("insert into t values (-2)").await.unwrap();
    (a, b, place.order(begun.system_id, "b", 2, 2))
}

#[tokio::test]
async fn an_old_leader_with_more_is_rewound() {
    let place = Place::new();
    let (a, b, mut order) = diverged(&place).await;
    assert_eq!(a.follow(&order, LONG).await.unwrap_err().kind(), ErrorKind::Diverged);
    order.may_discard = true;
    order.members = ids(&["b"]);
    let clock = Instant::now();
    assert_eq!(followed_by(a.follow(&order, LONG).await), FollowedBy::Rewind);
    println!("rejoin by rewind: {} ms", clock.elapsed().as_millis());
    streaming(&b, "a").await;
    crate::support::eventually("a has replayed", || async {
        a.status(LONG).await.unwrap().replayed >= b.status(LONG).await.unwrap().lsn
    })
    .await;
    assert_eq!(value(&place.client("a").await, "select string_agg(n::text, ',') from t where n < 0").await, "-2");
    let status = a.status(LONG).await.unwrap();
    assert_eq!((status.term, status.upstream), (Term(2), Some(crate::support::id("b"))));
    let settings = std::fs::read_to_string(place.data_dir("a").join("odoo-ha.conf")).unwrap();
    assert!(settings.contains("application_name=''a''"), "{settings}");
}

#[tokio::test]
async fn data_of_a_failed_rewind_are_never_started() {
    let place = Place::new();
    let (a, b, mut order) = diverged(&place).await;
    order.may_discard = true;
    // Programs like PostgreSQL's, except that the rewind breaks the data and fails.
    drop(a);
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for entry in std::fs::read_dir(crate::support::bin_dir()).unwrap().flatten() {
        std::os::unix::fs::symlink(entry.path(), bin.join(entry.file_name())).unwrap();
    }
    for broken in ["pg_rewind", "pg_basebackup"] {
        std::fs::remove_file(bin.join(broken)).unwrap();
        let script =
            format!("#!/bin/sh\nrm -f {}/global/1262\necho broken >&2\nexit 1\n", place.data_dir("a").display());
        std::fs::write(bin.join(broken), script).unwrap();
        std::fs::set_permissions(bin.join(broken), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let a = place.config("a").bin_dir(&bin).build().unwrap();
    let error = a.follow(&order, LONG).await.unwrap_err();
    assert!(error.to_string().contains("pg_basebackup"), "{error}");
    let status = a.status(LONG).await.unwrap();
    assert_eq!(status.state, DatabaseState::Absent);
    assert!(!status.weaknesses.is_empty());
    assert_eq!(a.freeze(LONG).await.unwrap_err().kind(), ErrorKind::NotReady);
    drop(a);

    let a = place.member("a");
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Absent, "it is remembered");
    let clock = Instant::now();
    assert_eq!(followed_by(a.follow(&order, LONG).await), FollowedBy::Clone);
    println!("rejoin by clone: {} ms", clock.elapsed().as_millis());
    streaming(&b, "a").await;
    assert!(place.socket_dir("a").join("kept").join("PG_VERSION").exists(), "the old data are kept aside");
}

#[tokio::test]
async fn an_operator_has_a_member_cloned_anew() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let before = b.status(LONG).await.unwrap().data_id;
    let mut order = place.order(begun.system_id, "a", 1, 1);
    order.reclone = true;
    assert_eq!(b.follow(&order, LONG).await.unwrap_err().kind(), ErrorKind::Diverged);
    order.may_discard = true;
    for _ in 0..2 {
        let followed = b.follow(&order, LONG).await.unwrap();
        assert_eq!(followed.by, FollowedBy::Clone);
        assert_ne!(Some(followed.data_id), before);
        streaming(&a, "b").await;
    }
}

#[tokio::test]
async fn a_standby_changes_over_to_the_new_leader_without_a_restart() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let c = place.member("c");
    c.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "c").await;
    let pid = c.postmaster_pid();
    kill(&a).await;
    let (on_b, on_c) = (b.freeze(LONG).await.unwrap(), c.freeze(LONG).await.unwrap());
    assert_eq!(on_b.lsn, on_c.lsn);
    take_over(&b, &begun, 2, 5).await;
    let clock = Instant::now();
    c.follow(&place.order(begun.system_id, "b", 2, 5), LONG).await.unwrap();
    streaming(&b, "c").await;
    println!("standby of the new leader, streaming: {} ms", clock.elapsed().as_millis());
    assert_eq!(c.postmaster_pid(), pid);
}

#[tokio::test]
async fn what_a_broken_off_bootstrap_left_is_no_cluster_of_its_own() {
    let place = Place::new();
    let (a, b) = (place.member("a"), place.member("b"));
    let taken = std::net::TcpListener::bind(("127.0.0.1", place.port("b"))).unwrap();
    let order = odoo_ha_core::database::BootstrapOrder { term: Term(1), adopt: false };
    assert_eq!(b.bootstrap(&order, LONG).await.unwrap_err().kind(), ErrorKind::Misconfigured);
    drop(taken);
    assert_eq!(b.status(LONG).await.unwrap().state, DatabaseState::Absent);
    let begun = crate::support::bootstrap(&a).await;
    assert_eq!(followed_by(b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await), FollowedBy::Clone);
    streaming(&a, "b").await;
}

#[tokio::test]
async fn a_promotion_that_was_broken_off_can_be_repeated() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    kill(&a).await;
    let frozen = b.freeze(LONG).await.unwrap();
    let order = crate::support::promote_order(&begun, 2, 2, frozen.lsn);
    // Cut at every stage: the reserved number must be the one that is used in the end.
    for cut_after_ms in [5, 15, 25, 35, 45, 60] {
        let time = std::time::Duration::from_millis(cut_after_ms);
        let _cut = b.promote(&order, time).await;
        if b.postmaster_pid().is_some() {
            kill(&b).await;
        }
        match b.freeze(LONG).await {
            Ok(again) if again.timeline == odoo_ha_core::lsn::Timeline(1) => assert_eq!(again.lsn, frozen.lsn),
            // It had become primary before it was cut.
            Ok(again) => {
                assert_eq!(again.timeline, odoo_ha_core::lsn::Timeline(2), "after {cut_after_ms} ms");
                return;
            }
            Err(error) => panic!("after {cut_after_ms} ms: {}", error.chain()),
        }
    }
    assert_eq!(b.promote(&order, LONG).await.unwrap().timeline.0, 2);
}
