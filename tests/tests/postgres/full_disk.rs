//! The disk is full: said so, with what to do, and nothing is lost when there is room again.

use odoo_ha_core::database::{
    BootstrapOrder, DatabaseState, FollowedBy, StartPrimaryOrder, StopMode, SynchronousStandbys,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;
use odoo_ha_tests::small_disk::on_small_disk;

use crate::support::{LONG, Place, bootstrap, kill, streaming, value};

/// Enough for one small database.
const ENOUGH_MB: u32 = 400;

/// Not enough for any.
const TOO_LITTLE_KB: u32 = 20 * 1024;

#[track_caller]
fn is_full<T>(result: Result<T, Error>) {
    let Err(error) = result else { panic!("there was room") };
    println!("{}", error.chain());
    assert_eq!(error.kind(), ErrorKind::Disk, "{}", error.chain());
    assert!(error.to_string().contains("make room"), "{error} does not say what to do");
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(test);
}

fn start_order() -> StartPrimaryOrder {
    StartPrimaryOrder { term: Term(1), synchronous: SynchronousStandbys::Nobody, members: Default::default() }
}

#[test]
fn a_new_database_that_has_no_room_is_made_when_there_is() {
    on_small_disk("full_disk::a_new_database_that_has_no_room_is_made_when_there_is", TOO_LITTLE_KB, |disk| {
        run(async {
            let place = Place::at(disk.path());
            let a = place.member("a");
            is_full(a.bootstrap(&BootstrapOrder { term: Term(1), adopt: false }, LONG).await);
            assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Absent);
            assert_eq!(place.processes(), Vec::<i32>::new());
            disk.resize(ENOUGH_MB);
            bootstrap(&a).await;
            assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Primary);
            kill(&a).await;
        });
    });
}

#[test]
fn a_stopped_database_that_has_no_room_to_start_has_lost_nothing() {
    on_small_disk(
        "full_disk::a_stopped_database_that_has_no_room_to_start_has_lost_nothing",
        ENOUGH_MB * 1024,
        |disk| {
            run(async {
                let place = Place::at(disk.path());
                let a = place.member("a");
                bootstrap(&a).await;
                place
                    .client("a")
                    .await
                    .batch_execute("create table t (n int); insert into t values (1)")
                    .await
                    .unwrap();
                a.stop(StopMode::Fast, LONG).await.unwrap();
                disk.fill();
                is_full(a.start_primary(&start_order(), LONG).await);
                let status = a.status(LONG).await.unwrap();
                assert!(!status.state.runs(), "{status:?}");
                disk.make_room();
                a.start_primary(&start_order(), LONG).await.unwrap();
                assert_eq!(value(&place.client("a").await, "select count(*) from t").await, "1");
                kill(&a).await;
            });
        },
    );
}

#[test]
fn a_disk_that_fills_under_a_primary_costs_no_acknowledged_commit() {
    on_small_disk(
        "full_disk::a_disk_that_fills_under_a_primary_costs_no_acknowledged_commit",
        ENOUGH_MB * 1024,
        |disk| {
            run(async {
                let place = Place::at(disk.path());
                let a = place.member("a");
                bootstrap(&a).await;
                let client = place.client("a").await;
                client.batch_execute("create table t (n int, filling text)").await.unwrap();
                disk.fill();
                let mut acknowledged = 0;
                // Until neither table nor log can grow.
                while client.batch_execute("insert into t values (1, repeat(md5(random()::text), 1000))").await.is_ok()
                {
                    acknowledged += 1;
                }
                println!("{acknowledged} commits had room");
                let state = a.status(LONG).await.unwrap().state;
                assert!(
                    matches!(state, DatabaseState::Primary | DatabaseState::Starting | DatabaseState::Crashed),
                    "{state:?}"
                );
                disk.make_room();
                // Whatever the full disk made of it.
                kill(&a).await;
                a.start_primary(&start_order(), LONG).await.unwrap();
                let client = place.client("a").await;
                let found: u64 = value(&client, "select count(*) from t").await.parse().unwrap();
                assert!(found >= acknowledged, "{found} of {acknowledged} acknowledged");
                client.batch_execute("insert into t values (2, '')").await.unwrap();
                kill(&a).await;
            });
        },
    );
}

#[test]
fn a_clone_that_has_no_room_is_made_when_there_is() {
    on_small_disk("full_disk::a_clone_that_has_no_room_is_made_when_there_is", TOO_LITTLE_KB, |disk| {
        run(async {
            let (elsewhere, place) = (Place::new(), Place::at(disk.path()));
            let (a, b) = (elsewhere.member("a"), place.member("b"));
            let begun = bootstrap(&a).await;
            let order = elsewhere.order(begun.system_id, "a", 1, 1);
            is_full(b.follow(&order, LONG).await);
            assert!(!b.status(LONG).await.unwrap().state.runs());
            disk.resize(ENOUGH_MB);
            assert_eq!(b.follow(&order, LONG).await.unwrap().by, FollowedBy::Clone);
            streaming(&a, "b").await;
            kill(&b).await;
            kill(&a).await;
        });
    });
}
