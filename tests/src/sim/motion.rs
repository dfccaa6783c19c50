//! What moves by itself: replication, the client, watchdogs.

use std::collections::BTreeSet;

use odoo_ha_core::database::{DatabaseState, SynchronousStandbys};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;

use super::World;
use super::world::STRICT_SOON;

impl World {
    /// What moves by itself: replication, the client, watchdogs; and what must never be is looked for.
    pub(super) fn tick(&mut self) {
        self.replicate();
        self.acknowledge();
        if self.writing {
            self.write();
        }
        self.watch_dogs();
        if self.clocks_differ {
            self.note_clocks();
        }
        self.look();
    }

    pub(super) fn acknowledge(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let record = self.store.sync_record();
        let synchronous = record.as_ref().is_some_and(|record| record.rule == ElectionRule::Synchronous);
        if !synchronous {
            self.promised.clear();
        }
        let strict = record.as_ref().is_some_and(|record| record.strict);
        self.strict_since = strict.then(|| self.strict_since.unwrap_or(self.now));
        let mut by = BTreeSet::new();
        for (on, index, id) in pending {
            let database = &self.node(&on).database;
            if database.state != DatabaseState::Primary || database.hung {
                if database.hung {
                    self.pending.push((on, index, id));
                }
                continue;
            }
            let enough = self.may_acknowledge(&on, index);
            if enough {
                let alone = database.synchronous == SynchronousStandbys::Nobody;
                let recorded = record.as_ref().is_some_and(|record| record.leader == on);
                if alone && recorded && self.strict_since.is_some_and(|since| self.now - since > STRICT_SOON) {
                    self.violations.push(format!("at {:?}: {on} acknowledges alone in strict mode", self.now));
                }
                by.insert(on);
                if synchronous {
                    self.promised.insert(id);
                }
                self.acknowledged.insert(id);
                self.longest_gap = self.longest_gap.max(self.now - self.last_acknowledged);
                self.last_acknowledged = self.now;
            } else {
                self.pending.push((on, index, id));
            }
        }
        if by.len() > 1 {
            self.violations.push(format!("at {:?}: {by:?} acknowledge side by side", self.now));
        }
        if self.writing {
            self.longest_gap = self.longest_gap.max(self.now - self.last_acknowledged);
        }
    }

    /// The client writes wherever the address leads; and an application on each node writes to its own database.
    pub(super) fn write(&mut self) {
        let names: Vec<MemberId> = self.nodes.keys().cloned().collect();
        for name in names {
            let node = self.node(&name);
            let through_address = node.address && !node.frozen && !node.cut_from_peers;
            let waits = self.pending.iter().filter(|(on, _, _)| *on == name).count();
            let reaches = through_address || self.direct_writers;
            if node.database.state == DatabaseState::Primary && !node.database.hung && reaches && waits < 4 {
                self.next_id += 1;
                let id = self.next_id;
                let node = self.node_mut(&name);
                node.database.append(id);
                let index = node.database.log.len() - 1;
                self.pending.push((name.clone(), index, id));
            }
        }
    }

    pub(super) fn watch_dogs(&mut self) {
        let names = self.take_names();
        for name in &names {
            self.watch_dog(name);
        }
        self.put_names(names);
        if self.restarts.is_empty() {
            return;
        }
        let awake = |name: &MemberId| self.node(name).asleep.is_none();
        let due = self.restarts.iter().filter(|(name, at)| **at <= self.now && awake(name));
        let due: Vec<MemberId> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            self.restarts.remove(&name);
            if self.node(&name).machine.is_none() {
                self.start_agent(&name);
            }
        }
    }

    /// A node's watchdog acts when nobody fed it in time.
    pub(super) fn watch_dog(&mut self, name: &MemberId) {
        let node = self.node(name);
        let acts_before = node.config.watchdog.unwrap_or_default();
        if let Some((Some(deadline), fed_by)) = node.watchdog
            && node.asleep.is_none()
            && deadline <= self.moment(name).since_origin() + acts_before
        {
            self.node_mut(name).watchdog = None;
            if self.node(name).incarnation == fed_by {
                self.kill_agent(name);
            }
            self.kill_database(name);
            if let Some(wait) = self.supervised {
                self.restarts.insert(name.clone(), self.now + wait);
            }
        }
    }
}
