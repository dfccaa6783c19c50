//! Files that are not as they should be.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use odoo_ha_backends::sqlite::SqliteDcs;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Guard, Key};

use crate::{TIME, config, open, write};

/// The errors of a read, a commit and a watch.
async fn refused(store: &SqliteDcs) -> (Error, Error, Error) {
    let watch = match store.watch(odoo_ha_core::store::Revision(0), TIME).await {
        // What is broken deeper in shows at the first look.
        Ok(watch) => ends(watch).await.map(|_| ()),
        Err(error) => Err(error),
    };
    let commit = store.commit(&write(Vec::new(), b"1"), TIME).await;
    (store.read(TIME).await.unwrap_err(), commit.unwrap_err(), watch.unwrap_err())
}

async fn refused_as(path: &Path, kind: ErrorKind, says: &str) {
    let (read, commit, watch) = refused(&open(path)).await;
    println!("{}", read.chain());
    assert_eq!(read.kind(), kind, "{}", read.chain());
    assert!(read.chain().contains(says), "{}", read.chain());
    assert!(commit.kind().certainly_did_not_happen(), "{}", commit.chain());
    assert!(matches!(watch.kind(), ErrorKind::Unavailable | ErrorKind::Denied), "{}", watch.chain());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    let notes = "these are notes, and not a database\n".repeat(200);
    std::fs::write(&path, &notes).unwrap();
    refused_as(&path, ErrorKind::Malformed, "no SQLite file").await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[tokio::test]
async fn another_programs_database_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    refused_as(&path, ErrorKind::Malformed, "of another program").await;
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    open(&path).commit(&write(Vec::new(), b"1"), TIME).await.unwrap();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    refused_as(&path, ErrorKind::Malformed, "written by a newer version").await;
}

#[tokio::test]
async fn a_damaged_file_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    open(&path).commit(&write(Vec::new(), &vec![7; 100_000]), TIME).await.unwrap();
    let copy = directory.path().join("damaged.db");
    // All of the content in one file, whatever is still in the log.
    rusqlite::Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    // All but the first page, which holds the marks of the file.
    bytes[4096..].fill(0x5a);
    std::fs::write(&copy, &bytes).unwrap();
    refused_as(&copy, ErrorKind::Malformed, "damaged").await;
}

#[tokio::test]
async fn a_path_that_cannot_be_is_denied() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    // Rights do not bind root, so the directory is none.
    refused_as(&file.join("store.db"), ErrorKind::Denied, "directory must exist").await;
    refused_as(directory.path(), ErrorKind::Denied, "directory must exist").await;
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    for (name, asked) in [("default.db", None), ("group.db", Some(0o640))] {
        let path = directory.path().join(name);
        let config = asked.map_or(config(&path), |mode| config(&path).mode(mode));
        let store = SqliteDcs::new(config).unwrap();
        store.commit(&write(Vec::new(), b"1"), TIME).await.unwrap();
        for suffix in ["", "-wal", "-shm"] {
            let file = directory.path().join(format!("{name}{suffix}"));
            let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, asked.unwrap_or(0o600), "{}", file.display());
        }
    }
}

/// Waits until the watch has ended with a gap or an error; what it showed before is thrown away.
async fn ends(mut watch: Box<dyn odoo_ha_core::roles::DcsWatch>) -> Result<WatchEvent, Error> {
    let waiting = async {
        loop {
            match watch.next().await {
                Ok(WatchEvent::Changed { .. }) => {}
                end => return end,
            }
        }
    };
    tokio::time::timeout(TIME, waiting).await.expect("the watch notices")
}

#[tokio::test]
async fn a_file_that_is_removed_is_unavailable_and_not_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    store.commit(&write(Vec::new(), b"1"), TIME).await.unwrap();
    let watch = store.watch(store.read(TIME).await.unwrap().revision, TIME).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(directory.path().join(format!("store.db{suffix}"))).unwrap();
    }
    assert_eq!(ends(watch).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let (read, commit, _) = refused(&store).await;
    assert_eq!((read.kind(), commit.kind()), (ErrorKind::Unavailable, ErrorKind::Unavailable));
    assert!(!path.exists());
    // A person makes the decision by starting the agent anew; versions do not begin again.
    let anew = open(&path);
    assert!(anew.read(TIME).await.unwrap().entries.is_empty());
}

#[tokio::test]
async fn a_restored_file_is_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    let old = store.commit(&write(Vec::new(), b"old"), TIME).await.unwrap();
    let backup = directory.path().join("backup.db");
    rusqlite::Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    let new = store.commit(&write(Vec::new(), b"new"), TIME).await.unwrap();
    let from = store.read(TIME).await.unwrap().revision;
    let watch = store.watch(from, TIME).await.unwrap();
    for suffix in ["-wal", "-shm"] {
        std::fs::remove_file(directory.path().join(format!("store.db{suffix}"))).unwrap();
    }
    std::fs::rename(&backup, &path).unwrap();
    assert_eq!(ends(watch).await.unwrap(), WatchEvent::Gap);
    let shown = store.read(TIME).await.unwrap();
    assert_eq!(shown.entries[&Key::leader()].value, b"old");
    assert_eq!(shown.entries[&Key::leader()].version, old.versions[&Key::leader()]);
    // Who still holds what was lost is refused, whatever is written next.
    for value in [b"a", b"b"] {
        store.commit(&write(Vec::new(), value), TIME).await.unwrap();
        let lost = Guard::Version(Key::leader(), new.versions[&Key::leader()]);
        assert_eq!(store.commit(&write(vec![lost], b"x"), TIME).await.unwrap_err().kind(), ErrorKind::Conflict);
    }
    // A watch from a moment that the store has not reached begins with a gap.
    let ahead = odoo_ha_core::store::Revision(shown.revision.0 + 1_000_000_000_000);
    assert_eq!(ends(store.watch(ahead, TIME).await.unwrap()).await.unwrap(), WatchEvent::Gap);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_locked_by_another_is_unavailable_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = open(&path);
    store.commit(&write(Vec::new(), b"1"), TIME).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let error = store.commit(&write(Vec::new(), b"2"), Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    println!("a locked store was unavailable after {:?} of 300 ms: {error}", begun.elapsed());
    // Reads do not wait for the lock.
    assert_eq!(store.read(TIME).await.unwrap().entries[&Key::leader()].value, b"1");
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(&write(Vec::new(), b"3"), TIME).await.unwrap();
    assert_eq!(store.read(TIME).await.unwrap().entries[&Key::leader()].value, b"3");
}
