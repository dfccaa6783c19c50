//! Services in an order, of whatever kinds.

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{ServiceManager, ServiceState};
use odoo_ha_core::term::Term;
use tokio::sync::watch;
use tokio::time::Instant;

/// Most services of one node.
const MOST_SERVICES: usize = 32;

/// Between two looks at a service that is to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What one service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Activity {
    /// It runs.
    Running,
    /// It is starting or stopping: it may run.
    Changing,
    /// It does not run.
    Stopped,
    /// There is no such service: it does not run, and cannot be started.
    Missing,
}

impl Activity {
    /// Whether it certainly does not run.
    #[must_use]
    pub fn is_down(self) -> bool {
        matches!(self, Self::Stopped | Self::Missing)
    }
}

/// One service. All of its calls end by their timeout; dropping one leaves it unknown whether it was done.
#[async_trait]
pub trait Service: Send + Sync + Debug {
    /// Its name, for errors.
    fn name(&self) -> &str;

    /// Starts it and returns when it has started. Starting what runs is `Ok`.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, `Denied`, `Unknown`: it may run then.
    async fn start(&self, timeout: Duration) -> Result<(), Error>;

    /// Stops it in good order. Stopping what does not run is `Ok`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    async fn stop(&self, timeout: Duration) -> Result<(), Error>;

    /// Ends it at once, where there is a way.
    ///
    /// # Errors
    ///
    /// `Unsupported` when there is none; else as [`start`](Self::start).
    async fn kill(&self, timeout: Duration) -> Result<(), Error>;

    /// What it is doing.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when it cannot be asked as it is set up; `Unavailable` when it cannot be told.
    async fn activity(&self, timeout: Duration) -> Result<Activity, Error>;
}

/// A [`ServiceManager`] of several services, which may be of several kinds.
///
/// They are started in their order, each when the one before it has started, and stopped in the reverse order. Each is given its share of the
/// time that is left to stop in good order, and what has not stopped after half of it is killed; one that cannot be stopped keeps no other
/// from being stopped, and one that is not there counts as stopped. A stop ends a start that is under way. The highest term that they were started for is remembered for the life of this value, and an older one refused.
#[derive(Debug)]
pub struct Services {
    services: Vec<Arc<dyn Service>>,
    highest: Mutex<Term>,
    /// How often a stop has begun: each ends a start that is under way.
    stops: watch::Sender<u64>,
}

impl Services {
    /// These, in this order.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when there is none, or too many, or two have one name.
    pub fn new(services: Vec<Arc<dyn Service>>) -> Result<Self, Error> {
        let wrong = |what: String| Error::new(ErrorKind::Misconfigured, what);
        if services.is_empty() || services.len() > MOST_SERVICES {
            return Err(wrong(format!("there are {} services", services.len()))
                .hint(format!("name 1 to {MOST_SERVICES}, or do without a service manager")));
        }
        for (place, service) in services.iter().enumerate() {
            if services.iter().take(place).any(|other| other.name() == service.name()) {
                return Err(
                    wrong(format!("two services are named {:?}", service.name())).hint("give each its own name")
                );
            }
        }
        Ok(Self { services, highest: Mutex::default(), stops: watch::Sender::new(0) })
    }

