//! One connection to the file.

use std::collections::BTreeMap;
use std::fs::{Metadata, OpenOptions};
use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, MAX_VALUE_BYTES, Revision, Snapshot, Version};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::config::SqliteConfig;
use super::error::{nothing_happened, translate, translate_commit};
use super::schema::{next_revision, prepare};

/// A connection, and which file it is connected to.
#[derive(Debug)]
pub(super) struct Client {
    connection: Connection,
    config: SqliteConfig,
    file: FileId,
}

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl Client {
    /// Connects. The file is created when it is missing and `create` is said.
    pub(super) fn open(config: &SqliteConfig, create: bool, deadline: Instant) -> Result<Self, Error> {
        if create {
            create_file(config)?;
        }
        let before = identify(config)?;
        // The file exists by now: SQLite itself never creates it, so its rights are the configured ones.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |error| translate(error, &format!("the store {} could not be opened", config.path.display()));
        let mut connection = Connection::open_with_flags(&config.path, flags).map_err(failed)?;
        connection.busy_timeout(left(deadline)).map_err(failed)?;
        prepare(&mut connection, deadline)?;
        if identify(config)? != before {
            return Err(gone("was replaced while it was opened"));
        }
        Ok(Self { connection, config: config.clone(), file: before })
    }

    /// Whether the path still names the file that this is connected to.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it names nothing.
    pub(super) fn is_current(&self) -> Result<bool, Error> {
        identify(&self.config).map(|file| file == self.file)
    }

    /// Whether another connection or process has committed since the last call, for the price of one look at shared memory
    /// (<https://www.sqlite.org/pragma.html#pragma_data_version>).
    pub(super) fn data_version(&self) -> Result<i64, Error> {
        self.connection
            .query_row("PRAGMA data_version", [], |row| row.get(0))
            .map_err(|error| translate(error, "the store could not be looked at"))
    }

    pub(super) fn read(&mut self, deadline: Instant) -> Result<Snapshot, Error> {
        let (revision, changes) = self.changes(Revision(0), deadline)?;
        let entries = changes.into_iter().filter_map(|change| Some((change.key, change.entry?))).collect();
        Ok(Snapshot { revision, entries })
    }

    /// The store's revision, and all keys of the cluster that changed after `from`, in the order in which they did.
    pub(super) fn changes(&mut self, from: Revision, deadline: Instant) -> Result<(Revision, Vec<Change>), Error> {
        let failed = |error| translate(error, "the store could not be read");
        self.connection.busy_timeout(left(deadline)).map_err(failed)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
        let revision: i64 =
            transaction.query_row("SELECT revision FROM store", [], |row| row.get(0)).map_err(failed)?;
        // A revision that this file cannot have reached is after all its changes.
        let from = i64::try_from(from.0).unwrap_or(i64::MAX);
        let mut changes = Vec::new();
        {
            let mut statement = transaction
                .prepare_cached(
                    "SELECT key, version, value FROM keys WHERE cluster = ?1 AND version > ?2 ORDER BY version, key",
                )
                .map_err(failed)?;
            let mut rows = statement.query(params![self.config.cluster.as_str(), from]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                let key: String = row.get(0).map_err(failed)?;
                let version: i64 = row.get(1).map_err(failed)?;
                let value: Vec<u8> = row.get(2).map_err(failed)?;
                changes.push(Change {
                    key: parse_key(&key, &value)?,
                    entry: Some(Entry { version: version_of(version), value }),
                });
            }
        }
        transaction.commit().map_err(failed)?;
        Ok((Revision(version_of(revision).0), changes))
    }

    /// Commits. `last_call` is asked right before the point of no return; when it says no, nothing happens.
    pub(super) fn commit(
        &mut self,
        commit: &Commit,
        deadline: Instant,
        last_call: impl FnOnce() -> bool,
    ) -> Result<Committed, Error> {
        let prepared = self.write(commit, deadline);
        let result = prepared.map_err(nothing_happened).and_then(|committed| {
            if Instant::now() >= deadline || !last_call() {
                return Err(Error::new(ErrorKind::Unavailable, "the commit was withdrawn in time"));
            }
            // Nobody would see what is committed to a file that lost its name.
            if !self.is_current()? {
                return Err(gone("was replaced meanwhile"));
            }
            match self.connection.execute_batch("COMMIT") {
                Ok(()) => Ok(committed),
                Err(error) => {
                    // Autocommit is back on when SQLite rolled back by itself.
                    let open = !self.connection.is_autocommit();
                    let rolled_back = open && self.connection.execute_batch("ROLLBACK").is_ok();
                    Err(translate_commit(error, rolled_back))
                }
            }
        });
        if !self.connection.is_autocommit() {
            // What is left open by a failure is never committed: the connection rolls back now, or when it is closed.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        result
    }

    /// Checks the guards and writes, inside a transaction that is left open.
    fn write(&self, commit: &Commit, deadline: Instant) -> Result<Committed, Error> {
        let failed = |error| translate(error, "the store could not be written");
        let cluster = self.config.cluster.as_str();
        self.connection.busy_timeout(left(deadline)).map_err(failed)?;
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let mut version_now = self
            .connection
            .prepare_cached("SELECT version FROM keys WHERE cluster = ?1 AND key = ?2")
            .map_err(failed)?;
        for guard in &commit.guards {
            let key = guard.key();
            let now: Option<i64> =
                version_now.query_row(params![cluster, key.as_str()], |row| row.get(0)).optional().map_err(failed)?;
            let holds = match guard {
                Guard::Absent(_) => now.is_none(),
                Guard::Version(_, version) => now.map(version_of) == Some(*version),
            };
            if !holds {
                return Err(Error::new(ErrorKind::Conflict, format!("{key} was changed by somebody else")));
            }
        }
        let revision: i64 =
            self.connection.query_row("SELECT revision FROM store", [], |row| row.get(0)).map_err(failed)?;
        let revision = next_revision(revision);
        self.connection.execute("UPDATE store SET revision = ?1", [revision]).map_err(failed)?;
        let mut put = self
            .connection
            .prepare_cached(
                "INSERT INTO keys (cluster, key, version, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (cluster, key) DO UPDATE SET version = excluded.version, value = excluded.value",
            )
            .map_err(failed)?;
        let mut versions = BTreeMap::new();
        for (key, value) in &commit.writes {
            put.execute(params![cluster, key.as_str(), revision, value]).map_err(failed)?;
            versions.insert(key.clone(), version_of(revision));
        }
        Ok(Committed { versions })
    }
}

/// Creates the file with the configured rights, empty. An existing one is not opened: closing it here would drop every lock
/// that other connections of this process hold on it (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
fn create_file(config: &SqliteConfig) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(config.mode).open(&config.path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == IoErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot_open(config, error)),
    }
}

