//! A clone and a rewind bring the other member's files along; what the agent owns is this member's own again before the database starts.

use odoo_ha_core::database::FollowedBy;
use odoo_ha_core::roles::ReplicationManager;

use crate::support::{LONG, Place, followed_by, kill, pair, rows, streaming, take_over};

/// As an operator's `ALTER SYSTEM` left them on the other member.
const FOREIGN: [&str; 4] = [
    "alter system set primary_conninfo = 'host=127.0.0.1 port=1 application_name=somebody'",
    "alter system set primary_slot_name = 'somebody'",
    "alter system set synchronous_standby_names = '*'",
    "alter system set work_mem = '5MB'",
];

#[tokio::test]
async fn settings_of_the_other_member_are_not_taken_over() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let on_a = place.client("a").await;
    on_a.batch_execute("create table t (n int)").await.unwrap();
    streaming(&a, "b").await;
    b.freeze(LONG).await.unwrap();
    on_a.batch_execute("insert into t values (1)").await.unwrap();
    kill(&a).await;
    take_over(&b, &begun, 2, 2).await;
    let on_b = place.client("b").await;
    for statement in FOREIGN {
        on_b.batch_execute(statement).await.unwrap();
    }
    let mut order = place.order(begun.system_id, "b", 2, 2);
    order.may_discard = true;
    for expected in [FollowedBy::Rewind, FollowedBy::Clone] {
        order.reclone = expected == FollowedBy::Clone;
        assert_eq!(followed_by(a.follow(&order, LONG).await), expected);
        streaming(&b, "a").await;
        let auto = std::fs::read_to_string(place.data_dir("a").join("postgresql.auto.conf")).unwrap();
        assert!(auto.contains("work_mem"), "what the agent does not own came along: {auto}");
        let shown = rows(
            &place.client("a").await,
            "select name || '=' || setting from pg_settings where name in ('primary_slot_name', 'synchronous_standby_names', \
             'work_mem', 'cluster_name') order by name",
        )
        .await;
        let own = ["cluster_name=a", "primary_slot_name=odoo_ha_a", "synchronous_standby_names=", "work_mem=5120"];
        assert_eq!(shown, own, "after {expected:?}");
        let conninfo = rows(&place.client("a").await, "show primary_conninfo").await.concat();
        assert!(
            conninfo.contains(&format!("port={}", place.port("b"))) && !conninfo.contains("somebody"),
            "{conninfo}"
        );
        assert!(conninfo.contains("application_name='a'"), "{conninfo}");
    }
}
