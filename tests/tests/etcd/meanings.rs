//! Five kinds of failures are five kinds: a table of what a real store answers.

use std::time::Duration;

use etcd_client::{AlarmAction, AlarmType, Txn, TxnOp};
use odoo_ha_backends::etcd::{EtcdConfig, EtcdDcs};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Guard, Key, Revision};
use odoo_ha_tests::stores::{Mood, Proxy, eventually};

use crate::support::{NEW, OLD, Plan, TIME, cluster, put, value, write};

const SHORT: Duration = Duration::from_millis(500);

struct Row {
    when: &'static str,
    call: &'static str,
    error: Error,
    kind: ErrorKind,
}

async fn reading(when: &'static str, store: &EtcdDcs, kind: ErrorKind) -> Row {
    Row { when, call: "read", error: store.read(SHORT).await.expect_err(when), kind }
}

async fn committing(when: &'static str, store: &EtcdDcs, guards: Vec<Guard>, kind: ErrorKind) -> Row {
    Row { when, call: "commit", error: store.commit(&write(guards, "x"), SHORT).await.expect_err(when), kind }
}

async fn watching(when: &'static str, store: &EtcdDcs, kind: ErrorKind) -> Row {
    Row { when, call: "watch", error: store.watch(Revision(0), SHORT).await.expect_err(when), kind }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_store_answers_is_one_of_five_kinds() {
    for version in [OLD, NEW] {
        let mut rows = Vec::new();
        let etcd = Plan::new(version, 1).arguments(&["--quota-backend-bytes=8388608"]).serving().await;
        let store = etcd.open();
        let old = put(&store, "old").await;
        let now = put(&store, "now").await;

        // Lost the race.
        use ErrorKind::{Conflict, Denied, Malformed, Unavailable, Unknown};
        rows.push(committing("the version is older", &store, vec![Guard::Version(Key::leader(), old)], Conflict).await);
        rows.push(committing("the key is there", &store, vec![Guard::Absent(Key::leader())], Conflict).await);
        rows.push(committing("the key is not there", &store, vec![Guard::Version(Key::sync(), now)], Conflict).await);

        // Unknown whether it happened.
        let proxy = Proxy::start("127.0.0.1:0".parse().unwrap(), etcd.members[0].client);
        let through = EtcdConfig::new(cluster("shop"), [format!("http://{}", proxy.address())]).build().unwrap();
        through.read(TIME).await.unwrap();
        proxy.set(Mood::Mute);
        rows.push(committing("the answer is lost", &through, vec![], Unknown).await);
        rows.push(reading("the answer is lost", &through, Unavailable).await);
        proxy.set(Mood::Open);
        through.read(TIME).await.unwrap();
        etcd.members[0].process.freeze();
        rows.push(committing("the member freezes", &through, vec![], Unknown).await);
        etcd.members[0].process.thaw();
        // What was unknown may land late: a guard on what came after it cannot.
        let settled = put(&store, "settled").await;

        // Its space is used up: etcd says so of what it refuses, and of the last that it did.
        let mut admin = etcd.admin().await;
        eventually("the space is used up", TIME, async || {
            let full = admin.put("/filler", vec![7; 1024 * 1024], None).await;
            full.err()
        })
        .await;
        rows.push(committing("no space is left", &store, vec![Guard::Version(Key::leader(), settled)], Unknown).await);
        assert_eq!(value(&store).await.unwrap(), b"settled");
        admin.alarm(AlarmAction::Deactivate, AlarmType::Nospace, None).await.unwrap();

        // A bad answer: there is more below the prefix than a cluster has.
        let crowded = Plan::new(version, 1).serving().await;
        let mut crowd = crowded.admin().await;
        for hundred in 0..51 {
            let puts = (0..100).map(|number| TxnOp::put(format!("/odoo-ha/shop/{hundred}.{number}"), "x", None));
            crowd.txn(Txn::new().and_then(puts.collect::<Vec<_>>())).await.unwrap();
        }
        rows.push(Row {
            call: "read",
            when: "thousands of keys",
            error: crowded.open().read(TIME).await.unwrap_err(),
            kind: Malformed,
        });

        // Not allowed.
        crowd.user_add("root", "word", None).await.unwrap();
        crowd.role_add("root").await.unwrap();
        crowd.user_grant_role("root", "root").await.unwrap();
        crowd.auth_enable().await.unwrap();
        let nobody = crowded.open();
        rows.push(reading("nobody asks", &nobody, Denied).await);
        rows.push(committing("nobody asks", &nobody, vec![], Denied).await);
        rows.push(watching("nobody asks", &nobody, Denied).await);

        // Away.
        crowded.members[0].process.kill();
        rows.push(reading("it is killed", &nobody, Unavailable).await);
        rows.push(committing("it is killed", &nobody, vec![], Unavailable).await);
        rows.push(watching("it is killed", &nobody, Unavailable).await);

        for Row { when, call, error, kind } in &rows {
            println!("{version} | {when} | {call} | {} | {}", error.kind(), error.chain());
            assert_eq!(error.kind(), *kind, "{version}, {when}, {call}: {}", error.chain());
        }
    }
}
