//! A timer on the clock that agent and guard share.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

pub(super) use crate::common::clock::now;

/// A timer that becomes readable at an absolute moment, suspension counted (`timerfd_create(2)`).
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
}

impl Alarm {
    pub(super) fn new() -> std::io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer })
    }

    /// Sets it, forgetting what it was set to before; a moment that has passed makes it readable at once.
    pub(super) fn set(&self, at: Option<Moment>) -> std::io::Result<()> {
        // All zeros would switch it off, so the origin is one nanosecond late.
        let since = at.map(|at| at.since_origin().max(Duration::from_nanos(1))).unwrap_or_default();
        let it_value = Timespec {
            tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(since.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