fn identify(config: &SqliteConfig) -> Result<FileId, Error> {
    match std::fs::metadata(&config.path) {
        Ok(metadata) => Ok(FileId::of(&metadata)),
        Err(error) if error.kind() == IoErrorKind::NotFound => Err(gone("is gone")),
        Err(error) => Err(cannot_open(config, error)),
    }
}

fn gone(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the store's file {what}"))
        .hint("put it back; a new one is only made when the agent starts")
}

fn cannot_open(config: &SqliteConfig, error: std::io::Error) -> Error {
    let (kind, hint) = match error.kind() {
        IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded => (ErrorKind::Disk, "make room on the store's disk"),
        _ => (ErrorKind::Denied, "its directory must exist and the agent's user must be able to write it"),
    };
    Error::new(kind, format!("the store {} could not be opened", config.path.display())).hint(hint).caused_by(error)
}

fn parse_key(key: &str, value: &[u8]) -> Result<Key, Error> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(Error::new(ErrorKind::Malformed, format!("the value of {key:?} has {} bytes", value.len()))
            .hint("nothing of this library writes so much; restore the store's file"));
    }
    Key::parse(key)
}

/// SQLite's integers have a sign, the library's versions have none; the counter never is negative.
fn version_of(number: i64) -> Version {
    Version(u64::try_from(number).unwrap_or(0))
}

/// What is left until the deadline.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
