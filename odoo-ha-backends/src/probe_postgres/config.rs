//! Which database, and as whom.

use std::fmt;

use odoo_ha_core::error::{Error, ErrorKind};

use crate::common::secret::Secret;

/// Which database, and as whom. A user of its own without any rights is enough.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostgresProbeConfig {
    /// A name for status and logs. Default `postgres`.
    pub name: String,
    /// Name, address, or directory of a Unix socket.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// The role to connect as. Default `postgres`.
    pub user: String,
    /// The database to connect to. Default `postgres`.
    pub database: String,
    /// The password, where one is asked for.
    pub password: Option<Secret>,
}

impl PostgresProbeConfig {
    /// The database `postgres` at this host and port, as user `postgres` without a password.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            name: "postgres".into(),
            host: host.into(),
            port,
            user: "postgres".into(),
            database: "postgres".into(),
            password: None,
        }
    }

    /// With this name for status and logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// As this role.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// To this database.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.database = database.into();
        self
    }

    /// With this password, read at every check.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let empty = [&self.name, &self.host, &self.user, &self.database].into_iter().any(String::is_empty);
        if empty || self.port == 0 {
            return Err(Error::new(ErrorKind::Misconfigured, format!("the PostgreSQL probe cannot look at {self}"))
                .hint("give a name, a host, a user, a database and a port from 1 to 65535"));
        }
        Ok(())
    }
}

impl fmt::Display for PostgresProbeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

impl fmt::Debug for PostgresProbeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresProbeConfig({:?}, {self})", self.name)
    }
}
