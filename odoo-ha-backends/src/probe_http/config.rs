//! What to ask.

use std::collections::BTreeSet;

use odoo_ha_core::error::{Error, ErrorKind};

/// Which URL, and what it should answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpProbeConfig {
    /// A name for status and logs. Default `http`.
    pub name: String,
    /// The URL; it stands in logs, so it must not hold a secret.
    pub url: String,
    /// The `Host` header, where another than the URL's is wanted.
    pub host: Option<String>,
    /// The statuses that mean healthy, 100 to 599. Default: only 200.
    pub statuses: BTreeSet<u16>,
}

impl HttpProbeConfig {
    /// This URL, with status 200 expected.
    pub fn new(url: impl Into<String>) -> Self {
        Self { name: "http".into(), url: url.into(), host: None, statuses: BTreeSet::from([200]) }
    }

    /// With this name for status and logs.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// With this `Host` header.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// With exactly these statuses expected.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |what: &str, hint: &str| {
            Err(Error::new(ErrorKind::Misconfigured, format!("the HTTP probe {:?} {what}", self.name)).hint(hint))
        };
        if self.name.is_empty() {
            return refuse("has no name", "give one");
        }
        if self.statuses.is_empty() || self.statuses.iter().any(|status| !(100..600).contains(status)) {
            return refuse("expects no status that there is", "statuses are 100 to 599; the default is 200");
        }
        Ok(())
    }
}
