//! When the next try of a call begins.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest step between two tries.
const SHORTEST_STEP: Duration = Duration::from_millis(5);

/// How often the step may double.
const MOST_DOUBLINGS: u32 = 5;

/// The tries of one call, endpoint after endpoint and round after round. A try that has not answered goes on beside the next; each round
/// takes twice as long as the one before, so that a slow store is not asked faster than it answers.
#[derive(Debug)]
pub(super) struct Schedule {
    endpoints: usize,
    begun: usize,
    step: Duration,
    next: Instant,
}

impl Schedule {
    /// For a call with this much time: each endpoint can be reached, and the last still has a step to answer.
    pub(super) fn new(endpoints: usize, timeout: Duration, attempt: Duration, now: Instant) -> Self {
        let endpoints = endpoints.max(1);
        let share = timeout / u32::try_from(endpoints + 1).unwrap_or(u32::MAX);
        Self { endpoints, begun: 0, step: share.min(attempt).max(SHORTEST_STEP), next: now }
    }

    /// When the next try is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// How long an answer is waited for before it counts as missing.
    pub(super) const fn step(&self) -> Duration {
        self.step
    }

    /// Begins a try: the number of its endpoint, and whether an earlier try of this call has been there.
    pub(super) fn begin(&mut self, now: Instant) -> (usize, bool) {
        let (round, place) = (self.begun / self.endpoints, self.begun % self.endpoints);
        self.begun += 1;
        let doublings = u32::try_from(round).unwrap_or(u32::MAX).min(MOST_DOUBLINGS);
        self.next = now + self.step * 2_u32.pow(doublings);
        (place, round > 0)
    }

    /// A try has failed: the next endpoint of the round is due at once, the next round when it was.
    pub(super) fn failed(&mut self, now: Instant) {
        if !self.begun.is_multiple_of(self.endpoints) {
            self.next = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_its_turn_within_the_time() {
        let (begun, time) = (Instant::now(), Duration::from_millis(200));
        let mut schedule = Schedule::new(3, time, Duration::from_millis(250), begun);
        let mut turns = Vec::new();
        while schedule.next() < begun + time {
            let now = schedule.next();
            turns.push(((now - begun).as_millis(), schedule.begin(now)));
        }
        assert_eq!(turns, [(0, (0, false)), (50, (1, false)), (100, (2, false)), (150, (0, true))]);
    }

    #[test]
    fn failures_are_followed_at_once_but_not_in_circles() {
        let now = Instant::now();
        let mut schedule = Schedule::new(2, Duration::from_secs(20), Duration::from_millis(250), now);
        assert_eq!(schedule.begin(now), (0, false));
        schedule.failed(now);
        assert_eq!(schedule.next(), now);
        assert_eq!(schedule.begin(now), (1, false));
        schedule.failed(now);
        assert_eq!(schedule.next(), now + Duration::from_millis(250));
    }
}
