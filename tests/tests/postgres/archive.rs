//! An old leader's log that was not archived when it lost leadership.

use std::collections::BTreeSet;
use std::path::Path;

use odoo_ha_backends::postgres::PostgresReplication;
use odoo_ha_core::database::{Bootstrapped, FollowedBy};
use odoo_ha_core::roles::ReplicationManager;

use crate::support::{LONG, Place, bootstrap, eventually, followed_by, kill, script, streaming, take_over, value};

/// `a` with an archive that does not take anything until a file says so, and `b`.
async fn archiving(place: &Place) -> (PostgresReplication, PostgresReplication, Bootstrapped) {
    let archive = place.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    std::fs::set_permissions(&archive, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let text = format!("test -e {}\ncp \"$1\" \"{}/$2\"", place.path().join("open").display(), archive.display());
    let command = format!("{} %p %f", script(place, "archive_it", &text));
    let a = place.config("a").parameter("archive_mode", "on").parameter("archive_command", command).build().unwrap();
    let b = place.member("b");
    let begun = bootstrap(&a).await;
    b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    streaming(&a, "b").await;
    place.client("a").await.batch_execute("create table t (n int)").await.unwrap();
    segment(place).await;
    segment(place).await;
    streaming(&a, "b").await;
    (a, b, begun)
}

/// Ends a file of the log; its name.
async fn segment(place: &Place) -> String {
    let client = place.client("a").await;
    let name = value(&client, "select pg_walfile_name(pg_current_wal_insert_lsn())").await;
    client.batch_execute("insert into t values (1)").await.unwrap();
    client.batch_execute("select pg_switch_wal()").await.unwrap();
    name
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_str().unwrap().to_owned()).filter(|name| name.len() == 24).collect()
}

fn numbered(numbers: &[u32]) -> BTreeSet<String> {
    numbers.iter().map(|number| format!("0000000100000000{number:08X}")).collect()
}

/// `a` goes on when `b` receives nothing any more: both its log up to there and what comes after wait for the archive.
async fn branched(
    place: &Place,
    a: &PostgresReplication,
    b: &PostgresReplication,
    begun: &Bootstrapped,
) -> BTreeSet<String> {
    b.freeze(LONG).await.unwrap();
    let first = segment(place).await;
    let last = segment(place).await;
    kill(a).await;
    take_over(b, begun, 2, 2).await;
    [first, last].into()
}

