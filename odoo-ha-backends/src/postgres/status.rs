//! Reading what there is: over a fresh session where the database runs, else from its files. Nothing is changed.

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_core::database::{DatabaseState, DatabaseStatus, StandbyStatus};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::member::{MemberId, SystemId};

use super::client::{NoSession, Row, Session};
use super::memory::Memory;
use super::process::{self, Postmaster};
use super::settings::Wanted;
use super::{PostgresReplication, SMALL_PROGRAM_TIMEOUT, files, history, standby_names, wal};

/// All of the database that one row can tell.
const SELF: &str = "select r.yes, i.system_identifier, \
     case when not r.yes then pg_current_wal_flush_lsn() end, \
     case when not r.yes then pg_walfile_name(pg_current_wal_insert_lsn()) end, \
     case when r.yes then pg_last_wal_receive_lsn() end, \
     case when r.yes then pg_last_wal_replay_lsn() end, \
     current_setting('primary_conninfo') <> '', current_setting('odoo_ha.upstream', true), \
     (select received_tli from pg_stat_wal_receiver where status = 'streaming'), \
     greatest(c.timeline_id, m.min_recovery_end_timeline), \
     (select setting::bigint from pg_settings where name = 'wal_segment_size'), \
     current_setting('synchronous_standby_names'), current_setting('fsync'), current_setting('full_page_writes'), \
     current_setting('synchronous_commit'), \
     exists (select from pg_db_role_setting d, unnest(d.setconfig) s \
             where lower(s) ~ '^synchronous_commit=(off|of|false|f|fa|fal|fals|no|n|0|local|remote_write)$'), \
     (select string_agg(name, ' ' order by name) from pg_settings where pending_restart) \
     from (select pg_is_in_recovery() as yes) r, pg_control_system() i, pg_control_checkpoint() c, pg_control_recovery() m";

/// Its standbys: a sender counts only if no other bears its name and it holds its member's slot (protocol rule 22).
const STANDBYS: &str = "select r.application_name, \
     r.state = 'streaming' and s.active_pid is not distinct from r.pid and count(*) over (partition by lower(r.application_name)) = 1, \
     r.flush_lsn, r.replay_lsn, r.sync_state in ('sync', 'quorum') \
     from pg_stat_replication r left join pg_replication_slots s on s.slot_name = 'odoo_ha_' || r.application_name";

impl PostgresReplication {
    pub(super) async fn observe(&self, timeout: Duration) -> Result<DatabaseStatus, Error> {
        // The caller gets an answer by its deadline, so the questions end a little earlier.
        let deadline =
            tokio::time::Instant::now() + timeout.saturating_sub((timeout / 10).min(Duration::from_millis(50)));
        let memory = match tokio::time::timeout_at(deadline, self.recall_now()).await {
            Ok(memory) => memory?,
            Err(_) => {
                return Err(Error::new(ErrorKind::Disk, "the disk of the data directory does not answer"));
            }
        };
        if let Some(postmaster) = self.postmaster() {
            match tokio::time::timeout_at(deadline, self.ask(&postmaster, &memory)).await {
                Err(_) => return Ok(self.known(DatabaseState::Unresponsive, &memory)),
                Ok(Ok(status)) => return Ok(status),
                Ok(Err(error)) if !postmaster.has_exited() => return Err(error),
                // It ended meanwhile.
                Ok(Err(_)) => {}
            }
        }
        match tokio::time::timeout_at(deadline, self.read_stopped(&memory)).await {
            Ok(status) => status,
            Err(_) => Err(Error::new(ErrorKind::Disk, "the data directory could not be read in time")),
        }
    }

