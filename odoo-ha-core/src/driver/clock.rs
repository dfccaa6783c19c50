//! The clock of a node: time that counts suspension, and timers on it.

use std::fmt::Debug;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::Error;
use crate::time::Moment;

/// Without a timer of the kernel that counts suspension, a wait is cut into slices of this length, so that a node that was
/// suspended looks at its clock this soon after.
const SLICE: Duration = Duration::from_millis(100);

/// A moment of the wall clock that is never reached: a timer set to it only tells that the clock was set (the year 2200).
const NEVER_SECONDS: i64 = 7_258_118_400;

/// Where a node has its time from. Replaced only by simulators.
pub trait Clock: Send + Sync + Debug {
    /// Now. Never goes back, and counts suspension.
    fn now(&self) -> Moment;

    /// The wall clock minus [`now`](Self::now), in nanoseconds: changes only when one of them jumps (or is slewed).
    fn wall_offset(&self) -> i128;

    /// A timer on this clock. Called within the runtime that it will be waited on.
    ///
    /// # Errors
    ///
    /// [`Misconfigured`](crate::error::ErrorKind::Misconfigured) when there is none.
    fn timer(&self) -> Result<Box<dyn Timer>, Error>;
}

/// Waits for a moment of its clock.
#[async_trait]
pub trait Timer: Send + Debug {
    /// Returns at this moment or soon after, or earlier: when the wall clock was set, or for no reason. `None` is never.
    /// Cancel-safe.
    async fn wait_until(&mut self, at: Option<Moment>);
}

/// `CLOCK_BOOTTIME` of `clock_gettime(2)`: time since boot, suspension included.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment::from_origin(Duration::from_nanos(u64::try_from(nanos(ClockId::Boottime)).unwrap_or(0)))
    }

    fn wall_offset(&self) -> i128 {
        nanos(ClockId::Realtime) - nanos(ClockId::Boottime)
    }

    fn timer(&self) -> Result<Box<dyn Timer>, Error> {
        Ok(match BootTimer::new() {
            Ok(timer) => Box::new(timer),
            // A kernel without such timers, or no file descriptor left: slower to notice a suspension, right all the same.
            Err(_) => Box::new(SlicedTimer { clock: *self }),
        })
    }
}

fn nanos(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// `timerfd_create(2)` on `CLOCK_BOOTTIME`, and one on the wall clock that fires when that is set.
#[derive(Debug)]
struct BootTimer {
    boot: AsyncFd<OwnedFd>,
    wall: AsyncFd<OwnedFd>,
}

impl BootTimer {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let boot = timerfd_create(TimerfdClockId::Boottime, flags)?;
        let wall = timerfd_create(TimerfdClockId::Realtime, flags)?;
        timerfd_settime(
            &wall,
            TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET,
            &once(Timespec { tv_sec: NEVER_SECONDS, tv_nsec: 0 }),
        )?;
        Ok(Self { boot: register(boot)?, wall: register(wall)? })
    }

    fn set(&self, at: Option<Moment>) -> io::Result<()> {
        // Zero disarms it; the origin itself is asked for as the nanosecond after.
        let at = at.map_or(Duration::ZERO, |at| at.since_origin().max(Duration::from_nanos(1)));
        let at = Timespec {
            tv_sec: i64::try_from(at.as_secs()).unwrap_or(NEVER_SECONDS).min(NEVER_SECONDS),
            tv_nsec: i64::from(at.subsec_nanos()),
        };
        timerfd_settime(self.boot.get_ref(), TimerfdTimerFlags::ABSTIME, &once(at))?;
        Ok(())
    }
}

#[async_trait]
impl Timer for BootTimer {
    async fn wait_until(&mut self, at: Option<Moment>) {
        if self.set(at).is_err() {
            return tokio::time::sleep(SLICE).await;
        }
        tokio::select! {
            () = fired(&self.boot) => {}
            () = fired(&self.wall) => {}
        }
    }
}

#[expect(
    deprecated,
    reason = "unsound only for types whose descriptor can change or close while registered; an OwnedFd's cannot, and its \
              replacement is unsafe to call"
)]
fn register(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(timer, Interest::READABLE)
}

const fn once(at: Timespec) -> Itimerspec {
    Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at }
}

/// Waits until the timer has fired or was cancelled, and takes that from it.
async fn fired(timer: &AsyncFd<OwnedFd>) {
    loop {
        let Ok(mut ready) = timer.readable().await else {
            // The runtime's IO is going down.
            return tokio::time::sleep(SLICE).await;
        };
        let mut expirations = [0; 8];
        // An error other than "would block" is the wall clock's `ECANCELED`: it was set.
        if ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?)).is_ok() {
            return;
        }
    }
}

/// Short sleeps, as tokio's own clock may not count suspension.
#[derive(Debug)]
struct SlicedTimer {
    clock: SystemClock,
}

#[async_trait]
impl Timer for SlicedTimer {
    async fn wait_until(&mut self, at: Option<Moment>) {
        loop {
            let left = at.map_or(SLICE, |at| at.since(self.clock.now()));
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_timer_never_fires_early_and_can_be_set_again_after_a_dropped_wait() {
        runtime().block_on(async {
            let clock = SystemClock;
            for mut timer in [clock.timer().unwrap(), Box::new(SlicedTimer { clock }) as Box<dyn Timer>] {
                let begun = clock.now();
                // Dropped half-way: the next wait is not disturbed by it.
                tokio::select! {
                    biased;
                    () = timer.wait_until(Some(begun + Duration::from_millis(1))) => {}
                    () = std::future::ready(()) => {}
                }
                let at = begun + Duration::from_millis(30);
                while clock.now() < at {
                    timer.wait_until(Some(at)).await;
                }
                // What lies in the past is due at once.
                timer.wait_until(Some(begun)).await;
                timer.wait_until(Some(Moment::ORIGIN)).await;
            }
        });
    }

    #[test]
    fn the_offset_of_the_wall_clock_stands_still() {
        let clock = SystemClock;
        let (one, two) = (clock.wall_offset(), clock.wall_offset());
        assert!((one - two).abs() < 1_000_000_000, "{one} {two}");
    }
}
