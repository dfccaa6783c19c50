//! Seeing what changes: a query that the store answers once something has, again and again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{DcsWatch, WatchEvent};
use odoo_ha_core::store::{Change, Revision};
use tokio::time::Instant;

use super::client::Request;
use super::dcs::Shared;
use super::error::{Verdict, nothing_seen};
use super::listing::{Difference, Listing};
use super::wire::MOST_OPERATIONS;

/// How long no endpoint may answer before the watch is over. A store that elects a leader of its own is back sooner.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two queries of which the first brought nothing: the cluster has no keys yet, so every write to the store wakes it,
/// or the endpoints fail at once.
const PACE: Duration = Duration::from_millis(50);

/// Time to find out whether keys that are missing were deleted.
const CONFIRM: Duration = Duration::from_secs(5);

type Looking = Pin<Box<dyn Future<Output = Result<(Listing, Option<WatchEvent>), Error>> + Send>>;

/// A running watch.
pub(super) struct ConsulWatch {
    shared: Arc<Shared>,
    /// What was shown so far.
    seen: Arc<Listing>,
    ready: Option<WatchEvent>,
    /// The query under way. It stays when a wait for it is dropped, so nothing that it brings is lost.
    looking: Option<Looking>,
    over: bool,
}

impl fmt::Debug for ConsulWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsulWatch").field("index", &self.seen.index).field("over", &self.over).finish_non_exhaustive()
    }
}

impl ConsulWatch {
    /// A watch of everything after `from`, of which `first` is what there is now.
    pub(super) fn begin(shared: Arc<Shared>, from: Revision, first: &Listing) -> Self {
        let ready = event(first, first.since(from));
        Self { shared, seen: Arc::new(first.clone()), ready, looking: None, over: false }
    }
}

#[async_trait]
impl DcsWatch for ConsulWatch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        loop {
            if let Some(event) = self.ready.take() {
                self.over = event == WatchEvent::Gap;
                return Ok(event);
            }
            if self.over {
                return Err(Error::new(ErrorKind::Unavailable, "the watch is over").hint("read anew"));
            }
            let (shared, seen) = (&self.shared, &self.seen);
            let looking = self.looking.get_or_insert_with(|| Box::pin(look(Arc::clone(shared), Arc::clone(seen))));
            let looked = looking.await;
            self.looking = None;
            match looked {
                Ok((listing, event)) => (self.seen, self.ready) = (Arc::new(listing), event),
                Err(error) => {
                    self.over = true;
                    return Err(error);
                }
            }
        }
    }
}

/// The next listing and what it tells.
async fn look(shared: Arc<Shared>, seen: Arc<Listing>) -> Result<(Listing, Option<WatchEvent>), Error> {
    let began = Instant::now();
    let listing = newer(&shared, seen.index).await?;
    let difference = match listing.after(&seen) {
        Difference::Some { changes, gone } if !gone.is_empty() => {
            // Also a token without rights shows no keys. What is too much for one question is not asked.
            let certain = gone.len() <= MOST_OPERATIONS
                && shared.are_absent(&gone, Instant::now() + CONFIRM).await.map_err(nothing_seen)?;
            if certain { Difference::Some { changes, gone } } else { Difference::Gap }
        }
        difference => difference,
    };
    let event = event(&listing, difference);
    if event.is_none() && began.elapsed() < PACE {
        tokio::time::sleep(PACE).await;
    }
    Ok((listing, event))
}

fn event(listing: &Listing, difference: Difference) -> Option<WatchEvent> {
    match difference {
        Difference::Gap => Some(WatchEvent::Gap),
        Difference::Some { mut changes, gone } => {
            changes.extend(gone.into_iter().map(|key| Change { key, entry: None }));
            (!changes.is_empty()).then(|| WatchEvent::Changed { revision: listing.revision(), changes })
        }
    }
}

/// Waits for a listing with another index, or until the time of one wait is over.
async fn newer(shared: &Shared, index: u64) -> Result<Listing, Error> {
    let client = &shared.client;
    let wait = shared.watch_wait;
    // Consul adds up to a sixteenth to a wait, so that not all end together.
    let answer_time = wait + wait / 16 + client.attempt();
    let request = Request::List { wait: Some((index, wait)) };
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let error = match client.ask(client.preferred(), request, asked + answer_time).await {
            Verdict::Done(answer) => return Listing::parse(&shared.place, &answer).map_err(nothing_seen),
            Verdict::Lost(error) | Verdict::Refused(error) | Verdict::Never(error) => return Err(nothing_seen(error)),
            Verdict::Elsewhere(error) | Verdict::Perhaps { error, .. } => error,
        };
        if began.elapsed() > PATIENCE {
            return Err(nothing_seen(error));
        }
        if asked.elapsed() < PACE {
            tokio::time::sleep(PACE).await;
        }
    }
}
