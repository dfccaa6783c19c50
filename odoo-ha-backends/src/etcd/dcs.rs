//! The store.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch};
use odoo_ha_core::store::{Commit, Committed, Revision, Snapshot};
use tokio::time::Instant;

use super::client::could_hold;
use super::commit::{Mark, Permit, Tally};
use super::config::EtcdConfig;
use super::endpoints::{Asked, Endpoint, Endpoints};
use super::error::{Failure, Outcome};
use super::schedule::Schedule;
use super::target::Target;
use super::watch::{EtcdWatch, begin};

/// Longest call: what is longer is no deadline.
const LONGEST_CALL: Duration = Duration::from_secs(3600);

/// A coordination store in etcd. A clone is the same client, with the same connections.
///
/// A call is tried at the member that answered last. Where no answer comes within a step (the configured
/// [`attempt`](EtcdConfig::attempt), or less where the call has little time) the next member is tried as well, and so on in rounds until
/// the deadline; the first answer counts. A connection that failed, or did not answer, is not used again.
///
/// **Commits.** One that guards the version of a key it writes can land only once, so it too is sent to the next member while the first is
/// silent. Then `Ok` means that it happened, once; a conflict is told as `Conflict` only when every earlier send is known to have had no
/// effect, else as `Unknown`: it may be the own first send that the second met. Any other commit is sent once, to one member that has
/// just answered or is connected; without an answer it is `Unknown`.
///
/// Connections belong to the runtime of the call that made them. If that runtime ends, the next call makes new ones.
#[derive(Clone)]
pub struct EtcdDcs {
    shared: Arc<Shared>,
}

/// What calls and watches share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Arc<EtcdConfig>,
    endpoints: Arc<Endpoints>,
}

impl EtcdDcs {
    pub(super) fn new(config: EtcdConfig, targets: Vec<Target>) -> Self {
        let config = Arc::new(config);
        let endpoints = Arc::new(Endpoints::new(Arc::clone(&config), targets));
        Self { shared: Arc::new(Shared { config, endpoints }) }
    }
}

impl fmt::Debug for EtcdDcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EtcdDcs").field(&self.shared.config).finish()
    }
}

#[async_trait]
impl Dcs for EtcdDcs {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(true, true)
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        let read = |asked: Asked| -> BoxFuture<'static, Result<Snapshot, Failure>> {
            Box::pin(async move {
                let result = asked.link().read().await;
                asked.answered(result)
            })
        };
        self.shared.first_answer("the store could not be read", timeout, &read).await
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        if !commit.guards.iter().all(could_hold) {
            return Err(Error::new(ErrorKind::Conflict, "the commit is based on a version that etcd never gives"));
        }
        self.shared.commit(commit, timeout).await
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        let begun = begin(&self.shared, from, timeout).await?;
        Ok(Box::new(EtcdWatch::run(Arc::clone(&self.shared), begun, from)))
    }
}

/// Makes the request of one try, on a connection.
pub(super) type Request<'a, T> = dyn Fn(Asked) -> BoxFuture<'static, Result<T, Failure>> + Send + Sync + 'a;