    async fn ask(&self, postmaster: &Postmaster, memory: &Memory) -> Result<DatabaseStatus, Error> {
        let session = match self.access.local().await {
            Ok(session) => session,
            // The session was refused or cut, which says nothing against the process: it may be starting or leaving.
            Err(NoSession::NotYet | NoSession::NobodyListens) => return Ok(self.not_serving(memory)),
            Err(NoSession::Failed(error)) if error.kind() == ErrorKind::Unavailable && !postmaster.has_exited() => {
                return Ok(self.not_serving(memory));
            }
            Err(NoSession::Failed(error)) => return Err(error),
        };
        let row = session.row(SELF).await?;
        let in_recovery = row.is_true(0);
        let mut status = self.known(if in_recovery { DatabaseState::Standby } else { DatabaseState::Primary }, memory);
        status.system_id = Some(SystemId(row.parse(1)?));
        status.synchronous = standby_names::parse(row.text(11)?).map(|(standbys, _)| standbys);
        status.standbys = standbys(&session).await?;
        status.weaknesses = weaknesses(&row);
        status.pending_restart = row.get(16).unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect();
        if in_recovery {
            status.replayed = row.lsn(5)?;
            status.lsn = row.lsn(4)?.max(status.replayed);
            status.streaming = row.get(8).is_some();
            status.upstream = upstream(&row);
            status.timeline = match row.get(8) {
                Some(_) => Timeline(row.parse(8)?),
                None => history::timeline_of_end(self.data_dir(), Timeline(row.parse(9)?), status.lsn, row.parse(10)?)?,
            };
        } else {
            status.lsn = row.lsn(2)?;
            status.timeline = row.timeline_of_file(3)?;
        }
        Ok(status)
    }

    fn not_serving(&self, memory: &Memory) -> DatabaseStatus {
        let stopping = process::is_stopping(self.data_dir());
        self.known(if stopping { DatabaseState::Unresponsive } else { DatabaseState::Starting }, memory)
    }

    /// What is known without asking the database.
    fn known(&self, state: DatabaseState, memory: &Memory) -> DatabaseStatus {
        let mut status = DatabaseStatus::absent();
        status.state = state;
        status.term = memory.term;
        status.system_id = memory.system_id;
        status.data_id.clone_from(&memory.data_id);
        status
    }

    async fn read_stopped(&self, memory: &Memory) -> Result<DatabaseStatus, Error> {
        let dir = self.config.data_dir.clone();
        let is_empty = files::blocking(move || files::is_empty_dir(&dir)).await?;
        if is_empty || memory.data_are_worthless() {
            let mut status = DatabaseStatus::absent();
            status.term = memory.term;
            if !is_empty && !self.is_at_work() {
                status
                    .weaknesses
                    .push("the data were left half-way by a rewind, a clone or a bootstrap: they are not used".into());
            }
            return Ok(status);
        }
        self.check_data().await?;
        let control = self.control().await?;
        let state = if control.is_clean() { DatabaseState::StoppedCleanly } else { DatabaseState::Crashed };
        let mut status = self.known(state, memory);
        status.system_id = Some(control.system_id);
        status.timeline = control.timeline();
        status.lsn = wal::end_of_stopped(&self.programs, self.data_dir(), &control, SMALL_PROGRAM_TIMEOUT).await?;
        let wanted: Wanted = self.wanted().await?;
        status.upstream = wanted.upstream().cloned();
        status.synchronous = standby_names::parse(&wanted.synchronous).map(|(standbys, _)| standbys);
        Ok(status)
    }
}

/// Whom the standby is told to follow, from its own settings.
fn upstream(row: &Row) -> Option<MemberId> {
    if row.is_true(6) { MemberId::new(row.get(7)?).ok() } else { None }
}

async fn standbys(session: &Session) -> Result<BTreeMap<MemberId, StandbyStatus>, Error> {
    let mut found: BTreeMap<MemberId, StandbyStatus> = BTreeMap::new();
    for row in session.rows(STANDBYS).await? {
        let Ok(member) = MemberId::new(row.get(0).unwrap_or_default()) else {
            continue;
        };
        let status = StandbyStatus {
            streaming: row.is_true(1),
            flushed: row.lsn(2)?,
            replayed: row.lsn(3)?,
            synchronous: row.is_true(4),
        };
        found.insert(member, status);
    }
    Ok(found)
}

/// What makes acknowledged commits less safe than the cluster promises (protocol rule 23).
fn weaknesses(row: &Row) -> Vec<String> {
    let mut found = Vec::new();
    if row.get(12) != Some("on") {
        found.push("fsync is off: a crash of the machine can destroy the database".into());
    }
    if row.get(13) != Some("on") {
        found.push("full_page_writes is off: a crash of the machine can destroy the database".into());
    }
    if !matches!(row.get(14), Some("on" | "remote_apply")) {
        found.push(format!(
            "synchronous_commit is {}: commits are acknowledged before standbys have flushed them",
            row.get(14).unwrap_or("unknown")
        ));
    }
    if row.is_true(15) {
        found.push(
            "synchronous_commit is weakened for a role or a database: its commits are outside the promise".into(),
        );
    }
    found
}
