//! Clusters begin, and what is there is adopted.

use odoo_ha_core::database::{BootstrapOrder, DatabaseState, StartPrimaryOrder, StopMode, SynchronousStandbys};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;

use crate::support::{LONG, Place, bootstrap, id, ids, pair, streaming};

#[tokio::test]
async fn a_new_cluster_serves_and_is_found_again() {
    let place = Place::new();
    let a = place.member("a");
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Absent);
    let begun = bootstrap(&a).await;
    let status = a.status(LONG).await.unwrap();
    assert_eq!(status.state, DatabaseState::Primary);
    assert_eq!((status.system_id, status.data_id.as_ref()), (Some(begun.system_id), Some(&begun.data_id)));
    assert_eq!((status.term, status.timeline), (Term(1), Timeline(1)));
    assert_eq!(status.synchronous, Some(SynchronousStandbys::Nobody));
    assert_eq!(status.weaknesses, Vec::<String>::new());

    let pid = a.postmaster_pid();
    drop(a);
    let again = place.member("a");
    assert_eq!(again.postmaster_pid(), pid, "the database outlives the agent and is adopted");
    assert_eq!(again.status(LONG).await.unwrap().state, DatabaseState::Primary);
    let order =
        StartPrimaryOrder { term: Term(1), synchronous: SynchronousStandbys::Nobody, members: ids(&["a", "b"]) };
    again.start_primary(&order, LONG).await.unwrap();
    assert_eq!(again.postmaster_pid(), pid, "what runs is not started again");
    let client = place.client("a").await;
    assert_eq!(crate::support::rows(&client, "select slot_name from pg_replication_slots").await, ["odoo_ha_b"]);
    // The kernels that tests run on tell of errors; where PostgreSQL is too old, it does not know the setting.
    let how = "select setting from pg_settings where name = 'recovery_init_sync_method'";
    assert!(crate::support::rows(&client, how).await.iter().all(|how| how == "syncfs"));
}

#[tokio::test]
async fn a_bootstrap_asks_before_it_takes_data() {
    let place = Place::new();
    let a = place.member("a");
    let adopt = BootstrapOrder { term: Term(3), adopt: true };
    let error = a.bootstrap(&adopt, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    let begun = bootstrap(&a).await;
    let error = a.bootstrap(&BootstrapOrder { term: Term(3), adopt: false }, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("adopt"), "{error}");
    let adopted = a.bootstrap(&adopt, LONG).await.unwrap();
    assert_eq!(adopted.system_id, begun.system_id);
    assert_ne!(adopted.data_id, begun.data_id);
    assert_eq!(a.status(LONG).await.unwrap().term, Term(3));
}

#[tokio::test]
async fn a_bootstrap_that_was_broken_off_is_begun_again() {
    let place = Place::new();
    let a = place.member("a");
    for cut_after_ms in [1, 40, 400, 900] {
        let time = std::time::Duration::from_millis(cut_after_ms);
        let _cut = a.bootstrap(&BootstrapOrder { term: Term(1), adopt: false }, time).await;
        if a.status(LONG).await.unwrap().term == Term(1) {
            return;
        }
    }
    bootstrap(&a).await;
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::Primary);
}

#[tokio::test]
async fn a_standby_is_cloned_and_streams() {
    let place = Place::new();
    let begun_at = std::time::Instant::now();
    let (a, b, begun) = pair(&place).await;
    println!("bootstrap and clone: {} ms", begun_at.elapsed().as_millis());
    place.client("a").await.batch_execute("create table t (n int); insert into t values (1)").await.unwrap();
    crate::support::streaming(&a, "b").await;
    let status = b.status(LONG).await.unwrap();
    assert_eq!(status.state, DatabaseState::Standby);
    assert_eq!(status.upstream, Some(id("a")));
    assert!(status.streaming);
    assert_eq!((status.term, status.system_id), (Term(1), Some(begun.system_id)));
    assert!(status.data_id.is_some() && status.data_id != Some(begun.data_id));
    crate::support::eventually("b has replayed", || async {
        b.status(LONG).await.unwrap().replayed >= a.status(LONG).await.unwrap().lsn
    })
    .await;
    assert_eq!(crate::support::value(&place.client("b").await, "select n from t").await, "1");
}

