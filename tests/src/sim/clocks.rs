//! A node's clock: how fast it runs, and that it may stand still.

use std::time::Duration;

use odoo_ha_core::member::MemberId;
use odoo_ha_core::time::Moment;

use super::World;

/// One part in a million.
const PART: u64 = 1_000_000;

/// What a clock shows from a moment of the world on.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    from: Duration,
    shows: Duration,
    ppm: i64,
}

/// A clock: a line through the world's time, made of stretches of one rate each. No floating point, so that it shows the same everywhere.
#[derive(Clone, Debug)]
pub struct Clock {
    stretches: Vec<Stretch>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { stretches: vec![Stretch { from: Duration::ZERO, shows: Duration::ZERO, ppm: 0 }] }
    }
}

fn scaled(time: Duration, by: u64, over: u64) -> Duration {
    // Half the width is enough for some hours, and divided many times faster.
    let quick = u64::try_from(time.as_nanos()).ok().and_then(|nanos| nanos.checked_mul(by));
    let nanos =
        quick.map_or_else(|| time.as_nanos() * u128::from(by) / u128::from(over), |nanos| u128::from(nanos / over));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// By how many millionths of the truth a clock runs that is so many fast: none while it stands.
fn rate(ppm: i64) -> u64 {
    PART.saturating_add_signed(ppm)
}

impl Clock {
    /// A clock that stands still.
    pub const STANDS: i64 = -1_000_000;

    fn stretch_at(&self, at: Duration) -> Stretch {
        let after = self.stretches.partition_point(|stretch| stretch.from <= at);
        self.stretches[after.saturating_sub(1)]
    }

    /// By how many millionths it is fast now.
    pub fn ppm(&self) -> i64 {
        self.stretch_at(Duration::MAX).ppm
    }

    /// What it shows then.
    pub fn shows(&self, at: Duration) -> Moment {
        let stretch = self.stretch_at(at);
        let passed = at.saturating_sub(stretch.from);
        if stretch.ppm == 0 {
            return Moment::from_origin(stretch.shows + passed);
        }
        Moment::from_origin(stretch.shows + scaled(passed, rate(stretch.ppm), PART))
    }

    /// When it will show this, if it goes on as it does; never, while it stands.
    pub fn when(&self, shows: Moment) -> Option<Duration> {
        let stretch = self.stretch_at(Duration::MAX);
        let left = shows.since_origin().saturating_sub(stretch.shows);
        match stretch.ppm {
            0 => Some(stretch.from.saturating_add(left)),
            Self::STANDS => left.is_zero().then_some(stretch.from),
            // Rounded up: at that moment it shows no less.
            ppm => Some(stretch.from.saturating_add(scaled(left, PART, rate(ppm))) + Duration::from_micros(1)),
        }
    }

    /// From now on it is so many millionths fast.
    pub fn set(&mut self, now: Duration, ppm: i64) {
        let ppm = ppm.max(Self::STANDS);
        if ppm != self.ppm() {
            let shows = self.shows(now).since_origin();
            self.stretches.push(Stretch { from: now, shows, ppm });
        }
    }
}

impl World {
    /// Lets a node's clock run at another rate from now on: within the margin, or beyond it.
    pub fn set_clock(&mut self, name: &MemberId, ppm: i64) {
        let now = self.now;
        self.node_mut(name).clock.set(now, ppm);
        self.note_clocks();
        self.set_wake(name);
    }

    /// Clocks have run within the margin for so long that nobody's belief is older: what depends on honest clocks holds.
    pub fn clocks_honest(&self) -> bool {
        self.now >= self.dishonest_until
    }

    fn rates_differ_too_much(&self) -> bool {
        let awake = || self.nodes.values().filter(|node| node.asleep.is_none() || node.clock.ppm() == Clock::STANDS);
        let fastest = awake().map(|node| node.clock.ppm()).max().unwrap_or(0);
        let slowest = awake().map(|node| node.clock.ppm()).min().unwrap_or(0);
        self.nodes.values().any(|node| {
            let timing = &node.config.timing;
            let margin =
                timing.clock_margin.as_nanos() as i128 * i128::from(PART) / timing.ttl.as_nanos().max(1) as i128;
            i128::from(fastest - slowest) > margin
        })
    }

    /// Called whenever a rate changes, and with each tick while they differ too much.
    pub(super) fn note_clocks(&mut self) {
        let differ = self.rates_differ_too_much();
        if differ || self.clocks_differ {
            let longest = self.nodes.values().map(|node| node.config.timing.ttl).max().unwrap_or_default();
            let recorded = self.store.leader().map_or(Duration::ZERO, odoo_ha_core::records::LeaderRecord::ttl);
            self.dishonest_until = self.now + longest.max(recorded) * 3;
        }
        self.clocks_differ = differ;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_changes_its_rate_is_continuous() {
        let mut clock = Clock::default();
        clock.set(Duration::from_secs(100), 10_000);
        assert_eq!(clock.shows(Duration::from_secs(200)), Moment::from_origin(Duration::from_secs(201)));
        clock.set(Duration::from_secs(200), Clock::STANDS);
        assert_eq!(clock.shows(Duration::from_secs(300)), Moment::from_origin(Duration::from_secs(201)));
        assert_eq!(clock.when(Moment::from_origin(Duration::from_secs(202))), None);
        clock.set(Duration::from_secs(300), -500_000);
        assert_eq!(clock.shows(Duration::from_secs(302)), Moment::from_origin(Duration::from_secs(202)));
        let when = clock.when(Moment::from_origin(Duration::from_secs(203))).expect("it runs");
        assert!(clock.shows(when) >= Moment::from_origin(Duration::from_secs(203)), "{when:?}");
        assert_eq!(clock.shows(Duration::from_secs(150)), Moment::from_origin(Duration::from_millis(150_500)));
    }
}
