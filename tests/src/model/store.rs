//! The coordination store: atomic guarded commits, and what of its history the properties need.

use std::collections::{BTreeMap, BTreeSet};

use odoo_ha_core::error::{ErrorKind, Failure};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::records::{LeaderRecord, Record, SyncRecord, VoteRecord, decode, encode};
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};
use odoo_ha_core::term::Term;

/// Whether a key is about nothing but what a member says of itself: told at once, so that it does not multiply the states.
pub(super) fn is_small_talk(key: &Key) -> bool {
    key.as_str().starts_with("members/")
}

/// Without the writer's clock, which would make a state of its own of every moment. It only says how early suspicion may begin, and clocks of their
/// own bring that about whenever they like.
fn timeless(key: &Key, value: &[u8]) -> Vec<u8> {
    let stated = (*key == Key::leader()).then(|| serde_json::from_slice::<LeaderRecord>(value).ok()).flatten();
    stated.map_or_else(|| value.to_vec(), |record| encode(&LeaderRecord { sent_ms: None, ..record }))
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
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Committed, Failure> {
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
        let mut versions = BTreeMap::new();
        for (key, value) in &commit.writes {
            // Counted for each key alone, as equality is all that a version means: so commits to different keys may change places.
            let version = Version(self.entries.get(key).map_or(0, |entry| entry.version.0) + 1);
            let entry = Entry { version, value: timeless(key, value) };
            versions.insert(key.clone(), version);
            self.entries.insert(key.clone(), entry);
            self.read_back(key);
        }
        Ok(Committed { versions })
    }

    /// What a watch shows that has not shown these keys yet.
    pub(super) fn changes(&self, keys: &BTreeSet<Key>) -> (Revision, Vec<Change>) {
        let change = |key: &Key| Change { key: key.clone(), entry: self.entries.get(key).cloned() };
        (Revision(self.revision), keys.iter().map(change).collect())
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
