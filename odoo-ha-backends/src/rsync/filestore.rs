//! The role: [`RsyncFilestore`].

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{FilestoreStatus, FilestoreSync};
use odoo_ha_core::term::Term;
use rustix::process::geteuid;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::common::clock;

use super::config::RsyncConfig;
use super::worker::{Order, State, Told, Worker};

/// Orders that may wait: the driver has one under way.
const WAITING: usize = 16;

/// In a file's mode.
const OTHERS_WRITE: u32 = 0o002;

/// Odoo's files, pulled from the leader, see the [module](super).
///
/// Its calls may be made from any tokio runtime with time enabled, and dropped at any time: what was ordered is done all the same, and may be ordered
/// again. Dropping the filestore kills its pull.
///
/// Its [`status`](FilestoreSync::status): `complete_ms_ago` counts from the beginning of the last pass that succeeded, since what came to the leader
/// during it may not have been seen; it outlasts a change of leader and is forgotten with this process. `missing` is how many files that pass saw and could
/// not take: symbolic links and the like, and files whose content was not what their name says. While the last pass failed it is `Unavailable`, with the
/// reason. The leader's own files are complete.
#[derive(Debug)]
pub struct RsyncFilestore {
    config: Arc<RsyncConfig>,
    orders: mpsc::Sender<Told>,
    state: Arc<Mutex<State>>,
}

impl RsyncFilestore {
    pub(super) fn start(config: RsyncConfig) -> Result<Self, Error> {
        let source = config.source()?;
        std::fs::create_dir_all(&config.state_dir).map_err(|error| {
            let what = format!("rsync: state_dir {} cannot be made", config.state_dir.display());
            Error::new(ErrorKind::Misconfigured, what).hint("it must be the agent's own").caused_by(error)
        })?;
        // Its files are written by their names: whose folder it is could have them written anywhere.
        let found = std::fs::metadata(&config.state_dir).ok();
        if !found.is_some_and(|found| found.uid() == geteuid().as_raw() && found.mode() & OTHERS_WRITE == 0) {
            let what = format!(
                "rsync: state_dir {} belongs to another user, or all may write to it",
                config.state_dir.display()
            );
            return Err(Error::new(ErrorKind::Misconfigured, what).hint("it must be the agent's own"));
        }
        let unable = |error| Error::new(ErrorKind::Unavailable, "rsync: its thread cannot be started").caused_by(error);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unable)?;
        let (orders, told) = mpsc::channel(WAITING);
        let (config, state) = (Arc::new(config), Arc::<Mutex<State>>::default());
        let worker = Worker::new(Arc::clone(&config), source, told, Arc::clone(&state));
        thread::Builder::new()
            .name("rsync".to_owned())
            .spawn(move || runtime.block_on(worker.serve()))
            .map_err(unable)?;
        Ok(Self { config, orders, state })
    }

    /// What it was built of.
    pub fn config(&self) -> &RsyncConfig {
        &self.config
    }

    async fn order(&self, order: Order, timeout: Duration) -> Result<(), Error> {
        let over = || Error::new(ErrorKind::Unknown, "rsync: its thread has ended");
        let (answer, answered) = oneshot::channel();
        // A little less, so that the answer says why it took too long.
        let told = Told { order, deadline: Instant::now() + timeout - timeout / 10, answer };
        let asked = async {
            self.orders.send(told).await.map_err(|_| over())?;
            answered.await.map_err(|_| over())?
        };
        match tokio::time::timeout(timeout, asked).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(ErrorKind::Unknown, format!("rsync: no answer within {timeout:?}"))),
        }
    }
}

#[async_trait]
impl FilestoreSync for RsyncFilestore {
    async fn lead(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.order(Order::Lead(term), timeout).await
    }

    async fn follow(
        &self,
        term: Term,
        leader: &MemberId,
        endpoint: Option<&Endpoint>,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.order(Order::Follow(term, leader.clone(), endpoint.cloned()), timeout).await
    }

    async fn rest(&self, timeout: Duration) -> Result<(), Error> {
        self.order(Order::Rest, timeout).await
    }

    async fn status(&self, _timeout: Duration) -> Result<FilestoreStatus, Error> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.leads {
            return Ok(FilestoreStatus { missing: 0, complete_ms_ago: Some(0) });
        }
        if let Some(failure) = &state.failure {
            let what = format!("the last copy of the files failed: {}", failure.chain());
            return Err(Error::new(ErrorKind::Unavailable, what));
        }
        let age = |complete| u64::try_from(clock::now().since(complete).as_millis()).unwrap_or(u64::MAX);
        Ok(FilestoreStatus { missing: state.missing, complete_ms_ago: state.complete.map(age) })
    }
}
