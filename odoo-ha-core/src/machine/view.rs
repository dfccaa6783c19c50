//! What the machine has seen of the store.

use std::collections::{BTreeMap, BTreeSet};

use crate::database::Endpoint;
use crate::lsn::{Lsn, Position, Timeline};
use crate::member::{ClusterId, MemberId};
use crate::records::{
    ClusterRecord, HistoryRecord, LeaderRecord, LeaderRef, MemberRecord, PolicyRecord, Record, RequestRecord,
    SyncRecord, VoteRecord, decode,
};
use crate::store::{Change, Entry, Key, Revision, Snapshot, Version};
use crate::term::Term;

/// A record and the version under which it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen<R> {
    pub(super) version: Version,
    pub(super) record: R,
}

/// The store as last seen. Never goes back to an older leader or sync record, except through [`View::replace`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct View {
    pub(super) revision: Revision,
    pub(super) leader: Option<Seen<LeaderRecord>>,
    pub(super) sync: Option<Seen<SyncRecord>>,
    pub(super) cluster: Option<Seen<ClusterRecord>>,
    pub(super) history: Option<Seen<HistoryRecord>>,
    pub(super) request: Option<Seen<RequestRecord>>,
    pub(super) policy: Option<Seen<PolicyRecord>>,
    pub(super) votes: BTreeMap<MemberId, Seen<VoteRecord>>,
    pub(super) members: BTreeMap<MemberId, Seen<MemberRecord>>,
    /// Records that cannot be used, and why.
    pub(super) broken: BTreeMap<Key, String>,
}

impl View {
    /// Takes a whole snapshot.
    pub(super) fn replace(&mut self, cluster: &ClusterId, snapshot: &Snapshot) {
        *self = Self { revision: snapshot.revision, ..Self::default() };
        for (key, entry) in &snapshot.entries {
            self.put(cluster, key, entry);
        }
    }

    /// Takes what a watch showed. What is older than the view is passed over: a watch may lag behind a read.
    pub(super) fn apply(&mut self, cluster: &ClusterId, revision: Revision, changes: &[Change]) {
        if revision <= self.revision {
            return;
        }
        self.revision = revision;
        for Change { key, entry } in changes {
            match entry {
                Some(entry) => self.put(cluster, key, entry),
                None => self.deleted(key),
            }
        }
    }

    fn deleted(&mut self, key: &Key) {
        match key.as_str().split_once('/') {
            Some(("votes", name)) => self.votes.retain(|member, _| member.as_str() != name),
            Some(("members", name)) => self.members.retain(|member, _| member.as_str() != name),
            _ => {
                self.broken.insert(
                    key.clone(),
                    format!("record {key} was deleted; nothing of this library deletes it: restore it, or recover"),
                );
            }
        }
    }

    fn put(&mut self, cluster: &ClusterId, key: &Key, entry: &Entry) {
        let problem = match key.as_str().split_once('/') {
            None => match key.as_str() {
                "leader" => {
                    let known = self.leader.as_ref().map(|seen| seen.record.mark);
                    Self::take(cluster, key, entry, &mut self.leader, |new: &LeaderRecord| Some(new.mark) >= known)
                }
                "sync" => {
                    let known = self.sync.as_ref().map(|seen| seen.record.mark);
                    Self::take(cluster, key, entry, &mut self.sync, |new: &SyncRecord| Some(new.mark) >= known)
                }
                "cluster" => Self::take(cluster, key, entry, &mut self.cluster, |_| true),
                "history" => {
                    let known = self.history.as_ref().map_or(0, |seen| last_term(&seen.record).0);
                    Self::take(cluster, key, entry, &mut self.history, |new| last_term(new).0 >= known)
                }
                "request" => Self::take(cluster, key, entry, &mut self.request, |_| true),
                "policy" => Self::take(cluster, key, entry, &mut self.policy, |_| true),
                _ => None,
            },
            Some(("votes", name)) => Self::take_named(cluster, key, entry, name, &mut self.votes, |vote| &vote.member),
            Some(("members", name)) => {
                Self::take_named(cluster, key, entry, name, &mut self.members, |member| &member.member)
            }
            Some(_) => None,
        };
        match problem {
            Some(problem) => {
                self.broken.insert(key.clone(), problem);
            }
            None => {
                self.broken.remove(key);
            }
        }
    }

    fn take<R: Record>(
        cluster: &ClusterId,
        key: &Key,
        entry: &Entry,
        place: &mut Option<Seen<R>>,
        is_newer: impl FnOnce(&R) -> bool,
    ) -> Option<String> {
        match decode::<R>(cluster, key, &entry.value) {
            Ok(record) => {
                if is_newer(&record) {
                    *place = Some(Seen { version: entry.version, record });
                }
                None
            }
            Err(error) => Some(error.chain()),
        }
    }

