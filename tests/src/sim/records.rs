//! The store's records, read anew only when their bytes have changed.

use std::collections::BTreeMap;

use odoo_ha_core::member::{ClusterId, MemberId, SystemId};
use odoo_ha_core::records::{
    ClusterRecord, LeaderRecord, Origin, PolicyRecord, Record, RequestKind, RequestOutcome, RequestRecord, SyncRecord,
    VoteRecord, decode,
};
use odoo_ha_core::store::Key;
use odoo_ha_core::term::Term;

use super::fact::Fact;
use super::store::Store;

/// What the store holds, as the judges read it. A record that cannot be read is not there.
#[derive(Debug, Default)]
pub struct Records {
    /// Who leads.
    pub leader: Option<LeaderRecord>,
    /// Which votes suffice.
    pub sync: Option<SyncRecord>,
    /// The database's identity.
    pub system_id: Option<SystemId>,
    /// The operator's wish.
    pub request: Option<RequestRecord>,
    /// The votes.
    pub votes: BTreeMap<MemberId, VoteRecord>,
    /// The policy.
    pub policy: Option<PolicyRecord>,
    request_written: u64,
    revision: u64,
    raw: BTreeMap<Key, Vec<u8>>,
}

impl Records {
    /// Reads what has changed, and says so.
    pub fn refresh(&mut self, store: &Store, facts: &mut Vec<Fact>) {
        if store.revision() == self.revision {
            return;
        }
        if store.revision() < self.revision {
            facts.push(Fact::StoreForgot);
        }
        self.revision = store.revision();
        let gone: Vec<Key> = self.raw.keys().filter(|key| !store.entries().contains_key(*key)).cloned().collect();
        for key in gone {
            self.raw.remove(&key);
            self.take(&key, &[], facts);
        }
        for (key, entry) in store.entries() {
            if key.as_str().starts_with("members/") || self.raw.get(key).is_some_and(|raw| *raw == entry.value) {
                continue;
            }
            self.raw.insert(key.clone(), entry.value.clone());
            self.take(key, &entry.value, facts);
        }
    }

    /// What is read next is less than what was: the store forgot, and that is the truth from now on.
    pub(super) const fn forget(&mut self) {
        self.revision = u64::MAX;
    }

    /// The term that was just taken by force, if what is lost by it was accepted in words.
    pub fn taken_with_loss(&self, before: Option<&LeaderRecord>) -> Option<Term> {
        let (now, request) = (self.leader.as_ref()?, self.request.as_ref()?);
        let taken =
            before.is_none_or(|before| before.mark.term < now.mark.term) && self.request_written == self.revision;
        let accepted = matches!(&request.kind, RequestKind::Failover { target, accept_data_loss: true } if now.holder.as_ref() == Some(target));
        (taken && accepted && request.outcome == RequestOutcome::Done).then_some(now.mark.term)
    }

    /// Who took leadership just now by votes, if somebody did. `before`: the leader record until now.
    pub fn taken_over(&self, before: Option<&LeaderRecord>) -> Option<(&MemberId, &LeaderRecord)> {
        let now = self.leader.as_ref()?;
        let taken = now.origin == Origin::Takeover && before.is_none_or(|before| before.mark.term < now.mark.term);
        now.holder.as_ref().filter(|_| taken).map(|holder| (holder, now))
    }

    /// Whether an operator had asked for the takeover that was just written.
    pub fn taken_by_force(&self) -> bool {
        let (Some(now), Some(request)) = (&self.leader, &self.request) else { return false };
        let asked =
            matches!(&request.kind, RequestKind::Failover { target, .. } if now.holder.as_ref() == Some(target));
        asked && request.outcome == RequestOutcome::Done && self.request_written == self.revision
    }

    fn take(&mut self, key: &Key, bytes: &[u8], facts: &mut Vec<Fact>) {
        match key.as_str() {
            "leader" => {
                facts.push(Fact::LeaderWritten { before: std::mem::replace(&mut self.leader, read(key, bytes)) })
            }
            "sync" => facts.push(Fact::SyncWritten { before: std::mem::replace(&mut self.sync, read(key, bytes)) }),
            "policy" => self.policy = read(key, bytes),
            "cluster" => self.system_id = read::<ClusterRecord>(key, bytes).map(|record| record.system_id),
            "request" => {
                self.request = read(key, bytes);
                self.request_written = self.revision;
            }
            other => {
                let Some(member) = other.strip_prefix("votes/").and_then(|name| MemberId::new(name).ok()) else {
                    return;
                };
                match read(key, bytes) {
                    Some(vote) => {
                        self.votes.insert(member.clone(), vote);
                        facts.push(Fact::Voted { member });
                    }
                    None => {
                        self.votes.remove(&member);
                    }
                }
            }
        }
    }
}

fn read<R: Record>(key: &Key, bytes: &[u8]) -> Option<R> {
    let cluster = ClusterId::new("world").ok()?;
    decode(&cluster, key, bytes).ok()
}
