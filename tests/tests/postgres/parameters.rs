//! Settings of PostgreSQL that are changed while it runs.

use std::collections::BTreeMap;

use odoo_ha_core::database::{StartPrimaryOrder, StopMode, SynchronousStandbys};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;

use crate::errors::misconfigured;
use crate::support::{LONG, Place, all_of, bootstrap, ids, pair, value};

fn parameters(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn changed_parameters_count_at_once_and_those_that_need_a_restart_are_named() {
    let place = Place::new();
    let (a, _b, _) = pair(&place).await;
    a.set_synchronous(&all_of(1, &["b"]), LONG).await.unwrap();
    let show = async |name: &str| value(&place.client("a").await, &format!("show {name}")).await;
    // It would be read after the agent's file.
    place.client("a").await.batch_execute("alter system set work_mem = '3MB'").await.unwrap();
    let new = parameters(&[("Work_Mem", "7MB"), ("max_connections", "77"), ("shared_buffers", "16MB")]);
    assert_eq!(a.set_parameters(new.clone(), LONG).await.unwrap(), ["max_connections"]);
    assert_eq!(show("work_mem").await, "7MB");
    assert_eq!(show("max_connections").await, "100");
    let status = a.status(LONG).await.unwrap();
    assert_eq!(status.pending_restart, ["max_connections"]);
    assert_eq!(
        status.synchronous,
        Some(SynchronousStandbys::all_of(ids(&["b"]))),
        "what the agent owns stays in force"
    );

    for (name, value, words) in [
        ("work_mem", "a lot", "work_mem"),
        ("no_such_setting", "1", "no_such_setting"),
        ("synchronous_standby_names", "*", "the agent's own"),
        ("Primary_Conninfo", "host=x", "the agent's own"),
        ("work mem", "1", "not the name"),
    ] {
        misconfigured(a.set_parameters(parameters(&[(name, value)]), LONG).await, words);
    }
    assert_eq!(show("work_mem").await, "7MB", "what is refused changes nothing");
    assert_eq!(a.set_parameters(new, LONG).await.unwrap(), ["max_connections"]);

    a.stop(StopMode::Fast, LONG).await.unwrap();
    let order =
        StartPrimaryOrder { term: Term(1), synchronous: SynchronousStandbys::Nobody, members: ids(&["a", "b"]) };
    a.start_primary(&order, LONG).await.unwrap();
    assert_eq!((show("max_connections").await, show("work_mem").await), ("77".into(), "7MB".into()));
    assert_eq!(a.status(LONG).await.unwrap().pending_restart, Vec::<String>::new());
}

#[tokio::test]
async fn parameters_of_a_database_that_does_not_run_are_checked_all_the_same() {
    let place = Place::new();
    let a = place.member("a");
    assert_eq!(a.set_parameters(parameters(&[("work_mem", "6MB")]), LONG).await.unwrap(), Vec::<String>::new());
    bootstrap(&a).await;
    assert_eq!(value(&place.client("a").await, "show work_mem").await, "6MB");
    a.stop(StopMode::Fast, LONG).await.unwrap();
    misconfigured(a.set_parameters(parameters(&[("work_mem", "-5")]), LONG).await, "work_mem");
    a.set_parameters(parameters(&[("work_mem", "5MB")]), LONG).await.unwrap();
    let order = StartPrimaryOrder { term: Term(1), synchronous: SynchronousStandbys::Nobody, members: ids(&[]) };
    a.start_primary(&order, LONG).await.unwrap();
    assert_eq!(value(&place.client("a").await, "show work_mem").await, "5MB");
}
