//! Health, as users would feel it.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
pub use crate::probes::Verdict;

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