#[tokio::test]
async fn a_primary_starts_only_under_its_own_term() {
    let place = Place::new();
    let (a, b, _) = pair(&place).await;
    for member in [&a, &b] {
        member.stop(StopMode::Fast, LONG).await.unwrap();
    }
    let order =
        |term| StartPrimaryOrder { term: Term(term), synchronous: SynchronousStandbys::Nobody, members: ids(&[]) };
    assert_eq!(a.start_primary(&order(2), LONG).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(a.status(LONG).await.unwrap().state, DatabaseState::StoppedCleanly);
    assert_eq!(b.start_primary(&order(1), LONG).await.unwrap_err().kind(), ErrorKind::NotReady);
    let synchronous = SynchronousStandbys::all_of(ids(&["b"]));
    a.start_primary(&StartPrimaryOrder { synchronous: synchronous.clone(), ..order(1) }, LONG).await.unwrap();
    assert_eq!(a.status(LONG).await.unwrap().synchronous, Some(synchronous));
}

#[tokio::test]
async fn members_stream_clone_and_rewind_with_a_password() {
    use odoo_ha_backends::Secret;
    const SECRET: &str = "it's : a \\ secret";
    let place = Place::new();
    let member =
        |name| place.config(name).password(Secret::new(SECRET)).parameter("log_statement", "all").build().unwrap();
    let (a, b) = (member("a"), member("b"));
    let begun = bootstrap(&a).await;
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    crate::support::streaming(&a, "b").await;
    b.freeze(LONG).await.unwrap();
    place.client("a").await.batch_execute("create table t (n int)").await.unwrap();
    crate::support::kill(&a).await;
    crate::support::take_over(&b, &begun, 2, 2).await;
    let mut order = place.order(begun.system_id, "b", 2, 2);
    order.may_discard = true;
    let by = crate::support::followed_by(a.follow(&order, LONG).await);
    assert_eq!(by, odoo_ha_core::database::FollowedBy::Rewind);
    crate::support::streaming(&b, "a").await;
    for name in ["a", "b"] {
        let log = std::fs::read_to_string(place.socket_dir(name).join("postgres.log")).unwrap();
        assert!(log.contains("pg_promote") || name == "a", "statements are logged");
        assert!(!log.contains("secret"), "the password is in the log of {name}");
        let settings = std::fs::read_to_string(place.data_dir(name).join("odoo-ha.conf")).unwrap();
        assert!(!settings.contains("secret"), "the password is in the settings of {name}");
    }
    let wrong = place.config("c").password(Secret::new("wrong")).build().unwrap();
    let error = wrong.follow(&order, LONG).await.unwrap_err();
    assert_eq!(error.kind(), odoo_ha_core::error::ErrorKind::Denied, "{}", error.chain());
    assert!(!format!("{error:?} {wrong:?}").contains("wrong\""));
}

#[tokio::test]
async fn leader_and_member_make_the_same_slot_at_once() {
    let place = Place::new();
    let (a, b) = (place.member("a"), place.member("b"));
    let begun = bootstrap(&a).await;
    let session = place.client("a").await;
    for _ in 0..100 {
        let members = ids(&["a", "b"]);
        let keeping = a.keep_slots(&members, LONG);
        // As the member does, at the same moment.
        let making = session.batch_execute("select pg_create_physical_replication_slot('odoo_ha_b', true)");
        let (kept, _either_is_first) = tokio::join!(keeping, making);
        kept.unwrap();
        a.keep_slots(&ids(&["a"]), LONG).await.unwrap();
    }
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "b").await;
}
