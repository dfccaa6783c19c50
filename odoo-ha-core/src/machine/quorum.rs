//! Quorums of standbys, and the changes from one to another: pure functions.
//!
//! A change goes in steps each of which makes acknowledging only easier, or only harder (protocol rule 18). With all of n, one name more is
//! harder; with any k of n, one name more is easier, one less is harder.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use crate::database::SynchronousStandbys;
use crate::lsn::Lsn;
use crate::member::{DataId, MemberId};
use crate::records::{ElectionRule, SyncRecord};

/// What of a sync record is decided; the rest is written by whoever commits it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SyncDraft {
    pub(super) rule: ElectionRule,
    pub(super) names: BTreeMap<MemberId, DataId>,
    pub(super) k: u32,
    pub(super) strict: bool,
}

/// In which order a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// Acknowledging becomes easier: the record first.
    Easier,
    /// It becomes harder: the database first, behind the barrier.
    Harder,
}

impl SyncDraft {
    pub(super) fn of(sync: &SyncRecord) -> Self {
        Self { rule: sync.rule, names: sync.names.clone(), k: sync.k, strict: sync.strict }
    }

    /// The setting that it stands for.
    pub(super) fn standbys(&self) -> SynchronousStandbys {
        match self.rule {
            ElectionRule::Asynchronous => SynchronousStandbys::Nobody,
            ElectionRule::Synchronous => SynchronousStandbys::of(self.k, self.names.keys().cloned().collect()),
        }
    }

    /// Whether votes that this admits miss nothing that a database with that in force acknowledges.
    pub(super) fn is_covered_by(&self, in_force: &SynchronousStandbys) -> bool {
        self.rule == ElectionRule::Asynchronous || in_force.reaches(self.names.keys()) >= self.k as usize
    }

    /// In which order the change from `self` is made; `None`: in neither would every moment be safe.
    pub(super) fn direction_to(&self, next: &Self) -> Option<Direction> {
        if next.is_covered_by(&self.standbys()) {
            Some(Direction::Easier)
        } else if self.is_covered_by(&next.standbys()) {
            Some(Direction::Harder)
        } else {
            None
        }
    }

    /// What is acknowledged by as many of the names as must, given how far each has flushed; `None`: nobody must.
    pub(super) fn acknowledged(&self, flushed: impl Fn(&MemberId) -> Lsn) -> Option<Lsn> {
        let mut ends: Vec<Lsn> = self.names.keys().map(flushed).collect();
        ends.sort_unstable_by_key(|end| Reverse(*end));
        ends.get((self.k as usize).checked_sub(1)?).copied()
    }

    fn with(&self, names: BTreeMap<MemberId, DataId>, k: u32) -> Self {
        let k = k.min(names.len() as u32);
        let names = if k == 0 { BTreeMap::new() } else { names };
        Self { rule: self.rule, k, names, strict: self.strict }
    }

    fn is_all_of(&self) -> bool {
        self.k as usize == self.names.len()
    }

    /// The next step towards counting only these; `answering`: those of them that have what is written. What nobody could acknowledge any more is
    /// made easier first, so that no step waits for a member that is away.
    pub(super) fn towards(&self, kept: &BTreeSet<MemberId>, answering: u32) -> Self {
        let names = self.names.iter().filter(|(member, _)| kept.contains(*member));
        let names: BTreeMap<MemberId, DataId> = names.map(|(member, data)| (member.clone(), data.clone())).collect();
        let answering = answering.min(names.len() as u32);
        if self.is_all_of() {
            self.with(names.clone(), names.len() as u32)
        } else if answering >= self.k {
            self.with(names, self.k)
        } else {
            self.with(self.names.clone(), answering)
        }
    }

    /// One more that is counted.
    pub(super) fn and(&self, member: MemberId, data: DataId, quorum: Option<NonZeroU32>) -> Self {
        let mut names = self.names.clone();
        names.insert(member, data);
        let n = names.len() as u32;
        let k = if self.is_all_of() { quorum_of(quorum, n) } else { self.k };
        self.with(names, k)
    }

    /// As many as are wished for.
    pub(super) fn as_wished(&self, quorum: Option<NonZeroU32>) -> Self {
        self.with(self.names.clone(), quorum_of(quorum, self.names.len() as u32))
    }
}

/// How many of `n` must acknowledge.
fn quorum_of(quorum: Option<NonZeroU32>, n: u32) -> u32 {
    quorum.map_or(n, |quorum| quorum.get().min(n))
}

