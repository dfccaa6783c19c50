//! Health, as users would feel it.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;

/// What a probe found. How many in a row it takes to believe it is the core's business
/// ([`ProbeSettings`](crate::policy::ProbeSettings)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It works.
    Healthy,
    /// It does not; the text says what was seen.
    Unhealthy(String),
}

/// Looks at one thing once.
#[async_trait]
pub trait HealthProbe: Send + Sync + Debug {
    /// A short name, for status and logs.
    fn name(&self) -> &str;

    /// Looks once, on a fresh connection. No answer in time is `Unhealthy`. Cancel-safe; changes nothing that a user would see.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when it cannot look at all (a URL that is none, a missing program): this counts neither way.
    async fn check(&self, timeout: Duration) -> Result<Verdict, Error>;
}
