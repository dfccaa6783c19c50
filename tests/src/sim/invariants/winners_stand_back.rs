//! A winner that cannot take up its reign hands it back within a limit, and leaves the next election to others (protocol rules 17 and 37).
//!
//! Whether it cannot is known here: its promotion was refused for good, in this life of its agent, and would be again.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::DatabaseOrder;
use odoo_ha_core::machine::Order;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// Beyond the limit of a promotion, stopping everything and handing back take no longer.
const HANDS_BACK: Duration = Duration::from_secs(30);

/// Whose promotion was refused, and since when a reign does not serve.
#[derive(Default)]
pub(super) struct WinnersStandBack {
    refused: BTreeMap<MemberId, (Term, u64)>,
    idle: Option<Idle>,
}

/// A reign that does not serve yet.
struct Idle {
    holder: MemberId,
    term: Term,
    incarnation: u64,
    since: Duration,
    limit: Duration,
}

impl WinnersStandBack {
    /// The leader record was written: whose reign does not serve, and for how long already.
    fn renewed(&mut self, world: &World) -> Option<String> {
        let record = world.records.leader.as_ref()?;
        let named = record.holder.clone().and_then(|holder| Some((world.nodes.get(&holder)?, holder)));
        let Some((node, holder)) = named.filter(|_| !record.serving && world.records.system_id.is_some()) else {
            self.idle = None;
            return None;
        };
        let limit = node.config.timing.promote_timeout + node.config.timing.ttl * 2 + HANDS_BACK;
        let term = record.mark.term;
        // One that cannot stop its database cannot hand back either; one that stands still does nothing.
        let excused = node.stop_hangs || node.frozen || node.detach_fails || record.paused;
        match &mut self.idle {
            Some(idle)
                if idle.holder == holder && idle.term == term && idle.incarnation == node.incarnation && !excused =>
            {
                idle.limit = idle.limit.max(limit);
                let took = world.now - idle.since;
                (took > idle.limit).then(|| format!("{holder} renews term {term} for {took:?} and serves nobody"))
            }
            _ => {
                let incarnation = node.incarnation;
                self.idle = Some(Idle { holder, term, incarnation, since: world.now, limit });
                None
            }
        }
    }
}

impl Invariant for WinnersStandBack {
    fn name(&self) -> &'static str {
        "winners_stand_back"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        world.facts.iter().find_map(|fact| match fact {
            Fact::Ordered { member, order: Order::Database(DatabaseOrder::Promote(order)), accepted: false } => {
                let node = world.nodes.get(member)?;
                if node.promotion_fails {
                    self.refused.insert(member.clone(), (order.term, node.incarnation));
                }
                None
            }
            Fact::LeaderWritten { before } => {
                let handed_back = before.as_ref().and_then(|before| {
                    let now = world.records.leader.as_ref().filter(|now| now.holder.is_none())?;
                    let holder = before.holder.as_ref()?;
                    let node = world.nodes.get(holder).filter(|node| node.promotion_fails)?;
                    let could_not = self.refused.get(holder) == Some(&(before.mark.term, node.incarnation));
                    (could_not && !now.excluded.contains(holder))
                        .then(|| format!("{holder} hands term {} back and does not stand back", before.mark.term))
                });
                let broken = self.renewed(world);
                handed_back.or(broken)
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::database::{DatabaseOrder, PromoteOrder, SynchronousStandbys};
    use odoo_ha_core::lsn::{Lsn, Timeline};
    use odoo_ha_core::machine::Order;
    use odoo_ha_core::member::MemberId;
    use odoo_ha_core::member::SystemId;
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::records::{LeaderRecord, encode};
    use odoo_ha_core::store::Key;

    use super::super::super::{Fact, World};
    use super::super::doctored::{breaks_among_others, whole};

    fn rewrites(world: &mut World, change: impl Fn(&mut LeaderRecord)) {
        let mut record = world.store.leader_record().expect("there is a leader");
        record.mark.sequence += 1;
        change(&mut record);
        world.put_raw(Key::leader(), encode(&record));
    }

    fn refused(world: &World, leader: &MemberId) -> Fact {
        let order = PromoteOrder {
            term: world.node(leader).database.term,
            timeline: Timeline(1),
            system_id: SystemId(7),
            at_least: Lsn(0),
            synchronous: SynchronousStandbys::Nobody,
            members: Default::default(),
        };
        let order = Order::Database(DatabaseOrder::Promote(order));
        Fact::Ordered { member: leader.clone(), order, accepted: false }
    }

    #[test]
    fn one_that_hands_back_and_may_be_elected_at_once_is_seen() {
        let (mut world, leader, _) = whole(SyncMode::Synchronous);
        world.node_mut(&leader).promotion_fails = true;
        let fact = refused(&world, &leader);
        world.facts.push(fact);
        rewrites(&mut world, |record| record.holder = None);
        breaks_among_others(&mut world, "winners_stand_back");
    }

    #[test]
    fn one_that_renews_and_serves_nobody_is_seen() {
        let (mut world, _, _) = whole(SyncMode::Synchronous);
        rewrites(&mut world, |record| record.serving = false);
        world.look();
        world.now += Duration::from_secs(200);
        rewrites(&mut world, |record| record.serving = false);
        breaks_among_others(&mut world, "winners_stand_back");
    }
}
