//! Paths that cannot be used, and rights that are missing: said before anything is begun, with what to do.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use odoo_ha_backends::postgres::PostgresConfig;
use odoo_ha_core::database::{Endpoint, StartPrimaryOrder, StopMode, SynchronousStandbys};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;

use crate::errors::misconfigured;
use crate::support::{LONG, Place, bootstrap, id};

/// Tells the second run of a test that it is nobody, and where it may look.
const MARK: &str = "ODOO_HA_TEST_AS_NOBODY";

fn config(data_dir: &Path) -> PostgresConfig {
    PostgresConfig::new(id("a"), data_dir, Endpoint { host: "127.0.0.1".into(), port: 5433 })
}

#[test]
fn a_path_that_cannot_be_a_directory_is_refused() {
    let place = Place::new();
    std::fs::write(place.path().join("file"), "").unwrap();
    misconfigured(config(&place.path().join("file/data")).build(), "file");
    misconfigured(config(&place.path().join("file")).build(), "not a directory");
    misconfigured(config(&place.path().join("no/such/parent")).build(), "cannot be reached");
    misconfigured(config(Path::new("data")).build(), "not an absolute path");
    misconfigured(config(Path::new("/")).build(), "cannot be a data directory");
    misconfigured(config(Path::new("/proc")).build(), "mount point");
}

/// Rights do not bind root: the test runs a second time as somebody whom they do.
#[test]
fn a_directory_that_the_agent_may_not_write_is_refused() {
    if let Some(place) = std::env::var_os(MARK) {
        let place = Path::new(&place);
        misconfigured(config(&place.join("data")).build(), "rights");
        misconfigured(config(&place.join("closed/data")).build(), "closed");
        misconfigured(config(&place.join("data")).run_as("postgres").build(), "only root");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can run a test as somebody else");
        return;
    }
    let place = Place::new();
    let closed = place.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Where it was built may be closed to others.
    let program = place.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["--exact", "permissions::a_directory_that_the_agent_may_not_write_is_refused", "--nocapture"])
        .env(MARK, place.path())
        .current_dir(place.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn data_of_another_owner_are_not_started() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root can give files away");
        return;
    }
    let place = Place::new();
    let a = place.member("a");
    bootstrap(&a).await;
    a.stop(StopMode::Fast, LONG).await.unwrap();
    let postgres = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(place.data_dir("a")).unwrap());
    let order =
        StartPrimaryOrder { term: Term(1), synchronous: SynchronousStandbys::Nobody, members: Default::default() };
    chown(place.data_dir("a"), Some(0), Some(0)).unwrap();
    misconfigured(a.start_primary(&order, LONG).await, "");
    chown(place.data_dir("a"), Some(postgres), Some(postgres)).unwrap();
    a.start_primary(&order, LONG).await.unwrap();
}

#[tokio::test]
async fn a_directory_of_another_member_is_refused() {
    let place = Place::new();
    let a = place.member("a");
    bootstrap(&a).await;
    drop(a);
    let b = PostgresConfig::new(id("b"), place.data_dir("a"), place.endpoint("a")).build().unwrap();
    misconfigured(b.status(LONG).await, "of member a");
    let order =
        StartPrimaryOrder { term: Term(1), synchronous: SynchronousStandbys::Nobody, members: Default::default() };
    misconfigured(b.start_primary(&order, LONG).await, "of member a");
    // What runs there is not its own: it is left alone.
    place.client("a").await;
}
