//! Clients: they append and read through the address, one thing at a time each; what they are told is what counts.

use std::collections::BTreeMap;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;

use super::World;
use super::fact::Fact;

/// How many there are. One that waits does nothing else, so that many appends are under way at most.
const CLIENTS: usize = 4;

/// Somebody reads at each so-manieth tick.
const READ_EVERY: u64 = 4;

/// What the clients wait for, and what a reader of each primary would see.
#[derive(Debug, Default)]
pub(super) struct Clients {
    /// For each: on whose database it waits for which record.
    waiting: [Option<(MemberId, u64)>; CLIENTS],
    /// Who is next.
    turn: usize,
    ticks: u64,
    /// How much of each primary's log is visible: what it recovered, and what it has acknowledged since.
    visible: BTreeMap<MemberId, usize>,
}

/// What becomes of an append.
enum Fate {
    /// It is not known yet.
    Waits,
    /// Its client hears that it is saved.
    Saved,
    /// The session ended before that.
    Ended,
}

impl World {
    /// Databases acknowledge what may be acknowledged.
    pub(super) fn acknowledge(&mut self) {
        self.read_records();
        let record = self.records.sync.as_ref();
        let kept = record.is_some_and(|record| record.rule == ElectionRule::Synchronous);
        if !kept && !self.promised.is_empty() {
            self.promised.clear();
            self.history.forgive();
        }
        self.note_what_is_visible();
        let reachable = self.through_address();
        // Taken out meanwhile, since what is acknowledged changes the world.
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain(|(on, index, id)| match self.fate(on, *index) {
            Fate::Waits => true,
            Fate::Ended => false,
            Fate::Saved => {
                self.acknowledge_one(on, *index, *id, kept, reachable.as_ref());
                false
            }
        });
        self.pending = pending;
        if self.writing {
            self.longest_gap = self.longest_gap.max(self.now - self.last_acknowledged);
        }
    }

    /// What becomes of an append now.
    fn fate(&self, on: &MemberId, index: usize) -> Fate {
        let database = &self.node(on).database;
        match database.state {
            _ if database.hung => Fate::Waits,
            DatabaseState::Primary if database.hasty || self.may_acknowledge(on, index) => Fate::Saved,
            DatabaseState::Primary => Fate::Waits,
            _ => Fate::Ended,
        }
    }

    /// A database tells a client that its record is saved.
    fn acknowledge_one(&mut self, on: &MemberId, index: usize, id: u64, kept: bool, reachable: Option<&MemberId>) {
        if kept {
            self.promised.insert(id);
        }
        self.acknowledged.insert(id);
        self.longest_gap = self.longest_gap.max(self.now - self.last_acknowledged);
        self.last_acknowledged = self.now;
        if let Some(visible) = self.clients.visible.get_mut(on) {
            *visible = (*visible).max(index + 1);
        }
        // Only whom the address still leads there hears of it.
        if let Some(waiting) = self.clients.waiting.iter_mut().find(|w| w.as_ref().is_some_and(|(_, of)| *of == id)) {
            *waiting = None;
            if reachable == Some(on) {
                self.history.acknowledged(id, kept);
            } else {
                self.history.unknown();
            }
        }
        self.facts.push(Fact::Acknowledged { on: on.clone(), index, id });
    }

    /// Of a database that became primary all that it recovered can be read, acknowledged or not.
    fn note_what_is_visible(&mut self) {
        for (name, node) in &self.nodes {
            if node.database.state == DatabaseState::Primary {
                self.clients.visible.entry(name.clone()).or_insert(node.database.log.len());
            } else {
                self.clients.visible.remove(name);
            }
        }
    }

    /// Whom the address leads to.
    fn through_address(&self) -> Option<MemberId> {
        let reachable = self.nodes.iter().find(|(_, node)| node.address && !node.frozen && !node.cut_from_peers);
        reachable.map(|(name, _)| name.clone())
    }

    /// The clients write and read wherever the address leads; and an application on each node may write to its own database.
    pub(super) fn write(&mut self) {
        let reachable = self.through_address();
        self.give_up_waiting(reachable.as_ref());
        let takes = |world: &Self, name: &MemberId| {
            let database = &world.node(name).database;
            database.state == DatabaseState::Primary && !database.hung && !database.stopping
        };
        if let Some(name) = reachable.as_ref().filter(|name| takes(self, name)) {
            self.read(name);
            let turn = self.clients.turn;
            let idle = (0..CLIENTS).map(|next| (turn + next) % CLIENTS).find(|i| self.clients.waiting[*i].is_none());
            if let Some(client) = idle {
                let id = self.append(name);
                self.history.invoked(id);
                self.clients.waiting[client] = Some((name.clone(), id));
                self.clients.turn = client + 1;
            }
        }
        if !self.direct_writers {
            return;
        }
        let names = self.take_names();
        for name in names.iter().filter(|name| Some(*name) != reachable.as_ref()) {
            if takes(self, name) && self.pending.iter().filter(|(on, _, _)| on == name).count() < CLIENTS {
                let id = self.append(name);
                self.history.invoked(id);
            }
        }
        self.put_names(names);
    }

    /// A session ends with its database, and when the address answers from another node.
    fn give_up_waiting(&mut self, reachable: Option<&MemberId>) {
        for waiting in &mut self.clients.waiting {
            let Some((on, id)) = waiting else { continue };
            let moved = reachable.is_some_and(|name| name != on);
            let ended = !self.pending.iter().any(|(_, _, pending)| pending == id);
            if moved || ended {
                *waiting = None;
                self.history.unknown();
            }
        }
    }

    fn append(&mut self, name: &MemberId) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let database = &mut self.node_mut(name).database;
        database.append(id);
        let index = database.log.len() - 1;
        self.pending.push((name.clone(), index, id));
        id
    }

    fn read(&mut self, name: &MemberId) {
        self.clients.ticks += 1;
        if self.clients.ticks.is_multiple_of(READ_EVERY) {
            self.read_now(name);
        }
    }

    /// Somebody reads all that is visible on a node, and what was seen is judged.
    pub fn read_now(&mut self, name: &MemberId) {
        let kept = self.records.sync.as_ref().is_some_and(|record| record.rule == ElectionRule::Synchronous);
        let Some(node) = self.nodes.get(name) else { return };
        let end = self.clients.visible.get(name).copied().unwrap_or(0).min(node.database.log.len());
        if let Some((invariant, text)) = self.history.read(&node.database.log[..end], kept) {
            self.violate(invariant, format!("through the address on {name}: {text}"));
        }
    }
}
