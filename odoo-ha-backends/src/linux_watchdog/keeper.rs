//! What holds the device, and the thread that feeds it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::Feed;
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;
use tokio::sync::watch;

use super::config::{LinuxWatchdogConfig, wrong};
use super::device::{Device, Facts};
use super::leave::Leave;
use crate::common::clock;

/// How often a device that was let go is looked at until it has stopped.
const LOOKS: u32 = 20;

/// Between two such looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An armed watchdog: what it was told last, and the device unless the cluster is paused.
#[derive(Debug)]
struct Armed {
    feed: Feed,
    running: Option<Running>,
}

/// A device that runs.
#[derive(Debug)]
struct Running {
    device: Device,
    leave: Leave,
}

#[derive(Debug, Default)]
struct State {
    armed: Option<Armed>,
    /// The newest reign whose deadline passed while it was armed.
    acted: Option<Term>,
    over: bool,
}

/// The device and its feeder, shared between the role's calls and the thread. Every operation blocks as the device does.
#[derive(Debug)]
pub(super) struct Keeper {
    config: LinuxWatchdogConfig,
    state: Mutex<State>,
    told: Condvar,
    /// How often an armed device was lost.
    pub(super) losses: watch::Sender<u64>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the system gives none.
    pub(super) fn start(config: LinuxWatchdogConfig) -> Result<Arc<Self>, Error> {
        let keeper =
            Arc::new(Self { config, state: Mutex::default(), told: Condvar::new(), losses: watch::Sender::new(0) });
        let feeder = Arc::clone(&keeper);
        let thread = thread::Builder::new().name("kernel-watchdog".into()).spawn(move || feeder.feed_for_ever());
        thread.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "kernel watchdog: no thread can be started").caused_by(error)
        })?;
        Ok(keeper)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed_for_ever(&self) {
        let mut state = self.lock();
        while !state.over {
            let now = clock::now();
            self.feed_if_due(&mut state, now);
            let running = state.armed.as_ref().and_then(|armed| armed.running.as_ref());
            // One that is due and was not fed may not be: it waits for a later deadline.
            let next = running.and_then(|running| running.leave.feed_at()).filter(|at| *at > now);
            state = match next {
                Some(at) => {
                    let (state, _) =
                        self.told.wait_timeout(state, at.since(now)).unwrap_or_else(PoisonError::into_inner);
                    state
                }
                None => self.told.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn feed_if_due(&self, state: &mut State, now: Moment) {
        let Some(running) = state.armed.as_mut().and_then(|armed| armed.running.as_mut()) else { return };
        if running.leave.feed_at().is_none_or(|at| at > now) || !running.leave.may_be_fed(now) {
            return;
        }
        match running.device.feed() {
            Ok(()) => running.leave.fed = clock::now(),
            Err(error) => {
                tracing::error!(device = %self.config.device.display(), %error, "the kernel watchdog takes no feed");
                // Closed without its magic: if it still counts, it resets the machine, as it must.
                state.armed = None;
                self.losses.send_modify(|losses| *losses += 1);
            }
        }
    }

    pub(super) fn arm(&self, feed: Feed) -> Result<(), Error> {
        let mut state = self.lock();
        self.settle(&mut state);
        if let Some(acted) = state.acted
            && feed.term <= acted
        {
            return Err(self.has_acted(acted));
        }
        if let Some(armed) = &state.armed {
            refuse_older(armed.feed, feed)?;
        }
        if state.armed.is_none() {
            // Fails before anything is started, and in a pause too, where nothing is.
            self.facts()?.check(&self.config)?;
            state.armed = Some(Armed { feed, running: None });
        }
        let result = self.follow(&mut state, feed);
        if result.is_err() && state.armed.as_ref().is_some_and(|armed| armed.running.is_none()) {
            state.armed = None;
        }
        result
    }

    pub(super) fn feed(&self, feed: Feed) -> Result<(), Error> {
        let mut state = self.lock();
        self.settle(&mut state);
        let Some(armed) = &state.armed else {
            return Err(match state.acted {
                Some(acted) if feed.term <= acted => self.has_acted(acted),
                Some(_) | None => Error::new(ErrorKind::Unavailable, "kernel watchdog: it is not armed"),
            });
        };
        refuse_older(armed.feed, feed)?;
        if feed.incarnation != armed.feed.incarnation {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "kernel watchdog: it was armed by another start of the agent",
            ));
        }
        self.follow(&mut state, feed)
    }

    /// Does what the feed says to what is armed.
    fn follow(&self, state: &mut State, feed: Feed) -> Result<(), Error> {
        let Some(armed) = &mut state.armed else { return Ok(()) };
        match (feed.deadline, armed.running.take()) {
            (None, None) => {}
            (None, Some(running)) => running.device.let_go()?,
            (Some(deadline), None) => armed.running = Some(self.run(deadline)?),
            (Some(deadline), Some(mut running)) => {
                let kept = running.leave.is_down_by(deadline);
                // Kept or not, it is the last word: no feed goes further.
                running.leave.deadline = deadline;
                let resets_at = running.leave.resets_at();
                armed.running = Some(running);
                if !kept {
                    let late = (resets_at + self.config.acts_before).since(deadline);
                    let what = format!("kernel watchdog: it was fed for {late:?} longer already");
                    return Err(
                        Error::new(ErrorKind::NotReady, what).hint("until then it can take no earlier deadline")
                    );
                }
            }
        }
        armed.feed = feed;
        // It feeds at once what may be fed, with its own look at the clock.
        self.told.notify_all();
        Ok(())
    }

    /// Starts the device for a leave that is long enough.
    fn run(&self, deadline: Moment) -> Result<Running, Error> {
        let config = &self.config;
        let leave = Leave { deadline, fed: clock::now(), timeout: config.timeout, acts_before: config.acts_before };
        if !leave.may_be_fed(leave.fed) {
            let left = deadline.since(leave.fed);
            let what = format!("kernel watchdog: only {left:?} are left, and one feed lasts {:?}", config.reach());
            return Err(Error::new(ErrorKind::NotReady, what)
                .hint("renew first; if that never suffices, lower its timeout or raise ttl"));
        }
        let mut device = Device::open(&config.device)?.ok_or_else(|| self.is_taken())?;
        if let Err(error) = device.feed() {
            let failed = Error::new(ErrorKind::Unavailable, "kernel watchdog: it takes no feed").caused_by(error);
            return device.let_go().and(Err(failed));
        }
        Ok(Running { device, leave: Leave { fed: clock::now(), ..leave } })
    }

    pub(super) fn disarm(&self) -> Result<(), Error> {
        let mut state = self.lock();
        let ours = state.armed.take().and_then(|armed| armed.running);
        let was_ours = ours.is_some();
        if let Some(running) = ours {
            running.device.let_go()?;
        } else {
            let facts = self.facts()?;
            // What cannot be stopped was never started by an agent; what nobody has started needs no stop, and opening would start it. Nor was
            // one of which the kernel says nothing: it is not armed without its timeout.
            if facts.active != Some(true) || facts.nowayout != Some(false) || !self.config.device.exists() {
                return Ok(());
            }
            // An earlier start of this agent may have left it running. If another program has it, it is none of ours.
            let Some(device) = Device::open(&self.config.device)? else { return Ok(()) };
            device.let_go()?;
        }
        if was_ours && !self.has_stopped()? {
            let what = format!("kernel watchdog: {} has not stopped", self.config.device.display());
            return Err(Error::new(ErrorKind::Unknown, what).hint("it may reset this machine"));
        }
        Ok(())
    }

    /// Whether sysfs shows it stopped, which a driver may take a moment for, or shows nothing.
    fn has_stopped(&self) -> Result<bool, Error> {
        for _ in 0..LOOKS {
            if self.facts()?.active != Some(true) {
                return Ok(true);
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(false)
    }

    /// Ends the thread; a device that runs is left to count to its end, as if the process had died.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.told.notify_all();
    }

    pub(super) fn facts(&self) -> Result<Facts, Error> {
        let dir = self.config.found_sysfs_dir().ok_or_else(|| wrong("sysfs_dir is not to be found"))?;
        Ok(Facts::read(&dir))
    }

    /// Whether this process holds the running device.
    pub(super) fn runs(&self) -> bool {
        self.lock().armed.as_ref().is_some_and(|armed| armed.running.is_some())
    }

    /// Latches what has happened: whoever lives on after a device's time has passed is fed no more.
    fn settle(&self, state: &mut State) {
        let now = clock::now();
        let past = |armed: &Armed| armed.running.as_ref().is_some_and(|running| running.leave.resets_at() <= now);
        if let Some(armed) = state.armed.take_if(|armed| past(armed)) {
            state.acted = Some(armed.feed.term);
            self.told.notify_all();
        }
    }

    fn has_acted(&self, term: Term) -> Error {
        let what = format!("kernel watchdog: its time has passed in term {term}, and this machine should be down");
        Error::new(ErrorKind::Fenced, what)
            .hint("does its driver reset at all (softdog's soft_noboot)? a newer term arms it")
    }

    fn is_taken(&self) -> Error {
        let what = format!("kernel watchdog: another program has {} open", self.config.device.display());
        Error::new(ErrorKind::Unavailable, what).hint(
            "systemd takes it with RuntimeWatchdogSec, watchdogd as well: leave it to the agent, or use another device",
        )
    }
}

fn refuse_older(armed: Feed, feed: Feed) -> Result<(), Error> {
    if feed.incarnation < armed.incarnation || feed.term < armed.term {
        let what =
            format!("kernel watchdog: it is armed with incarnation {} and term {}", armed.incarnation, armed.term);
        return Err(Error::new(ErrorKind::Fenced, what).hint("those are newer: is another agent running?"));
    }
    Ok(())
}
