//! `[postgres]`: this node's database.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_backends::postgres::PostgresConfig;
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::member::MemberId;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;

/// This node's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSection {
    /// PostgreSQL's data directory. It need not exist yet.
    pub data_dir: PathBuf,
    /// The name or address by which other nodes reach this database.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// The addresses it listens at, as PostgreSQL's `listen_addresses`.
    pub listen: Option<String>,
    /// Where PostgreSQL's programs are.
    pub bin_dir: Option<PathBuf>,
    /// Where its Unix socket is.
    pub socket_dir: Option<PathBuf>,
    /// The role that the agent itself uses, by the socket.
    #[serde(default = "superuser")]
    pub superuser: String,
    /// The role that standbys use.
    #[serde(default = "replication_user")]
    pub replication_user: String,
    /// The password of that role; needed when `networks` has more than loopback.
    pub password: Option<SecretPlace>,
    /// As whom PostgreSQL runs when the agent is root.
    pub run_as: Option<String>,
    /// From which networks nodes and clients may connect.
    #[serde(default = "loopback")]
    pub networks: Vec<String>,
    /// How much log is kept for nodes that are away, in MiB.
    #[serde(default = "wal_keep_mb")]
    pub wal_keep_mb: u32,
    /// As a standby it replays each commit so much later.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "humantime_serde::option")]
    pub recovery_min_apply_delay: Option<Duration>,
    /// A program with its arguments that makes the data of a new cluster in place of `initdb`.
    pub bootstrap_command: Option<Vec<String>>,
    /// A program with its arguments that makes this node's copy in place of `pg_basebackup`.
    pub clone_command: Option<Vec<String>>,
    /// Whether `pg_basebackup` makes the copy after all when `clone_command` has failed.
    #[serde(default)]
    pub clone_fallback: bool,
    /// More settings of PostgreSQL.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

const fn port() -> u16 {
    5432
}

fn superuser() -> String {
    "postgres".into()
}

fn replication_user() -> String {
    "odoo_ha".into()
}

fn loopback() -> Vec<String> {
    vec!["127.0.0.1/32".into(), "::1/128".into()]
}

const fn wal_keep_mb() -> u32 {
    1024
}

impl PostgresSection {
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { host: self.host.clone(), port: self.port }
    }

    pub(crate) fn config(&self, member: MemberId) -> PostgresConfig {
        let mut config = PostgresConfig::new(member, &self.data_dir, self.endpoint())
            .superuser(&self.superuser)
            .replication_user(&self.replication_user)
            .networks(&self.networks)
            .wal_keep_mb(self.wal_keep_mb)
            .apply_delay(self.recovery_min_apply_delay.unwrap_or_default());
        for (name, value) in &self.parameters {
            config = config.parameter(name, value);
        }
        if let Some(command) = &self.bootstrap_command {
            config = config.bootstrap_command(command);
        }
        if let Some(command) = &self.clone_command {
            config = config.clone_command(command);
        }
        config = config.clone_fallback(self.clone_fallback);
        if let Some(listen) = &self.listen {
            config = config.listen(listen);
        }
        if let Some(dir) = &self.bin_dir {
            config = config.bin_dir(dir);
        }
        if let Some(dir) = &self.socket_dir {
            config = config.socket_dir(dir);
        }
        if let Some(password) = &self.password {
            config = config.password(password.secret());
        }
        if let Some(user) = &self.run_as {
            config = config.run_as(user);
        }
        config
    }
}
