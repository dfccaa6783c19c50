//! What is wrong is said once, clearly, with what to do.

use std::os::unix::fs::PermissionsExt;

use odoo_ha_backends::Secret;
use odoo_ha_backends::postgres::PostgresConfig;
use odoo_ha_core::database::{BootstrapOrder, Endpoint};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;

use crate::support::{LONG, Place, bootstrap, id, kill, pair};

#[track_caller]
pub(crate) fn misconfigured<T>(result: Result<T, Error>, words: &str) {
    let Err(error) = result else { panic!("it was accepted; expected {words:?}") };
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{text}");
    assert!(text.contains(words), "{text:?} does not say {words:?}");
    assert!(text.contains('('), "{text:?} does not say what to do");
}

#[tokio::test]
async fn no_postgresql_or_the_wrong_one_is_named() {
    let place = Place::new();
    misconfigured(place.config("a").bin_dir("/nowhere").build(), "/nowhere/postgres");
    let fake = place.path().join("bin");
    std::fs::create_dir(&fake).unwrap();
    std::fs::write(fake.join("postgres"), "#!/bin/sh\necho 'postgres (PostgreSQL) 11.22'\n").unwrap();
    std::fs::set_permissions(fake.join("postgres"), std::fs::Permissions::from_mode(0o755)).unwrap();
    misconfigured(
        place.config("a").bin_dir(&fake).build(),
        "PostgreSQL 11 is not supported (supported are versions 13 to 18)",
    );
    std::fs::create_dir(place.data_dir("a")).unwrap();
    std::fs::write(place.data_dir("a").join("PG_VERSION"), "14\n").unwrap();
    misconfigured(place.config("a").build(), "14");
    std::fs::write(place.data_dir("a").join("PG_VERSION"), "12\n").unwrap();
    misconfigured(place.config("a").bin_dir("/usr/lib/postgresql/15/bin").build(), "12");
}

#[tokio::test]
async fn a_config_that_cannot_work_is_refused() {
    let place = Place::new();
    misconfigured(place.config("a").networks(["10.0.0.0/24"]).build(), "password");
    misconfigured(place.config("a").networks(["10.0.0.0/240"]).password(Secret::new("x")).build(), "10.0.0.0/240");
    misconfigured(place.config("a").parameter("primary_conninfo", "x").build(), "primary_conninfo");
    misconfigured(place.config("a").socket_dir(place.path().join("x".repeat(120))).build(), "socket_dir");
    if rustix::process::geteuid().is_root() {
        misconfigured(place.config("a").run_as("nobody_of_that_name").build(), "nobody_of_that_name");
        misconfigured(place.config("a").run_as("root").build(), "root");
        let closed = place.path().join("closed");
        std::fs::create_dir(&closed).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        let endpoint = Endpoint { host: "127.0.0.1".into(), port: 1 };
        misconfigured(PostgresConfig::new(id("a"), closed.join("data"), endpoint).build(), "may not enter");
    }
    let first = place.member("a");
    misconfigured(place.config("a").build(), "another agent");
    drop(first);
    place.member("a");
}

#[tokio::test]
async fn a_directory_of_something_else_is_left_alone() {
    let place = Place::new();
    std::fs::create_dir(place.data_dir("a")).unwrap();
    std::fs::write(place.data_dir("a").join("holiday.jpg"), "x").unwrap();
    let a = place.member("a");
    misconfigured(a.status(LONG).await, "not a data directory");
    misconfigured(a.bootstrap(&BootstrapOrder { term: Term(1), adopt: false }, LONG).await, "not empty");
    misconfigured(a.bootstrap(&BootstrapOrder { term: Term(1), adopt: true }, LONG).await, "not a data directory");
    assert!(place.data_dir("a").join("holiday.jpg").exists());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let place = Place::new();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", place.port("a"))).unwrap();
    let a = place.member("a");
    let result = a.bootstrap(&BootstrapOrder { term: Term(1), adopt: false }, LONG).await;
    misconfigured(result, &format!("port {}", place.port("a")));
    drop(_taken);
    bootstrap(&a).await;
}

#[tokio::test]
async fn another_cluster_is_not_followed() {
    let place = Place::new();
    let (_a, b, begun) = pair(&place).await;
    let other = place.member("other");
    let foreign = bootstrap(&other).await;
    misconfigured(b.follow(&place.order(begun.system_id, "other", 2, 1), LONG).await, "another cluster");
    misconfigured(b.follow(&place.order(foreign.system_id, "other", 2, 1), LONG).await, "another cluster");
    kill(&other).await;
    let mut order = place.order(begun.system_id, "other", 2, 1);
    assert_eq!(b.follow(&order, LONG).await.unwrap_err().kind(), ErrorKind::Unavailable);
    order.term = Term(0);
    assert_eq!(b.follow(&order, LONG).await.unwrap_err().kind(), ErrorKind::Fenced);
}
