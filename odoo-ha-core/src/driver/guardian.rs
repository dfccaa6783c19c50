//! What happens when the control loop itself breaks: a bug, after which nobody renews and nobody gives up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::database::StopMode;
use crate::machine::Status;

use super::calls::panic_text;
use super::control::End;
use super::lanes::{NodeLanes, Place};
use super::log::{Line, Log};
use super::perform::Parts;

/// Waits for the end of the control loop. If that panicked while this member led, it makes the node harmless in the order of
/// giving up: address and services, then the database. Better no leader than two; without an armed watchdog nothing else would. This is
/// the one thing that the driver does unasked, as there is nobody left to ask.
#[derive(Debug)]
pub(super) struct Guardian {
    pub(super) parts: Arc<Parts>,
    pub(super) lanes: Arc<NodeLanes>,
    /// A sender of it: who waits for the node's end waits for this, too.
    pub(super) status: watch::Sender<Status>,
    pub(super) log: Log,
    /// What giving up may take.
    pub(super) budget: Duration,
}

impl Guardian {
    pub(super) async fn watch(self, control: JoinHandle<End>) {
        let Err(error) = control.await else { return };
        let Ok(panic) = error.try_into_panic() else { return };
        let what = format!("the control loop broke, this is a bug: {}", panic_text(&*panic));
        self.log.line(Line::Broken { what });
        let led = {
            let status = self.status.borrow();
            status.leads_for.is_some() || status.address_here
        };
        if led {
            self.make_harmless().await;
        }
    }

    async fn make_harmless(&self) {
        let each = self.budget / 3;
        let (address, services) = (self.parts.address.clone(), self.parts.services.clone());
        let detached = self.on(Place::AddressDown, each, async move {
            if let Some(address) = address {
                let _ = address.detach(each).await;
            }
        });
        let stopped = self.on(Place::ServicesDown, each, async move {
            if let Some(services) = services {
                let _ = services.stop(each).await;
            }
        });
        tokio::join!(detached, stopped);
        let database = self.parts.database.clone();
        let budget = self.budget;
        self.on(Place::DatabaseStop, budget, async move {
            let _ = database.stop(StopMode::AtOnce { fast_for_ms: 0 }, budget).await;
        })
        .await;
        self.log.line(Line::Broken { what: "this member led: address, services and database were taken down".into() });
    }

    async fn on(&self, place: Place, limit: Duration, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(lane) = self.lanes.at(place) {
            let _ = timeout(limit, lane.spawn(work)).await;
        }
    }
}
