//! What comes, what stays, and what does not come.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use odoo_ha_backends::rsync::{INCOMING, RsyncConfig};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::FilestoreSync;

use super::support::{ABC, ABD, OWNER, PATIENCE, complete, follow, is_root, pair, status};

#[tokio::test(flavor = "multi_thread")]
async fn attachments_and_sessions_come_and_nothing_else() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    leader.write("filestore/shop/checklist/a9/mark", "");
    leader.write("sessions/ab/abc", "{\"uid\": 2}");
    leader.write("addons/19.0/module.py", "code");
    leader.write(".secret", "hush");
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    leader.write(ABD, "abd");
    copy.has(ABD, "abd").await;
    copy.has("sessions/ab/abc", "{\"uid\": 2}").await;
    complete(&files).await;
    assert_eq!(copy.read("filestore/shop/checklist/a9/mark").as_deref(), Some(""));
    let mut names: Vec<_> =
        fs::read_dir(copy.data()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [INCOMING, "filestore", "sessions"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanishes_at_the_leader_is_kept_and_sessions_are_deleted_only_if_asked_for() {
    for deletes in [false, true] {
        let (leader, copy) = pair("", &[]).await;
        for name in [ABC, ABD, "sessions/gone", "sessions/ab/gone", "sessions/there"] {
            leader.write(name, if name == ABC { "abc" } else { "abd" });
        }
        copy.write("addons/own", "mine");
        let files = copy.config().delete_sessions(deletes).build().unwrap();
        follow(&files, 1, &leader).await;
        copy.has("sessions/ab/gone", "abd").await;
        for name in [ABC, "sessions/gone", "sessions/ab/gone"] {
            leader.remove(name);
        }
        complete(&files).await;
        assert_eq!(copy.read(ABC).as_deref(), Some("abc"), "deletes {deletes}");
        assert!(copy.read("addons/own").is_some() && copy.read("sessions/there").is_some());
        for name in ["sessions/gone", "sessions/ab/gone"] {
            assert_eq!(copy.read(name).is_none(), deletes, "{name}");
        }
        // A leader that has lost the folders takes nothing along.
        for folder in ["filestore", "sessions"] {
            fs::remove_dir_all(leader.data().join(folder)).unwrap();
        }
        complete(&files).await;
        assert!(copy.read(ABC).is_some() && copy.read(ABD).is_some() && copy.read("sessions/there").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_session_the_newer_one_stays() {
    let (leader, copy) = pair("", &[]).await;
    leader.write_old("sessions/changes", "first", 60);
    leader.write_old("sessions/older", "theirs", 60);
    copy.write("sessions/older", "mine");
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has("sessions/changes", "first").await;
    leader.write("sessions/changes", "later");
    copy.has("sessions/changes", "later").await;
    assert_eq!(copy.read("sessions/older").as_deref(), Some("mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_that_is_not_whole_is_not_kept_and_comes_when_it_is() {
    let (leader, copy) = pair("", &[]).await;
    // Odoo writes it just now.
    leader.write_old(ABC, "a", 60);
    leader.write(ABD, "abd");
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABD, "abd").await;
    status(&files, "one is missing", |seen| seen == Ok(1)).await;
    assert_eq!(copy.read(ABC), None);
    leader.write(ABC, "abc");
    copy.has(ABC, "abc").await;
    status(&files, "none is missing", |seen| seen == Ok(0)).await;
}

/// A leader that died while Odoo wrote a file comes back; the new leader has the file's beginning only, or writes it just now.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_file_at_the_leader_replaces_no_whole_one_here() {
    for newer in [false, true] {
        let (leader, copy) = pair("", &[]).await;
        leader.write_old(ABC, "ab", if newer { 30 } else { 90 });
        copy.write_old(ABC, "abc", 60);
        let files = copy.filestore();
        follow(&files, 1, &leader).await;
        complete(&files).await;
        files.rest(PATIENCE).await.unwrap();
        // A pass that was just cut off between the two is settled by the next.
        leader.remove(ABC);
        follow(&files, 1, &leader).await;
        complete(&files).await;
        assert_eq!(copy.read(ABC).as_deref(), Some("abc"), "newer {newer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_no_pipe_and_no_right_comes_from_the_leader() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    leader.write("filestore/shop/run", "#!/bin/sh");
    symlink("/etc/passwd", leader.data().join("filestore/shop/link")).unwrap();
    symlink("/etc", leader.data().join("filestore/etc")).unwrap();
    assert!(Command::new("mkfifo").arg(leader.data().join("sessions_pipe")).status().unwrap().success());
    assert!(Command::new("mkfifo").arg(leader.data().join("filestore/pipe")).status().unwrap().success());
    fs::set_permissions(leader.data().join("filestore/shop/run"), PermissionsExt::from_mode(0o6777)).unwrap();
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    status(&files, "three are no files", |seen| seen == Ok(3)).await;
    for name in ["filestore/shop/link", "filestore/etc", "filestore/pipe"] {
        assert!(fs::symlink_metadata(copy.data().join(name)).is_err(), "{name}");
    }
    let run = fs::metadata(copy.data().join("filestore/shop/run")).unwrap();
    assert_eq!(run.mode() & 0o6000, 0, "{:o}", run.mode());
    if is_root() {
        assert_eq!((run.uid(), run.gid()), (OWNER, OWNER));
    }
}

/// What Odoo's user has put there is neither gone through nor replaced, and comes to an end when it is removed.
#[tokio::test(flavor = "multi_thread")]
async fn links_in_the_copy_are_not_followed() {
    for (link, says) in
        [("filestore", "filestore in"), ("filestore/shop", "filestore/shop in"), ("sessions", "sessions in")]
    {
        let (leader, copy) = pair("", &[]).await;
        leader.write(ABC, "abc");
        leader.write("sessions/one", "theirs");
        let outside = copy.path().join("outside");
        fs::create_dir_all(outside.join("a9")).unwrap();
        fs::set_permissions(&outside, PermissionsExt::from_mode(0o777)).unwrap();
        fs::set_permissions(outside.join("a9"), PermissionsExt::from_mode(0o777)).unwrap();
        let victim = outside.join(ABC.strip_prefix("filestore/shop/").unwrap());
        fs::write(&victim, "not what its name says").unwrap();
        if link.contains('/') {
            copy.write("filestore/x", "x");
        }
        symlink(&outside, copy.data().join(link)).unwrap();
        let files = copy.filestore();
        follow(&files, 1, &leader).await;
        status(&files, "it is told", |seen| seen.is_err_and(|why| why.contains(says) && why.contains("symbolic link")))
            .await;
        assert_eq!(fs::read_to_string(&victim).unwrap(), "not what its name says");
        assert!(fs::symlink_metadata(copy.data().join(link)).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{link}");
        copy.remove(link);
        copy.has(ABC, "abc").await;
        copy.has("sessions/one", "theirs").await;
    }
}

/// One that rsync comes upon gives way to a folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_deep_in_the_copy_is_replaced_by_the_folder() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    let outside = copy.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::set_permissions(&outside, PermissionsExt::from_mode(0o777)).unwrap();
    let (_, name) = ABC.rsplit_once('/').unwrap();
    fs::write(outside.join(name), "not what its name says").unwrap();
    copy.write("filestore/shop/x", "x");
    symlink(&outside, copy.data().join("filestore/shop/a9")).unwrap();
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    complete(&files).await;
    assert!(fs::symlink_metadata(copy.data().join("filestore/shop/a9")).unwrap().is_dir());
    assert_eq!(fs::read_to_string(outside.join(name)).unwrap(), "not what its name says");
}

/// Its files would be written wherever its owner likes.
#[test]
fn a_state_dir_of_another_s_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, PermissionsExt::from_mode(0o777)).unwrap();
    let build = || RsyncConfig::new("/var/lib/odoo", "rsync://{host}/odoo/", &state).build();
    assert_eq!(build().unwrap_err().kind(), ErrorKind::Misconfigured);
    fs::set_permissions(&state, PermissionsExt::from_mode(0o700)).unwrap();
    build().unwrap();
    if is_root() {
        chown(&state, Some(OWNER), None).unwrap();
        assert_eq!(build().unwrap_err().kind(), ErrorKind::Misconfigured);
    }
}
