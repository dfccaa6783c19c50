//! `[timing]` and `[policy]`: the times of the cluster and what it strives for.

use std::num::NonZeroU32;
use std::time::Duration;

use odoo_ha_core::policy::{OnDatabaseDeath, Policy, SyncMode, Timing};
use serde::{Deserialize, Serialize};

/// The times of the cluster. What is left out follows from `ttl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingSection {
    /// How long a silent leader keeps its right.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// How often the leader rewrites its record.
    #[serde(with = "humantime_serde")]
    pub renew_interval: Option<Duration>,
    /// How long an unchanged record makes a synchronous standby vote.
    #[serde(with = "humantime_serde")]
    pub suspicion: Option<Duration>,
    /// How long commits wait for a silent standby before it is dropped.
    #[serde(with = "humantime_serde")]
    pub standby_timeout: Option<Duration>,
    /// Reserved for stopping the database before `ttl` ends.
    #[serde(with = "humantime_serde")]
    pub stop_budget: Option<Duration>,
    /// By how much the rates of two clocks may differ over a `ttl`.
    #[serde(with = "humantime_serde")]
    pub clock_margin: Option<Duration>,
    /// How often the database is looked at.
    #[serde(with = "humantime_serde")]
    pub observe_interval: Option<Duration>,
    /// Longest time of a promotion or a start.
    #[serde(with = "humantime_serde")]
    pub promote_timeout: Option<Duration>,
    /// Longest time of a shutdown in a switchover.
    #[serde(with = "humantime_serde")]
    pub switchover_timeout: Option<Duration>,
    /// Longest time of a rewind or a copy.
    #[serde(with = "humantime_serde")]
    pub clone_timeout: Option<Duration>,
}

impl Default for TimingSection {
    fn default() -> Self {
        Self {
            ttl: Timing::default().ttl,
            renew_interval: None,
            suspicion: None,
            standby_timeout: None,
            stop_budget: None,
            clock_margin: None,
            observe_interval: None,
            promote_timeout: None,
            switchover_timeout: None,
            clone_timeout: None,
        }
    }
}

impl TimingSection {
    /// The times, unchecked.
    pub(crate) fn timing(&self) -> Timing {
        let mut timing = Timing::with_ttl(self.ttl);
        for (time, said) in [
            (&mut timing.renew_interval, self.renew_interval),
            (&mut timing.suspicion, self.suspicion),
            (&mut timing.standby_timeout, self.standby_timeout),
            (&mut timing.stop_budget, self.stop_budget),
            (&mut timing.clock_margin, self.clock_margin),
            (&mut timing.observe_interval, self.observe_interval),
            (&mut timing.promote_timeout, self.promote_timeout),
            (&mut timing.switchover_timeout, self.switchover_timeout),
            (&mut timing.clone_timeout, self.clone_timeout),
        ] {
            *time = said.unwrap_or(*time);
        }
        timing
    }

    /// The same with every time that follows said.
    pub(crate) fn effective(&self) -> Self {
        let timing = self.timing();
        Self {
            ttl: timing.ttl,
            renew_interval: Some(timing.renew_interval),
            suspicion: Some(timing.suspicion),
            standby_timeout: Some(timing.standby_timeout),
            stop_budget: Some(timing.stop_budget),
            clock_margin: Some(timing.clock_margin),
            observe_interval: Some(timing.observe_interval),
            promote_timeout: Some(timing.promote_timeout),
            switchover_timeout: Some(timing.switchover_timeout),
            clone_timeout: Some(timing.clone_timeout),
        }
    }
}

/// What the cluster strives for while this node leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// How commits are protected.
    pub sync_mode: SyncMode,
    /// How many standbys must have a commit, any of those that are counted; without it all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<NonZeroU32>,
    /// In asynchronous mode: how many bytes of log a new leader may lack.
    pub maximum_lag_on_failover: u64,
    /// What a leader does when its database dies.
    pub on_database_death: OnDatabaseDeath,
    /// How often a dead database is restarted in place.
    pub restarts: u32,
}

impl Default for PolicySection {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            sync_mode: policy.sync_mode,
            quorum: policy.quorum,
            maximum_lag_on_failover: policy.maximum_lag_on_failover,
            on_database_death: policy.on_database_death,
            restarts: policy.restarts,
        }
    }
}

impl PolicySection {
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        policy.sync_mode = self.sync_mode;
        policy.quorum = self.quorum;
        policy.maximum_lag_on_failover = self.maximum_lag_on_failover;
        policy.on_database_death = self.on_database_death;
        policy.restarts = self.restarts;
        policy
    }
}
