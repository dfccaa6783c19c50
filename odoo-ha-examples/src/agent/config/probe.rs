//! `[[probes]]`: what shows that this node serves.

use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::probe_http::{HttpProbe, HttpProbeConfig};
use odoo_ha_backends::probe_postgres::{PostgresProbe, PostgresProbeConfig};
use odoo_ha_backends::probe_tcp::{TcpProbe, TcpProbeConfig};
use odoo_ha_core::error::Error;
use odoo_ha_core::policy::ProbeSettings;
use odoo_ha_core::roles::HealthProbe;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;
use super::wrong;

/// One probe: exactly one of `postgres`, `tcp` and `http`, and how it is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeSection {
    /// A real commit.
    pub postgres: Option<PostgresProbeSection>,
    /// A connection to `HOST:PORT`.
    pub tcp: Option<TcpProbeSection>,
    /// A request.
    pub http: Option<HttpProbeSection>,
    /// Time between two checks.
    #[serde(default = "interval", with = "humantime_serde")]
    pub interval: Duration,
    /// Longest time of one check.
    #[serde(default = "timeout", with = "humantime_serde")]
    pub timeout: Duration,
    /// Healthy checks in a row that make it healthy.
    #[serde(default = "rise")]
    pub rise: u32,
    /// Unhealthy checks in a row that make it unhealthy.
    #[serde(default = "fall")]
    pub fall: u32,
    /// What it counts while unhealthy; 0 is for show.
    #[serde(default = "weight")]
    pub weight: u32,
}

fn interval() -> Duration {
    ProbeSettings::default().interval
}

fn timeout() -> Duration {
    ProbeSettings::default().timeout
}

fn rise() -> u32 {
    ProbeSettings::default().rise
}

fn fall() -> u32 {
    ProbeSettings::default().fall
}

fn weight() -> u32 {
    ProbeSettings::default().weight
}

/// A commit in a PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresProbeSection {
    /// A name, an address, or the directory of a Unix socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role.
    pub user: Option<String>,
    /// The database.
    pub database: Option<String>,
    /// The role's password.
    pub password: Option<SecretPlace>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpProbeSection {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpProbeSection {
    /// What is asked for.
    pub url: String,
    /// The `Host` header, where it is not the URL's.
    pub host: Option<String>,
    /// The status codes that are healthy.
    pub statuses: Option<Vec<u16>>,
}

impl ProbeSection {
    pub(crate) fn settings(&self) -> ProbeSettings {
        let mut settings = ProbeSettings::default();
        (settings.interval, settings.timeout) = (self.interval, self.timeout);
        (settings.rise, settings.fall, settings.weight) = (self.rise, self.fall, self.weight);
        settings
    }

    /// The probe; two of a kind need names of their own.
    pub(crate) fn build(&self, number: usize) -> Result<Arc<dyn HealthProbe>, Error> {
        let name = |kind: &str| format!("{kind} {}", number + 1);
        match (&self.postgres, &self.tcp, &self.http) {
            (Some(section), None, None) => {
                let mut config = PostgresProbeConfig::new(&section.host, section.port).name(name("postgres"));
                if let Some(user) = &section.user {
                    config = config.user(user);
                }
                if let Some(database) = &section.database {
                    config = config.database(database);
                }
                if let Some(password) = &section.password {
                    config = config.password(password.secret());
                }
                Ok(Arc::new(PostgresProbe::new(config)?))
            }
            (None, Some(section), None) => {
                Ok(Arc::new(TcpProbe::new(TcpProbeConfig::new(&section.host, section.port).name(name("tcp")))?))
            }
            (None, None, Some(section)) => {
                let mut config = HttpProbeConfig::new(&section.url).name(name("http"));
                if let Some(host) = &section.host {
                    config = config.host(host);
                }
                if let Some(statuses) = &section.statuses {
                    config = config.statuses(statuses.iter().copied());
                }
                Ok(Arc::new(HttpProbe::new(config)?))
            }
            _ => Err(wrong("probes", "each needs exactly one of postgres, tcp and http")),
        }
    }
}
