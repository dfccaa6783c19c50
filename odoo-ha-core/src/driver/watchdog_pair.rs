//! Two watchdogs that are one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Both were armed, and not let go since: the node lives by them.
    relied_on: Arc<AtomicBool>,
}

impl WatchdogPair {
    /// These two.
    pub fn new(first: Arc<dyn Watchdog>, second: Arc<dyn Watchdog>) -> Self {
        Self { first, second, relied_on: Arc::default() }
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
        let Err(error) = self.second.arm(feed, left()).await else {
            self.relied_on.store(true, Ordering::Relaxed);
            return Ok(());
        };
        if self.relied_on.load(Ordering::Relaxed) {
            // The second broke while the node leads: the first guards it until it has given up.
            let what = format!("{error}; the other one is armed all the same");
            return Err(Error::new(ErrorKind::Unknown, what).caused_by(error));
        }
        // What is not armed must not act. If it cannot be let go, it acts by its deadline, which is the safe mistake.
        match self.first.disarm(left()).await {
            Ok(()) => Err(error),
            // Not the second's kind: that could say that nothing is armed.
            Err(kept) => {
                Err(Error::new(ErrorKind::Unknown, format!("{error}; the other one is armed all the same: {kept}"))
                    .caused_by(error))
            }
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
        both(first, second)?;
        self.relied_on.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn lost(&self) {
        tokio::select! {
            () = self.first.lost() => {}
            () = self.second.lost() => {}
        }
    }
}
