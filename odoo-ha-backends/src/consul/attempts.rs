//! Which endpoint is asked next, and for how long.

use std::time::Duration;

use tokio::time::Instant;

/// The tries of one call: each endpoint once for a short time, then, if one of them was slow, each again for twice that, and
/// so on until the deadline. So a dead endpoint costs one short try, and a store that is only slow is still heard.
#[derive(Debug)]
pub(super) struct Attempts {
    deadline: Instant,
    /// How many endpoints there are, and which was asked first.
    count: usize,
    first: usize,
    made: usize,
    limit: Duration,
    /// Whether a try of this round ended only because its time did.
    slow: bool,
}

impl Attempts {
    /// For a call that began now and has this much time. `longest` is the longest first try.
    pub(super) fn new(now: Instant, timeout: Duration, longest: Duration, count: usize, first: usize) -> Self {
        let count = count.max(1);
        // One endpoint more than there are: a call with little time can still ask all of them, and one of them again.
        let share = timeout / u32::try_from(count + 1).unwrap_or(u32::MAX);
        Self { deadline: now + timeout, count, first, made: 0, limit: longest.min(share), slow: false }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The next endpoint, and until when it may be asked.
    pub(super) fn next(&mut self, now: Instant) -> Option<(usize, Instant)> {
        let left = self.deadline.saturating_duration_since(now);
        if left.is_zero() {
            return None;
        }
        if self.made > 0 && self.made.is_multiple_of(self.count) {
            if !std::mem::take(&mut self.slow) {
                return None;
            }
            self.limit = self.limit.saturating_mul(2);
        }
        let endpoint = (self.first + self.made) % self.count;
        self.made += 1;
        // A rest that is too short for another try of this length is added to this one.
        let until = if left < self.limit.saturating_mul(2) && self.made > self.count {
            self.deadline
        } else {
            (now + self.limit).min(self.deadline)
        };
        Some((endpoint, until))
    }

    /// The try that was given last ended because its time did.
    pub(super) const fn was_slow(&mut self) {
        self.slow = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Endpoints and lengths of the tries in milliseconds, if each lasts as long as it may.
    fn all(timeout_ms: u64, count: usize, first: usize) -> Vec<(usize, u64)> {
        let mut now = Instant::now();
        let mut attempts =
            Attempts::new(now, Duration::from_millis(timeout_ms), Duration::from_millis(500), count, first);
        let mut tries = Vec::new();
        while let Some((endpoint, until)) = attempts.next(now) {
            tries.push((endpoint, (until - now).as_millis() as u64));
            attempts.was_slow();
            now = until;
        }
        tries
    }

    #[test]
    fn each_endpoint_is_asked_shortly_before_any_is_asked_for_long() {
        assert_eq!(all(5_000, 3, 1), [(1, 500), (2, 500), (0, 500), (1, 1_000), (2, 1_000), (0, 1_500)]);
        assert_eq!(all(1_000, 3, 0), [(0, 250), (1, 250), (2, 250), (0, 250)]);
        assert_eq!(all(4_000, 1, 0), [(0, 500), (0, 1_000), (0, 2_500)]);
        assert_eq!(all(0, 3, 0), []);
    }

    #[test]
    fn endpoints_that_refuse_at_once_are_asked_once() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now, Duration::from_secs(5), Duration::from_millis(500), 2, 0);
        assert_eq!(attempts.next(now).map(|(endpoint, _)| endpoint), Some(0));
        assert_eq!(attempts.next(now).map(|(endpoint, _)| endpoint), Some(1));
        assert_eq!(attempts.next(now), None);
    }
}
