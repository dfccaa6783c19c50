//! What moves by itself: replication, the client, watchdogs, the ends of faults.

use std::collections::BTreeSet;

use odoo_ha_core::database::{DatabaseState, SynchronousStandbys};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::records::ElectionRule;
use tokio::time::Instant;

use super::faces::ACTS_BEFORE;
use super::state::State;

/// The client writes once in so many ticks.
const WRITES_EVERY: u64 = 4;

/// It waits for at most so many writes on one node.
const MAX_WAITING: usize = 4;

impl State {
    /// A little time has passed.
    pub(super) fn tick(&mut self) {
        self.replicate(false);
        self.acknowledge();
        if self.client.writing && self.looks.is_multiple_of(WRITES_EVERY) {
            self.write();
        }
        self.watch_dogs();
        self.judge();
    }

    /// Standbys receive. `all`: as much as there is.
    pub(super) fn replicate(&mut self, all: bool) {
        for name in &self.names() {
            let site = self.site(name);
            let mut more = Vec::new();
            let mut streaming = false;
            if site.data.state == DatabaseState::Standby
                && !site.cut_from_peers
                && !site.data.hung
                && let Some(from) = site.data.upstream.as_ref().and_then(|upstream| self.sites.get(upstream))
                && from.data.is_primary()
                && !from.cut_from_peers
                && !from.data.hung
                && (site.data.streaming || site.data.is_prefix_of(&from.data))
            {
                streaming = true;
                let limit = if all { usize::MAX } else { site.data.receives };
                more = from.data.log.iter().skip(site.data.log.len()).take(limit).copied().collect();
            }
            let data = &mut self.site_mut(name).data;
            data.streaming = streaming;
            data.log.extend(more);
            if streaming {
                data.timeline = data.log.last().map_or(data.timeline, |record| record.0);
            }
        }
    }

    fn acknowledge(&mut self) {
        let pending = std::mem::take(&mut self.client.pending);
        let synchronous = self.sync_record.as_ref().is_some_and(|record| record.rule == ElectionRule::Synchronous);
        if !synchronous {
            self.client.promised.clear();
        }
        let mut by = BTreeSet::new();
        for (on, index, id) in pending {
            let data = &self.site(&on).data;
            if !data.is_primary() {
                continue;
            }
            let flushed = |name: &MemberId| {
                self.sites.get(name).is_some_and(|site| {
                    site.data.streaming
                        && site.data.upstream.as_ref() == Some(&on)
                        && site.data.log.get(index) == data.log.get(index)
                })
            };
            let enough = match &data.synchronous {
                SynchronousStandbys::Nobody => true,
                SynchronousStandbys::AllOf(names) => names.iter().all(flushed),
                SynchronousStandbys::AnyOf { k, names } => {
                    names.iter().filter(|name| flushed(name)).count() >= *k as usize
                }
            };
            if !enough || data.hung {
                self.client.pending.push((on, index, id));
                continue;
            }
            if synchronous {
                self.client.promised.insert(id);
            }
            self.client.acknowledged.insert(id);
            by.insert(on);
        }
        if by.len() > 1 && synchronous {
            self.violated("one_acknowledges", format!("{by:?}"));
        }
    }

    /// The client writes wherever the address leads; and somebody on each node to its own database.
    fn write(&mut self) {
        for name in self.names() {
            let direct = self.client.direct;
            let waiting = self.client.pending.iter().filter(|(on, _, _)| *on == name).count();
            self.client.next_id += 1;
            let id = self.client.next_id;
            let site = self.site_mut(&name);
            let reaches = direct || (site.address && !site.cut_from_peers);
            if site.data.is_primary() && !site.data.hung && reaches && waiting < MAX_WAITING {
                site.data.append(id);
                let index = site.data.log.len() - 1;
                self.client.pending.push((name, index, id));
            }
        }
    }

    /// A watchdog that was not fed in time kills the database and its agent, and with it the address.
    fn watch_dogs(&mut self) {
        for name in self.names() {
            let site = self.site(&name);
            let Some(deadline) = site.armed.and_then(|armed| armed.deadline) else { continue };
            if site.clock.rate.instant(deadline.before(ACTS_BEFORE)) > Instant::now() {
                continue;
            }
            self.tell(format_args!("{name}: the watchdog acts"));
            self.site_mut(&name).armed = None;
            self.kill_database(&name);
            self.kill_agent(&name);
        }
    }
}
