//! A probe in memory.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::{HealthProbe, Verdict};

use super::switch::lock;

/// Finds what a test told it to find. A clone is the same probe.
#[derive(Clone, Debug)]
pub struct MemoryProbe {
    name: String,
    finds: Arc<Mutex<Result<Option<Verdict>, Error>>>,
}

impl MemoryProbe {
    /// A probe that finds everything healthy.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), finds: Arc::new(Mutex::new(Ok(Some(Verdict::Healthy)))) }
    }

    /// What it finds from now on: a verdict, or an error that counts neither way.
    pub fn set(&self, finds: Result<Verdict, Error>) {
        *lock(&self.finds) = finds.map(Some);
    }

    /// It hangs from now on: every check takes its whole timeout and finds no answer.
    pub fn hang(&self) {
        *lock(&self.finds) = Ok(None);
    }
}

#[async_trait]
impl HealthProbe for MemoryProbe {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self, timeout: Duration) -> Result<Verdict, Error> {
        let finds = lock(&self.finds).clone()?;
        match finds {
            Some(verdict) => Ok(verdict),
            None => {
                tokio::time::sleep(timeout).await;
                Ok(Verdict::Unhealthy(format!("no answer in {timeout:?}")))
            }
        }
    }
}
