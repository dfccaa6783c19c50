//! What happened, one line an event, for a person: faults and wishes, what the members said, and writes to the store of note.

use std::fmt::Write as _;
use std::time::Duration;

use odoo_ha_core::event::EventKind;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::records::{LeaderRecord, Record, SyncRecord, VoteRecord, decode};
use odoo_ha_core::store::{Commit, Key};

use super::World;

/// So many lines before the end are shown.
const LINES: usize = 150;

impl World {
    /// Notes what a commit changes, if somebody is going to read it: who leads, in which term, whom the sync record counts, and votes.
    pub(super) fn note_commit(&mut self, commit: &Commit) {
        if self.tale.is_none() {
            return;
        }
        let Ok(cluster) = ClusterId::new("world") else { return };
        for (key, value) in &commit.writes {
            let line = match key.as_str() {
                "leader" => read(&cluster, key, value).and_then(|record| self.leader_line(&record)),
                "sync" => read(&cluster, key, value).and_then(|record| self.sync_line(&record)),
                name if name.starts_with("votes/") => read(&cluster, key, value).map(|vote: VoteRecord| {
                    let verb = if vote.against.is_some() { "votes" } else { "withdraws its vote" };
                    format!("store: {} {verb}, its log ends at {} of {}", vote.member, vote.position.lsn, vote.timeline)
                }),
                _ => None,
            };
            if let Some(line) = line {
                self.note(|| line);
            }
        }
    }

    fn leader_line(&mut self, record: &LeaderRecord) -> Option<String> {
        let paused = if record.paused { ", paused" } else { "" };
        let line = match &record.holder {
            Some(holder) => format!("store: {holder} leads in term {}{paused}", record.mark.term),
            None => format!("store: nobody leads, term {}{paused}", record.mark.term),
        };
        self.news(0, line)
    }

    fn sync_line(&mut self, record: &SyncRecord) -> Option<String> {
        let names: Vec<&str> = record.names.keys().map(odoo_ha_core::member::MemberId::as_str).collect();
        let rule = format!("{:?}", record.rule).to_lowercase();
        let line =
            format!("store: {rule} by {}, {} of [{}] have every commit", record.leader, record.k, names.join(" "));
        self.news(1, line)
    }

    /// The line, unless it was the last of its kind.
    fn news(&mut self, kind: usize, line: String) -> Option<String> {
        let last = self.last_lines.get_mut(kind)?;
        if *last == line {
            return None;
        }
        last.clone_from(&line);
        Some(line)
    }

    /// The last that happened, in order.
    pub fn timeline(&self) -> String {
        let mut lines: Vec<(Duration, u8, String)> = Vec::new();
        for (at, line) in self.tale.iter().flatten() {
            lines.push((*at, 0, line.clone()));
        }
        for (at, event) in &self.events {
            let cause = match &event.kind {
                EventKind::StateChanged { from, to, .. } => format!(" [{from} -> {to}]"),
                _ => String::new(),
            };
            lines.push((*at, 1, format!("{} (term {}): {}{cause}", event.member, event.term, event.sentence)));
        }
        // Stable: what happened at one moment stays in order.
        lines.sort_by_key(|(at, kind, _)| (*at, *kind));
        let left_out = lines.len().saturating_sub(LINES);
        let mut text = String::new();
        if left_out > 0 {
            let _ = writeln!(text, "  … {left_out} lines before");
        }
        for (at, _, line) in lines.iter().skip(left_out) {
            let _ = writeln!(text, "  {:10.3}  {line}", at.saturating_sub(super::world::BEGIN).as_secs_f64());
        }
        text + &self.standing()
    }
}

fn read<R: Record>(cluster: &ClusterId, key: &Key, value: &[u8]) -> Option<R> {
    decode(cluster, key, value).ok()
}
