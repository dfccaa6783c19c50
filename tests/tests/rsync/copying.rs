//! What comes, what stays, and what does not come.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use odoo_ha_backends::rsync::INCOMING;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_filestore_behind_a_link_of_the_copy_s_own_stays_there() {
    let (leader, copy) = pair("", &[]).await;
    leader.write(ABC, "abc");
    copy.write("elsewhere/shop/x", "x");
    symlink("elsewhere", copy.data().join("filestore")).unwrap();
    let files = copy.filestore();
    follow(&files, 1, &leader).await;
    copy.has(ABC, "abc").await;
    assert!(fs::symlink_metadata(copy.data().join("filestore")).unwrap().is_symlink());
    assert_eq!(copy.read(&ABC.replace("filestore", "elsewhere")).as_deref(), Some("abc"));
}
