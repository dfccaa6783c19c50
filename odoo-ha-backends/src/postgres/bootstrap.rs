//! Beginning a cluster: new data made aside and put in place whole, or the data that are there.

use odoo_ha_core::database::{BootstrapOrder, Bootstrapped, StopMode};
use odoo_ha_core::error::{Error, ErrorKind};

use super::client::{self, Session};
use super::control::ClusterState;
use super::error::{self, misconfigured, not_ready};
use super::memory::{Memory, Unfinished, new_data_id};
use super::programs::Output;
use super::settings::Wanted;
use super::start::{As, Starting};
use super::{LOOK_INTERVAL, PostgresReplication, files};

/// Bound of one program's run; the order's own timeout ends it earlier.
const INITDB_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

impl PostgresReplication {
    pub(super) async fn begin_cluster(&self, order: &BootstrapOrder) -> Result<Bootstrapped, Error> {
        let mut memory = self.recall().await?;
        memory.check_term(order.term)?;
        let dir = self.config.data_dir.clone();
        let is_empty = files::blocking(move || files::is_empty_dir(&dir)).await?;
        let goes_on = matches!(memory.unfinished, Some(Unfinished::Bootstrap | Unfinished::Adopt));
        if memory.data_are_broken() {
            return Err(not_ready("the data were left half-way by a rewind or a clone").hint("clone this member anew"));
        }
        match (is_empty, order.adopt || goes_on) {
            (true, _) if order.adopt => {
                return Err(misconfigured(format!("there are no data to adopt in {}", self.data_dir().display()))
                    .hint("leave 'adopt' out to make a new database"));
            }
            (false, false) => {
                return Err(misconfigured(format!("{} is not empty", self.data_dir().display()))
                    .hint("say 'adopt' to take the data there, or give an empty directory"));
            }
            (true, _) => self.make_data(&mut memory).await?,
            // Its own, begun before: it has never served anybody.
            (false, true) if memory.unfinished == Some(Unfinished::Bootstrap) && !order.adopt => {
                self.stop_to_begin_again().await?
            }
            (false, true) => self.check_adoptable().await?,
        }
        let is_adopted = order.adopt || memory.unfinished == Some(Unfinished::Adopt);
        memory.unfinished = Some(if is_adopted { Unfinished::Adopt } else { Unfinished::Bootstrap });
        memory.data_id = Some(new_data_id()?);
        memory.system_id = Some(self.control().await?.system_id);
        self.remember(&memory).await?;
        self.phase("starting the new database");
        let starting = self.launch(&Wanted::nothing(self.config.member.clone()), As::Primary).await?;
        let session = self.out_of_recovery(&starting).await?;
        self.make_role(&session).await?;
        self.report_old_passwords(&session).await?;
        let row = session
            .row(
                "select system_identifier, pg_current_wal_flush_lsn(), pg_walfile_name(pg_current_wal_insert_lsn()) \
                 from pg_control_system()",
            )
            .await?;
        (memory.term, memory.unfinished, memory.reserved) = (order.term, None, None);
        self.remember(&memory).await?;
        Ok(Bootstrapped {
            system_id: odoo_ha_core::member::SystemId(row.parse(0)?),
            data_id: self.identify(&mut memory).await?,
            timeline: row.timeline_of_file(2)?,
            lsn: row.lsn(1)?,
        })
    }

