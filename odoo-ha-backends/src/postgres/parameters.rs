//! The configured settings of PostgreSQL, changed while it runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use super::client::Session;
use super::config::check_parameters;
use super::error::misconfigured;
use super::settings::{self, Wanted};
use super::{LOOK_INTERVAL, PostgresReplication, SMALL_PROGRAM_TIMEOUT};

/// Settings by name, the same for every copy of one configuration: whatever is written is written with those of that moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters(Arc<Mutex<BTreeMap<String, String>>>);

impl Parameters {
    pub(super) fn new(parameters: BTreeMap<String, String>) -> Self {
        Self(Arc::new(Mutex::new(parameters)))
    }

    pub(super) fn now(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, parameters: BTreeMap<String, String>) -> BTreeMap<String, String> {
        std::mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), parameters)
    }
}

impl PostgresReplication {
    /// Replaces the settings that [`PostgresConfig::parameter`](super::PostgresConfig::parameter) gave, all of them. A database that runs reads
    /// them at once; those that only a start can change are returned, by name, and stand in `DatabaseStatus::pending_restart` until then.
    ///
    /// May run beside any order. Dropped, it may have taken effect or not; repeated, it does.
    ///
    /// # Errors
    ///
    /// `Misconfigured` for what is the agent's own and what PostgreSQL does not accept: then everything stays as it was. `Disk`. `Unknown` when the
    /// database did not read them in `timeout`: they are in force from its next start.
    pub async fn set_parameters(
        &self,
        parameters: BTreeMap<String, String>,
        timeout: Duration,
    ) -> Result<Vec<String>, Error> {
        let parameters: BTreeMap<String, String> =
            parameters.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        check_parameters(&parameters)?;
        let before = self.config.live.replace(parameters);
        if !self.data_dir().join("PG_VERSION").exists() {
            return Ok(Vec::new());
        }
        let accepted = match self.write_parameters().await {
            Ok(()) => self.accepted_by_postgres().await,
            Err(error) => Err(error),
        };
        if let Err(error) = accepted {
            self.config.live.replace(before);
            self.write_parameters().await?;
            return Err(error);
        }
        // Whatever goes wrong from here on: they are written.
        let late = || {
            Error::new(ErrorKind::Unknown, "the database did not read its changed settings")
                .hint("they are in force from its next start; see whether it answers")
        };
        let waiting = match tokio::time::timeout(timeout, self.read_again()).await {
            Ok(Ok(waiting)) => waiting,
            Ok(Err(error)) => return Err(late().caused_by(error)),
            Err(_) => return Err(late()),
        };
        if !waiting.is_empty() {
            let settings = waiting.join(", ");
            tracing::warn!(member = %self.config.member, settings, "changed settings wait for a restart of the database");
        }
        Ok(waiting)
    }

    async fn write_parameters(&self) -> Result<(), Error> {
        let (config, beside, owner) = (self.config.clone(), self.beside.clone(), self.owner);
        self.change(move || {
            let wanted = Wanted::read(&config.data_dir, &config.member)?;
            settings::prepare(&config.data_dir, &config, &beside, &wanted, owner)
        })
        .await
    }

    /// The server itself reads the files as a start would: what it does not accept would keep the database from starting.
    async fn accepted_by_postgres(&self) -> Result<(), Error> {
        let dir = self.data_dir().to_string_lossy();
        let output = self.programs.ask("postgres", &["-D", &dir, "-C", "port"], SMALL_PROGRAM_TIMEOUT).await?;
        if output.success {
            return Ok(());
        }
        let lines = || output.stderr.lines().filter(|line| !line.contains("contains errors"));
        let why = lines().find(|line| line.contains("parameter")).or_else(|| lines().next()).unwrap_or_default();
        Err(misconfigured(format!("PostgreSQL does not accept the parameters: {}", why.trim()))
            .hint("everything stays as it was; correct [postgres] parameters"))
    }

    /// Has a running database read its files; returns what waits for its next start.
    async fn read_again(&self) -> Result<Vec<String>, Error> {
        let Some(postmaster) = self.postmaster() else { return Ok(Vec::new()) };
        let loaded = async |session: &Session| -> Result<String, Error> {
            Ok(session.row("select extract(epoch from pg_conf_load_time())::text").await?.text(0)?.to_owned())
        };
        let session = self.session(&postmaster).await?;
        let before = loaded(&session).await?;
        drop(session);
        postmaster.signal(rustix::process::Signal::HUP)?;
        loop {
            let session = self.session(&postmaster).await?;
            if loaded(&session).await? != before {
                let rows = session.rows("select name from pg_settings where pending_restart order by name").await?;
                return rows.iter().map(|row| row.text(0).map(ToOwned::to_owned)).collect();
            }
            drop(session);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}
