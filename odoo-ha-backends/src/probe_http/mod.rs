//! A probe that asks a URL and looks at the status.
//!
//! The body is not read and redirects are not followed: what answers is judged by its first line, so that a probe costs little
//! however much the page weighs. Proxies that the environment names are not used. Only `http`: a probe looks at its
//! own node.
//!
//! Odoo's own health page is `/web/health` (Odoo 15 and later). With several databases on one Odoo, give the
//! [`host`](HttpProbeConfig::host) that selects one.

mod client;
mod config;

use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::{HealthProbe, Verdict};

use self::client::Client;
pub use self::config::HttpProbeConfig;

/// Healthy when the URL answers with an expected status.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    config: HttpProbeConfig,
    client: Client,
}

impl HttpProbe {
    /// A probe of this URL.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the URL is none or not `http`, the host is no header's value, or no status is expected.
    pub fn new(config: HttpProbeConfig) -> Result<Self, Error> {
        config.check()?;
        let client = Client::new(&config)?;
        Ok(Self { config, client })
    }
}

#[async_trait]
impl HealthProbe for HttpProbe {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn check(&self, timeout: Duration) -> Result<Verdict, Error> {
        Ok(match tokio::time::timeout(timeout, self.client.ask()).await {
            Err(_) => Verdict::Unhealthy(format!("{} did not answer in {timeout:?}", self.config.url)),
            Ok(Err(what)) => Verdict::Unhealthy(format!("{} does not answer: {what}", self.config.url)),
            Ok(Ok(status)) if self.config.statuses.contains(&status) => Verdict::Healthy,
            Ok(Ok(status)) => Verdict::Unhealthy(format!("{} answers with status {status}", self.config.url)),
        })
    }
}
