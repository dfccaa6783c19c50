//! All keys of the cluster at one moment, and what has changed since another.

use std::collections::BTreeMap;

use odoo_ha_core::error::Error;
use odoo_ha_core::store::{Change, Key, Revision, Snapshot};

use super::client::Answer;
use super::wire::{Pair, Place, malformed};

/// Bits of a revision that say which keys there were; those above are Consul's index.
const KEYS_BITS: u32 = 16;

/// All keys as one answer showed them. The store lists them in one transaction of its own, so they are of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// `X-Consul-Index`: no key below the prefix has changed after it. It goes back when the store was restored, and also when
    /// Consul forgets a deletion that was the last change.
    pub(super) index: u64,
    pub(super) pairs: BTreeMap<Key, Pair>,
}

/// What a later listing shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// What is new, in the order in which it was written, and the keys that are gone.
    Some { changes: Vec<Change>, gone: Vec<Key> },
    /// It is no later one: history went back, or what happened in between cannot be told.
    Gap,
}

impl Listing {
    pub(super) fn parse(place: &Place, answer: &Answer) -> Result<Self, Error> {
        let index = answer.index.filter(|index| *index > 0 && *index < 1 << (64 - KEYS_BITS));
        let index = index.ok_or_else(|| malformed(format!("{} answers without an index", answer.from)))?;
        let pairs = if answer.status == 404 { Vec::new() } else { place.pairs(&answer.body)? };
        Ok(Self { index, pairs: pairs.into_iter().map(|pair| (pair.key.clone(), pair)).collect() })
    }

    pub(super) fn snapshot(self) -> Snapshot {
        let revision = self.revision();
        Snapshot { revision, entries: self.pairs.into_iter().map(|(key, pair)| (key, pair.entry)).collect() }
    }

    /// The index, and below it which keys there are: Consul shows no deletion by itself, so a watch that begins here needs to
    /// know what to miss.
    pub(super) fn revision(&self) -> Revision {
        Revision(self.index << KEYS_BITS | u64::from(fold(self.pairs.keys())))
    }

    /// What is new after a revision that some listing had.
    pub(super) fn since(&self, from: Revision) -> Difference {
        let index = from.0 >> KEYS_BITS;
        if self.index < index {
            return Difference::Gap;
        }
        let old = self.pairs.values().filter(|pair| pair.created <= index).map(|pair| &pair.key);
        // The keys that were there and still are must be all that were there.
        if index > 0 && fold(old) != (from.0 & ((1 << KEYS_BITS) - 1)) as u16 {
            return Difference::Gap;
        }
        let changed = self.pairs.values().filter(|pair| pair.entry.version.0 > index);
        Difference::Some { changes: in_order(changed), gone: Vec::new() }
    }

    /// What is new after another listing.
    pub(super) fn after(&self, before: &Self) -> Difference {
        let old = |key: &Key| before.pairs.get(key).map(|pair| pair.entry.version);
        if self.index < before.index || self.pairs.iter().any(|(key, pair)| Some(pair.entry.version) < old(key)) {
            return Difference::Gap;
        }
        let changed = self.pairs.values().filter(|pair| Some(pair.entry.version) != old(&pair.key));
        let gone = before.pairs.keys().filter(|key| !self.pairs.contains_key(*key)).cloned().collect();
        Difference::Some { changes: in_order(changed), gone }
    }
}

fn in_order<'a>(pairs: impl Iterator<Item = &'a Pair>) -> Vec<Change> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_by_key(|pair| pair.entry.version);
    pairs.into_iter().map(|pair| Change { key: pair.key.clone(), entry: Some(pair.entry.clone()) }).collect()
}

/// A number of 16 bits that two sets of keys hardly ever share (FNV-1a, folded). Always the same, in every process.
fn fold<'a>(keys: impl Iterator<Item = &'a Key>) -> u16 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for key in keys {
        for byte in key.as_str().bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    [0, 16, 32, 48].iter().fold(0, |folded, shift| folded ^ (hash >> shift) as u16)
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::store::{Entry, Version};

    use super::*;

    /// Keys with the indices at which they appeared and changed.
    fn listing(index: u64, keys: &[(&str, u64, u64)]) -> Listing {
        let pair = |(name, created, version): &(&str, u64, u64)| {
            let key = Key::parse(name).unwrap();
            let entry = Entry { version: Version(*version), value: Vec::new() };
            (key.clone(), Pair { key, entry, created: *created, stamp: 0 })
        };
        Listing { index, pairs: keys.iter().map(pair).collect() }
    }

    fn names(difference: &Difference) -> Option<(Vec<&str>, Vec<&str>)> {
        match difference {
            Difference::Gap => None,
            Difference::Some { changes, gone } => Some((
                changes.iter().map(|change| change.key.as_str()).collect(),
                gone.iter().map(Key::as_str).collect(),
            )),
        }
    }

    #[test]
    fn what_came_after_a_revision_is_told_in_order() {
        let before = listing(20, &[("a", 5, 20), ("b", 6, 6)]);
        let after = listing(23, &[("a", 5, 23), ("b", 6, 6), ("c", 22, 22)]);
        assert_eq!(names(&after.since(before.revision())), Some((vec!["c", "a"], vec![])));
        assert_eq!(names(&after.after(&before)), Some((vec!["c", "a"], vec![])));
        assert_eq!(names(&after.since(after.revision())), Some((vec![], vec![])));
        assert_eq!(names(&after.since(Revision(0))), Some((vec!["b", "c", "a"], vec![])));
        // An empty prefix has the index of the whole store, which grows with others' writes.
        let empty = listing(19, &[]);
        assert_eq!(names(&listing(30, &[]).since(empty.revision())), Some((vec![], vec![])));
        assert_eq!(names(&before.since(listing(4, &[]).revision())), Some((vec!["b", "a"], vec![])));
    }

    #[test]
    fn a_history_that_went_back_is_a_gap() {
        let before = listing(20, &[("a", 5, 20), ("b", 6, 6)]);
        for after in [
            listing(19, &[("a", 5, 19), ("b", 6, 6)]),
            // Restored, and written to since.
            listing(40, &[("a", 5, 12), ("b", 6, 40)]),
        ] {
            assert_eq!(after.after(&before), Difference::Gap);
        }
        assert_eq!(listing(19, &[("a", 5, 19), ("b", 6, 6)]).since(before.revision()), Difference::Gap);
        assert_eq!(before.since(Revision(u64::MAX)), Difference::Gap);
    }

    #[test]
    fn a_deletion_is_not_hidden() {
        let before = listing(20, &[("a", 5, 20), ("b", 6, 6)]);
        let gone = listing(25, &[("a", 5, 20)]);
        let gone_and_written = listing(30, &[("a", 5, 30)]);
        let back_again = listing(31, &[("a", 5, 20), ("b", 31, 31)]);
        for after in [&gone, &gone_and_written, &back_again] {
            assert_eq!(after.since(before.revision()), Difference::Gap);
        }
        assert_eq!(names(&gone.after(&before)), Some((vec![], vec!["b"])));
        assert_eq!(names(&gone_and_written.after(&before)), Some((vec!["a"], vec!["b"])));
        assert_eq!(names(&back_again.after(&before)), Some((vec!["b"], vec![])));
    }
}
