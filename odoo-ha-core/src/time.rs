//! Moments of a node's own clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment of one machine's clock that only moves forward and counts suspension.
///
/// It is the time since an origin that means nothing outside the machine (on Linux: `CLOCK_BOOTTIME`, the
/// time since boot, see `clock_gettime(2)`). Moments of two machines must never be compared; moments of two
/// processes on one machine may be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The origin of the clock.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// Later than every moment that ever comes.
    pub const MAX: Self = Self(Duration::MAX);

    /// The moment that lies `since_origin` after the clock's origin.
    pub const fn from_origin(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// How long after the clock's origin this moment lies.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this moment lies; zero when it does not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment moved back by `by`, at most to the origin.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.as_secs(), self.0.subsec_millis())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