/// What a winner writes (protocol rule 15): its place is taken by the old leader, whose copy has every acknowledged commit as long as nobody has
/// acknowledged one since. So the winner may fail, and another is elected. A winner that held no place changes nothing. A hand-over is the same
/// with both copies equal.
pub(super) fn after(sync: &SyncRecord, winner: &MemberId) -> SyncDraft {
    let mut names = sync.names.clone();
    let all_of = sync.k as usize == names.len();
    if names.remove(winner).is_some()
        && let Some(data) = &sync.leader_data
    {
        names.insert(sync.leader.clone(), data.clone());
    }
    let n = names.len() as u32;
    SyncDraft { rule: sync.rule, k: if all_of { n } else { sync.k.min(n) }, names, strict: sync.strict }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn member(name: &str) -> MemberId {
        MemberId::new(name).expect("a name")
    }

    fn draft(names: &BTreeSet<MemberId>, k: u32) -> SyncDraft {
        let data = |name: &MemberId| DataId(format!("{name}1"));
        let names = names.iter().map(|name| (name.clone(), data(name))).collect();
        SyncDraft { rule: ElectionRule::Synchronous, names, k, strict: false }
    }

    /// All sets of up to so many names.
    fn sets(most: usize) -> Vec<BTreeSet<MemberId>> {
        (0_u32..1 << most)
            .map(|bits| (0..most).filter(|i| bits >> i & 1 == 1).map(|i| member(NAMES[i])).collect())
            .collect()
    }

    fn drafts(most: usize) -> Vec<SyncDraft> {
        let all = sets(most);
        let of = |set: &BTreeSet<MemberId>| {
            let least = u32::from(!set.is_empty());
            (least..=set.len() as u32).map(|k| draft(set, k)).collect::<Vec<_>>()
        };
        all.iter().flat_map(of).collect()
    }

    /// By the words of protocol rules 12 and 18: no votes that this admits are without one of those who acknowledged, whoever these were.
    fn is_safe_beside(record: &SyncDraft, in_force: &SynchronousStandbys, most: usize) -> bool {
        let n = record.names.len();
        let admitted = |votes: &BTreeSet<MemberId>| {
            let counted = votes.iter().filter(|voter| record.names.contains_key(*voter)).count();
            n > 0 && counted + record.k as usize > n
        };
        let acknowledges = |set: &BTreeSet<MemberId>| match in_force {
            SynchronousStandbys::Nobody => true,
            SynchronousStandbys::AllOf(names) => names.is_subset(set),
            SynchronousStandbys::AnyOf { k, names } => names.intersection(set).count() >= *k as usize,
        };
        let all = sets(most);
        all.iter()
            .filter(|votes| admitted(votes))
            .all(|votes| all.iter().filter(|set| acknowledges(set)).all(|set| !votes.is_disjoint(set)))
    }

    #[test]
    fn a_direction_is_what_the_votes_say() {
        let all = drafts(4);
        for (from, to) in all.iter().flat_map(|from| all.iter().map(move |to| (from, to))) {
            let easier = is_safe_beside(to, &from.standbys(), 4);
            let harder = is_safe_beside(from, &to.standbys(), 4);
            let expected = match (easier, harder) {
                (true, _) => Some(Direction::Easier),
                (false, true) => Some(Direction::Harder),
                (false, false) => None,
            };
            assert_eq!(from.direction_to(to), expected, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn every_step_has_a_direction_and_leads_there() {
        for from in drafts(5) {
            for kept in sets(5) {
                for answering in 0..=kept.len() as u32 {
                    let mut current = from.clone();
                    let mut steps = 0;
                    while current.names.keys().any(|name| !kept.contains(name)) {
                        let next = current.towards(&kept, answering);
                        assert!(current.direction_to(&next).is_some(), "{current:?} to {next:?}");
                        let waits = next.k.saturating_sub(answering) > 0
                            && current.direction_to(&next) == Some(Direction::Harder);
                        assert!(!waits, "{current:?} waits for members that are away on its way to {next:?}");
                        current = next;
                        steps += 1;
                        assert!(steps < 4, "{from:?} does not come to {kept:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn growing_and_wishing_have_directions() {
        for quorum in [None, NonZeroU32::new(1), NonZeroU32::new(2), NonZeroU32::new(3)] {
            for from in drafts(4) {
                let wished = from.as_wished(quorum);
                assert!(from.direction_to(&wished).is_some(), "{from:?} to {wished:?}");
                let grown = wished.and(member("e"), DataId("e1".into()), quorum);
                assert!(wished.direction_to(&grown).is_some(), "{wished:?} to {grown:?}");
                assert_eq!(grown, grown.as_wished(quorum), "one more keeps to the wish");
            }
        }
    }

    #[test]
    fn what_is_acknowledged_is_what_the_kth_has() {
        let flushed = |name: &MemberId| Lsn(u64::from(name.as_str().as_bytes()[0]));
        let all = &sets(3)[7];
        let ends: Vec<Option<Lsn>> = (1..=3).map(|k| draft(all, k).acknowledged(flushed)).collect();
        assert_eq!(ends, [Some(Lsn(99)), Some(Lsn(98)), Some(Lsn(97))]);
        assert_eq!(draft(&BTreeSet::new(), 0).acknowledged(flushed), None);
    }
}
