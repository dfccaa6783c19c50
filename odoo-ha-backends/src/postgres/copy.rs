//! Making the data a copy of the upstream's: by rewinding what diverged, else by a new base backup.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use odoo_ha_core::database::{FollowOrder, Followed, FollowedBy, StopMode};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::member::DataId;
use tokio::time::Instant;

use super::client::Session;
use super::control::ControlData;
use super::external::ExternalCommand;
use super::follow::upstream_history;
use super::history::History;
use super::memory::{Memory, Unfinished, new_data_id};
use super::settings::{self, Wanted, slot_name};
use super::start::{As, mark_standby};
use super::{PostgresReplication, SMALL_PROGRAM_TIMEOUT, durable, error, files};

/// How long the database may take to stop before it is stopped at once, when its data are about to be replaced.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Bound of one program's run; the order's own timeout ends it earlier.
const COPY_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often the upstream's control file is looked at.
const CHECKPOINT_LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How long whoever holds this member's slot on the upstream may take to leave it.
const SLOT_TIMEOUT: Duration = Duration::from_secs(60);

/// Room that must be left on the disk beside two copies, for the log that is written meanwhile.
pub(super) const SPARE_BYTES: u64 = 512 * 1024 * 1024;

impl PostgresReplication {
    /// Rewinds; what a failed rewind leaves is never started, but cloned anew.
    pub(super) async fn rewind_or_clone(
        &self,
        order: &FollowOrder,
        mut memory: Memory,
        upstream: &Session,
        theirs: &History,
    ) -> Result<Followed, Error> {
        self.ensure_upstream_slot(upstream).await?;
        self.checkpoint_of_upstream(upstream, order.timeline).await?;
        self.phase("stopping the database to rewind it");
        self.stop_all(StopMode::AtOnce { fast_for_ms: 5000 }, STOP_TIMEOUT).await?;
        self.save_unarchived(theirs, true).await?;
        memory.unfinished = Some(Unfinished::Rewind);
        self.remember(&memory).await?;
        match self.rewind(order).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Misconfigured => return Err(error),
            Err(error) => {
                tracing::warn!(member = %self.config.member, error = %error.chain(), "the rewind failed: the data are cloned anew");
                return self.clone_from(order, memory).await;
            }
        }
        let data_id = self.settle_copy(order, &mut memory).await?;
        match self.start_copy(order).await {
            Ok(()) => Ok(Followed { by: FollowedBy::Rewind, data_id }),
            Err(error) if matches!(error.kind(), ErrorKind::Misconfigured | ErrorKind::Disk | ErrorKind::Denied) => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(member = %self.config.member, error = %error.chain(), "the rewound data do not start: they are cloned anew");
                self.clone_from(order, memory).await
            }
        }
    }

    async fn rewind(&self, order: &FollowOrder) -> Result<(), Error> {
        self.phase("rewinding");
        let source = self.program_conninfo(order);
        let dir = self.data_dir().to_string_lossy();
        let mut arguments = vec!["--target-pgdata", &*dir, "--source-server", &*source];
        self.copied_by("pg_rewind", &mut arguments, self.data_dir()).await
    }

    /// Runs a program that changes this copy, and returns once the copy is durable.
    async fn copied_by(&self, program: &str, arguments: &mut Vec<&str>, copy: &Path) -> Result<(), Error> {
        let as_a_whole = durable::by_file_system();
        if as_a_whole {
            arguments.push("--no-sync");
        }
        self.programs.succeed(program, arguments, COPY_TIMEOUT).await?;
        if as_a_whole {
            self.phase("flushing the copy");
            durable::flush_copy(copy).await?;
        }
        Ok(())
    }

    /// Before the upstream has written a checkpoint on its new timeline, `pg_rewind` compares with the old one and sees nothing to do.
    async fn checkpoint_of_upstream(&self, upstream: &Session, timeline: Timeline) -> Result<(), Error> {
        self.phase("waiting for the upstream's checkpoint on its timeline");
        let mut asked = false;
        loop {
            let row = upstream.row("select timeline_id from pg_control_checkpoint()").await?;
            if row.parse::<u32>(0)? >= timeline.0 {
                return Ok(());
            }
            if !asked {
                asked = true;
                // Before version 15 only a superuser may; then the upstream's own checkpoint is waited for.
                if let Err(error) = upstream.run("checkpoint").await {
                    tracing::debug!(error = %error.chain(), "the upstream's checkpoint is waited for");
                }
            }
            tokio::time::sleep(CHECKPOINT_LOOK_INTERVAL).await;
        }
    }

    /// Replaces whatever is there by a new base backup. The old data are kept aside where there is room.
    pub(super) async fn clone_from(&self, order: &FollowOrder, mut memory: Memory) -> Result<Followed, Error> {
        self.phase("asking the upstream");
        let upstream = self.upstream_session(order).await?;
        self.ensure_upstream_slot(&upstream).await?;
        self.free_upstream_slot(&upstream).await?;
        let bytes = copy_bytes(&upstream).await?;
        drop(upstream);
        self.phase("stopping the database to replace it");
        self.stop_all(StopMode::AtOnce { fast_for_ms: 5000 }, STOP_TIMEOUT).await?;
        self.make_room(&mut memory, bytes).await?;
        if let Some(command) = &self.config.clone_command {
            match self.clone_by(command, order, memory.clone()).await {
                Err(error) if self.config.clone_fallback => {
                    tracing::warn!(member = %self.config.member, error = %error.chain(), "clone_command failed: pg_basebackup makes the copy");
                    memory = self.recall().await?;
                    self.make_room(&mut memory, bytes).await?;
                }
                made => return made,
            }
        }
        let new = self.beside.new_copy();
        self.phase("copying the upstream's data");
        let (target, source, slot) =
            (new.to_string_lossy().into_owned(), self.program_conninfo(order), slot_name(&self.config.member));
        let mut arguments = vec![
            "--pgdata",
            &*target,
            "--dbname",
            &*source,
            "--slot",
            &*slot,
            "--wal-method=stream",
            "--checkpoint=fast",
            "--no-password",
        ];
        self.copied_by("pg_basebackup", &mut arguments, &new).await?;
        memory.unfinished = Some(Unfinished::Replace);
        self.remember(&memory).await?;
        let (dir, kept) = (self.config.data_dir.clone(), self.beside.kept_copy());
        self.change(move || put_in_place(&new, &dir, &kept)).await?;
        let data_id = self.settle_copy(order, &mut memory).await?;
        self.start_copy(order).await?;
        Ok(Followed { by: FollowedBy::Clone, data_id })
    }

    /// The operator's own command makes the copy. Where it came from is not known, so it is looked at: it must be of this cluster, and an earlier state of
    /// what the upstream has. Until then it is unfinished work, which is never counted.
    async fn clone_by(
        &self,
        command: &ExternalCommand,
        order: &FollowOrder,
        mut memory: Memory,
    ) -> Result<Followed, Error> {
        let new = self.beside.new_copy();
        self.fill_by(command, &new, Some(order)).await?;
        let found = ControlData::read(&self.programs, &new, SMALL_PROGRAM_TIMEOUT).await?.system_id;
        if found != order.system_id {
            return Err(error::misconfigured(format!(
                "clone_command brought data of another cluster (system identifier {found}, not {})",
                order.system_id
            ))
            .hint("see from where it restores"));
        }
        (memory.unfinished, memory.reserved) = (Some(Unfinished::Replace), None);
        self.remember(&memory).await?;
        let (dir, kept) = (self.config.data_dir.clone(), self.beside.kept_copy());
        self.change(move || put_in_place(&new, &dir, &kept)).await?;
        let proved = self.prove_copy(order, &memory).await;
        if proved.is_err() {
            // The data of before stay where they were put: the next copy takes the place of nothing.
            self.stop_all(StopMode::AtOnce { fast_for_ms: 0 }, STOP_TIMEOUT).await?;
            let dir = self.config.data_dir.clone();
            self.change(move || files::remove_tree(&dir)).await?;
        }
        proved?;
        let data_id = self.settle_copy(order, &mut memory).await?;
        self.follow_as_it_is(order, memory).await?;
        Ok(Followed { by: FollowedBy::Clone, data_id })
    }

    /// Starts the copy with nobody to follow, and compares where it ends with the upstream's history.
    async fn prove_copy(&self, order: &FollowOrder, memory: &Memory) -> Result<(), Error> {
        let (config, beside, owner) = (self.config.clone(), self.beside.clone(), self.owner);
        let alone = Wanted::nothing(self.config.member.clone());
        self.change(move || {
            settings::prepare(&config.data_dir, &config, &beside, &alone, owner)?;
            mark_standby(&config.data_dir, owner)
        })
        .await?;
        let unnamed = Memory { unfinished: None, ..memory.clone() };
        let frozen = self.frozen(&unnamed, COPY_TIMEOUT).await?;
        let upstream = self.upstream_session(order).await?;
        let theirs = upstream_history(&upstream, order.timeline).await?;
        if theirs.left(frozen.timeline).is_some_and(|left| frozen.lsn <= left) {
            return Ok(());
        }
        Err(error::misconfigured(format!(
            "clone_command brought data that the cluster has left: they end at {} on timeline {}",
            frozen.lsn, frozen.timeline
        ))
        .hint("let it restore an older backup, or one of the present leader's"))
    }

    /// Removes what an earlier attempt left, and, when two copies have no room, first the copy kept aside, then the data.
    async fn make_room(&self, memory: &mut Memory, bytes: u64) -> Result<(), Error> {
        let (new, kept, beside) = (self.beside.new_copy(), self.beside.kept_copy(), self.beside.dir().to_path_buf());
        let has_room = self.change(move || {
            files::remove_tree(&new)?;
            if free_bytes(&beside)? < bytes.saturating_add(SPARE_BYTES) {
                files::remove_tree(&kept)?;
            }
            Ok(free_bytes(&beside)? >= bytes.saturating_add(SPARE_BYTES))
        });
        if has_room.await? {
            return Ok(());
        }
        tracing::warn!(member = %self.config.member, bytes, "no room for two copies: the old data are removed before the new ones are copied");
        memory.unfinished = Some(Unfinished::Replace);
        self.remember(memory).await?;
        let dir = self.config.data_dir.clone();
        self.change(move || files::remove_tree(&dir)).await
    }

    /// A WAL sender of this member's earlier life may still hold the slot.
    pub(super) async fn free_upstream_slot(&self, upstream: &Session) -> Result<(), Error> {
        // Whoever else holds it for a moment, as the upstream's own agent does while it makes the slot, is waited for.
        let sql = format!(
            "select case when backend_type = 'walsender' then pg_terminate_backend(active_pid) end \
             from pg_replication_slots left join pg_stat_activity on pid = active_pid where slot_name = '{}' and active",
            slot_name(&self.config.member)
        );
        let begun = Instant::now();
        while !upstream.rows(&sql).await?.is_empty() {
            if begun.elapsed() > SLOT_TIMEOUT {
                return Err(error::not_ready(format!(
                    "slot {} on the upstream stays in use",
                    slot_name(&self.config.member)
                ))
                .hint("see there in pg_stat_replication who streams with it"));
            }
            tokio::time::sleep(CHECKPOINT_LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Makes the data this member's own: its settings, a standby's mark, a new name; then nothing is unfinished any more.
    async fn settle_copy(&self, order: &FollowOrder, memory: &mut Memory) -> Result<DataId, Error> {
        let wanted = Wanted::nothing(self.config.member.clone()).following(Some(&order.upstream));
        let (config, beside, owner) = (self.config.clone(), self.beside.clone(), self.owner);
        self.change(move || {
            settings::prepare(&config.data_dir, &config, &beside, &wanted, owner)?;
            mark_standby(&config.data_dir, owner)
        })
        .await?;
        let data_id = new_data_id()?;
        memory.term = order.term;
        memory.data_id = Some(data_id.clone());
        memory.system_id = Some(order.system_id);
        (memory.unfinished, memory.reserved) = (None, None);
        self.remember(memory).await?;
        Ok(data_id)
    }

    async fn start_copy(&self, order: &FollowOrder) -> Result<(), Error> {
        let wanted = self.wanted().await?;
        let starting = self.launch(&wanted, As::Standby).await?;
        let session = self.accepted(&starting).await?;
        self.keep_slots_in(&session, &order.members).await
    }

    /// For PostgreSQL's programs; their name is no member's, so that they are never counted as a standby.
    fn program_conninfo(&self, order: &FollowOrder) -> String {
        let name = format!("copy for {}", self.config.member);
        let (user, database) = (&self.config.replication_user, &self.config.database);
        settings::conninfo(&order.upstream.endpoint, &name, user, database, &self.beside)
    }

    /// The agent's settings written, durably, for the next start or reload.
    pub(super) async fn write_settings(&self, wanted: &Wanted) -> Result<(), Error> {
        let (config, beside, owner, wanted) = (self.config.clone(), self.beside.clone(), self.owner, wanted.clone());
        self.change(move || settings::write(&config.data_dir, &config, &beside, &wanted, owner)).await
    }
}

/// How large a copy is.
async fn copy_bytes(upstream: &Session) -> Result<u64, Error> {
    let row = upstream.row("select sum(pg_database_size(oid))::bigint from pg_database").await?;
    row.parse(0)
}

pub(super) fn free_bytes(dir: &Path) -> Result<u64, Error> {
    let stat = rustix::fs::statvfs(dir).map_err(|source| {
        error::io(format!("the room on the disk of {} cannot be read", dir.display()), source.into())
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The new copy takes the data directory's place; the old one is kept aside, in place of the one kept before.
fn put_in_place(new: &Path, dir: &Path, kept: &Path) -> Result<(), Error> {
    if files::is_empty_dir(dir)? {
        match fs::remove_dir(dir) {
            Ok(()) => {}
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(error::io(format!("directory {} cannot be replaced", dir.display()), source));
            }
        }
    } else {
        files::remove_tree(kept)?;
        files::rename(dir, kept)?;
    }
    files::rename(new, dir)
}
