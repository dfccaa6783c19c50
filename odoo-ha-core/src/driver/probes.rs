//! Probes: each looks on a thread of its own; a verdict that is long in coming is a verdict too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::machine::Input;
use crate::policy::ProbeSettings;
use crate::probes::ProbeTracker;
use crate::roles::{HealthProbe, Verdict};

use super::lanes::Lane;
use super::log::{Line, Log};
use super::repeated::{NoAnswer, Repeated};
use super::watches::Told;

/// How much longer than its timeout a check may take before it counts as unhealthy and is dropped.
const GRACE: Duration = Duration::from_millis(50);

/// A probe and how it is believed.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) name: String,
    pub(super) probe: Arc<dyn HealthProbe>,
    pub(super) settings: ProbeSettings,
}

/// A verdict of the probe of this number.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) number: usize,
    pub(super) verdict: Verdict,
}

impl Probe {
    /// Checks on `lane`, supervised on `side`, until nobody listens to `told`.
    pub(super) fn start(self, number: usize, side: &Lane, lane: Lane, told: mpsc::Sender<Told>, log: Log) {
        let own_lane = side.clone();
        side.spawn(async move {
            let _own_lane = own_lane;
            tokio::select! {
                biased;
                () = self.run(number, &lane, &told, &log) => {}
                () = told.closed() => {}
            }
        });
    }

    async fn run(&self, number: usize, lane: &Lane, told: &mpsc::Sender<Told>, log: &Log) {
        let mut checks = Repeated::on(lane);
        let mut last_trouble = None;
        loop {
            let begun = Instant::now();
            let verdict = self.check(&mut checks, begun + self.settings.timeout + GRACE).await;
            match verdict {
                Ok(verdict) => {
                    last_trouble = None;
                    if told.send(Told::Checked(Checked { number, verdict })).await.is_err() {
                        return;
                    }
                }
                // It could not look at all: this counts neither way. Said once, not at every check.
                Err(trouble) if last_trouble.as_ref() != Some(&trouble) => {
                    log.line(Line::Trouble { what: format!("probe {} cannot look: {trouble}", self.name) });
                    last_trouble = Some(trouble);
                }
                Err(_) => {}
            }
            sleep(self.settings.interval.saturating_sub(begun.elapsed())).await;
        }
    }

    async fn check(
        &self,
        checks: &mut Repeated<'_, Result<Verdict, Error>>,
        deadline: Instant,
    ) -> Result<Verdict, String> {
        let (probe, timeout) = (self.probe.clone(), self.settings.timeout);
        match checks.call(async move { probe.check(timeout).await }, deadline).await {
            Ok(checked) => checked.map_err(|error| error.chain()),
            Err(NoAnswer::Broken(why)) => Err(why),
            Err(NoAnswer::Silent) => Ok(Verdict::Unhealthy(format!("no answer within {timeout:?}"))),
        }
    }
}

/// What is believed of all probes, and what the failing ones weigh together.
#[derive(Debug)]
pub(super) struct Believed {
    probes: Vec<(String, u32, ProbeTracker)>,
}

impl Believed {
    pub(super) fn new(probes: &[Probe]) -> Self {
        let tracked = |probe: &Probe| (probe.name.clone(), probe.settings.weight, ProbeTracker::new(&probe.settings));
        Self { probes: probes.iter().map(tracked).collect() }
    }

    /// Takes a verdict; returns what the machine is told when it changes what is believed.
    pub(super) fn take(&mut self, checked: &Checked) -> Option<Input> {
        let (name, _, tracker) = self.probes.get_mut(checked.number)?;
        tracker.handle_verdict(&checked.verdict)?;
        let (probe, healthy) = (name.clone(), !tracker.is_unhealthy());
        let failing = self.probes.iter().filter(|(_, _, tracker)| tracker.is_unhealthy());
        let penalty = failing.map(|(_, weight, _)| *weight).fold(0, u32::saturating_add);
        Some(Input::Health { probe, healthy, penalty })
    }
}
