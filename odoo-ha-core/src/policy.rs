//! What an operator decides: times, modes, limits. Checked once, where a configuration is built.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// How commits are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Acknowledged by the primary alone; a failover may lose up to
    /// [`maximum_lag_on_failover`](Policy::maximum_lag_on_failover) and what was in flight.
    Asynchronous,
    /// Acknowledged when every healthy standby has it; a silent one is dropped after
    /// [`standby_timeout`](Timing::standby_timeout). A failover loses nothing that was acknowledged.
    #[default]
    Synchronous,
    /// As synchronous, but never acknowledged by the primary alone: without a standby, commits wait.
    Strict,
}

/// What the leader does when its database dies while its node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDatabaseDeath {
    /// Synchronous with a standby that may lead: release leadership at once. Else restart in place.
    #[default]
    Auto,
    /// Release leadership at once when somebody may lead.
    Release,
    /// Restart in place, up to [`Policy::restarts`] times.
    Restart,
}

/// The times of a cluster. See [`Timing::check`] for what must hold between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timing {
    /// How long a silent leader keeps its right. 1 s to 300 s; default 5 s.
    pub ttl: Duration,
    /// How often the leader rewrites its record. Default `ttl` / 5.
    pub renew_interval: Duration,
    /// How long an unchanged leader record makes a standby freeze and vote. Default `ttl`; less (from 300 ms) has effect only
    /// where the sync record says synchronous.
    pub suspicion: Duration,
    /// How long commits may wait for a silent synchronous standby before it is dropped. From 300 ms; default 2 s.
    pub standby_timeout: Duration,
    /// Reserved for stopping the database before `ttl` ends. Default 1.5 s, at most `ttl` / 2.
    pub stop_budget: Duration,
    /// By how much the rates of two clocks may differ over a `ttl`. Default `ttl` / 50.
    pub clock_margin: Duration,
    /// How often the database is looked at. Default 1 s, at most `ttl` / 5.
    pub observe_interval: Duration,
    /// Longest time a promotion or a start may take while leadership is renewed. Default 60 s.
    pub promote_timeout: Duration,
    /// Longest time the old leader's database may take to shut down in a switchover. Default 30 s.
    pub switchover_timeout: Duration,
    /// Longest time a rewind or clone may take. Default 6 h.
    pub clone_timeout: Duration,
}

impl Timing {
    /// Shortest `ttl`.
    pub const MIN_TTL: Duration = Duration::from_secs(1);
    /// Longest `ttl`.
    pub const MAX_TTL: Duration = Duration::from_secs(300);
    /// Shortest `suspicion` and `standby_timeout`: less than a normal pause of a busy machine.
    pub const MIN_SUSPICION: Duration = Duration::from_millis(300);

    /// The defaults for a `ttl`.
    pub fn with_ttl(ttl: Duration) -> Self {
        Self {
            ttl,
            renew_interval: ttl / 5,
            suspicion: ttl,
            standby_timeout: Duration::from_secs(2),
            stop_budget: Duration::from_millis(1500).min(ttl / 2),
            clock_margin: ttl / 50,
            observe_interval: Duration::from_secs(1).min(ttl / 5),
            promote_timeout: Duration::from_secs(60),
            switchover_timeout: Duration::from_secs(30),
            clone_timeout: Duration::from_secs(6 * 3600),
        }
    }

    /// How long one attach of the address may take: a quarter of `ttl`, and the leadership that is left when it begins exceeds it.
    pub fn attach_timeout(&self) -> Duration {
        self.ttl / 4
    }

