//! A world for the driver's own tests: every role in one, behaving as the test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::database::*;
use crate::error::{Error, ErrorKind};
use crate::lsn::{Lsn, Timeline};
use crate::member::{DataId, MemberId, SystemId};
use crate::roles::*;
use crate::store::{Commit, Committed, Revision, Snapshot};
use crate::term::Term;

/// How a method behaves.
#[derive(Clone, Debug)]
pub(super) enum Behave {
    /// As it should.
    Well,
    /// Never answers, but lets itself be dropped.
    Hang,
    /// Blocks its thread until the gate opens.
    Block(Gate),
    /// Panics.
    Panic,
    /// Fails.
    Fail(ErrorKind),
}

/// Closed until it is opened, or until the last test's handle is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(super) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(super) fn pass(&self) {
        let guard = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(guard, |open| !*open).unwrap());
    }
}

/// Every role in one.
#[derive(Debug, Default)]
pub(super) struct World {
    behaviour: Mutex<BTreeMap<&'static str, Behave>>,
    calls: Mutex<Vec<&'static str>>,
}

impl World {
    /// From now on this method behaves so.
    pub(super) fn let_it(&self, method: &'static str, behave: Behave) {
        self.behaviour.lock().unwrap().insert(method, behave);
    }

    /// The methods that were called, in order.
    pub(super) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }

    async fn act(&self, method: &'static str) -> Result<(), Error> {
        self.calls.lock().unwrap().push(method);
        let behave = self.behaviour.lock().unwrap().get(method).cloned();
        match behave {
            None | Some(Behave::Well) => Ok(()),
            Some(Behave::Hang) => {
                let _dropped = Noted(self, method);
                std::future::pending().await
            }
            Some(Behave::Block(gate)) => {
                gate.pass();
                Ok(())
            }
            Some(Behave::Panic) => panic!("{method} is broken"),
            Some(Behave::Fail(kind)) => Err(Error::new(kind, format!("{method} failed"))),
        }
    }
}

/// Notes that a call that hung was dropped.
struct Noted<'a>(&'a World, &'static str);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.calls.lock().unwrap().push("(dropped)");
        assert!(!self.1.is_empty());
    }
}

#[async_trait]
impl Dcs for World {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(false, false)
    }

    async fn read(&self, _timeout: Duration) -> Result<Snapshot, Error> {
        self.act("read").await?;
        Ok(Snapshot { revision: Revision(7), entries: BTreeMap::new() })
    }

    async fn commit(&self, _commit: &Commit, _timeout: Duration) -> Result<Committed, Error> {
        self.act("commit").await?;
        Ok(Committed { versions: BTreeMap::new() })
    }

    async fn watch(&self, from: Revision, _timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        self.act("watch").await?;
        Ok(Box::new(OneChange(Some(from))))
    }
}

/// Tells one change, then that changes were missed.
#[derive(Debug)]
struct OneChange(Option<Revision>);

#[async_trait]
impl DcsWatch for OneChange {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        Ok(match self.0.take() {
            Some(Revision(from)) => WatchEvent::Changed { revision: Revision(from + 1), changes: Vec::new() },
            None => WatchEvent::Gap,
        })
    }
}

#[async_trait]
impl ReplicationManager for World {
    fn capabilities(&self) -> ReplicationCapabilities {
        ReplicationCapabilities::new(true, true, true)
    }

    async fn status(&self, _timeout: Duration) -> Result<DatabaseStatus, Error> {
        self.act("status").await?;
        Ok(DatabaseStatus { state: DatabaseState::Primary, ..DatabaseStatus::absent() })
    }

    async fn exited(&self) {
        let _ = self.act("exited").await;
    }

    async fn bootstrap(&self, _order: &BootstrapOrder, _timeout: Duration) -> Result<Bootstrapped, Error> {
        self.act("bootstrap").await?;
        Ok(Bootstrapped { system_id: SystemId(1), data_id: DataId("d".into()), timeline: Timeline(1), lsn: Lsn(1) })
    }

    async fn start_primary(&self, _order: &StartPrimaryOrder, _timeout: Duration) -> Result<Started, Error> {
        self.act("start_primary").await?;
        Ok(Started { lsn: Lsn(1), timeline: Timeline(1) })
    }

    async fn checkpoint(&self, _timeout: Duration) -> Result<(), Error> {
        self.act("checkpoint").await
    }

    async fn stop(&self, _mode: StopMode, _timeout: Duration) -> Result<Stopped, Error> {
        self.act("stop").await?;
        Ok(Stopped { clean: true, lsn: Lsn(1), timeline: Timeline(1) })
    }

    async fn follow(&self, _order: &FollowOrder, _timeout: Duration) -> Result<Followed, Error> {
        self.act("follow").await?;
        Ok(Followed { by: FollowedBy::Nothing, data_id: DataId("d".into()) })
    }

    async fn freeze(&self, _timeout: Duration) -> Result<Frozen, Error> {
        self.act("freeze").await?;
        Ok(Frozen { data_id: DataId("d".into()), lsn: Lsn(1), timeline: Timeline(1) })
    }

    async fn promote(&self, _order: &PromoteOrder, _timeout: Duration) -> Result<Promoted, Error> {
        self.act("promote").await?;
        Ok(Promoted { timeline: Timeline(1), switch_lsn: Lsn(1), lsn: Lsn(1) })
    }

    async fn set_synchronous(&self, _order: &SynchronousOrder, _timeout: Duration) -> Result<(), Error> {
        self.act("set_synchronous").await
    }

    async fn keep_slots(&self, _members: &BTreeSet<MemberId>, _timeout: Duration) -> Result<(), Error> {
        self.act("keep_slots").await
    }
}

#[async_trait]
impl FloatingIp for World {
    fn capabilities(&self) -> FloatingIpCapabilities {
        FloatingIpCapabilities::none()
    }

    async fn attach(&self, _term: Term, _timeout: Duration) -> Result<(), Error> {
        self.act("attach").await
    }

    async fn detach(&self, _timeout: Duration) -> Result<(), Error> {
        self.act("detach").await
    }

    async fn look(&self, _timeout: Duration) -> Result<AddressState, Error> {
        self.act("look").await?;
        Ok(AddressState::Here)
    }
}

#[async_trait]
impl Watchdog for World {
    fn acts_before(&self) -> Duration {
        Duration::ZERO
    }

    async fn arm(&self, _feed: Feed, _timeout: Duration) -> Result<(), Error> {
        self.act("arm").await
    }

    async fn feed(&self, _feed: Feed, _timeout: Duration) -> Result<(), Error> {
        self.act("feed").await
    }

    async fn disarm(&self, _timeout: Duration) -> Result<(), Error> {
        self.act("disarm").await
    }

    async fn lost(&self) {
        let _ = self.act("lost").await;
    }
}
