//! The role: [`ListenerAddress`].

use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{AddressState, FloatingIp, FloatingIpCapabilities};
use odoo_ha_core::term::Term;
use tokio::sync::{mpsc, oneshot};

use super::config::ListenerConfig;
use super::forward::MOST_LOOKUPS;
use super::worker::{Answer, FENCE_PATIENCE, Order, Worker};

/// Orders that may wait: the driver has one or two under way.
const WAITING: usize = 16;

/// An attach whose caller has gone is undone as soon as the worker sees it, at the latest after the wait for the fence and a small
/// file's way to the disk.
const LONGEST_IN_FLIGHT: Duration = FENCE_PATIENCE.saturating_mul(2);

/// A TCP address that this process holds or does not, see the [module](super).
///
/// Its calls may be made from any tokio runtime with time enabled, and dropped at any time: an attach that was dropped is undone, a
/// detach that was dropped happens all the same. Dropping the address detaches it.
#[derive(Debug)]
pub struct ListenerAddress {
    config: ListenerConfig,
    orders: mpsc::Sender<Order>,
}

impl ListenerAddress {
    pub(super) fn start(config: ListenerConfig) -> Result<Self, Error> {
        let unable =
            |error| Error::new(ErrorKind::Unavailable, "listener: its thread cannot be started").caused_by(error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            // They look up names, nothing else.
            .max_blocking_threads(MOST_LOOKUPS)
            .enable_all()
            .build()
            .map_err(unable)?;
        let (orders, receiver) = mpsc::channel(WAITING);
        let worker = Worker::new(config.clone(), receiver);
        let serve = move || {
            runtime.block_on(worker.serve());
            // A look-up that hangs cannot be broken off.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("listener".to_owned()).spawn(serve).map_err(unable)?;
        Ok(Self { config, orders })
    }

    /// What it was built of.
    pub fn config(&self) -> &ListenerConfig {
        &self.config
    }

    /// Gives an order and waits for the answer; `late` is what a missing answer means.
    async fn order<T>(
        &self,
        timeout: Duration,
        late: ErrorKind,
        order: impl FnOnce(Answer<T>) -> Order,
    ) -> Result<T, Error> {
        let listen = self.config.listen;
        let (answer, answered) = oneshot::channel();
        let asked = async {
            let over = |_| Error::new(late, format!("listener: the thread of {listen} has ended"));
            self.orders.send(order(answer)).await.map_err(|_| over(()))?;
            answered.await.map_err(|_| over(()))?
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(late, format!("listener: no answer from the thread of {listen} in time"))),
        }
    }
}

#[async_trait]
impl FloatingIp for ListenerAddress {
    fn capabilities(&self) -> FloatingIpCapabilities {
        FloatingIpCapabilities::none()
            .fences_by_term(self.config.fence_file.is_some())
            .longest_in_flight(LONGEST_IN_FLIGHT)
    }

    async fn attach(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.order(timeout, ErrorKind::Unknown, |answer| Order::Attach(term, answer)).await
    }

    async fn detach(&self, timeout: Duration) -> Result<(), Error> {
        self.order(timeout, ErrorKind::Unknown, Order::Detach).await
    }

    async fn look(&self, timeout: Duration) -> Result<AddressState, Error> {
        self.order(timeout, ErrorKind::Unavailable, Order::Look).await
    }
}