    fn take_named<R: Record>(
        cluster: &ClusterId,
        key: &Key,
        entry: &Entry,
        name: &str,
        places: &mut BTreeMap<MemberId, Seen<R>>,
        who: impl FnOnce(&R) -> &MemberId,
    ) -> Option<String> {
        let member = match name.parse::<MemberId>() {
            Ok(member) => member,
            Err(error) => return Some(error.chain()),
        };
        places.remove(&member);
        match decode::<R>(cluster, key, &entry.value) {
            Ok(record) if *who(&record) == member => {
                places.insert(member, Seen { version: entry.version, record });
                None
            }
            Ok(_) => Some(format!("record {key} names another member than its key")),
            Err(error) => Some(error.chain()),
        }
    }

    /// What makes the records that decide about leadership unusable, if something does.
    pub(super) fn unusable(&self) -> Option<&str> {
        if self.broken.is_empty() {
            return None;
        }
        [Key::leader(), Key::sync(), Key::cluster(), Key::history()]
            .iter()
            .find_map(|key| self.broken.get(key))
            .map(String::as_str)
    }

    /// The version of the leader record.
    pub(super) fn leader_ref(&self) -> Option<LeaderRef> {
        self.leader.as_ref().map(|seen| LeaderRef { mark: seen.record.mark, version: seen.version })
    }

    /// Who holds leadership by the record.
    pub(super) fn holder(&self) -> Option<&MemberId> {
        self.leader.as_ref().and_then(|seen| seen.record.holder.as_ref())
    }

    /// Where a member's database listens.
    pub(super) fn endpoint(&self, member: &MemberId) -> Option<&Endpoint> {
        self.members.get(member).map(|seen| &seen.record.endpoint)
    }

    /// All members but this one.
    pub(super) fn others(&self, me: &MemberId) -> BTreeSet<MemberId> {
        self.members.keys().filter(|member| *member != me).cloned().collect()
    }

    /// The place of a copy whose last record lies at `lsn` of `timeline`: the history says which reign owns the timeline.
    /// A timeline that no record names belongs to the reign that `beside` (the term beside the data) names, unless that is one with a later timeline:
    /// whoever is told to follow notes the term, whatever its own log is of, and later reigns have later timelines (protocol rules 14 and 31).
    pub(super) fn position(&self, timeline: Timeline, lsn: Lsn, beside: Term) -> Position {
        let by_history = self.history.as_ref().and_then(|seen| seen.record.term_of(timeline));
        let by_leader =
            self.leader.as_ref().filter(|seen| seen.record.timeline == timeline).map(|seen| seen.record.mark.term);
        let by_copy = self.term_after(timeline).map_or(beside, |later| beside.min(Term(later.0.saturating_sub(1))));
        Position { term: by_history.or(by_leader).unwrap_or(by_copy), lsn }
    }

    /// Whether a copy with this end has log that the next reign never had (protocol rule 14).
    pub(super) fn has_diverged(&self, timeline: Timeline, lsn: Lsn) -> bool {
        self.history.as_ref().and_then(|seen| seen.record.left_at(timeline)).is_some_and(|left| lsn > left)
    }

    /// The first term that is known to have a later timeline than this.
    fn term_after(&self, timeline: Timeline) -> Option<Term> {
        let recorded = self.history.iter().flat_map(|seen| &seen.record.rows).map(|row| (row.timeline, row.term));
        let present = self.leader.iter().map(|seen| (seen.record.timeline, seen.record.mark.term));
        recorded.chain(present).filter(|(later, _)| *later > timeline).map(|(_, term)| term).min()
    }
}

fn last_term(history: &HistoryRecord) -> Term {
    history.rows.last().map_or(Term(0), |row| row.term)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Header, HistoryRow};
    use crate::term::Nonce;

    /// Terms 15 and 17 are in the history, with the timelines of the same numbers.
    fn view() -> View {
        let row = |number: u64| HistoryRow {
            term: Term(number),
            leader: MemberId::new("a").unwrap(),
            timeline: Timeline(number as u32),
            switch_lsn: Lsn(100 * number),
        };
        let header = Header::new(ClusterId::new("shop").unwrap(), Nonce::default());
        let record = HistoryRecord { header, rows: vec![row(15), row(17)] };
        View { history: Some(Seen { version: Version(1), record }), ..View::default() }
    }

    /// A reign that never came into the history had timeline 16; its copy was then told to follow the leader of term 18. Its log is no newer for that
    /// than the log of term 17.
    #[test]
    fn a_term_beside_the_data_makes_an_unrecorded_timeline_no_newer() {
        let view = view();
        let unrecorded = view.position(Timeline(16), Lsn(9_999), Term(18));
        let recorded = view.position(Timeline(17), Lsn(1_700), Term(17));
        assert_eq!((unrecorded.term, recorded.term), (Term(16), Term(17)));
        assert!(unrecorded < recorded);
    }

    #[test]
    fn the_newest_timeline_is_of_the_term_beside_the_data() {
        assert_eq!(view().position(Timeline(18), Lsn(1_900), Term(18)).term, Term(18));
    }
}
