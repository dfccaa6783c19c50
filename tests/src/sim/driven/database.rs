//! The role of the local database.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, DatabaseStatus, FollowOrder, Followed, Frozen, PromoteOrder, Promoted,
    StartPrimaryOrder, Started, StopMode, Stopped, SynchronousOrder,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{ReplicationCapabilities, ReplicationManager};
use tokio::time::{Instant, sleep};

use super::mood::{Asked, Kind, Link, dead};
use super::state::{State, locked};

/// How often a barrier is looked at.
const BARRIER_LOOK: Duration = Duration::from_millis(5);

impl Link {
    /// An order to the database; a hung one does not answer it.
    async fn order<T: Send>(
        &self,
        asked: Asked,
        effect: impl FnOnce(&mut State) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let hung = |state: &mut State| self.site(state).is_some_and(|site| site.data.hung);
        if hung(&mut locked(&self.world)) {
            let _under = self.begin(asked)?;
            sleep(asked.timeout).await;
            return Err(Error::new(ErrorKind::Unknown, "the database does not answer"));
        }
        self.call(asked, effect).await
    }
}

impl Link {
    fn barrier_is_reached(&self) -> Result<bool, Error> {
        let mut state = locked(&self.world);
        if self.site(&mut state).is_none() {
            return Err(dead());
        }
        Ok(state.barrier_holds(&self.me))
    }
}

#[async_trait]
impl ReplicationManager for Link {
    fn capabilities(&self) -> ReplicationCapabilities {
        ReplicationCapabilities::new(true, true, true)
    }

    async fn status(&self, timeout: Duration) -> Result<DatabaseStatus, Error> {
        self.call(Asked::new(Kind::Look, "status", timeout, (2, 6)), |state| Ok(state.observe(&self.me))).await
    }

    async fn exited(&self) {
        let (bell, run) = {
            let mut state = locked(&self.world);
            state.judge_lane(self, Kind::Exit, "exited");
            let Some(site) = self.site(&mut state) else { return };
            (site.bell.clone(), site.data.run)
        };
        loop {
            let rung = bell.notified();
            let runs =
                self.site(&mut locked(&self.world)).is_some_and(|site| site.data.state.runs() && site.data.run == run);
            if !runs {
                return;
            }
            rung.await;
        }
    }

    async fn bootstrap(&self, order: &BootstrapOrder, timeout: Duration) -> Result<Bootstrapped, Error> {
        let asked = Asked::new(Kind::Orders, "bootstrap", timeout, (800, 400));
        self.order(asked, |state| state.bootstrap(&self.me, order)).await
    }

    async fn start_primary(&self, order: &StartPrimaryOrder, timeout: Duration) -> Result<Started, Error> {
        let asked = Asked::new(Kind::Orders, "start_primary", timeout, (150, 200)).needs_belief();
        self.order(asked, |state| state.start_primary(&self.me, order)).await
    }

    async fn checkpoint(&self, timeout: Duration) -> Result<(), Error> {
        self.order(Asked::new(Kind::Orders, "checkpoint", timeout, (20, 30)), |_| Ok(())).await
    }

    async fn stop(&self, mode: StopMode, timeout: Duration) -> Result<Stopped, Error> {
        let asked = Asked::new(Kind::Stop, "stop", timeout, (40, 80));
        let effect = |state: &mut State| state.stop(&self.me, mode);
        match mode {
            StopMode::Fast => self.order(asked, effect).await,
            StopMode::AtOnce { .. } => self.call(asked, effect).await,
        }
    }

    async fn follow(&self, order: &FollowOrder, timeout: Duration) -> Result<Followed, Error> {
        let asked = Asked::new(Kind::Orders, "follow", timeout, (100, 200));
        self.order(asked, |state| state.follow(&self.me, order)).await
    }

    async fn freeze(&self, timeout: Duration) -> Result<Frozen, Error> {
        self.order(Asked::new(Kind::Orders, "freeze", timeout, (60, 100)), |state| state.freeze(&self.me)).await
    }

    async fn promote(&self, order: &PromoteOrder, timeout: Duration) -> Result<Promoted, Error> {
        let asked = Asked::new(Kind::Orders, "promote", timeout, (60, 80)).needs_belief();
        self.order(asked, |state| state.promote(&self.me, order)).await
    }

    async fn set_synchronous(&self, order: &SynchronousOrder, timeout: Duration) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        let asked = Asked::new(Kind::Orders, "set_synchronous", timeout, (10, 40)).needs_belief();
        self.order(asked, |state| state.set_synchronous(&self.me, order)).await?;
        while order.barrier && !self.barrier_is_reached()? {
            if Instant::now() >= end {
                return Err(Error::new(ErrorKind::NotReady, "a standby does not answer"));
            }
            sleep(BARRIER_LOOK).await;
        }
        Ok(())
    }

    async fn keep_slots(&self, _members: &BTreeSet<MemberId>, timeout: Duration) -> Result<(), Error> {
        self.order(Asked::new(Kind::Orders, "keep_slots", timeout, (5, 5)), |_| Ok(())).await
    }
}
