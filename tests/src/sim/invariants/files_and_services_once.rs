//! Users write to the files of one member, and the services run on one member (design rule 1; protocol rules 35 and 42).
//!
//! Limits, said so that they are not forgotten. Not judged until they have stopped, or have another role: services and files that outlive the agent that
//! started them (the guard stops the database and drops the address, it knows of no services); those that fail, hang or are slow when they are
//! told to (nobody waits for them beyond the `ttl`); and those of a machine that stood still. Nothing is said while the rates of clocks differ
//! by more than the margin, and of a frozen agent without a watchdog.

use std::collections::BTreeMap;

use odoo_ha_core::member::MemberId;

use super::super::{FilesRole, Node, World};
use super::Invariant;

/// In which life of its agent each member began.
#[derive(Default)]
pub(super) struct FilesAndServicesOnce {
    services: BTreeMap<MemberId, u64>,
    files: BTreeMap<MemberId, u64>,
}

fn two<'a>(
    world: &'a World,
    began: &mut BTreeMap<MemberId, u64>,
    active: impl Fn(&Node) -> bool,
) -> Option<(&'a MemberId, &'a MemberId)> {
    let mut first = None;
    for (name, node) in &world.nodes {
        if !active(node) {
            if !began.is_empty() {
                began.remove(name);
            }
            continue;
        }
        let life = began.entry(name.clone()).or_insert(node.incarnation);
        if node.asleep.is_some() {
            // Nothing of it moves, and what wakes is stopped: no life of its agent began it.
            *life = u64::MAX;
        }
        let life = *life;
        let outlived = node.machine.is_none() || life != node.incarnation;
        let asleep = node.frozen && node.config.watchdog.is_none();
        if outlived || asleep {
            continue;
        }
        if let Some(first) = first {
            return Some((first, name));
        }
        first = Some(name);
    }
    None
}

impl Invariant for FilesAndServicesOnce {
    fn name(&self) -> &'static str {
        "files_and_services_once"
    }

    fn look(&mut self, world: &World) -> Option<String> {
        let services =
            two(world, &mut self.services, |node| node.services.running.is_some() && !node.services.unstoppable);
        let files = two(world, &mut self.files, |node| {
            matches!(node.filestore.role, FilesRole::Lead(_)) && !node.filestore.stuck
        });
        let (what, (one, other)) =
            services.map(|both| ("services run", both)).or(files.map(|both| ("users write to the files", both)))?;
        world.clocks_honest().then(|| format!("{what} on {one} and {other}"))
    }
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::super::FilesRole;
    use super::super::doctored::{breaks, whole};

    #[test]
    fn services_on_two_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        for name in &others {
            world.node_mut(name).services.running = Some(Term(1));
        }
        breaks(&mut world, "files_and_services_once");
    }

    #[test]
    fn files_that_two_lead_are_seen() {
        let (mut world, _, others) = whole(SyncMode::Synchronous);
        for name in &others {
            world.node_mut(name).filestore.role = FilesRole::Lead(Term(1));
        }
        breaks(&mut world, "files_and_services_once");
    }
}
