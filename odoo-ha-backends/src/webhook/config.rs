//! Where events are posted.

use std::path::PathBuf;

use odoo_ha_core::error::Error;
use odoo_ha_core::event::Severity;

use super::{WebhookNotifier, signature};
use crate::common::post::Poster;
use crate::common::secret::Secret;

/// Where events are posted, and how they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// The URL, `http` or `https`.
    pub url: Secret,
    /// What sender and receiver share; `None`: nothing is signed. Default: none.
    pub secret: Option<Secret>,
    /// Certificates of whoever signed the receiver's own (PEM). Default: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// What is less severe is not sent. Default: everything is.
    pub least: Severity,
}

impl WebhookConfig {
    /// To this URL, everything and unsigned.
    pub fn new(url: Secret) -> Self {
        Self { url, secret: None, ca_file: None, least: Severity::Info }
    }

    /// Signed with this.
    #[must_use]
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// With another [`ca_file`](Self::ca_file).
    #[must_use]
    pub fn ca_file(mut self, ca_file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(ca_file.into());
        self
    }

    /// Only what is at least as severe.
    #[must_use]
    pub fn least(mut self, least: Severity) -> Self {
        self.least = least;
        self
    }

    /// The notifier. Reads URL, secret and certificates, and connects to nobody.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when one of them cannot be read or is none.
    pub fn build(self) -> Result<WebhookNotifier, Error> {
        let poster = Poster::new("the webhook", self.url.clone(), self.ca_file.as_deref())?;
        if let Some(secret) = &self.secret {
            signature::sign(secret, b"")?;
        }
        Ok(WebhookNotifier { config: self, poster })
    }
}
