//! Disks that lose what was durable: a copy that ends too early, a memo that is gone, a whole data directory, and one that is another database's.
//!
//! Drawn only while the cluster is whole, so that one copy is lost and never two, and only where the sync record says that another has all of it.
//! What was acknowledged since the leader last published its position is nobody's promise when a copy ends too early (protocol rule 30).

use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::machine::Memo;
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::records::ElectionRule;

use super::{Database, World};

/// The system identifier of another cluster's database.
pub const FOREIGN_SYSTEM: SystemId = SystemId(9);

impl World {
    /// Whether a member may lose what it has: everybody has all of it, and nobody is bound by a vote.
    pub(super) fn may_lose(&self, whom: &MemberId) -> bool {
        let (Some(leader), Some(sync)) = (self.store.leader_record(), self.store.sync_record()) else { return false };
        let spared = sync.rule == ElectionRule::Synchronous && sync.names.keys().any(|name| name != whom);
        let only_copy = sync.leader == *whom && sync.names.is_empty();
        let bound = self.node(whom).memo.intent.is_some_and(|intent| intent.mark >= leader.mark);
        let ready = self.node(whom).machine.is_some() && self.node(whom).database.broken.is_none();
        (spared || sync.leader != *whom) && !only_copy && !bound && ready && !leader.paused && self.whole()
    }

    fn dies(&mut self, whom: &MemberId, away: Duration) {
        self.kill_agent(whom);
        self.kill_database(whom);
        self.restarts.insert(whom.clone(), self.now + away);
    }

    /// Whether the leader is this one.
    pub(super) fn leads_by_record(&self, whom: &MemberId) -> bool {
        self.store.leader_record().is_some_and(|record| record.holder.as_ref() == Some(whom))
    }

    /// A host dies, and its copy ends so many records before what the leader has published.
    pub fn copy_ends_early(&mut self, whom: &MemberId, records: usize, away: Duration) {
        self.dies(whom, away);
        let Some(published) = self.store.leader_record().map(|record| record.lsn.0 as usize) else { return };
        let database = &mut self.node_mut(whom).database;
        let end = published.saturating_sub(records);
        // Not into an older timeline: that is another kind of loss.
        let same = end > 0 && database.log.get(end - 1).is_some_and(|(timeline, _)| *timeline == database.timeline);
        if !same || database.switched_at >= end {
            return;
        }
        database.log.truncate(end);
        database.flushed = database.flushed.min(end);
        database.replayed = database.replayed.min(end);
        let kept = self.nodes.values().filter_map(|node| node.database.log.get(..published));
        let kept: Vec<(u32, u64)> = kept.flatten().copied().collect();
        let lost = self.promised.without_log(&kept);
        self.promised.take_away(&lost);
        self.history.forgive();
    }

    /// An agent dies, and what it remembered beside the data is gone.
    pub fn memo_is_lost(&mut self, whom: &MemberId, away: Duration) {
        self.kill_agent(whom);
        self.node_mut(whom).memo = Memo::default();
        self.restarts.insert(whom.clone(), self.now + away);
    }

    /// A host dies, and comes back with an empty disk.
    pub fn disk_is_lost(&mut self, whom: &MemberId, away: Duration) {
        self.dies(whom, away);
        self.node_mut(whom).memo = Memo::default();
        self.empty_disk(whom);
    }

    /// A host dies, and comes back with the data of another cluster.
    pub fn data_are_foreign(&mut self, whom: &MemberId, away: Duration) {
        self.disk_is_lost(whom, away);
        self.former_data(whom);
    }

    /// Data of a database that is not this cluster's.
    pub fn former_data(&mut self, whom: &MemberId) {
        let records: Vec<(u32, u64)> = (0..50).map(|_| (1, self.internal_id())).collect();
        let database = &mut self.node_mut(whom).database;
        *database = Database::absent();
        database.log = records;
        (database.flushed, database.replayed) = (database.log.len(), database.log.len());
        database.timeline = 1;
        database.state = DatabaseState::StoppedCleanly;
        database.system_id = Some(FOREIGN_SYSTEM);
        database.data_id = Some(DataId(format!("{whom}-former")));
        database.in_recovery = true;
    }

    /// Whether a member has another cluster's data.
    pub(super) fn is_foreign(&self, whom: &MemberId) -> bool {
        let ours = self.store.snapshot().entries.keys().any(|key| key.as_str() == "cluster");
        ours && self.node(whom).database.system_id == Some(FOREIGN_SYSTEM)
    }

    /// An operator empties a data directory that is of no use.
    pub(super) fn empty_disk(&mut self, whom: &MemberId) {
        self.drop_receiver(whom);
        let node = self.node_mut(whom);
        node.senders.clear();
        let hasty = node.database.hasty;
        node.database = Database { hasty, ..Database::absent() };
    }
}
