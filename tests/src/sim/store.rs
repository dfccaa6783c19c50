//! A coordination store of one process, whose commits are atomic and whose watch is in order.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::records::{HistoryRecord, LeaderRecord, Record, SyncRecord, decode};
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};

/// How commits to the store go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerless {
    /// It is done, but the answer is lost.
    Done,
    /// It is not done, and the answer is lost.
    NotDone,
    /// It is done only this many milliseconds later, and the answer is lost.
    Later(u64),
}

/// The store's content.
#[derive(Clone, Debug, Default)]
pub struct Store {
    revision: u64,
    led_since: Option<Duration>,
    entries: BTreeMap<Key, Entry>,
    read: Read,
}

/// The records that are looked at again and again, decoded once for each change.
#[derive(Clone, Debug, Default)]
struct Read {
    leader: Option<LeaderRecord>,
    sync: Option<SyncRecord>,
    history: Option<HistoryRecord>,
}

impl Store {
    /// All of it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { revision: Revision(self.revision), entries: self.entries.clone() }
    }

    /// How often it was changed; less after a restore.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// What is in it.
    pub const fn entries(&self) -> &BTreeMap<Key, Entry> {
        &self.entries
    }

    /// Does a commit, or refuses it. Returns what changed.
    ///
    /// # Errors
    ///
    /// `Conflict` when a guard does not hold.
    pub fn commit(&mut self, commit: &Commit, now: Duration) -> Result<(Committed, Revision, Vec<Change>), Failure> {
        for guard in &commit.guards {
            let holds = match guard {
                Guard::Absent(key) => !self.entries.contains_key(key),
                Guard::Version(key, version) => self.entries.get(key).is_some_and(|entry| entry.version == *version),
            };
            if !holds {
                return Err(Failure::new(ErrorKind::Conflict, format!("{:?} does not hold", guard.key())));
            }
        }
        self.revision += 1;
        if commit.writes.contains_key(&Key::leader()) {
            self.led_since = Some(now);
        }
        let mut versions = BTreeMap::new();
        let mut changes = Vec::new();
        for (key, value) in &commit.writes {
            let entry = Entry { version: Version(self.revision), value: value.clone() };
            versions.insert(key.clone(), entry.version);
            changes.push(Change { key: key.clone(), entry: Some(entry.clone()) });
            self.entries.insert(key.clone(), entry);
            self.reread(key);
        }
        Ok((Committed { versions }, Revision(self.revision), changes))
    }

    /// Deletes a key, as nothing of the library does.
    pub fn delete_raw(&mut self, key: &Key) -> (Revision, Vec<Change>) {
        self.revision += 1;
        self.entries.remove(key);
        self.reread(key);
        (Revision(self.revision), vec![Change { key: key.clone(), entry: None }])
    }

    /// Puts bytes there as somebody foreign would.
    pub fn put_raw(&mut self, key: Key, value: Vec<u8>) -> (Revision, Vec<Change>) {
        self.revision += 1;
        let entry = Entry { version: Version(self.revision), value };
        self.entries.insert(key.clone(), entry.clone());
        self.reread(&key);
        (Revision(self.revision), vec![Change { key, entry: Some(entry) }])
    }

    fn record<R: Record>(&self, key: &Key) -> Option<R> {
        let cluster = ClusterId::new("world").ok()?;
        self.entries.get(key).and_then(|entry| decode(&cluster, key, &entry.value).ok())
    }

    fn reread(&mut self, key: &Key) {
        if *key == Key::leader() {
            self.read.leader = self.record(key);
        } else if *key == Key::sync() {
            self.read.sync = self.record(key);
        } else if *key == Key::history() {
            self.read.history = self.record(key);
        }
    }

    /// Which votes suffice, as it stands.
    pub fn sync_record(&self) -> Option<SyncRecord> {
        self.read.sync.clone()
    }

    /// The same, to look at.
    pub fn sync(&self) -> Option<&SyncRecord> {
        self.read.sync.as_ref()
    }

    /// Who leads, as it stands.
    pub fn leader_record(&self) -> Option<LeaderRecord> {
        self.read.leader.clone()
    }

    /// The same, to look at.
    pub fn leader(&self) -> Option<&LeaderRecord> {
        self.read.leader.as_ref()
    }

    /// When that was written; unknown after a restore.
    pub fn led_since(&self) -> Option<Duration> {
        self.led_since
    }

    /// The reigns.
    pub fn history_record(&self) -> Option<HistoryRecord> {
        self.read.history.clone()
    }

    /// Goes back to an older content, as a restored backup does.
    pub fn restore(&mut self, older: &Store) {
        *self = Self { led_since: None, ..older.clone() };
    }
}
