//! What must never be. Each judge has a name, by which a violation is told.
//!
//! | judge | rule | what must never be |
//! |---|---|---|
//! | `one_believer` | DESIGN 3.1 | two members that believe to lead |
//! | `faces` | DESIGN 3.1, 3.8 | address, services or the files' lead on two nodes |
//! | `belief` | PROTOCOL 34 | what needs leadership begins without it |
//! | `promises` | DESIGN 3.3 | a leader lacks an acknowledged write (synchronous modes) |
//! | `one_acknowledges` | DESIGN 3.3 | two databases acknowledge at once |
//! | `names` | PROTOCOL 18 | the sync record counts a member that its leader's database does not wait for |
//! | `timelines` | PROTOCOL 31 | two reigns on one timeline |
//! | `memo` | PROTOCOL 28 | a vote is sent before the intent to vote is durable |
//! | `lanes` | DESIGN 2.6 | code of a role on the control loop's thread, or of two kinds of calls on one |
//! | `one_order` | `ReplicationManager` | two orders to one database at a time |
//! | `deadlines` | STYLE 20 | a call that goes on long after its deadline |
//! | `machine` | STYLE 9 | the machine found its own state impossible |
//! | `alive` | | an agent ends unasked, or does not end or start when it should |
//! | `healed` | | a cluster that is not whole some time after the last fault |

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::error::Error;
use odoo_ha_core::machine::StateName;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::SyncMode;
use odoo_ha_core::records::{ElectionRule, VoteRecord, decode};
use odoo_ha_core::store::{Commit, Key};
use tokio::time::Instant;

use super::cluster::CLUSTER;
use super::mood::{Asked, Kind, Link, dead};
use super::state::{Site, State};

/// Lanes on which no code of a role may run.
const OWN_LANES: [&str; 3] = ["control", "side", "log"];

/// How much later than its deadline a call must be over: the driver's own grace, and that clocks differ.
const SLACK: Duration = Duration::from_secs(1);

impl State {
    /// A call begins.
    pub(super) fn judge_begin(&mut self, link: &Link, asked: Asked) -> Result<(), Error> {
        self.judge_lane(link, asked.kind, asked.verb);
        let now = Instant::now();
        let Some(site) = link.site(self) else { return Err(dead()) };
        let beside = site
            .calls
            .values()
            .find(|call| matches!(call.kind, Kind::Orders | Kind::Stop))
            .filter(|_| matches!(asked.kind, Kind::Orders | Kind::Stop))
            .map(|call| call.verb);
        let unbelieved = asked.needs_belief && {
            site.look(false);
            !site.believes(now)
        };
        if let Some(other) = beside {
            self.violated("one_order", format!("{}: {} begins beside {other}", link.me, asked.verb));
        }
        if unbelieved {
            self.violated("belief", format!("{}: {} begins without leadership", link.me, asked.verb));
        }
        Ok(())
    }

    /// Which thread a role's code runs on.
    pub(super) fn judge_lane(&mut self, link: &Link, kind: Kind, verb: &str) {
        let Some(site) = link.site(self) else { return };
        let lane = site.turns.current();
        let first = *site.lanes.entry(lane.clone()).or_insert(kind);
        if first != kind || OWN_LANES.contains(&lane.as_str()) {
            self.violated("lanes", format!("{}: {verb} ({kind:?}) runs on {lane}, with {first:?}", link.me));
        }
    }

    /// A commit is about to be sent. A vote may be only when the intent to vote is durable.
    pub(super) fn judge_commit(&mut self, name: &MemberId, commit: &Commit) {
        let key = Key::vote(name);
        let Some(bytes) = commit.writes.get(&key) else { return };
        let vote = ClusterId::new(CLUSTER).and_then(|cluster| decode::<VoteRecord>(&cluster, &key, bytes));
        let Some(against) = vote.ok().and_then(|vote| vote.against) else { return };
        let written = std::fs::read(&self.site(name).memo).unwrap_or_default();
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap_or_default();
        let intent = written.get("memo").and_then(|memo| memo.get("intent"));
        if intent != serde_json::to_value(against).ok().as_ref() {
            self.violated("memo", format!("{name} votes against {against:?} and remembers {intent:?}"));
        }
    }

    /// What only one node may have.
    pub(super) fn judge_faces(&mut self) {
        // Without a watchdog, a dead or frozen agent's node keeps them: documented.
        if !self.guarded {
            return;
        }
        let with = |has: fn(&Site) -> bool| -> Vec<&MemberId> {
            self.sites.iter().filter(|(_, site)| has(site)).map(|(name, _)| name).collect()
        };
        let mut found = Vec::new();
        for (what, who) in [
            ("the address is", with(|site| site.address)),
            ("services run", with(|site| site.services && site.data.is_primary())),
            ("files are led", with(|site| site.leads_files && !site.files_ail)),
        ] {
            if who.len() > 1 {
                found.push(format!("{what} on {who:?}"));
            }
        }
        for what in found {
            self.violated("faces", what);
        }
    }

