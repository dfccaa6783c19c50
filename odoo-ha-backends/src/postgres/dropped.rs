//! Connections of standbys that commits no longer wait for.

use std::collections::BTreeSet;
use std::time::Duration;

use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;

use super::PostgresReplication;
use super::client::Session;

/// A standby that answers has flushed something within this, if there is anything that it lacks.
const ANSWER_TIME: Duration = Duration::from_millis(100);

impl PostgresReplication {
    /// Ends the WAL senders of these members that are owed log and do not answer. Of a machine that is gone PostgreSQL itself notices that only
    /// after `wal_sender_timeout`; until then the sender holds the slot, and the member that is back cannot stream. One that is alive loses
    /// its connection at worst, and has another within `wal_retrieve_retry_interval`.
    ///
    /// Goes on by itself: nobody need wait for it.
    pub(super) fn end_silent_senders(&self, session: Session, members: &BTreeSet<MemberId>) {
        if members.is_empty() {
            return;
        }
        let (member, members) = (self.config.member.clone(), members.clone());
        tokio::spawn(async move {
            match end_silent(&session, &members).await {
                Ok(0) => {}
                Ok(ended) => tracing::info!(%member, ended, "connections of standbys that do not answer were ended"),
                Err(error) => {
                    tracing::debug!(%member, error = %error.chain(), "connections of standbys that do not answer were left");
                }
            }
        });
    }
}

/// Returns how many.
async fn end_silent(session: &Session, members: &BTreeSet<MemberId>) -> Result<usize, Error> {
    // Members' names are letters, digits and `_`.
    let names: Vec<String> = members.iter().map(|member| format!("'{member}'")).collect();
    let look = format!(
        "select pid, coalesce(flush_lsn, '0/0') from pg_stat_replication \
         where application_name in ({}) and coalesce(flush_lsn, '0/0') < pg_current_wal_flush_lsn()",
        names.join(", ")
    );
    let mut silent: Vec<(i32, String)> = Vec::new();
    for row in session.rows(&look).await? {
        silent.push((row.parse(0)?, row.text(1)?.to_owned()));
    }
    if silent.is_empty() {
        return Ok(0);
    }
    tokio::time::sleep(ANSWER_TIME).await;
    let mut ended = 0;
    for (pid, flushed) in silent {
        let end = format!(
            "select pg_terminate_backend(pid) from pg_stat_replication \
             where pid = {pid} and coalesce(flush_lsn, '0/0') = '{flushed}'"
        );
        ended += session.rows(&end).await?.len();
    }
    Ok(ended)
}