    /// Data that were restored from backups replay the archive first, and leave recovery by themselves.
    async fn out_of_recovery(&self, starting: &Starting) -> Result<Session, Error> {
        let session = self.accepted(starting).await?;
        self.phase("waiting for the restored data to replay the archive");
        while session.row("select pg_is_in_recovery()").await?.is_true(0) {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        drop(session);
        self.session(&starting.postmaster).await
    }

    async fn stop_to_begin_again(&self) -> Result<(), Error> {
        self.check_data().await?;
        self.phase("stopping what an earlier attempt had started");
        self.stop_all(StopMode::Fast, std::time::Duration::MAX).await?;
        Ok(())
    }

    /// Made aside and put in place by one rename: what a broken-off attempt left is never taken for data.
    async fn make_data(&self, memory: &mut Memory) -> Result<(), Error> {
        self.phase("making a new database cluster");
        memory.unfinished = Some(Unfinished::Bootstrap);
        self.remember(memory).await?;
        let new = self.beside.new_copy();
        if let Some(command) = &self.config.bootstrap_command {
            self.fill_by(command, &new, None).await?;
            let dir = self.config.data_dir.clone();
            return self
                .change(move || {
                    // A backup of a standby: nobody is followed here.
                    files::remove(&new.join("standby.signal"))?;
                    files::rename(&new, &dir)
                })
                .await;
        }
        let mut output = self.initdb("C.UTF-8").await?;
        if !output.success && error::kind_of_words(&output.stderr) == ErrorKind::Unknown {
            // Without that locale (it is not on every system), letters beyond ASCII have no case.
            output = self.initdb("C").await?;
        }
        if !output.success {
            return Err(error::of_words("initdb failed", &output.stderr));
        }
        let dir = self.config.data_dir.clone();
        self.change(move || {
            // A rename replaces an empty directory.
            files::rename(&new, &dir)
        })
        .await
    }

    async fn initdb(&self, letters: &str) -> Result<Output, Error> {
        let new = self.beside.new_copy();
        let target = new.to_string_lossy().into_owned();
        self.change(move || files::remove_tree(&new)).await?;
        let (letters, superuser) = (format!("--lc-ctype={letters}"), format!("--username={}", self.config.superuser));
        let arguments = [
            "--pgdata",
            &target,
            "--data-checksums",
            "--encoding=UTF8",
            "--locale=C",
            &letters,
            "--lc-messages=C",
            &superuser,
            "--auth-local=peer",
            "--auth-host=scram-sha-256",
        ];
        self.programs.run("initdb", &arguments, INITDB_TIMEOUT).await
    }

    /// Data that are there and fit; a database that runs on them is stopped, to be started with the agent's settings.
    async fn check_adoptable(&self) -> Result<(), Error> {
        self.check_data().await?;
        let dir = self.data_dir();
        if self.control().await?.state == ClusterState::Recovery
            || dir.join("standby.signal").exists()
            || dir.join("recovery.signal").exists()
        {
            return Err(misconfigured(format!("the data in {} are a standby's", dir.display()))
                .hint("bootstrap on the primary's machine, or promote these data first"));
        }
        if !dir.join("postgresql.conf").exists() {
            return Err(misconfigured(format!("{} has no postgresql.conf", dir.display())).hint(
                "move the configuration of these data into their directory (Debian keeps it in /etc/postgresql)",
            ));
        }
        self.phase("stopping the database to adopt it");
        self.stop_all(StopMode::Fast, std::time::Duration::MAX).await?;
        Ok(())
    }

    /// The role under which members stream, clone and rewind, with just the rights for that.
    async fn make_role(&self, session: &Session) -> Result<(), Error> {
        self.phase("making the replication role");
        let role = &self.config.replication_user;
        let exists = !session.rows(&format!("select from pg_roles where rolname = '{role}'")).await?.is_empty();
        let verb = if exists { "alter" } else { "create" };
        let mut sql = format!("set synchronous_commit = local; {verb} role \"{role}\" login replication;");
        for function in [
            "pg_ls_dir(text, boolean, boolean)",
            "pg_stat_file(text, boolean)",
            "pg_read_binary_file(text)",
            "pg_read_binary_file(text, bigint, bigint, boolean)",
        ] {
            sql.push_str(&format!("grant execute on function pg_catalog.{function} to \"{role}\";"));
        }
        sql.push_str(&format!("grant pg_monitor to \"{role}\";"));
        if self.programs.major() >= 15 {
            sql.push_str(&format!("grant pg_checkpoint to \"{role}\";"));
        }
        session.run(&sql).await?;
        if let Some(password) = &self.access.password {
            // The verifier is made here: the password itself never reaches the database, whatever that logs or watches. The statement is
            // not logged either; messages of their own, since all of a message is logged before its first statement runs.
            session
                .run(
                    "set log_statement = none; set log_min_duration_statement = -1; set log_min_error_statement = panic; \
                     set standard_conforming_strings = on",
                )
                .await?;
            let verifier = client::scram_verifier(password);
            session.run(&format!("alter role \"{role}\" password '{verifier}'")).await?;
        }
        Ok(())
    }

    /// Roles of adopted data that can no longer log in over the network.
    async fn report_old_passwords(&self, session: &Session) -> Result<(), Error> {
        let rows = session.rows("select rolname from pg_authid where rolcanlogin and rolpassword like 'md5%'").await?;
        for row in &rows {
            tracing::warn!(
                member = %self.config.member,
                role = row.text(0)?,
                "this role's password is stored as md5, which is not accepted over the network: set it anew"
            );
        }
        Ok(())
    }
}
