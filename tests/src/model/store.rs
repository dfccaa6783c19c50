//! The coordination store: atomic guarded commits, and what of its history the properties need.

use std::collections::BTreeMap;
use std::sync::Arc;

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::records::{LeaderRecord, Record, SyncRecord, VoteRecord, decode};
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};
use odoo_ha_core::term::Term;

/// One revision, as a watch shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct News {
    pub(super) revision: Revision,
    pub(super) changes: Arc<Vec<Change>>,
}

impl News {
    /// It is about nothing but what members say of themselves: told at once, so that it does not multiply the states.
    pub(super) fn is_small_talk(&self) -> bool {
        self.changes.iter().all(|change| change.key.as_str().starts_with("members/"))
    }
}

/// The store's content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Store {
    revision: u64,
    entries: BTreeMap<Key, Entry>,
    /// The records of `entries`, read.
    pub(super) leader: Option<LeaderRecord>,
    pub(super) sync: Option<SyncRecord>,
    pub(super) votes: BTreeMap<MemberId, VoteRecord>,
    /// Who was ever written as the holder of which term.
    pub(super) holders: BTreeMap<Term, MemberId>,
    /// The first write that made a term or a mark go back, or gave one term to two.
    pub(super) went_back: bool,
}

impl Store {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { revision: Revision(self.revision), entries: self.entries.clone() }
    }

    /// Does a commit, or refuses it as a conflict.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<(Committed, News), Failure> {
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
        let version = Version(self.revision);
        let mut versions = BTreeMap::new();
        let mut changes = Vec::new();
        for (key, value) in &commit.writes {
            let entry = Entry { version, value: value.clone() };
            versions.insert(key.clone(), version);
            self.entries.insert(key.clone(), entry.clone());
            self.read_back(key);
            changes.push(Change { key: key.clone(), entry: Some(entry) });
        }
        let news = News { revision: Revision(self.revision), changes: Arc::new(changes) };
        Ok((Committed { versions }, news))
    }

    fn read_back(&mut self, key: &Key) {
        match key.as_str().split_once('/') {
            None if *key == Key::leader() => {
                let before = self.leader.take();
                self.leader = self.record(key);
                self.compare(before.as_ref());
            }
            None if *key == Key::sync() => self.sync = self.record(key),
            Some(("votes", _)) => {
                if let Some(vote) = self.record::<VoteRecord>(key) {
                    self.votes.insert(vote.member.clone(), vote);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, before: Option<&LeaderRecord>) {
        let Some(now) = &self.leader else { return };
        if let Some(before) = before {
            let changed_hands = now.holder.is_some() && now.holder != before.holder;
            let term_grew = now.mark.term > before.mark.term;
            let same_again = before.holder.is_none() && now.holder.as_ref() == self.holders.get(&now.mark.term);
            self.went_back |= now.mark <= before.mark || now.mark.sequence <= before.mark.sequence;
            self.went_back |= changed_hands && !term_grew && !same_again;
        }
        if let Some(holder) = &now.holder {
            let first = self.holders.entry(now.mark.term).or_insert_with(|| holder.clone());
            self.went_back |= first != holder;
        }
    }

    fn record<R: Record>(&self, key: &Key) -> Option<R> {
        let cluster = ClusterId::new("model").ok()?;
        self.entries.get(key).and_then(|entry| decode(&cluster, key, &entry.value).ok())
    }
}
