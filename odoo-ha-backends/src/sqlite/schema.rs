//! What the file looks like, and how it comes to look so.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use odoo_ha_core::error::{Error, ErrorKind};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::error::translate;

/// Marks the file as one of this library's ("OHAC"); `file(1)` shows it.
const APPLICATION_ID: i64 = 0x4f48_4143;

/// The schema that this code reads and writes.
const SCHEMA_VERSION: i64 = 1;

/// How long to wait before asking again for what SQLite does not wait for by itself.
const STEP: std::time::Duration = std::time::Duration::from_millis(5);

const TABLES: &str = "
    CREATE TABLE store (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        revision INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE keys (
        cluster TEXT NOT NULL,
        key TEXT NOT NULL,
        version INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (cluster, key)
    ) STRICT;
";

/// What a file turned out to be.
enum Found {
    Ours,
    Empty,
}

/// Makes sure that the file is one of ours, of a version that we know; makes an empty one so.
pub(super) fn prepare(connection: &mut Connection, deadline: Instant) -> Result<(), Error> {
    let found = {
        // In one transaction: another process may be making the file, and half of that looks like a foreign one.
        let failed = |error| translate(error, "the store's file could not be read");
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
        look(&transaction)?
    };
    if matches!(found, Found::Empty) {
        write_ahead(connection, deadline)?;
        create(connection)?;
    }
    write_ahead(connection, deadline)?;
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA journal_size_limit = 16777216;")
        .map_err(|error| translate(error, "the store's settings could not be made"))
}

fn look(connection: &Connection) -> Result<Found, Error> {
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| translate(error, "the store's file could not be read"))
    };
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(Found::Empty);
    }
    if application != APPLICATION_ID {
        return Err(Error::new(ErrorKind::Malformed, "the store's path names an SQLite file of another program")
            .hint("it was left as it is; give the store a file of its own"));
    }
    if version > SCHEMA_VERSION {
        return Err(Error::new(
            ErrorKind::Malformed,
            format!(
                "the store's file was written by a newer version (schema {version}, this one knows {SCHEMA_VERSION})"
            ),
        )
        .hint("update this node's agent"));
    }
    if version != SCHEMA_VERSION {
        return Err(Error::new(
            ErrorKind::Malformed,
            format!("the store's file has schema {version}, which never was"),
        )
        .hint("restore the file, or remove it and recover the cluster"));
    }
    Ok(Found::Ours)
}

/// Another process may be making the same file: whoever has the lock first makes it.
fn create(connection: &mut Connection) -> Result<(), Error> {
    let failed = |error| translate(error, "the store's file could not be made");
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if matches!(look(&transaction)?, Found::Empty) {
        transaction.execute_batch(TABLES).map_err(failed)?;
        transaction.execute("INSERT INTO store (id, revision) VALUES (1, ?1)", [now_us()]).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Turns on the write-ahead log. SQLite calls no busy handler for it, so the lock is asked for again until the deadline.
fn write_ahead(connection: &Connection, deadline: Instant) -> Result<(), Error> {
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                return Err(Error::new(
                    ErrorKind::Denied,
                    format!("the store's journal mode stays {mode:?}, not \"wal\""),
                )
                .hint("put the store on a local disk; shared memory does not work where it is"));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                std::thread::sleep(STEP);
            }
            Err(error) => return Err(translate(error, "the store's journal could not be opened")),
        }
    }
}

/// The revision after this one: greater, and not before the clock's microseconds. So a file that was made anew or
/// restored does not count over the same versions again while the clock does not go back.
pub(super) fn next_revision(revision: i64) -> i64 {
    revision.saturating_add(1).max(now_us())
}

fn now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(0)
}
