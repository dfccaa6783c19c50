//! The clock of a made-up node: tokio's paused one, at a rate of its own, beside a wall clock that can be set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::driver::{Clock, Timer};
use odoo_ha_core::error::Error;
use odoo_ha_core::time::Moment;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// What every clock shows when the world begins.
const ORIGIN: Duration = Duration::from_secs(1000);

/// Longer than any run; waits are cut to it.
const NEVER: Duration = Duration::from_secs(86_400);

/// How a clock runs against the world's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    began: Instant,
    /// By how many millionths it is fast.
    ppm: i64,
}

impl Rate {
    /// What it shows then.
    pub(super) fn moment(self, at: Instant) -> Moment {
        let passed = (at - self.began).as_nanos() as i128;
        let shown = passed + passed * i128::from(self.ppm) / 1_000_000;
        Moment::from_origin(ORIGIN + Duration::from_nanos(u64::try_from(shown).unwrap_or(0)))
    }

    /// When it shows this, or a little later.
    pub(super) fn instant(self, at: Moment) -> Instant {
        let shown = at.since_origin().saturating_sub(ORIGIN).as_nanos() as i128;
        let passed = shown * 1_000_000 / (1_000_000 + i128::from(self.ppm)) + 1;
        let passed = Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX)).min(NEVER);
        self.began + passed
    }
}

/// A node's clock.
#[derive(Debug)]
pub(super) struct SimClock {
    pub(super) rate: Rate,
    wall_nanos: AtomicI64,
    /// Sent to when the wall clock is set.
    set: watch::Sender<()>,
}

impl SimClock {
    pub(super) fn new(began: Instant, ppm: i64) -> Self {
        Self { rate: Rate { began, ppm }, wall_nanos: AtomicI64::new(0), set: watch::Sender::new(()) }
    }

    /// Sets the wall clock.
    pub(super) fn jump(&self, seconds: i64) {
        self.wall_nanos.fetch_add(seconds * 1_000_000_000, Ordering::Relaxed);
        self.set.send_replace(());
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        self.rate.moment(Instant::now())
    }

    fn wall_offset(&self) -> i128 {
        i128::from(self.wall_nanos.load(Ordering::Relaxed))
    }

    fn timer(&self) -> Result<Box<dyn Timer>, Error> {
        Ok(Box::new(SimTimer { rate: self.rate, set: self.set.subscribe() }))
    }
}

#[derive(Debug)]
struct SimTimer {
    rate: Rate,
    set: watch::Receiver<()>,
}

#[async_trait]
impl Timer for SimTimer {
    async fn wait_until(&mut self, at: Option<Moment>) {
        let at = at.map_or_else(|| Instant::now() + NEVER, |at| self.rate.instant(at));
        tokio::select! {
            biased;
            _ = self.set.changed() => {}
            () = sleep_until(at) => {}
        }
    }
}
