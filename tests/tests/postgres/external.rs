//! Copies that the operator's own programs make.

use odoo_ha_backends::Secret;
use odoo_ha_core::database::{DatabaseState, FollowedBy};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::roles::ReplicationManager;

use crate::errors::misconfigured;
use crate::support::{LONG, Place, bin_dir, bootstrap, followed_by, kill, pair, script, streaming, take_over, value};

/// A copy by hand: to $1 from $2, $3 as $4.
fn base_backup(place: &Place) -> String {
    let program = bin_dir().join("pg_basebackup");
    let text = format!(
        "head -c 1000000 /dev/zero | tr '\\0' x >&2\n\
         exec {} --pgdata \"$1\" --host \"$2\" --port \"$3\" --username \"$4\" --checkpoint=fast --no-password",
        program.display()
    );
    script(place, "base_backup", &text)
}

const ARGUMENTS: [&str; 4] = ["{data_dir}", "{host}", "{port}", "{user}"];

#[tokio::test]
async fn a_member_is_cloned_by_a_command_with_the_password_in_a_file() {
    let place = Place::new();
    let password = || Secret::new("so secret");
    let a = place.config("a").password(password()).build().unwrap();
    let begun = bootstrap(&a).await;
    let program = base_backup(&place);
    let command = [&[program.as_str()][..], &ARGUMENTS].concat();
    let b = place.config("b").password(password()).clone_command(command).build().unwrap();
    let followed = b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    assert_eq!(followed.by, FollowedBy::Clone);
    assert_ne!(followed.data_id, begun.data_id);
    streaming(&a, "b").await;
    let status = b.status(LONG).await.unwrap();
    assert_eq!((status.data_id, status.term), (Some(followed.data_id), odoo_ha_core::term::Term(1)));
}

#[tokio::test]
async fn a_command_that_fails_says_why_and_the_usual_way_is_taken_if_that_was_said() {
    let place = Place::new();
    let a = place.member("a");
    let begun = bootstrap(&a).await;
    let order = place.order(begun.system_id, "a", 1, 1);
    let broken = script(&place, "broken", "test -d \"$ODOO_HA_DATA_DIR\"\necho 'repository is away' >&2\nexit 7");
    let empty = script(&place, "empty", "exit 0");
    for (program, says) in [(&broken, "repository is away"), (&empty, "left no data directory")] {
        let b = place.config("b").clone_command([program]).build().unwrap();
        let error = b.follow(&order, LONG).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(b.status(LONG).await.unwrap().state, DatabaseState::Absent);
    }
    let b = place.config("b").clone_command([&broken]).clone_fallback(true).build().unwrap();
    assert_eq!(followed_by(b.follow(&order, LONG).await), FollowedBy::Clone);
    streaming(&a, "b").await;
    misconfigured(place.config("c").clone_fallback(true).build(), "clone_command");
    misconfigured(place.config("c").clone_command(["restore"]).build(), "absolute path");
    misconfigured(place.config("c").bootstrap_command(["/bin/restore", "{data_dir}", "{host}"]).build(), "{host}");
}

#[tokio::test]
async fn a_copy_of_another_cluster_or_of_a_branch_that_was_left_is_not_used() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    let client = place.client("a").await;
    client.batch_execute("create table t (n int)").await.unwrap();
    streaming(&a, "b").await;
    b.freeze(LONG).await.unwrap();
    client.batch_execute("insert into t values (-1)").await.unwrap();
    kill(&a).await;
    take_over(&b, &begun, 2, 2).await;
    let order = place.order(begun.system_id, "b", 2, 2);
    let other = place.member("other");
    bootstrap(&other).await;
    kill(&other).await;
    let copy_of = |name: &str| {
        let from = place.data_dir(name);
        script(&place, &format!("copy_of_{name}"), &format!("cp -a {}/. \"$ODOO_HA_DATA_DIR\"", from.display()))
    };
    for (name, says) in [("other", "another cluster"), ("a", "has left")] {
        let c = place.config("c").clone_command([copy_of(name)]).build().unwrap();
        misconfigured(c.follow(&order, LONG).await, says);
        assert_eq!(c.status(LONG).await.unwrap().state, DatabaseState::Absent, "{name}");
        assert_eq!(place.processes_in(&place.data_dir("c")), Vec::<i32>::new());
    }
    // The data of before are kept, whatever the command brought in their place.
    drop(a);
    let mut discard = order.clone();
    (discard.may_discard, discard.reclone) = (true, true);
    let a = place.config("a").clone_command([copy_of("a")]).clone_fallback(true).build().unwrap();
    assert_eq!(followed_by(a.follow(&discard, LONG).await), FollowedBy::Clone);
    streaming(&b, "a").await;
    assert_eq!(value(&place.client("a").await, "select count(*) from t").await, "0");
    assert!(place.socket_dir("a").join("kept").join("PG_VERSION").exists());
}

#[tokio::test]
async fn a_cluster_begins_with_a_restored_backup() {
    let place = Place::new();
    let (a, b, begun) = pair(&place).await;
    place.client("a").await.batch_execute("create table t as select 42 as n").await.unwrap();
    streaming(&a, "b").await;
    kill(&a).await;
    kill(&b).await;
    // As a backup tool leaves it: a standby's data, to be recovered from an archive that has nothing more.
    let restore = script(
        &place,
        "restore",
        &format!(
            "cp -a {}/. \"$1\"\nrm -f \"$1\"/postmaster.pid\ntouch \"$1\"/recovery.signal \"$1\"/standby.signal\n\
             echo \"restore_command = 'false'\" >>\"$1\"/postgresql.auto.conf",
            place.data_dir("b").display()
        ),
    );
    let r = place.config("r").bootstrap_command([&restore, "{data_dir}"]).build().unwrap();
    let again = bootstrap(&r).await;
    assert_eq!((again.system_id, again.timeline), (begun.system_id, Timeline(2)));
    let status = r.status(LONG).await.unwrap();
    assert_eq!((status.state, status.timeline), (DatabaseState::Primary, Timeline(2)));
    assert_eq!(value(&place.client("r").await, "select n from t").await, "42");
    let s = place.member("s");
    assert_eq!(followed_by(s.follow(&place.order(again.system_id, "r", 1, 2), LONG).await), FollowedBy::Clone);
    streaming(&r, "s").await;

    let broken = script(&place, "broken", "echo 'no such stanza' >&2; exit 1");
    let q = place.config("q").bootstrap_command([broken]).build().unwrap();
    let order = odoo_ha_core::database::BootstrapOrder { term: odoo_ha_core::term::Term(1), adopt: false };
    let error = q.bootstrap(&order, LONG).await.unwrap_err();
    assert!(error.to_string().contains("no such stanza"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert_eq!(q.status(LONG).await.unwrap().state, DatabaseState::Absent);
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_holds_nobody_up() {
    let place = Place::new();
    let a = place.member("a");
    let begun = bootstrap(&a).await;
    let text = std::fs::read_to_string(base_backup(&place)).unwrap().replace("exec ", "sleep 1000 &\n");
    let program = script(&place, "helper_daemon", text.strip_prefix("#!/bin/sh\n").unwrap_or(&text));
    let command = [&[program.as_str()][..], &ARGUMENTS].concat();
    let b = place.config("b").clone_command(command).build().unwrap();
    assert_eq!(followed_by(b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await), FollowedBy::Clone);
    streaming(&a, "b").await;
}
