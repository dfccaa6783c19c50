//! Whoever may be elected is: when votes that the sync record admits stand against a record, and the best of them belongs to a member with which nothing
//! is wrong, leadership is taken before long. A better voter that is gone is passed over (protocol rule 13).
//!
//! Counted are only the votes of members with which nothing is wrong, so that whatever else may have to be waited for is excused.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::{DataId, MemberId};
use odoo_ha_core::records::{ElectionRule, VoteRecord};
use odoo_ha_core::term::Mark;

use super::super::{Node, StoreLink, World};
use super::Invariant;

/// Six better voters are passed over within 1.5 s each, and what was unanswered is repeated.
const TAKES_OVER: Duration = Duration::from_secs(20);

/// Since when somebody could be elected against which record.
#[derive(Default)]
pub(super) struct SomebodyTakesOver {
    since: Option<(Mark, Duration)>,
    looked: Duration,
}

/// It need not be looked at more often.
const EVERY: Duration = Duration::from_millis(100);

fn is_well(world: &World, name: &MemberId, node: &Node) -> bool {
    let database = &node.database;
    let store = !node.cut_from_store && node.store_link == StoreLink::default() && node.slow_store.is_zero();
    let agent = node.machine.is_some() && !node.frozen && node.asleep.is_none() && node.dies_after.is_none();
    let disk = !node.disk.full && node.disk.slow <= 1 && !node.memo_fails;
    let runs = database.state == DatabaseState::Standby && !database.hung && database.promotion.is_none();
    agent
        && store
        && disk
        && runs
        && !node.gone
        && !node.reads_fail
        && node.watch_stalled_until <= world.now
        && database.broken.is_none()
        && database.replay_held.is_none()
        && world.answerless.get(name).is_none_or(Vec::is_empty)
}

/// Whether votes of members with which nothing is wrong suffice, and the best of them may win.
fn can_be_elected(world: &World) -> bool {
    let (Some(leader), Some(sync)) = (&world.records.leader, &world.records.sync) else { return false };
    if sync.rule == ElectionRule::Asynchronous || leader.paused {
        return false;
    }
    let votes: BTreeMap<&MemberId, &VoteRecord> = world
        .records
        .votes
        .iter()
        .filter(|(name, vote)| {
            vote.against.is_some_and(|against| against.mark == leader.mark)
                && vote.position.lsn >= leader.lsn
                && world.nodes.get(*name).is_some_and(|node| is_well(world, name, node) && !node.config.tags.nofailover)
        })
        .collect();
    let counted = |member: &MemberId, data: &DataId| votes.get(member).is_some_and(|vote| vote.data == *data);
    let by_leader = sync.leader_data.as_ref().is_some_and(|data| counted(&sync.leader, data));
    let names = sync.names.iter().filter(|(member, data)| counted(member, data)).count();
    let admitted = by_leader || (names > 0 && names + sync.k as usize > sync.names.len());
    admitted && !votes.keys().any(|name| leader.excluded.contains(*name))
}

impl Invariant for SomebodyTakesOver {
    fn name(&self) -> &'static str {
        "somebody_takes_over"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        if world.now < self.looked + EVERY {
            return None;
        }
        self.looked = world.now;
        let mark = world.records.leader.as_ref().map(|leader| leader.mark)?;
        let away = world.store_away_until > world.now || !world.store_slow.is_zero();
        if away || world.records.votes.is_empty() || !can_be_elected(world) {
            self.since = None;
            return None;
        }
        match self.since {
            Some((before, since)) if before == mark => {
                let waited = world.now - since;
                (waited > TAKES_OVER)
                    .then(|| format!("votes suffice against {mark} since {waited:?}, and nobody takes over"))
            }
            _ => {
                self.since = Some((mark, world.now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::member::MemberId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::VoteRecord;

    use super::super::doctored::{breaks, vote, whole};

    #[test]
    fn votes_that_nobody_uses_are_seen() {
        let (mut world, leader, others) = whole(SyncMode::Synchronous);
        world.kill_agent(&leader);
        world.look();
        let vote = |member: &MemberId| vote(&world, member, world.node(member).database.lsn());
        let votes: Vec<VoteRecord> = others.iter().map(vote).collect();
        for vote in votes {
            world.records.votes.insert(vote.member.clone(), vote);
        }
        for _ in 0..2 {
            world.now += Duration::from_secs(30);
            world.look();
        }
        breaks(&mut world, "somebody_takes_over");
    }
}