    /// Checks that a leader that cannot renew has stopped its database before anybody else may lead, that one
    /// lost renewal does not cost leadership, and that each time is in its range.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`], naming the inequality that does not hold and the values in it.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |broken: String, hint: &str| Err(Error::new(ErrorKind::Misconfigured, broken).hint(hint));
        if self.ttl < Self::MIN_TTL || self.ttl > Self::MAX_TTL {
            return refuse(format!("ttl is {:?}, not between 1s and 300s", self.ttl), "the default is 5s");
        }
        if self.renew_interval < Duration::from_millis(50) {
            return refuse(
                format!("renew_interval is {:?}, below 50ms", self.renew_interval),
                "the default is ttl / 5",
            );
        }
        if self.stop_budget < Duration::from_millis(200) || self.stop_budget > self.ttl / 2 {
            return refuse(
                format!("200ms <= stop_budget <= ttl / 2 does not hold: {:?} of {:?}", self.stop_budget, self.ttl),
                "raise ttl or change stop_budget",
            );
        }
        if self.clock_margin < self.ttl / 1000 {
            return refuse(
                format!("clock_margin >= ttl / 1000 does not hold: {:?} of {:?}", self.clock_margin, self.ttl),
                "the default is ttl / 50; clocks are allowed to differ by 500 ppm each",
            );
        }
        // Rule 2: the last renewal that may fail, one more attempt, then the stop, all within the ttl.
        let needed = self.renew_interval * 2 + self.clock_margin + self.stop_budget;
        if needed > self.ttl {
            return refuse(
                format!(
                    "2 x renew_interval + clock_margin + stop_budget <= ttl does not hold: 2 x {:?} + {:?} + {:?} > {:?}",
                    self.renew_interval, self.clock_margin, self.stop_budget, self.ttl
                ),
                "raise ttl, or lower renew_interval or stop_budget",
            );
        }
        if self.suspicion < Self::MIN_SUSPICION || self.suspicion > self.ttl {
            return refuse(
                format!("300ms <= suspicion <= ttl does not hold: {:?} of {:?}", self.suspicion, self.ttl),
                "the default is ttl",
            );
        }
        if self.suspicion < self.renew_interval * 2 {
            return refuse(
                format!(
                    "suspicion >= 2 x renew_interval does not hold: {:?} of {:?}",
                    self.suspicion, self.renew_interval
                ),
                "a healthy leader would be suspected; lower renew_interval",
            );
        }
        if self.standby_timeout < Self::MIN_SUSPICION {
            return refuse(
                format!("standby_timeout is {:?}, below 300ms", self.standby_timeout),
                "the default is 2s; a standby that froze by mistake needs about half a second to come back",
            );
        }
        if self.observe_interval.is_zero() || self.observe_interval > self.ttl {
            return refuse(
                format!("0 < observe_interval <= ttl does not hold: {:?} of {:?}", self.observe_interval, self.ttl),
                "the default is 1s",
            );
        }
        for (name, value) in [
            ("promote_timeout", self.promote_timeout),
            ("switchover_timeout", self.switchover_timeout),
            ("clone_timeout", self.clone_timeout),
        ] {
            if value < Duration::from_secs(1) {
                return refuse(format!("{name} is {value:?}, below 1s"), "give it the time the operation takes");
            }
        }
        Ok(())
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::with_ttl(Duration::from_secs(5))
    }
}

/// What the cluster strives for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Policy {
    /// How commits are protected.
    pub sync_mode: SyncMode,
    /// In synchronous modes: how many standbys must have a commit before it is acknowledged, any of those that are counted. `None` (the default):
    /// all of them. With fewer than there are standbys a slow or silent one holds nobody up, and an election needs more of them: of `n` that are
    /// counted `n` - quorum + 1, or the old leader's own copy.
    pub quorum: Option<NonZeroU32>,
    /// In asynchronous mode: how many bytes of log a candidate may lack against the leader's last known position. Default
    /// 1 MiB.
    pub maximum_lag_on_failover: u64,
    /// What a leader does when its database dies.
    pub on_database_death: OnDatabaseDeath,
    /// How often a dead database is restarted in place before leadership is released. Default 3.
    pub restarts: u32,
}

impl Policy {
    /// Most restarts in place: more is a loop, not a policy.
    pub const MOST_RESTARTS: u32 = 1000;

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] naming the value.
    pub fn check(&self) -> Result<(), Error> {
        if self.restarts > Self::MOST_RESTARTS {
            let what = format!("policy restarts is {}, above {}", self.restarts, Self::MOST_RESTARTS);
            return Err(Error::new(ErrorKind::Misconfigured, what).hint("the default is 3"));
        }
        Ok(())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            sync_mode: SyncMode::default(),
            quorum: None,
            maximum_lag_on_failover: 1024 * 1024,
            on_database_death: OnDatabaseDeath::default(),
            restarts: 3,
        }
    }
}

/// How one probe is run and believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProbeSettings {
    /// Time between two checks. Default 1 s.
    pub interval: Duration,
    /// Longest time of one check. Default 1 s.
    pub timeout: Duration,
    /// Healthy verdicts in a row that make it healthy. Default 2.
    pub rise: u32,
    /// Unhealthy verdicts in a row that make it unhealthy. Default 3.
    pub fall: u32,
    /// What it counts in the node's score while unhealthy; 0 is for show. Default 1.
    pub weight: u32,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), timeout: Duration::from_secs(1), rise: 2, fall: 3, weight: 1 }
    }
}

impl ProbeSettings {
    /// The defaults, changed by `change`.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut settings = Self::default();
        change(&mut settings);
        settings
    }

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] naming the value.
    pub fn check(&self) -> Result<(), Error> {
        let refuse =
            |what: &str| Err(Error::new(ErrorKind::Misconfigured, what).hint("the defaults are 1s, 1s, 2, 3, 1"));
        if self.interval < Duration::from_millis(50) {
            return refuse("a probe's interval is below 50ms");
        }
        if self.timeout.is_zero() {
            return refuse("a probe's timeout is zero");
        }
        if self.rise == 0 || self.fall == 0 {
            return refuse("a probe's rise or fall is zero");
        }
        Ok(())
    }
}
