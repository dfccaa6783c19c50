//! The one clock that all processes of a machine share.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Now, since the machine began (CLOCK_MONOTONIC).
pub(super) fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is negative.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}
