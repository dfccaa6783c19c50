//! The store.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch};
use odoo_ha_core::store::{Commit, Committed, Guard, Key, Revision, Snapshot};
use tokio::time::Instant;

use super::client::{Client, Request};
use super::config::ConsulConfig;
use super::error::{Verdict, not_sent, nothing_seen, perhaps};
use super::listing::Listing;
use super::watch::ConsulWatch;
use super::wire::Place;

/// A coordination store in Consul's key/value store. A clone is the same client.
///
/// A call asks one endpoint after another within its time, beginning with the one that answered last: each for a short time first, then
/// for longer. A commit that may have reached the store is sent a second time only if it guards the version of a key that it
/// writes; if the second is too late, the store is asked whether the first one was it.
#[derive(Clone, Debug)]
pub struct ConsulDcs {
    shared: Arc<Shared>,
}

/// What a client and its watches have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) place: Place,
    pub(super) watch_wait: Duration,
    stamp: AtomicU64,
}

impl ConsulDcs {
    pub(super) fn new(config: &ConsulConfig) -> Result<Self, Error> {
        let shared = Shared {
            client: Client::new(config)?,
            place: Place { prefix: config.key_prefix(), namespace: config.namespace.clone() },
            watch_wait: config.watch_wait,
            // Begins by chance and counts: no two commits of one client share a stamp, and those of two hardly ever.
            stamp: AtomicU64::new(RandomState::new().build_hasher().finish()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

#[async_trait]
impl Dcs for ConsulDcs {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(true, true)
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        Ok(self.shared.read(Instant::now() + timeout).await.map_err(nothing_seen)?.snapshot())
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let stamp = self.shared.stamp.fetch_add(1, Ordering::Relaxed);
        let body = self.shared.place.commit(commit, stamp)?;
        Committing { shared: &self.shared, commit, body: &body, stamp }.run(timeout).await
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        let first = self.shared.list(Instant::now() + timeout).await.map_err(nothing_seen)?;
        Ok(Box::new(ConsulWatch::begin(Arc::clone(&self.shared), from, &first)))
    }
}

impl Shared {
    /// All keys, checked for rights where there is room for doubt.
    ///
    /// Consul leaves keys out of a listing that the token may not read, and a cluster without keys looks like one that nobody
    /// has begun. So whenever there is no leader record, a transaction asks for it: that is refused without rights.
    async fn read(&self, deadline: Instant) -> Result<Listing, Error> {
        loop {
            let listing = self.list(deadline).await?;
            if listing.pairs.contains_key(&Key::leader()) || self.are_absent([&Key::leader()], deadline).await? {
                return Ok(listing);
            }
            // The leader record has appeared in between, or the right to see it has.
        }
    }

    pub(super) async fn list(&self, deadline: Instant) -> Result<Listing, Error> {
        self.look(Request::List { wait: None }, deadline, |answer| Listing::parse(&self.place, &answer)).await
    }

    /// Whether none of these keys exists.
    ///
    /// # Errors
    ///
    /// `Denied` also when the token may not write one of them.
    pub(super) async fn are_absent<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a Key>,
        deadline: Instant,
    ) -> Result<bool, Error> {
        let body = self.place.absence(keys)?;
        let request = Request::Transaction { body: &body, commit: None };
        match self.look(request, deadline, |answer| self.place.results(&answer.body)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks one endpoint after another until one gives an answer that can be understood.
    async fn look<T>(
        &self,
        request: Request<'_>,
        deadline: Instant,
        parse: impl Fn(super::client::Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let mut attempts = self.client.attempts(timeout);
        let mut worst: Option<Error> = None;
        while let Some((endpoint, until)) = attempts.next(Instant::now()) {
            let error = match self.client.ask(endpoint, request, until).await {
                Verdict::Done(answer) => match parse(answer) {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                },
                Verdict::Lost(error) | Verdict::Never(error) => return Err(error),
                Verdict::Refused(error) | Verdict::Elsewhere(error) => error,
                Verdict::Perhaps { error, slow } => {
                    if slow {
                        attempts.was_slow();
                    }
                    error
                }
            };
            worst = Some(telling(worst, error));
        }
        Err(worst.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "there was no time to ask the store")))
    }
}

/// Which of two endpoints' failures is told: a refusal says more than an answer that cannot be understood, and that more than none.
fn telling(one: Option<Error>, other: Error) -> Error {
    let weight = |error: &Error| match error.kind() {
        ErrorKind::Denied => 2,
        ErrorKind::Malformed => 1,
        _ => 0,
    };
    one.filter(|one| weight(one) > weight(&other)).unwrap_or(other)
}

/// One commit under way.
struct Committing<'a> {
    shared: &'a Shared,
    commit: &'a Commit,
    body: &'a [u8],
    stamp: u64,
}

impl Committing<'_> {
    async fn run(&self, timeout: Duration) -> Result<Committed, Error> {
        let client = &self.shared.client;
        let request = Request::Transaction { body: self.body, commit: Some(self.commit) };
        let again = self.happens_at_most_once();
        let mut attempts = client.attempts(timeout);
        // Why an earlier try may have happened, and why others did not.
        let (mut maybe, mut not) = (None, None);
        while let Some((endpoint, mut until)) = attempts.next(Instant::now()) {
            if !again {
                match client.ask(endpoint, Request::List { wait: None }, until).await {
                    // Whoever has just answered is not frozen or cut off: it gets all the time there is.
                    Verdict::Done(_) => until = attempts.deadline(),
                    Verdict::Lost(error) | Verdict::Never(error) => return Err(error),
                    Verdict::Refused(error) | Verdict::Elsewhere(error) => {
                        not = Some(telling(not, error));
                        continue;
                    }
                    Verdict::Perhaps { error, slow } => {
                        if slow {
                            attempts.was_slow();
                        }
                        not = Some(telling(not, not_sent(error)));
                        continue;
                    }
                }
            }
            match client.ask(endpoint, request, until).await {
                Verdict::Done(answer) => {
                    return self.shared.place.committed(self.commit, &answer.body).map_err(perhaps);
                }
                Verdict::Lost(error) => {
                    return match maybe {
                        None => Err(error),
                        Some(_) => self.settle(error, attempts.deadline()).await,
                    };
                }
                Verdict::Never(error) => return Err(maybe.unwrap_or(error)),
                Verdict::Refused(error) | Verdict::Elsewhere(error) => not = Some(telling(not, error)),
                Verdict::Perhaps { error, slow } => {
                    if !again {
                        return Err(perhaps(error));
                    }
                    if slow {
                        attempts.was_slow();
                    }
                    maybe = Some(perhaps(error));
                }
            }
        }
        Err(maybe
            .or(not)
            .unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "there was no time to send the commit to the store")))
    }

    /// Whether a second one like it cannot happen after the first, or has no effect: it guards the version of a key that it writes. That a key is absent
    /// is no such guard, as somebody may delete it in between.
    fn happens_at_most_once(&self) -> bool {
        let commit = self.commit;
        let goes_for_ever = |guard: &Guard| match guard {
            Guard::Version(key, _) => commit.writes.contains_key(key),
            Guard::Absent(_) => false,
        };
        commit.writes.is_empty() || commit.guards.iter().any(goes_for_ever)
    }

    /// A guard does not hold, and an earlier try was not answered: that one may be the reason. It cannot happen any more; if it
    /// did, what it wrote bears its stamp, as long as nobody wrote over it.
    async fn settle(&self, lost: Error, deadline: Instant) -> Result<Committed, Error> {
        let listing = self.shared.list(deadline).await.map_err(perhaps)?;
        let mine =
            listing.pairs.values().find(|pair| pair.stamp == self.stamp && self.commit.writes.contains_key(&pair.key));
        match mine {
            // Every key of one transaction has the version of that transaction.
            Some(mine) => Ok(Committed {
                versions: self.commit.writes.keys().map(|key| (key.clone(), mine.entry.version)).collect(),
            }),
            None => Err(perhaps(lost)),
        }
    }
}