    fn admit(&self, term: Term) -> Result<(), Error> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        if term < *highest {
            let what = format!("the services were started for term {highest}, which is newer than {term}");
            return Err(Error::new(ErrorKind::Fenced, what));
        }
        *highest = term;
        Ok(())
    }

    /// Does it unless a stop begins. What is dropped then is killed with what it has started, as far as that is its child; the stop sees to the rest.
    async fn unless_stopped(&self, work: impl Future<Output = Result<(), Error>> + Send) -> Result<(), Error> {
        let mut stops = self.stops.subscribe();
        tokio::select! {
            biased;
            _ = stops.changed() => {
                Err(Error::new(ErrorKind::Unknown, "the services were stopped while they were being started"))
            }
            result = work => result,
        }
    }

    async fn start_all(&self, deadline: Instant) -> Result<(), Error> {
        for service in &self.services {
            service.start(left(deadline)).await?;
            let activity = service.activity(left(deadline)).await?;
            if activity != Activity::Running {
                let what = format!("service {}: it was started, but does not run", service.name());
                return Err(Error::new(ErrorKind::Unknown, what).hint("see its own log"));
            }
        }
        Ok(())
    }

    async fn stop_all(&self, deadline: Instant) -> Result<(), Error> {
        let mut failed: Option<Error> = None;
        for (place, service) in self.services.iter().enumerate().rev() {
            let share = left(deadline) / u32::try_from(place + 1).unwrap_or(u32::MAX);
            if let Err(error) = stop_one(service.as_ref(), Instant::now() + share).await {
                // The first one to fail is the one that is told; the others are stopped all the same.
                failed.get_or_insert(error);
            }
        }
        match failed {
            None => Ok(()),
            Some(error) => Err(Error::new(ErrorKind::Unknown, "not all services have stopped").caused_by(error)),
        }
    }
}

/// Stops one and sees that it has stopped; kills it when that takes more than half of the time.
async fn stop_one(service: &dyn Service, deadline: Instant) -> Result<(), Error> {
    let in_good_order = service.stop(left(deadline) / 2).await;
    // A look that fails, or takes its time, keeps nothing running.
    match service.activity(left(deadline) / 4).await {
        Ok(Activity::Missing) => return Ok(()),
        Ok(Activity::Stopped) if in_good_order.is_ok() => return Ok(()),
        Ok(_) | Err(_) => {}
    }
    let killed = service.kill(left(deadline)).await;
    loop {
        let seen = service.activity(left(deadline)).await;
        if seen.as_ref().is_ok_and(|activity| activity.is_down()) {
            return Ok(());
        }
        // What is set up wrongly, or forbidden, is so at the next look, too.
        let is_final = |error: &Error| matches!(error.kind(), ErrorKind::Misconfigured | ErrorKind::Denied);
        if Instant::now() + LOOK_AGAIN >= deadline || seen.as_ref().is_err_and(is_final) {
            let what = match &seen {
                Ok(_) => format!("service {} still runs", service.name()),
                Err(_) => format!("it is not known whether service {} has stopped", service.name()),
            };
            let cause = killed.and(in_good_order).err().or(seen.err());
            let error = Error::new(ErrorKind::Unknown, what);
            return Err(match cause {
                Some(cause) => error.caused_by(cause),
                None => error,
            });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[async_trait]
impl ServiceManager for Services {
    async fn start(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.admit(term)?;
        self.unless_stopped(self.start_all(Instant::now() + timeout)).await
    }

    async fn stop(&self, timeout: Duration) -> Result<(), Error> {
        self.stops.send_modify(|stops| *stops = stops.wrapping_add(1));
        self.stop_all(Instant::now() + timeout).await
    }

    async fn restart(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.admit(term)?;
        let deadline = Instant::now() + timeout;
        // The start needs its part of the time, too.
        self.unless_stopped(async {
            self.stop_all(Instant::now() + timeout / 2).await?;
            self.start_all(deadline).await
        })
        .await
    }

    async fn status(&self, timeout: Duration) -> Result<ServiceState, Error> {
        let deadline = Instant::now() + timeout;
        let mut seen = Vec::new();
        for service in &self.services {
            let activity = service.activity(left(deadline)).await?;
            if activity == Activity::Missing {
                let what = format!("there is no service {}", service.name());
                return Err(Error::new(ErrorKind::Misconfigured, what)
                    .hint("install it, or name another one (systemd: and systemctl daemon-reload)"));
            }
            seen.push(activity);
        }
        Ok(if seen.iter().all(|activity| *activity == Activity::Running) {
            ServiceState::Running
        } else if seen.iter().all(|activity| *activity == Activity::Stopped) {
            ServiceState::Stopped
        } else {
            ServiceState::Partial
        })
    }
}
