//! The sync record: which votes suffice to take over.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::database::SynchronousStandbys;
use crate::member::{DataId, MemberId};
use crate::term::Mark;

/// Which rule an election follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElectionRule {
    /// Commits were acknowledged by the leader alone: any voter within the allowed lag may win.
    Asynchronous,
    /// Every commit was flushed by `k` of the named members: enough of them must vote.
    Synchronous,
}

/// Under which quorum commits may have been acknowledged, and so which votes suffice (protocol rules 12 and 18).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncRecord {
    /// What every record begins with.
    pub header: Header,
    /// The mark of the leader record that was written in the same commit.
    pub mark: Mark,
    /// Which rule an election follows.
    pub rule: ElectionRule,
    /// Who led when it was written.
    pub leader: MemberId,
    /// The leader's copy; `None` until its first database exists.
    pub leader_data: Option<DataId>,
    /// The members that count, and which copy each held.
    pub names: BTreeMap<MemberId, DataId>,
    /// How many of the named members flushed each acknowledged commit; all-of-n: as many as there are.
    pub k: u32,
    /// The leader never acknowledges alone.
    pub strict: bool,
}

impl SyncRecord {
    /// Whether these voters, frozen, are enough: no commit can be acknowledged without one of them, and one of them has every
    /// acknowledged one (protocol rule 12). Voters are given with the copy they hold; another copy than the recorded one counts
    /// for nothing.
    pub fn admits(&self, voters: &BTreeMap<MemberId, DataId>) -> bool {
        if self.rule == ElectionRule::Asynchronous {
            return !voters.is_empty();
        }
        if self.leader_data.is_some() && voters.get(&self.leader) == self.leader_data.as_ref() {
            return true;
        }
        let n = self.names.len();
        let counted = self.names.iter().filter(|(member, data)| voters.get(*member) == Some(*data)).count();
        n > 0 && counted + self.k as usize > n
    }

    /// Whether a database with this in force acknowledges nothing that votes which this record admits could miss: of every commit at least `k` of
    /// the names have it (protocol rule 18).
    pub fn is_covered_by(&self, in_force: &SynchronousStandbys) -> bool {
        self.rule == ElectionRule::Asynchronous || in_force.reaches(self.names.keys()) >= self.k as usize
    }

    /// The names alone.
    pub fn members(&self) -> BTreeSet<MemberId> {
        self.names.keys().cloned().collect()
    }

    /// The quorum that the record stands for, as PostgreSQL's setting (not regarding `strict` without names).
    pub fn standbys(&self) -> SynchronousStandbys {
        match self.rule {
            ElectionRule::Asynchronous => SynchronousStandbys::Nobody,
            ElectionRule::Synchronous => SynchronousStandbys::of(self.k, self.members()),
        }
    }
}

impl Record for SyncRecord {
    fn header(&self) -> &Header {
        &self.header
    }

    fn validate(&self) -> Result<(), String> {
        let n = self.names.len();
        if self.names.contains_key(&self.leader) {
            return Err("the leader is named as its own standby".into());
        }
        if (self.k == 0) != (n == 0) || self.k as usize > n {
            return Err(format!("k is {} of {n} names", self.k));
        }
        if self.rule == ElectionRule::Asynchronous && (n > 0 || self.strict) {
            return Err("it is asynchronous and names standbys".into());
        }
        Ok(())
    }
}