impl Shared {
    /// The first answer of any member to a request that changes nothing.
    ///
    /// # Errors
    ///
    /// `Unavailable` when none came in time; at once what every member refused, or what no other would say better.
    pub(super) async fn first_answer<T: Send + 'static>(
        &self,
        what: &str,
        timeout: Duration,
        request: &Request<'_, T>,
    ) -> Result<T, Error> {
        let timeout = timeout.min(LONGEST_CALL);
        let deadline = Instant::now() + timeout;
        let members = self.members(deadline).await?;
        let mut schedule = Schedule::new(members.len(), timeout, self.config.attempt, Instant::now());
        let mut tries = FuturesUnordered::new();
        let mut refused = BTreeSet::new();
        let mut last = None;
        loop {
            tokio::select! {
                biased;
                Some((place, member, result)) = tries.next(), if !tries.is_empty() => {
                    let result: Result<T, Failure> = result;
                    match result {
                        Ok(answer) => {
                            self.endpoints.prefer(&member);
                            return Ok(answer);
                        }
                        Err(failure) => {
                            if matches!(failure.outcome, Outcome::Token | Outcome::Refused) {
                                refused.insert(place);
                            }
                            last = Some(failure.error);
                            if refused.len() >= members.len() {
                                break;
                            }
                            schedule.failed(Instant::now());
                        }
                    }
                }
                () = tokio::time::sleep_until(deadline) => break,
                () = tokio::time::sleep_until(schedule.next()) => {
                    let (place, fresh) = schedule.begin(Instant::now());
                    let (member, config, patience) = (Arc::clone(&members[place]), Arc::clone(&self.config), schedule.step());
                    tries.push(async move {
                        let result = match member.link(&config, fresh).await {
                            Ok(lease) => request(lease.ask(patience)).await,
                            Err(failure) => Err(failure),
                        };
                        (place, member, result)
                    });
                }
            }
        }
        self.endpoints.doubt();
        Err(match last {
            Some(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::Malformed) => error,
            Some(error) => Error::new(ErrorKind::Unavailable, what).caused_by(error),
            None => Error::new(ErrorKind::Unavailable, format!("{what}: no answer in {timeout:?}"))
                .hint("is etcd running, and can it be reached?"),
        })
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let timeout = timeout.min(LONGEST_CALL);
        let deadline = Instant::now() + timeout;
        let members = self.members(deadline).await?;
        let mut schedule = Schedule::new(members.len(), timeout, self.config.attempt, Instant::now());
        let permit = Permit::new(commit);
        let mut tally = Tally::default();
        let mut tries = FuturesUnordered::new();
        // Once a guard has failed beside a send that is on its way, only that send's answer is waited for, and not for long.
        let mut until = deadline;
        loop {
            tokio::select! {
                biased;
                Some((number, member, ended)) = tries.next(), if !tries.is_empty() => {
                    match ended {
                        Ended::Done(committed) => {
                            self.endpoints.prefer(&member);
                            return Ok(committed);
                        }
                        Ended::Conflict => {
                            self.endpoints.prefer(&member);
                            tally.conflict(number);
                            until = until.min(Instant::now() + schedule.step());
                        }
                        Ended::StoodBack => tally.stood_back(number),
                        Ended::Failed(failure) => {
                            tally.failed(number, failure);
                            schedule.failed(Instant::now());
                        }
                    }
                    if let Some(error) = tally.verdict(members.len(), permit.is_free()) {
                        return Err(error);
                    }
                }
                () = tokio::time::sleep_until(until) => break,
                () = tokio::time::sleep_until(schedule.next()), if tally.wants_more() && permit.is_free() => {
                    let (place, fresh) = schedule.begin(Instant::now());
                    let (number, mark) = tally.begin(place);
                    let member = Arc::clone(&members[place]);
                    let once = Once { commit, permit: permit.clone(), mark, patience: schedule.step() };
                    let config = Arc::clone(&self.config);
                    tries.push(async move {
                        let ended = once.run(&member, &config, fresh).await;
                        (number, member, ended)
                    });
                }
            }
        }
        self.endpoints.doubt();
        Err(tally.last_word())
    }

    /// The members, who answered last first; never none.
    async fn members(&self, deadline: Instant) -> Result<Vec<Arc<Endpoint>>, Error> {
        let late = || Error::new(ErrorKind::Unavailable, "there was no time to reach the store");
        if deadline <= Instant::now() {
            return Err(late());
        }
        match tokio::time::timeout_at(deadline, self.endpoints.list()).await {
            Ok(Ok(members)) if !members.is_empty() => Ok(members),
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) => Err(late()),
        }
    }
}

/// How one try of a commit ends.
enum Ended {
    Done(Committed),
    Conflict,
    StoodBack,
    Failed(Failure),
}

/// One try of a commit.
struct Once<'a> {
    commit: &'a Commit,
    permit: Permit,
    mark: Mark,
    patience: Duration,
}

impl Once<'_> {
    async fn run(self, member: &Arc<Endpoint>, config: &Arc<EtcdConfig>, fresh: bool) -> Ended {
        let lease = match member.link(config, fresh).await {
            Ok(lease) => lease,
            Err(failure) => return Ended::Failed(failure.before_sending()),
        };
        if !self.permit.take() {
            return Ended::StoodBack;
        }
        self.mark.sending();
        let asked = lease.ask(self.patience);
        let result = asked.link().commit(self.commit).await;
        match asked.answered(result) {
            Ok(Some(committed)) => Ended::Done(committed),
            Ok(None) => Ended::Conflict,
            Err(failure) => {
                if failure.outcome != Outcome::Unsettled {
                    self.permit.give_back();
                }
                Ended::Failed(failure)
            }
        }
    }
}
