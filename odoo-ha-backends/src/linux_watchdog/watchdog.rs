//! The role.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Feed, Watchdog};

use super::config::LinuxWatchdogConfig;
use super::keeper::Keeper;
use crate::common::program;

/// The kernel's watchdog, see the [module](super). Its calls need a tokio runtime. Dropped while it is armed, it leaves the device running, as
/// the end of the process does.
#[derive(Debug)]
pub struct LinuxWatchdog {
    config: LinuxWatchdogConfig,
    keeper: OnceLock<Arc<Keeper>>,
}

impl LinuxWatchdog {
    pub(super) fn new(config: LinuxWatchdogConfig) -> Self {
        Self { config, keeper: OnceLock::new() }
    }

    /// What it was built of.
    pub fn config(&self) -> &LinuxWatchdogConfig {
        &self.config
    }

    fn keeper(&self) -> Result<Arc<Keeper>, Error> {
        if let Some(keeper) = self.keeper.get() {
            return Ok(Arc::clone(keeper));
        }
        let keeper = Keeper::start(self.config.clone())?;
        let mut unused = Some(Arc::clone(&keeper));
        let kept = self.keeper.get_or_init(|| unused.take().unwrap_or(keeper));
        if let Some(unused) = unused {
            // Another call was first.
            unused.end();
        }
        Ok(Arc::clone(kept))
    }

    /// Runs what blocks as the device does. A call that is given up may still be done.
    async fn on_device(
        &self,
        timeout: Duration,
        work: impl FnOnce(&Keeper) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let keeper = self.keeper()?;
        let work = tokio::task::spawn_blocking(move || work(&keeper));
        match tokio::time::timeout(timeout, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => {
                Err(Error::new(ErrorKind::Unknown, "kernel watchdog: the call was cut off").caused_by(error))
            }
            Err(_) => Err(Error::new(
                ErrorKind::Unknown,
                format!("kernel watchdog: {} did not answer in time", self.config.device.display()),
            )),
        }
    }

    /// Sets the device's timeout, where it is another and a program is there for that.
    async fn set_timeout(&self, timeout: Duration) -> Result<(), Error> {
        let keeper = self.keeper()?;
        let asked = tokio::task::spawn_blocking(move || (keeper.runs(), keeper.facts())).await;
        let (runs, facts) =
            asked.map_err(|error| Error::new(ErrorKind::Unavailable, "kernel watchdog: cut off").caused_by(error))?;
        let facts = facts?;
        // What runs was checked when it was started; and while it is ours, nobody else can open it.
        let is_fine = facts.timeout.is_none_or(|timeout| timeout == self.config.timeout);
        let wdctl: &Path = match &self.config.wdctl {
            Some(wdctl) if !runs && !is_fine && facts.nowayout != Some(true) => wdctl,
            Some(_) | None => return Ok(()),
        };
        let seconds = self.config.timeout.as_secs().to_string();
        let arguments = ["--settimeout".to_owned(), seconds, self.config.device.to_string_lossy().into_owned()];
        let ended = program::run(wdctl, &arguments, timeout).await?;
        if !ended.succeeded() {
            // The look at the facts that follows tells what this means.
            tracing::warn!(program = %wdctl.display(), said = ended.said(), "the kernel watchdog's timeout was not set");
        }
        Ok(())
    }
}

impl Drop for LinuxWatchdog {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.end();
        }
    }
}

#[async_trait]
impl Watchdog for LinuxWatchdog {
    fn acts_before(&self) -> Duration {
        self.config.acts_before
    }

    async fn arm(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        let began = tokio::time::Instant::now();
        match tokio::time::timeout(timeout, self.set_timeout(timeout)).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(Error::new(ErrorKind::Unavailable, "kernel watchdog: there was no time to look at it"));
            }
        }
        let left = timeout.saturating_sub(began.elapsed());
        self.on_device(left, move |keeper| keeper.arm(feed)).await
    }

    async fn feed(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        self.on_device(timeout, move |keeper| keeper.feed(feed)).await
    }

    async fn disarm(&self, timeout: Duration) -> Result<(), Error> {
        let result = self.on_device(timeout, Keeper::disarm).await;
        result.map_err(|error| {
            Error::new(ErrorKind::Unknown, "kernel watchdog: it may still act, it was not disarmed").caused_by(error)
        })
    }

    async fn lost(&self) {
        let Ok(keeper) = self.keeper() else { return std::future::pending().await };
        let mut losses = keeper.losses.subscribe();
        // The keeper lives as long as this call's borrow of the watchdog.
        _ = losses.changed().await;
    }
}