    /// Looks for what must never be at any moment.
    pub(super) fn judge(&mut self) {
        let now = Instant::now();
        let believers: Vec<&MemberId> =
            self.sites.iter().filter(|(_, site)| site.believes(now)).map(|(name, _)| name).collect();
        if believers.len() > 1 {
            let what = format!("{believers:?}");
            self.violated("one_believer", what);
        }
        self.judge_faces();
        self.judge_names();
        self.judge_promises();
        self.judge_deadlines(now);
        let spinning = self.sites.iter().find(|(_, site)| site.turns.spins()).map(|(name, _)| name.clone());
        if let Some(name) = spinning {
            self.violated("alive", format!("{name}: the agent spins"));
        }
        self.looks += 1;
    }

    fn judge_names(&mut self) {
        let Some(record) = &self.sync_record else { return };
        let Some(site) = self.sites.get(&record.leader) else { return };
        if record.rule != ElectionRule::Synchronous || !site.data.is_primary() {
            return;
        }
        let waits_for = &site.data.synchronous;
        let missing: Vec<&MemberId> = record.names.keys().filter(|name| !waits_for.names(name)).collect();
        if !missing.is_empty() {
            let what = format!("the record counts {missing:?}, {} waits for {waits_for:?}", record.leader);
            self.violated("names", what);
        }
    }

    fn judge_promises(&mut self) {
        let leads =
            |site: &Site| site.data.is_primary() && site.agent.is_some() && site.picture.state == StateName::Leading;
        let leading = self.sites.iter().filter(|(_, site)| leads(site));
        let Some((name, site)) = leading.max_by_key(|(_, site)| site.data.term) else { return };
        let term = site.data.term;
        if site.address {
            self.reigns.insert(term);
        }
        if self.sync_record.as_ref().is_none_or(|record| record.mark.term != term) {
            return;
        }
        let found = (name.clone(), term);
        if self.checked.as_ref() == Some(&found) && !self.looks.is_multiple_of(200) {
            return;
        }
        let has: BTreeSet<u64> = site.data.log.iter().map(|(_, id)| *id).collect();
        let lost = self.client.promised.difference(&has).count();
        if lost > 0 {
            self.violated("promises", format!("{} leads in {term} and lacks {lost} acknowledged writes", found.0));
        }
        self.checked = Some(found);
    }

    fn judge_deadlines(&mut self, now: Instant) {
        let mut found = Vec::new();
        for (name, site) in &self.sites {
            if site.turns.is_frozen() {
                continue;
            }
            for call in site.calls.values() {
                if call.deadline.max(site.awake_since) + SLACK < now && site.turns.is_open(&call.lane) {
                    found.push(format!("{name}: {} still goes on", call.verb));
                }
            }
        }
        for what in found {
            self.violated("deadlines", what);
        }
    }

    /// The member that serves.
    pub(super) fn leader(&self) -> Option<&MemberId> {
        let serves = |site: &Site| {
            site.address
                && site.agent.is_some()
                && !site.turns.is_frozen()
                && site.data.is_primary()
                && site.picture.state == StateName::Leading
        };
        self.sites.iter().find(|(_, site)| serves(site)).map(|(name, _)| name)
    }

    /// What is missing until everybody streams from the leader, and is waited for in synchronous modes.
    pub(super) fn not_whole(&self) -> Option<String> {
        let Some(leader) = self.leader() else { return Some("nobody serves".into()) };
        let Some(record) = &self.sync_record else { return Some("no sync record".into()) };
        let Some(status) = self.site(leader).agent.as_ref().map(odoo_ha_core::driver::HaHandle::status) else {
            return Some("the leader is dead".into());
        };
        self.sites.iter().filter(|(name, _)| *name != leader).find_map(|(name, site)| {
            let says = status.members.get(name).is_some_and(|member| member.streams_from.as_ref() == Some(leader));
            let streams = site.data.state == DatabaseState::Standby
                && site.data.streaming
                && site.data.upstream.as_ref() == Some(leader);
            let counted = self.mode == SyncMode::Asynchronous || record.names.contains_key(name);
            (!(says && streams && counted))
                .then(|| format!("{name} of {leader}: says it streams {says}, streams {streams}, is counted {counted}"))
        })
    }
}
