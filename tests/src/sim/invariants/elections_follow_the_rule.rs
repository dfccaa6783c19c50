//! Leadership is taken only with votes that the sync record admits, against the very record that they name, and by one whose log has no less than
//! theirs; the sync record that a winner writes is the one before with the old leader in the winner's place (protocol rules 12 to 16 and 30).
//!
//! Counted anew here, not by the library's own functions. Excused is a failover by force for which an operator accepted loss in words. The
//! store may lose its leader with two commits at once; then the record before is not known, and a vote that names it is not missed.

use std::collections::BTreeMap;

use odoo_ha_core::lsn::Lsn;
use odoo_ha_core::member::{DataId, MemberId};
use odoo_ha_core::records::{ElectionRule, LeaderRecord, SyncRecord, VoteRecord};

use super::super::{Fact, World};
use super::Invariant;

/// Leadership is taken by the rule of the sync record before.
pub(super) struct ElectionsFollowTheRule;

/// An election: by whom, against which records.
struct Election<'a> {
    world: &'a World,
    winner: &'a MemberId,
    against: &'a LeaderRecord,
    sync: &'a SyncRecord,
}

impl Election<'_> {
    /// The history says that a later reign left this copy's timeline before where it ends.
    fn has_diverged(&self, vote: &VoteRecord) -> bool {
        let Some(history) = self.world.store.history_record() else { return false };
        let left = history.rows.iter().skip_while(|row| row.timeline != vote.timeline).nth(1);
        left.is_some_and(|next| vote.position.lsn > next.switch_lsn)
    }

    fn is_counted(&self, member: &MemberId) -> bool {
        // Of any k the others may lack what was acknowledged.
        let all_of = self.sync.k as usize == self.sync.names.len();
        self.sync.rule == ElectionRule::Synchronous
            && (self.sync.leader == *member || all_of && self.sync.names.contains_key(member))
    }

    fn is_fit(&self, member: &MemberId, vote: &VoteRecord) -> bool {
        !(self.has_diverged(vote) || self.is_counted(member) && vote.position.lsn < self.against.lsn)
    }

    /// The fit votes against that record that are no better than the winner's.
    fn votes(&self, own: &VoteRecord) -> BTreeMap<&MemberId, &VoteRecord> {
        let votes = self.world.records.votes.iter();
        votes
            .filter(|(member, vote)| {
                vote.against.is_some_and(|against| against.mark == self.against.mark)
                    && vote.position <= own.position
                    && self.is_fit(member, vote)
            })
            .collect()
    }

    fn admits(&self, votes: &BTreeMap<&MemberId, &VoteRecord>) -> bool {
        if self.sync.rule == ElectionRule::Asynchronous {
            return true;
        }
        let voted = |member: &MemberId, data: &DataId| votes.get(member).is_some_and(|vote| vote.data == *data);
        let leader = self.sync.leader_data.as_ref().is_some_and(|data| voted(&self.sync.leader, data));
        let counted = self.sync.names.iter().filter(|(member, data)| voted(member, data)).count();
        leader || (counted > 0 && counted + self.sync.k as usize > self.sync.names.len())
    }

    /// What is wrong with it, if anything is.
    fn flaw(&self) -> Option<String> {
        let winner = self.winner;
        let against = self.against.mark;
        let own = self.world.records.votes.get(winner);
        let own = own.filter(|vote| vote.against.is_some_and(|named| named.mark == against));
        let Some(own) = own else {
            return Some(format!("{winner} took over from {against} without a vote against it"));
        };
        if !self.is_fit(winner, own) {
            return Some(format!(
                "{winner} was elected with {} of timeline {}, which is not fit",
                own.position.lsn, own.timeline
            ));
        }
        let votes = self.votes(own);
        if !self.admits(&votes) {
            let voters: Vec<_> = votes.keys().collect();
            return Some(format!(
                "{winner} was elected by {voters:?}, which {} of {:?} and {} do not admit",
                self.sync.k,
                self.sync.names.keys(),
                self.sync.leader
            ));
        }
        let allowed = self.world.nodes.get(winner).map_or(0, |node| node.config.policy.maximum_lag_on_failover);
        let lags = self.against.lsn.bytes_since(own.position.lsn) > allowed && own.position.term <= against.term;
        if self.sync.rule == ElectionRule::Asynchronous && lags {
            return Some(format!(
                "{winner} was elected with {}, more than {allowed} behind {}",
                own.position.lsn, self.against.lsn
            ));
        }
        let end = self.world.nodes.get(winner).map_or(Lsn(0), |node| node.database.lsn());
        (end < own.position.lsn).then(|| format!("{winner} voted with {} and ends at {end}", own.position.lsn))
    }

    /// What is wrong with the sync record that the winner wrote.
    fn successor_flaw(&self) -> Option<String> {
        let now = self.world.records.sync.as_ref()?;
        let mut names = self.sync.names.clone();
        if names.remove(self.winner).is_some()
            && let Some(data) = &self.sync.leader_data
        {
            names.insert(self.sync.leader.clone(), data.clone());
        }
        let same =
            now.names == names && now.k == self.sync.k && now.rule == self.sync.rule && now.strict == self.sync.strict;
        (!same || now.leader != *self.winner).then(|| {
            let (before, after) = (self.sync.names.keys(), now.names.keys());
            format!("{} took over from {} of {before:?} and counts {} of {after:?}", self.winner, self.sync.k, now.k)
        })
    }
}

