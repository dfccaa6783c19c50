//! The status as JSON.

use odoo_ha_core::database::DatabaseStatus;
use odoo_ha_core::driver::FilestoreReport;
use odoo_ha_core::machine::Status;
use odoo_ha_core::time::Moment;
use serde_json::{Value, json};

/// Everything that the node says of itself and sees of the others.
pub(super) fn of(status: &Status, files: Option<&FilestoreReport>, now: Moment) -> Value {
    let leads_for_ms = status.leads_until.filter(|until| *until > now && *until != Moment::MAX);
    json!({
        "cluster": status.cluster,
        "member": status.member,
        "state": status.state.as_str(),
        "term": status.term.0,
        "leader": status.leader,
        "leads": status.leads_until.is_some_and(|until| until > now),
        "leads_for_ms": leads_for_ms.map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX)),
        "address_here": status.address_here,
        "paused": status.paused,
        "timeline": status.timeline,
        "database": status.database.as_ref().map(database),
        "filestore": files.map(|files| filestore(files, now)),
        "synchronous": status.synchronous,
        "leader_record": status.leader_record,
        "sync_record": status.sync_record,
        "members": status.members,
        "request": status.request,
        "policy": status.policy,
        "policy_refused": status.policy_refused,
        "refusal": status.refusal,
    })
}

fn filestore(files: &FilestoreReport, now: Moment) -> Value {
    let ago = |then: Moment| u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
    json!({
        "asked_ms_ago": ago(files.asked),
        "complete_ms_ago": files.complete.map(ago),
        "missing": files.status.as_ref().ok().map(|status| status.missing),
        "failure": files.status.as_ref().err(),
    })
}

fn database(database: &DatabaseStatus) -> Value {
    let standbys = database.standbys.iter().map(|(member, standby)| {
        let seen = json!({
            "streaming": standby.streaming,
            "flushed": standby.flushed,
            "replayed": standby.replayed,
        });
        (member.to_string(), seen)
    });
    json!({
        "state": database.state,
        "system_id": database.system_id,
        "term": database.term.0,
        "timeline": database.timeline,
        "lsn": database.lsn,
        "replayed": database.replayed,
        "streaming": database.streaming,
        "upstream": database.upstream,
        "standbys": standbys.collect::<serde_json::Map<_, _>>(),
        "synchronous": database.synchronous,
        "weaknesses": database.weaknesses,
    })
}
