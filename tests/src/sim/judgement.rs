//! What must never be, what is lost, and the story for a person.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::{Machine, StateName};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;

use super::{Node, World};

impl World {
    /// Looks for what must never be.
    pub(super) fn look(&mut self) {
        let believers = self.believers();
        // With a short suspicion the database may be taken before the old belief has ended (protocol rule 42), and that belief may
        // outlast the times that allowed it.
        self.by_lease &= self.nodes.values().all(|node| node.config.timing.suspicion == node.config.timing.ttl);
        if believers.len() > 1 && self.by_lease {
            self.violations.push(format!("at {:?}: {believers:?} all believe to lead", self.now));
        }
        let attached: Vec<&MemberId> =
            self.nodes.iter().filter(|(_, node)| node.address).map(|(name, _)| name).collect();
        if attached.len() > 1 {
            let text = format!("at {:?}: the address is on {attached:?}", self.now);
            self.violations.push(text);
        }
        self.look_at_beliefs();
        self.look_at_names();
        self.look_at_promises();
        self.looks += 1;
    }

    /// Nobody believes for longer than the record gives from when it was written, by the believer's own clock.
    fn look_at_beliefs(&mut self) {
        let Some(record) = self.store.leader_record().filter(|record| !record.paused) else { return };
        let Some(holder) = record.holder.clone().filter(|holder| self.nodes.contains_key(holder)) else { return };
        let Some(written) = self.store.led_since() else { return };
        let limit = self.moment_of(&holder, written) + record.ttl();
        let machine = self.node(&holder).machine.as_ref();
        if let Some(end) = machine.and_then(Machine::leads_until).filter(|end| *end > limit) {
            let text = format!("at {:?}: {holder} believes until {end}, its record ends at {limit}", self.now);
            self.violations.push(text);
        }
    }

    /// Whom the sync record counts, the database of its leader waits for.
    pub(super) fn look_at_names(&mut self) {
        let Some(record) = self.store.sync_record() else { return };
        let Some(node) = self.nodes.get(&record.leader) else { return };
        if record.rule != ElectionRule::Synchronous || node.database.state != DatabaseState::Primary {
            return;
        }
        let missing: Vec<&MemberId> =
            record.names.keys().filter(|name| !node.database.synchronous.names(name)).collect();
        if !missing.is_empty() {
            let text = format!(
                "at {:?}: the record counts {missing:?}, {} waits for {:?}",
                self.now, record.leader, node.database.synchronous
            );
            self.violations.push(text);
        }
    }

    /// Whoever leads a primary has everything that was promised.
    pub(super) fn look_at_promises(&mut self) {
        let leads = |node: &Node| {
            node.database.state == DatabaseState::Primary
                && node.machine.as_ref().is_some_and(|m| m.state() == StateName::Leading)
        };
        // An older one may still run for a while (protocol rule 42): it reads what is stale, and nothing of it is promised.
        let leading = self.nodes.iter().filter(|(_, node)| leads(node));
        let found =
            leading.max_by_key(|(_, node)| node.database.term).map(|(name, node)| (name.clone(), node.database.term));
        let newest = self.store.sync_record().map(|record| record.mark.term);
        let Some(found) = found.filter(|(_, term)| newest == Some(*term)) else { return };
        if self.checked.as_ref() == Some(&found) && !self.looks.is_multiple_of(100) {
            return;
        }
        let has: BTreeSet<u64> = self.node(&found.0).database.log.iter().map(|(_, id)| *id).collect();
        let lost = self.promised.difference(&has).count();
        if lost > 0 {
            let text =
                format!("at {:?}: {} leads in term {} and lacks {lost} promised writes", self.now, found.0, found.1);
            self.violations.push(text);
        }
        self.checked = Some(found);
    }

    /// How many acknowledged writes the leader lacks.
    pub fn lost(&self) -> usize {
        let Some(leader) = self.leader() else { return self.acknowledged.len() };
        let has: BTreeSet<u64> = self.node(&leader).database.log.iter().map(|(_, id)| *id).collect();
        self.acknowledged.difference(&has).count()
    }

    /// Fails the test when something was that must never be.
    pub fn assert_sound(&self) {
        assert!(
            self.violations.is_empty(),
            "{:#?}\n{}",
            &self.violations[..self.violations.len().min(5)],
            self.story()
        );
    }

    /// The same, saying which seed.
    pub fn assert_sound_of(&self, seed: u64) {
        assert!(self.violations.is_empty(), "seed {seed}: {:#?}\n{}", &self.violations[..1], self.story());
    }

    /// What happened, for a person.
    pub fn story(&self) -> String {
        let mut text = String::new();
        for (at, event) in self.events.iter().rev().take(120).rev() {
            let _ = writeln!(text, "{:9.3} {} term {}: {}", at.as_secs_f64(), event.member, event.term, event.sentence);
        }
        text + &self.standing()
    }

    /// How each member stands, for a person.
    pub fn standing(&self) -> String {
        let mut text = String::new();
        for (name, node) in &self.nodes {
            let status = node.machine.as_ref().map(odoo_ha_core::machine::Machine::status);
            let _ = writeln!(
                text,
                "{name}: {:?}, refusal {:?}, database {:?} {} upstream {:?} streaming {} sync {:?}, address {}",
                status.as_ref().map(|s| s.state),
                status.as_ref().and_then(|s| s.refusal.clone()),
                node.database.state,
                node.database.lsn(),
                node.database.upstream,
                node.database.streaming,
                node.database.synchronous,
                node.address,
            );
        }
        let _ = writeln!(text, "at {:.3}", self.now.as_secs_f64());
        text
    }
}
