//! The clock that deadlines are of.

use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::time::{ClockId, clock_gettime};

/// Now, on the clock that a watchdog's deadlines are of (`CLOCK_BOOTTIME`, `clock_gettime(2)`): it counts suspension.
#[cfg_attr(
    not(any(feature = "guard", feature = "linux-watchdog")),
    expect(unreachable_pub, reason = "the watchdogs hand it out to embedders")
)]
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    // The kernel never hands out negative times since boot.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Moment::from_origin(Duration::new(seconds, nanos))
}
