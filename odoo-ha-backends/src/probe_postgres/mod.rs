//! A probe that holds the database to its real write path.
//!
//! A database that answers `SELECT 1` may still be a standby, read-only, or stuck at its disk. So each check opens a fresh connection, asks
//! whether the database is in recovery or read-only, and commits a small transaction that PostgreSQL must write to its log and
//! flush to disk: `pg_logical_emit_message` (PostgreSQL docs, "Functions – Replication Management Functions") writes one
//! record, changes no table and needs no right beyond connecting. `txid_current()` alone would not do: a
//! commit that wrote nothing else is not waited for.
//!
//! It commits with `synchronous_commit = local` (PostgreSQL docs, "Write Ahead Log"): flushed here, not waited for at a
//! standby. A silent standby is the machine's business and is dropped in its own time; if the probe waited for it too, it
//! would call the primary sick for what its standby does.
//!
//! The connection is not encrypted: a probe looks at its own node.

mod client;
mod config;

use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::{HealthProbe, Verdict};

pub use self::config::PostgresProbeConfig;

/// Healthy when a fresh connection can commit.
#[derive(Clone, Debug)]
pub struct PostgresProbe {
    config: PostgresProbeConfig,
}

impl PostgresProbe {
    /// A probe of this database.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the name, host, user or database is empty, or the port is 0.
    pub fn new(config: PostgresProbeConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { config })
    }
}

#[async_trait]
impl HealthProbe for PostgresProbe {
    fn name(&self) -> &str {
        &self.config.name
    }

    /// A dropped check closes its connection; the server ends the session by the statement timeout at the latest.
    async fn check(&self, timeout: Duration) -> Result<Verdict, Error> {
        match tokio::time::timeout(timeout, client::write(&self.config, timeout)).await {
            Ok(result) => result,
            Err(_) => Ok(Verdict::Unhealthy(format!("{} did not commit in {timeout:?}", self.config))),
        }
    }
}
