//! Two watchdogs that are one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::roles::{Feed, Watchdog};

/// Two watchdogs that are one: armed only if both are, harmless if one acts. [`HaNodeBuilder::watchdog`](super::HaNodeBuilder::watchdog) makes
/// it of what it is handed a second time; a pair may be part of a pair.
///
/// The second is armed after the first and let go before it, so it should be the one that is worse to be left alone with: a guard first, then
/// the kernel's watchdog. Both are fed at the same time, so that one that hangs keeps no food from the other.
#[derive(Clone, Debug)]
pub struct WatchdogPair {
    first: Arc<dyn Watchdog>,
    second: Arc<dyn Watchdog>,
}

impl WatchdogPair {
    /// These two.
    pub fn new(first: Arc<dyn Watchdog>, second: Arc<dyn Watchdog>) -> Self {
        Self { first, second }
    }
}

/// Both errors in one: the kind that says more, `Fenced` before all.
fn both(first: Result<(), Error>, second: Result<(), Error>) -> Result<(), Error> {
    match (first, second) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(first), Err(second)) => {
            let weight = |error: &Error| match error.kind() {
                ErrorKind::Fenced => 2,
                ErrorKind::Unknown => 1,
                _ => 0,
            };
            let (main, other) = if weight(&second) > weight(&first) { (second, first) } else { (first, second) };
            Err(Error::new(main.kind(), format!("{main}; {other}")).caused_by(main))
        }
    }
}

#[async_trait]
impl Watchdog for WatchdogPair {
    fn acts_before(&self) -> Duration {
        self.first.acts_before().max(self.second.acts_before())
    }

    async fn arm(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        let began = Instant::now();
        let left = || timeout.saturating_sub(began.elapsed());
        self.first.arm(feed, timeout).await?;
        let Err(error) = self.second.arm(feed, left()).await else { return Ok(()) };
        // What is not armed must not act. If it cannot be let go, it acts by its deadline, which is the safe mistake.
        match self.first.disarm(left()).await {
            Ok(()) => Err(error),
            Err(kept) => Err(Error::new(error.kind(), format!("{error}; the other one is armed all the same: {kept}"))
                .caused_by(error)),
        }
    }

    async fn feed(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        let (first, second) = tokio::join!(self.first.feed(feed, timeout), self.second.feed(feed, timeout));
        both(first, second)
    }

    async fn disarm(&self, timeout: Duration) -> Result<(), Error> {
        let began = Instant::now();
        // Half for the second, or one that hangs would leave nothing for the first.
        let second = self.second.disarm(timeout / 2).await;
        let first = self.first.disarm(timeout.saturating_sub(began.elapsed())).await;
        both(first, second)
    }

    async fn lost(&self) {
        tokio::select! {
            () = self.first.lost() => {}
            () = self.second.lost() => {}
        }
    }
}
