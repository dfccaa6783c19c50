//! Promotions choose the timeline that their reign reserved.

use std::time::Instant;

use odoo_ha_core::database::{DatabaseState, PromoteOrder, SynchronousStandbys};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;

use crate::support::{LONG, Place, ids, kill, pair, promote_order, take_over, value};

#[tokio::test]
async fn a_promotion_takes_the_reserved_timeline_and_its_settings_are_in_force_before() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    kill(&a).await;
    let frozen = b.freeze(LONG).await.unwrap();
    let order = PromoteOrder {
        synchronous: SynchronousStandbys::all_of(ids(&["a"])),
        members: ids(&["a", "b"]),
        ..promote_order(&begun, 4, 7, frozen.lsn)
    };
    let clock = Instant::now();
    let promoted = b.promote(&order, LONG).await.unwrap();
    println!("promotion: {} ms", clock.elapsed().as_millis());
    assert_eq!((promoted.timeline, promoted.switch_lsn), (Timeline(7), frozen.lsn));
    assert!(promoted.lsn > frozen.lsn);
    let status = b.status(LONG).await.unwrap();
    assert_eq!((status.state, status.timeline, status.term), (DatabaseState::Primary, Timeline(7), Term(4)));
    assert_eq!(status.synchronous, Some(SynchronousStandbys::all_of(ids(&["a"]))));
    assert_eq!(b.promote(&order, LONG).await.unwrap().timeline, Timeline(7), "repeated, it finds it so");
    assert_eq!(value(&place.client("b").await, "select slot_name from pg_replication_slots").await, "odoo_ha_a");
}

#[tokio::test]
async fn a_promotion_is_refused_when_it_must_be() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let refused = async |order: PromoteOrder| b.promote(&order, LONG).await.unwrap_err().kind();
    assert_eq!(refused(promote_order(&begun, 2, 2, Lsn(0))).await, ErrorKind::NotReady, "not frozen");
    kill(&a).await;
    let frozen = b.freeze(LONG).await.unwrap();
    assert_eq!(refused(promote_order(&begun, 0, 2, Lsn(0))).await, ErrorKind::Fenced);
    assert_eq!(refused(promote_order(&begun, 2, 2, Lsn(frozen.lsn.0 + 8))).await, ErrorKind::NotReady);
    assert_eq!(refused(promote_order(&begun, 2, 1, Lsn(0))).await, ErrorKind::NotReady, "no new timeline");
    let mut foreign = promote_order(&begun, 2, 2, Lsn(0));
    foreign.system_id.0 += 1;
    assert_eq!(refused(foreign).await, ErrorKind::Misconfigured);
    assert_eq!(b.status(LONG).await.unwrap().state, DatabaseState::Standby);
}

#[tokio::test]
async fn two_reigns_never_share_a_timeline() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    kill(&a).await;
    // Both leave timeline 1, as after a reign whose leader vanished at once.
    assert_eq!(take_over(&b, &begun, 2, 2).await.timeline, Timeline(2));
    assert_eq!(take_over(&a, &begun, 3, 3).await.timeline, Timeline(3));
    kill(&b).await;
    let order = place.order(begun.system_id, "a", 3, 3);
    assert_eq!(b.follow(&order, LONG).await.unwrap_err().kind(), ErrorKind::Diverged);
    let order = odoo_ha_core::database::FollowOrder { may_discard: true, ..order };
    let followed = b.follow(&order, LONG).await;
    assert_eq!(crate::support::followed_by(followed), odoo_ha_core::database::FollowedBy::Rewind);
    crate::support::streaming(&a, "b").await;
}

#[tokio::test]
async fn the_same_timeline_of_another_term_is_divergence() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    kill(&a).await;
    take_over(&b, &begun, 2, 2).await;
    take_over(&a, &begun, 3, 2).await;
    kill(&b).await;
    let mut order = place.order(begun.system_id, "a", 3, 2);
    assert_eq!(b.follow(&order, LONG).await.unwrap_err().kind(), ErrorKind::Diverged);
    order.may_discard = true;
    let followed = b.follow(&order, LONG).await;
    assert_eq!(
        crate::support::followed_by(followed),
        odoo_ha_core::database::FollowedBy::Clone,
        "a rewind would see nothing to do"
    );
    crate::support::streaming(&a, "b").await;
}