impl Invariant for ElectionsFollowTheRule {
    fn name(&self) -> &'static str {
        "elections_follow_the_rule"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let against = world.facts.iter().find_map(|fact| match fact {
            Fact::LeaderWritten { before: Some(before) } => Some(before),
            _ => None,
        })?;
        let forgot = world.facts.iter().any(|fact| matches!(fact, Fact::StoreForgot));
        let (winner, _) = world.records.taken_over(Some(against))?;
        if forgot || world.records.taken_with_loss(Some(against)).is_some() {
            return None;
        }
        let sync = world.facts.iter().find_map(|fact| match fact {
            Fact::SyncWritten { before: Some(before) } => Some(before),
            _ => None,
        });
        let Some(sync) = sync else { return Some(format!("{winner} took over and left the sync record as it was")) };
        let election = Election { world, winner, against, sync };
        election.flaw().or_else(|| election.successor_flaw())
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::member::MemberId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::VoteRecord;

    use super::super::super::World;
    use super::super::doctored::{breaks_among_others, take_over_at_once, vote, whole};
    use super::*;

    /// The records after `winner` took over with those votes, as the rule wants them.
    fn taken(world: &World, winner: &MemberId, votes: &[VoteRecord]) -> Option<String> {
        let (against, sync) = (world.store.leader_record()?, world.store.sync_record()?);
        let mut doctored = whole(SyncMode::Synchronous).0;
        doctored.look();
        for vote in votes {
            doctored.records.votes.insert(vote.member.clone(), vote.clone());
        }
        let election = Election { world: &doctored, winner, against: &against, sync: &sync };
        election.flaw()
    }

    #[test]
    fn who_has_no_vote_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        take_over_at_once(&mut world, &others[0]);
        breaks_among_others(&mut world, "elections_follow_the_rule");
    }

    #[test]
    fn one_of_two_names_suffices_and_one_behind_the_published_position_does_not() {
        let (world, _, others) = whole(SyncMode::Synchronous);
        let published = world.store.leader_record().expect("there is a leader").lsn;
        let (winner, enough) = (&others[0], vote(&world, &others[0], published));
        assert_eq!(taken(&world, winner, &[enough]), None);
        let short = vote(&world, winner, Lsn(published.0 - 1));
        assert!(taken(&world, winner, &[short]).is_some_and(|flaw| flaw.contains("not fit")));
    }
}
