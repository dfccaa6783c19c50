//! A probe that connects to a TCP port and hangs up.
//!
//! It sends nothing, so it tells only that somebody accepts connections there. For more, ask a URL or the database itself.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{HealthProbe, Verdict};
use tokio::net::TcpStream;

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpProbeConfig {
    /// A name for status and logs. Default `tcp`.
    pub name: String,
    /// Name or address.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
}

impl TcpProbeConfig {
    /// This port on this host.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { name: "tcp".into(), host: host.into(), port }
    }

    /// With this name for status and logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

impl fmt::Display for TcpProbeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Healthy when a connection is accepted.
#[derive(Clone, Debug)]
pub struct TcpProbe {
    config: TcpProbeConfig,
}

impl TcpProbe {
    /// A probe of this port.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the name or host is empty or the port is 0.
    pub fn new(config: TcpProbeConfig) -> Result<Self, Error> {
        if config.name.is_empty() || config.host.is_empty() || config.port == 0 {
            return Err(Error::new(ErrorKind::Misconfigured, format!("a TCP probe cannot look at {config}"))
                .hint("give a name, a host and a port from 1 to 65535"));
        }
        Ok(Self { config })
    }
}

#[async_trait]
impl HealthProbe for TcpProbe {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn check(&self, timeout: Duration) -> Result<Verdict, Error> {
        let connect = TcpStream::connect((self.config.host.as_str(), self.config.port));
        Ok(match tokio::time::timeout(timeout, connect).await {
            Ok(Ok(_connection)) => Verdict::Healthy,
            Ok(Err(error)) => Verdict::Unhealthy(format!("{} does not accept a connection: {error}", self.config)),
            Err(_) => Verdict::Unhealthy(format!("{} did not accept a connection in {timeout:?}", self.config)),
        })
    }
}