#[tokio::test]
async fn what_the_cluster_keeps_is_archived_before_a_rewind_and_the_rest_kept_aside() {
    let place = Place::new();
    let (a, b, begun) = archiving(&place).await;
    let waiting = names(&place.data_dir("a").join("pg_wal"));
    let branch = branched(&place, &a, &b, &begun).await;
    std::fs::write(place.path().join("open"), "").unwrap();
    let mut order = place.order(begun.system_id, "b", 2, 2);
    order.may_discard = true;
    assert_eq!(followed_by(a.follow(&order, LONG).await), FollowedBy::Rewind);
    streaming(&b, "a").await;
    let archived = names(&place.path().join("archive"));
    let before: BTreeSet<String> = waiting.into_iter().filter(|name| name < branch.first().unwrap()).collect();
    assert!(before.len() >= 2 && archived == before, "archived: {archived:?}, before the branch: {before:?}");
    let aside = names(&place.socket_dir("a").join("unarchived"));
    assert!(
        branch.is_subset(&aside) && aside.is_disjoint(&archived),
        "kept aside: {aside:?}, of the branch: {branch:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_archived_is_kept_aside_and_the_member_comes_back() {
    let place = Place::new();
    let (a, b, begun) = archiving(&place).await;
    let branch = branched(&place, &a, &b, &begun).await;
    let mut order = place.order(begun.system_id, "b", 2, 2);
    order.may_discard = true;
    assert_eq!(followed_by(a.follow(&order, LONG).await), FollowedBy::Rewind);
    streaming(&b, "a").await;
    assert_eq!(names(&place.path().join("archive")), BTreeSet::new());
    let aside = names(&place.socket_dir("a").join("unarchived"));
    assert!(branch.is_subset(&aside) && numbered(&[3]).is_subset(&aside), "{aside:?}");
}

#[tokio::test]
async fn an_old_leader_that_follows_as_it_is_leaves_no_hole_in_the_archive() {
    let place = Place::new();
    let (a, b, begun) = archiving(&place).await;
    a.stop(odoo_ha_core::database::StopMode::Fast, LONG).await.unwrap();
    take_over(&b, &begun, 2, 2).await;
    std::fs::write(place.path().join("open"), "").unwrap();
    assert_eq!(followed_by(a.follow(&place.order(begun.system_id, "b", 2, 2), LONG).await), FollowedBy::Nothing);
    streaming(&b, "a").await;
    let archived = names(&place.path().join("archive"));
    assert!(numbered(&[3, 4]).is_subset(&archived), "{archived:?}");
}

/// Its session with the upstream is idle meanwhile, for longer than the upstream leaves others idle.
#[tokio::test]
async fn an_upstream_that_ends_idle_sessions_does_not_keep_an_old_leader_away() {
    let place = Place::new();
    let (a, b, begun) = archiving(&place).await;
    if a.major_version() < 14 {
        println!("SKIPPED: before version 14 PostgreSQL ends no idle session");
        return;
    }
    a.stop(odoo_ha_core::database::StopMode::Fast, LONG).await.unwrap();
    take_over(&b, &begun, 2, 2).await;
    let client = place.client("b").await;
    client.batch_execute("alter system set idle_session_timeout = '200ms'").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    let is_so = || async { value(&place.client("b").await, "show idle_session_timeout").await == "200ms" };
    eventually("it is in force", is_so).await;
    let archive_it = place.path().join("archive_it");
    let slow = std::fs::read_to_string(&archive_it).unwrap().replace("test -e", "sleep 1\ntest -e");
    std::fs::write(&archive_it, slow).unwrap();
    std::fs::write(place.path().join("open"), "").unwrap();
    assert_eq!(followed_by(a.follow(&place.order(begun.system_id, "b", 2, 2), LONG).await), FollowedBy::Nothing);
    streaming(&b, "a").await;
    assert!(numbered(&[3]).is_subset(&names(&place.path().join("archive"))));
}

/// Commits may wait for the old leader: an archive that hangs holds it up for seconds, and what it did not take is kept.
#[tokio::test]
async fn an_archive_that_hangs_does_not_keep_an_old_leader_away() {
    let place = Place::new();
    let (a, b, begun) = archiving(&place).await;
    a.stop(odoo_ha_core::database::StopMode::Fast, LONG).await.unwrap();
    take_over(&b, &begun, 2, 2).await;
    std::fs::write(place.path().join("archive_it"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    let asked = std::time::Instant::now();
    assert_eq!(followed_by(a.follow(&place.order(begun.system_id, "b", 2, 2), LONG).await), FollowedBy::Nothing);
    assert!(asked.elapsed() < std::time::Duration::from_secs(40), "{:?}", asked.elapsed());
    streaming(&b, "a").await;
    let aside = place.socket_dir("a").join("unarchived");
    assert!(numbered(&[3, 4]).is_subset(&names(&aside)), "{:?}", names(&aside));
    // It is PostgreSQL's user's, who may want to archive it.
    let owner = |path: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap());
    let kept = numbered(&[3]).into_iter().next().unwrap();
    assert_eq!(owner(&aside.join(kept)), owner(&place.data_dir("a")));
}

/// The agent may be root, and PostgreSQL's user could have put a link there.
#[tokio::test]
async fn nothing_is_kept_aside_through_a_link_into_what_is_not_its_own() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root has a directory that PostgreSQL's user must not write into");
        return;
    }
    let place = Place::new();
    let (a, b, begun) = archiving(&place).await;
    let roots = place.path().join("roots");
    std::fs::create_dir(&roots).unwrap();
    std::os::unix::fs::symlink(&roots, place.socket_dir("a").join("unarchived")).unwrap();
    let status = place.data_dir("a").join("pg_wal/archive_status/job.ready");
    std::fs::write(status, "").unwrap();
    std::fs::write(place.data_dir("a").join("pg_wal/job"), "* * * * * root true\n").unwrap();
    branched(&place, &a, &b, &begun).await;
    let mut order = place.order(begun.system_id, "b", 2, 2);
    order.may_discard = true;
    assert_eq!(followed_by(a.follow(&order, LONG).await), FollowedBy::Rewind);
    streaming(&b, "a").await;
    assert_eq!(std::fs::read_dir(&roots).unwrap().count(), 0);
}
