//! No acknowledged commit is lost in the synchronous modes, whatever the clocks do (design rule 3; protocol rules 12 to 18).
//!
//! Judged by what databases told clients and what databases hold: whoever becomes primary in the newest term has everything, and nothing is
//! acknowledged by one of an older term that the newest lacks. Neither the store nor a machine is asked. What was acknowledged in asynchronous
//! mode is no promise, nor is what an operator accepted to lose in words. A copy that ends before what its own reign has published may be started, to
//! find that out, but users must not reach it (protocol rule 30).

use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::term::Term;

use super::super::{Fact, World};
use super::Invariant;

/// How often all of it is compared again while nothing happens.
const ALL_AGAIN: Duration = Duration::from_secs(5);

/// Who became primary in the newest term.
#[derive(Default)]
pub(super) struct NoCommitIsLost {
    newest: Option<(Term, MemberId)>,
    again_at: Duration,
    /// It began with less than its own reign had published.
    short: bool,
}

impl NoCommitIsLost {
    fn lacks(&mut self, world: &World) -> Option<String> {
        self.again_at = world.now + ALL_AGAIN;
        let (term, name) = self.newest.as_ref()?;
        let node = world.nodes.get(name)?;
        let database = &node.database;
        if database.state != DatabaseState::Primary || database.term != *term || world.promised.is_empty() {
            return None;
        }
        if self.short && !node.address {
            // It has lost data, and must not serve. Judged again with the next step.
            self.again_at = world.now;
            return None;
        }
        let lost = world.promised.without_log(&database.log);
        let (first, lost) = (lost.first()?, lost.len());
        Some(format!("{name} is primary in term {term} and lacks {lost} acknowledged commits, {first} first"))
    }
}

impl Invariant for NoCommitIsLost {
    fn name(&self) -> &'static str {
        "no_commit_is_lost"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let mut broken = None;
        for fact in &world.facts {
            match fact {
                Fact::NodeChanged { member, before } => {
                    let Some(node) = world.nodes.get(member).filter(|node| before.became_primary(node)) else {
                        continue;
                    };
                    let term = node.database.term;
                    if self.newest.as_ref().is_none_or(|(newest, _)| *newest <= term) {
                        self.newest = Some((term, member.clone()));
                        let published = world.records.leader.as_ref().filter(|record| record.mark.term == term);
                        self.short = published.is_some_and(|record| node.database.lsn() < record.lsn);
                        broken = broken.or(self.lacks(world));
                    }
                }
                Fact::Acknowledged { on, index, id } => {
                    let Some((term, newest)) = self.newest.as_ref().filter(|(_, newest)| newest != on) else {
                        continue;
                    };
                    let Some(node) = world.nodes.get(newest).filter(|node| node.database.term == *term) else {
                        continue;
                    };
                    let own = world.nodes.get(on).and_then(|node| node.database.log.get(*index));
                    if world.promised.contains(*id) && node.database.log.get(*index) != own {
                        broken =
                            Some(format!("{on} acknowledged {id}, which {newest}, primary since term {term}, lacks"));
                    }
                }
                _ => {}
            }
        }
        if broken.is_none() && world.now >= self.again_at {
            broken = self.lacks(world);
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::policy::SyncMode;

    use super::super::super::Fact;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn a_promise_that_the_newest_primary_lacks_is_seen() {
        let (mut world, _, _) = whole(SyncMode::Synchronous);
        world.promised.insert(1_000_000);
        world.now += Duration::from_millis(1);
        world.run(Duration::from_secs(6));
        breaks(&mut world, "no_commit_is_lost");
    }

    #[test]
    fn one_that_was_deposed_and_acknowledges_is_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        let database = &mut world.node_mut(&others[0]).database;
        database.streaming = false;
        database.append(1_000_000);
        let index = database.log.len() - 1;
        world.promised.insert(1_000_000);
        world.facts.push(Fact::Acknowledged { on: others[0].clone(), index, id: 1_000_000 });
        breaks(&mut world, "no_commit_is_lost");
    }
}
