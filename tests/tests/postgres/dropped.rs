//! Standbys that commits no longer wait for.

use odoo_ha_core::database::{SynchronousOrder, SynchronousStandbys};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;
use rustix::process::Signal;

use crate::support::{LONG, Place, all_of, bootstrap, eventually, id, ids, rows, signal, streaming, value};

/// A machine that vanishes leaves a connection that only a time-out ends, and it holds the slot. Here there is no time-out.
#[tokio::test]
async fn the_connection_of_one_that_does_not_answer_is_ended() {
    let place = Place::new();
    let a = place.config("a").parameter("wal_sender_timeout", "0").build().unwrap();
    let (b, c) = (place.member("b"), place.member("c"));
    let begun = bootstrap(&a).await;
    a.keep_slots(&ids(&["a", "b", "c"]), LONG).await.unwrap();
    for standby in [&b, &c] {
        standby.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    }
    streaming(&a, "b").await;
    streaming(&a, "c").await;
    a.set_synchronous(&all_of(1, &["b", "c"]), LONG).await.unwrap();
    let writer = place.client("a").await;
    let sender = "select pid::text from pg_stat_replication where application_name = 'c'";
    let healthy = value(&writer, sender).await;

    let receiver = value(&place.client("b").await, "select pid::text from pg_stat_wal_receiver").await.parse().unwrap();
    signal(receiver, Signal::STOP);
    writer.batch_execute("set synchronous_commit = local; create table t (n int)").await.unwrap();
    streaming(&a, "c").await;
    let nobody = SynchronousOrder { term: Term(1), standbys: SynchronousStandbys::Nobody, barrier: false };
    a.set_synchronous(&nobody, LONG).await.unwrap();
    let slot = "select 1 from pg_replication_slots where slot_name = 'odoo_ha_b' and active";
    eventually("the slot is free", || async { rows(&writer, slot).await.is_empty() }).await;
    assert_eq!(value(&writer, sender).await, healthy, "who answers is left alone");

    signal(receiver, Signal::CONT);
    streaming(&a, "b").await;
    assert!(a.status(LONG).await.unwrap().standbys.contains_key(&id("c")));
}
