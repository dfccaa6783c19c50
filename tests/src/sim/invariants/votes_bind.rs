//! A vote binds: its voter receives nothing until a leader record newer than the one it names exists, and then only from whom a newer record names
//! (protocol rules 25, 26 and 28). The intent is durable before the vote is in the store.
//!
//! Votes that a restored backup brings back are not judged: their voters have seen newer records, which the store forgot.

use std::collections::BTreeMap;

use odoo_ha_core::member::{DataId, MemberId};
use odoo_ha_core::term::{Mark, Term};

use super::super::{Fact, World};
use super::Invariant;

/// What was voted, and the newest record of each holder.
#[derive(Default)]
pub(super) struct VotesBind {
    votes: BTreeMap<MemberId, (Mark, DataId)>,
    newest: BTreeMap<MemberId, Mark>,
    /// The newest record of each reign that has a holder.
    reigns: BTreeMap<Term, Mark>,
    /// One of them was seen broken: looked at again until it is whole.
    broken: bool,
}

impl VotesBind {
    fn voted(&mut self, world: &World, member: &MemberId) -> Option<String> {
        let vote = world.records.votes.get(member)?;
        let against = vote.against?;
        self.votes.insert(member.clone(), (against.mark, vote.data.clone()));
        // One that was sent late arrives when the voter is past it.
        let memo = &world.nodes.get(member)?.memo;
        let durable = memo.intent.is_some_and(|intent| intent.mark >= against.mark) || memo.mark > against.mark;
        (!durable).then(|| format!("{member} voted against {} and did not write that down before", against.mark))
    }

    fn voter_that_streams(&self, world: &World) -> Option<String> {
        self.votes.iter().find_map(|(member, (against, data))| {
            let database = &world.nodes.get(member)?.database;
            if !database.streaming || database.data_id.as_ref() != Some(data) {
                return None;
            }
            let upstream = database.upstream.as_ref();
            // Who cascades has its log from a standby of a reign of which it has seen a newer record.
            let named = upstream.filter(|_| world.nodes[member].config.tags.replicate_from.as_ref() == upstream);
            let source = named.and_then(|name| world.nodes.get(name)).map(|node| &node.database);
            let of_reign = source.and_then(|source| self.reigns.get(&source.term));
            let allowed = upstream.and_then(|upstream| self.newest.get(upstream)).max(of_reign);
            let binds = allowed.is_none_or(|mark| mark <= against);
            binds.then(|| format!("{member} voted against {against} and streams from {:?}", database.upstream))
        })
    }
}

impl Invariant for VotesBind {
    fn name(&self) -> &'static str {
        "votes_bind"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        let (mut restored, mut changed) = (false, false);
        for fact in &world.facts {
            match fact {
                Fact::StoreForgot => {
                    restored = true;
                    self.votes.clear();
                    self.newest.clear();
                    self.reigns.clear();
                }
                // Nobody's votes, nodes or leader.
                Fact::Acknowledged { .. } => continue,
                Fact::LeaderWritten { .. } => {
                    let Some(record) = &world.records.leader else { continue };
                    if let Some(holder) = &record.holder {
                        self.newest.insert(holder.clone(), record.mark);
                        self.reigns.insert(record.mark.term, record.mark);
                    }
                }
                Fact::Voted { member } if !restored => broken = broken.or(self.voted(world, member)),
                _ => {}
            }
            changed = true;
        }
        if !changed && !self.broken {
            return None;
        }
        let streams = self.voter_that_streams(world);
        self.broken = streams.is_some();
        streams.or(broken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::database::DatabaseState;
    use odoo_ha_core::member::MemberId;
    use odoo_ha_core::policy::SyncMode;

    use super::super::super::World;
    use super::super::doctored::{breaks, breaks_among_others, whole};

    /// The leader is cut off with its database alive, and one of three has voted.
    fn voted() -> (World, MemberId, MemberId) {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.node_mut(&leader).cut_from_store = true;
        let voter = others[0].clone();
        let holds = |world: &World| world.records.votes.contains_key(&voter);
        world.run_until("a vote", Duration::from_secs(10), holds);
        world.assert_sound();
        (world, leader, voter)
    }

    #[test]
    fn a_voter_that_streams_is_seen() {
        let (mut world, leader, voter) = voted();
        let log = world.node(&leader).database.log.clone();
        world.node_mut(&leader).database.state = DatabaseState::Primary;
        let database = &mut world.node_mut(&voter).database;
        database.log = log;
        database.upstream = Some(leader);
        database.streaming = true;
        breaks_among_others(&mut world, "votes_bind");
    }

    #[test]
    fn a_vote_that_was_not_written_down_is_seen() {
        let (mut world, _, voter) = voted();
        let mut vote = world.records.votes.get(&voter).cloned().expect("it voted");
        vote.position.lsn.0 += 1;
        world.node_mut(&voter).memo.intent = None;
        world.put_raw(odoo_ha_core::store::Key::vote(&voter), odoo_ha_core::records::encode(&vote));
        breaks(&mut world, "votes_bind");
    }
}
