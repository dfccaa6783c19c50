//! What moves by itself: replication, the client, watchdogs.

use std::collections::BTreeMap;

use odoo_ha_core::database::{DatabaseState, StandbyStatus};
use odoo_ha_core::member::MemberId;

use super::World;

impl World {
    /// What moves by itself: replication, the client, watchdogs.
    pub(super) fn tick(&mut self) {
        self.replicate();
        self.acknowledge();
        if self.writing {
            self.write();
        }
        self.watch_dogs();
    }

    pub(super) fn replicate(&mut self) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for name in &names {
            let node = self.node(name);
            let mut streaming = false;
            let mut more = Vec::new();
            if node.database.state == DatabaseState::Standby
                && !node.cut_from_peers
                && !node.database.hung
                && let Some(upstream) = node.database.upstream.clone()
            {
                let from = self.node(&upstream);
                let serves =
                    from.database.state == DatabaseState::Primary && !from.cut_from_peers && !from.database.hung;
                if serves && (node.database.streaming || node.database.is_prefix_of(&from.database)) {
                    streaming = true;
                    more = from.database.log[node.database.log.len()..].to_vec();
                }
            }
            let node = self.node_mut(name);
            node.database.streaming = streaming;
            node.database.log.extend(more);
            if streaming {
                node.database.timeline = node.database.log.last().map_or(node.database.timeline, |record| record.0);
            }
        }
    }

    /// The standbys of a primary, as it sees them.
    pub fn standbys_of(&self, name: &MemberId) -> BTreeMap<MemberId, StandbyStatus> {
        let named = &self.node(name).database.synchronous;
        self.nodes
            .iter()
            .filter(|(_, node)| node.database.streaming && node.database.upstream.as_ref() == Some(name))
            .map(|(standby, node)| {
                let lsn = node.database.lsn();
                let status =
                    StandbyStatus { streaming: true, flushed: lsn, replayed: lsn, synchronous: named.names(standby) };
                (standby.clone(), status)
            })
            .collect()
    }

    pub(super) fn watch_dogs(&mut self) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for name in names {
            let node = self.node(&name);
            let acts_before = node.config.watchdog.unwrap_or_default();
            if let Some((Some(deadline), fed_by)) = node.watchdog
                && deadline <= self.moment(&name).since_origin() + acts_before
            {
                self.node_mut(&name).watchdog = None;
                if self.node(&name).incarnation == fed_by {
                    self.kill_agent(&name);
                }
                self.kill_database(&name);
                if let Some(wait) = self.supervised {
                    self.restarts.insert(name, self.now + wait);
                }
            }
        }
        let due: Vec<MemberId> =
            self.restarts.iter().filter(|(_, at)| **at <= self.now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.restarts.remove(&name);
            if self.node(&name).machine.is_none() {
                self.start_agent(&name);
            }
        }
    }
}
