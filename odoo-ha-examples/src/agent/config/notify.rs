//! `[[notify]]`: who is told what happens.

use std::path::PathBuf;
use std::sync::Arc;

use odoo_ha_backends::slack::SlackConfig;
use odoo_ha_backends::webhook::WebhookConfig;
use odoo_ha_core::error::Error;
use odoo_ha_core::event::Severity;
use odoo_ha_core::roles::Notifier;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;
use super::wrong;

/// One place that is told. Exactly one of `webhook` and `slack`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifySection {
    /// Each event as JSON.
    pub webhook: Option<WebhookSection>,
    /// A line an event, to Slack.
    pub slack: Option<SlackSection>,
    /// What is less severe is not told.
    #[serde(default = "everything")]
    pub least: Severity,
}

const fn everything() -> Severity {
    Severity::Info
}

/// A URL that takes JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSection {
    /// The URL.
    pub url: SecretPlace,
    /// What sender and receiver share, to sign with.
    pub secret: Option<SecretPlace>,
    /// Certificates of whoever signed the receiver's own.
    pub ca_file: Option<PathBuf>,
}

/// An incoming webhook of Slack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlackSection {
    /// Its URL.
    pub url: SecretPlace,
    /// Certificates of whoever signed the receiver's own.
    pub ca_file: Option<PathBuf>,
}

impl NotifySection {
    /// Reads URL, secret and certificates; connects to nobody.
    pub(crate) fn build(&self) -> Result<Arc<dyn Notifier>, Error> {
        match (&self.webhook, &self.slack) {
            (Some(section), None) => {
                let mut config = WebhookConfig::new(section.url.secret()).least(self.least);
                config.secret = section.secret.as_ref().map(SecretPlace::secret);
                config.ca_file.clone_from(&section.ca_file);
                Ok(Arc::new(config.build()?))
            }
            (None, Some(section)) => {
                let mut config = SlackConfig::new(section.url.secret()).least(self.least);
                config.ca_file.clone_from(&section.ca_file);
                Ok(Arc::new(config.build()?))
            }
            (None, None) | (Some(_), Some(_)) => Err(wrong("notify", "each has exactly one of webhook and slack")),
        }
    }
}
