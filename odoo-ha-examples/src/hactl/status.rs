//! What is shown of a cluster: one screen.

use std::fmt::Write;

use odoo_ha_core::database::DatabaseState;
use odoo_ha_core::error::Error;
use odoo_ha_core::member::{ClusterId, Tags};
use odoo_ha_core::records::{
    ElectionRule, LeaderRecord, MemberRecord, Record, RequestOutcome, RequestRecord, SyncRecord, decode,
};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Key, Snapshot};

use super::STORE_TIMEOUT;

/// Reads the store and says what it shows.
///
/// # Errors
///
/// What the store says when it cannot be read; `Malformed` for a record that is not this cluster's.
pub(super) async fn show(store: &dyn Dcs, cluster: &ClusterId) -> Result<String, Error> {
    render(&store.read(STORE_TIMEOUT).await?, cluster)
}

fn render(snapshot: &Snapshot, cluster: &ClusterId) -> Result<String, Error> {
    let mut text = format!("cluster {cluster}\n");
    let mut line = |words: String| _ = writeln!(text, "{words}");
    let leader: Option<LeaderRecord> = record(snapshot, cluster, &Key::leader())?;
    match &leader {
        None => line("nobody has begun it yet".to_owned()),
        Some(leader) => {
            let who = leader.holder.as_ref().map_or_else(|| "nobody leads".to_owned(), |who| format!("{who} leads"));
            let serves = if leader.holder.is_some() && !leader.serving { ", does not serve yet" } else { "" };
            line(format!("{who} in term {} (ttl {:?}){serves}", leader.mark.term, leader.ttl()));
            if leader.paused {
                line("paused: automatic failover is suspended".to_owned());
            }
        }
    }
    if let Some(sync) = record::<SyncRecord>(snapshot, cluster, &Key::sync())? {
        let names: Vec<String> = sync.names.keys().map(ToString::to_string).collect();
        line(match sync.rule {
            ElectionRule::Asynchronous => "commits wait for nobody (asynchronous)".to_owned(),
            ElectionRule::Synchronous if names.is_empty() && sync.strict => {
                "commits wait: no standby is there".to_owned()
            }
            ElectionRule::Synchronous if names.is_empty() => "commits wait for nobody: no standby is there".to_owned(),
            ElectionRule::Synchronous => format!("commits wait for {} of {}", sync.k, names.join(", ")),
        });
    }
    if let Some(request) = record::<RequestRecord>(snapshot, cluster, &Key::request())? {
        let became = match &request.outcome {
            RequestOutcome::Pending => "is being carried out".to_owned(),
            RequestOutcome::Done => "was done".to_owned(),
            RequestOutcome::Refused(why) => format!("was refused: {why}"),
        };
        line(format!("the last wish {became}"));
    }
    line(format!(
        "\n{:<16} {:<14} {:<14} {:>8} {:>14}  streams from",
        "member", "state", "database", "timeline", "log ends"
    ));
    for (key, entry) in snapshot.entries.iter().filter(|(key, _)| key.as_str().starts_with("members/")) {
        let member: MemberRecord = decode(cluster, key, &entry.value)?;
        let from = member.streams_from.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let tags = tags(&member.tags);
        line(format!(
            "{:<16} {:<14} {:<14} {:>8} {:>14}  {from}{tags}",
            member.member.to_string(),
            member.state,
            word(member.database),
            member.timeline.0,
            member.lsn.to_string(),
        ));
        if let Some(refusal) = &member.refusal {
            line(format!("                 {}", refusal.replace('\n', " ")));
        }
    }
    Ok(text)
}

fn record<R: Record>(snapshot: &Snapshot, cluster: &ClusterId, key: &Key) -> Result<Option<R>, Error> {
    snapshot.entries.get(key).map(|entry| decode(cluster, key, &entry.value)).transpose()
}

/// What its operator said of a member; nothing for one without tags.
fn tags(tags: &Tags) -> String {
    let mut words = Vec::new();
    if tags.nofailover {
        words.push("nofailover: true".to_owned());
    }
    if tags.nosync {
        words.push("nosync: true".to_owned());
    }
    if tags.failover_priority != 0 {
        words.push(format!("failover_priority: {}", tags.failover_priority));
    }
    if let Some(upstream) = &tags.replicate_from {
        words.push(format!("replicate_from: {upstream}"));
    }
    if words.is_empty() { String::new() } else { format!("  {{{}}}", words.join(", ")) }
}

const fn word(database: DatabaseState) -> &'static str {
    match database {
        DatabaseState::Absent => "absent",
        DatabaseState::StoppedCleanly => "stopped",
        DatabaseState::Crashed => "crashed",
        DatabaseState::Starting => "starting",
        DatabaseState::Primary => "primary",
        DatabaseState::Standby => "standby",
        DatabaseState::Unresponsive => "unresponsive",
    }
}
