//! The members of the store, and a connection to each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use odoo_ha_core::error::Error;
use tokio::time::Instant;

use super::client::Link;
use super::config::EtcdConfig;
use super::discovery::discover;
use super::error::Failure;
use super::target::Target;

/// Between two looks at DNS, while members answer.
const REFRESH_EVERY: Duration = Duration::from_secs(30);

/// Between two looks at DNS, while none answers.
const REFRESH_IN_NEED: Duration = Duration::from_secs(1);

/// Longest look at DNS in the background.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5);

/// All members that are known.
#[derive(Debug)]
pub(super) struct Endpoints {
    config: Arc<EtcdConfig>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    list: Vec<Arc<Endpoint>>,
    /// The last look at DNS, good or bad.
    looked: Option<Instant>,
}

impl Endpoints {
    pub(super) fn new(config: Arc<EtcdConfig>, targets: Vec<Target>) -> Self {
        let list = targets.into_iter().map(|target| Arc::new(Endpoint::new(target))).collect();
        Self { config, known: Mutex::new(Known { list, looked: None }) }
    }

    /// The members, who answered last first.
    ///
    /// # Errors
    ///
    /// `Unavailable` when DNS has not told any yet.
    pub(super) async fn list(self: &Arc<Self>) -> Result<Vec<Arc<Endpoint>>, Error> {
        let Some(domain) = self.config.domain.clone() else { return Ok(self.known().list.clone()) };
        let list = self.known().list.clone();
        if list.is_empty() {
            let targets = discover(&domain, &self.config).await?;
            return Ok(self.replace(targets));
        }
        self.refresh_after(REFRESH_EVERY, domain);
        Ok(list)
    }

    /// What answered is asked first from now on.
    pub(super) fn prefer(&self, endpoint: &Arc<Endpoint>) {
        let mut known = self.known();
        if let Some(place) = known.list.iter().position(|other| Arc::ptr_eq(other, endpoint)) {
            known.list.rotate_left(place);
        }
    }

    /// No member has answered: perhaps there are others.
    pub(super) fn doubt(self: &Arc<Self>) {
        if let Some(domain) = self.config.domain.clone() {
            self.refresh_after(REFRESH_IN_NEED, domain);
        }
    }

    /// Looks at DNS in the background, where the last look is this old.
    fn refresh_after(self: &Arc<Self>, age: Duration, domain: String) {
        {
            let mut known = self.known();
            if known.looked.is_some_and(|looked| looked.elapsed() < age) {
                return;
            }
            known.looked = Some(Instant::now());
        }
        let endpoints = Arc::clone(self);
        tokio::spawn(async move {
            let found = tokio::time::timeout(REFRESH_TIMEOUT, discover(&domain, &endpoints.config)).await;
            // What is known stays when DNS does not answer.
            if let Ok(Ok(targets)) = found {
                endpoints.replace(targets);
            }
        });
    }

    /// Takes what DNS tells; members that stay keep their connections, and their order if they are the same.
    fn replace(&self, targets: Vec<Target>) -> Vec<Arc<Endpoint>> {
        let mut known = self.known();
        let find = |target: &Target| known.list.iter().find(|endpoint| endpoint.target == *target).cloned();
        let same = targets.len() == known.list.len() && targets.iter().all(|target| find(target).is_some());
        if !same {
            known.list = targets
                .into_iter()
                .map(|target| find(&target).unwrap_or_else(|| Arc::new(Endpoint::new(target))))
                .collect();
        }
        known.looked = Some(Instant::now());
        known.list.clone()
    }

    /// No step under it can panic half-way.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One member.
#[derive(Debug)]
pub(super) struct Endpoint {
    target: Target,
    /// The connection, and how many there have been.
    link: Mutex<(u64, Option<Link>)>,
}

impl Endpoint {
    const fn new(target: Target) -> Self {
        Self { target, link: Mutex::new((0, None)) }
    }

    /// The connection to it, or a new one. `fresh`: what there is has been tried in vain.
    pub(super) async fn link(self: &Arc<Self>, config: &Arc<EtcdConfig>, fresh: bool) -> Result<Lease, Failure> {
        let (number, known) = self.slot().clone();
        if let Some(link) = known.filter(|_| !fresh) {
            return Ok(Lease { link, endpoint: Arc::clone(self), number });
        }
        let link = Link::connect(&self.target, config).await?;
        let mut slot = self.slot();
        let number = slot.0 + 1;
        *slot = (number, Some(link.clone()));
        Ok(Lease { link, endpoint: Arc::clone(self), number })
    }

    /// Forgets the connection, if it is still this one.
    fn forget(&self, number: u64) {
        let mut slot = self.slot();
        if slot.0 == number {
            slot.1 = None;
        }
    }

    fn slot(&self) -> MutexGuard<'_, (u64, Option<Link>)> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The use of a connection for one request.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) link: Link,
    endpoint: Arc<Endpoint>,
    number: u64,
}

impl Lease {
    /// From now on until the answer is [`answered`](Asked::answered), a caller that goes away tells of the connection: when it
    /// has waited for longer than `patience`, the next request makes a new one.
    pub(super) fn ask(self, patience: Duration) -> Asked {
        Asked { begun: Instant::now(), patience, lease: self, open: true }
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Asked {
    begun: Instant,
    patience: Duration,
    lease: Lease,
    open: bool,
}

impl Asked {
    /// The connection.
    pub(super) const fn link(&self) -> &Link {
        &self.lease.link
    }

    /// An answer came, or the connection failed; then the next request makes a new one.
    pub(super) fn answered<T>(mut self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.open = false;
        if result.as_ref().is_err_and(|failure| failure.broken) {
            self.lease.endpoint.forget(self.lease.number);
        }
        result
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.open && self.begun.elapsed() >= self.patience {
            self.lease.endpoint.forget(self.lease.number);
        }
    }
}
