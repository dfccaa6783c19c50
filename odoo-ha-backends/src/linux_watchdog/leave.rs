//! When the device may be fed: no clock, no device, so that every case is a test of microseconds.

use std::time::Duration;

use odoo_ha_core::time::Moment;

/// Feeds within one device timeout: one that is late by two thirds of it costs nothing.
const FEEDS_A_TIMEOUT: u32 = 3;

/// What is granted, and what the device has had of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leave {
    /// When the machine must be down at the latest.
    pub(super) deadline: Moment,
    /// When the device was fed last.
    pub(super) fed: Moment,
    /// The device's timeout.
    pub(super) timeout: Duration,
    /// The reserve before the deadline.
    pub(super) acts_before: Duration,
}

impl Leave {
    /// Until when a feed may happen: whatever becomes of this process after it, the machine is down before the deadline.
    fn may_be_fed_until(&self) -> Moment {
        self.deadline.before(self.timeout + self.acts_before)
    }

    /// Whether a feed at this moment goes past nothing.
    pub(super) fn may_be_fed(&self, now: Moment) -> bool {
        // A deadline nearer than a timeout to the clock's origin would come out as the origin itself.
        now + (self.timeout + self.acts_before) <= self.deadline
    }

    /// When the device is to be fed next; `None` when no further feed is allowed.
    pub(super) fn feed_at(&self) -> Option<Moment> {
        let last = self.may_be_fed_until();
        let next = (self.fed + self.timeout / FEEDS_A_TIMEOUT).min(last);
        (next > self.fed).then_some(next)
    }

    /// When the device resets the machine unless it is fed.
    pub(super) fn resets_at(&self) -> Moment {
        self.fed + self.timeout
    }

    /// Whether the machine is down by this deadline, if the device is not fed any more.
    pub(super) fn is_down_by(&self, deadline: Moment) -> bool {
        self.resets_at() + self.acts_before <= deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(ms))
    }

    fn leave(deadline: u64, fed: u64) -> Leave {
        Leave {
            deadline: at(deadline),
            fed: at(fed),
            timeout: Duration::from_secs(3),
            acts_before: Duration::from_millis(100),
        }
    }

    /// Everything that a device sees that nobody tells a new deadline.
    fn feeds(mut leave: Leave) -> Vec<Moment> {
        let mut feeds = Vec::new();
        while let Some(next) = leave.feed_at() {
            assert!(leave.may_be_fed(next), "{leave:?}");
            feeds.push(next);
            leave.fed = next;
        }
        feeds
    }

    #[test]
    fn the_last_feed_is_the_one_that_lasts_to_the_deadline() {
        assert_eq!(feeds(leave(10_000, 4_000)), [at(5_000), at(6_000), at(6_900)]);
        assert_eq!(feeds(leave(8_000, 4_000)), [at(4_900)]);
        assert_eq!(feeds(leave(7_100, 4_000)), []);
        assert_eq!(feeds(leave(5_000, 4_000)), []);
        assert_eq!(feeds(leave(1_000, 0)), []);
    }

    #[test]
    fn a_feed_that_would_outlast_the_deadline_is_none() {
        assert!(leave(8_000, 4_000).may_be_fed(at(4_900)));
        assert!(!leave(8_000, 4_000).may_be_fed(at(4_901)));
        assert!(!leave(2_000, 0).may_be_fed(at(0)));
    }

    #[test]
    fn a_deadline_that_comes_nearer_is_kept_or_refused() {
        assert_eq!(leave(10_000, 4_000).resets_at(), at(7_000));
        assert!(leave(10_000, 4_000).is_down_by(at(7_100)));
        assert!(!leave(10_000, 4_000).is_down_by(at(7_099)));
    }
}
