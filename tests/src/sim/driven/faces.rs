//! The roles of what follows leadership: address, services, files, watchdog; and those on which nothing hangs: notifier and probe.

use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::event::Event;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{
    AddressState, Feed, FilestoreStatus, FilestoreSync, FloatingIp, FloatingIpCapabilities, HealthProbe, Notifier,
    ServiceManager, ServiceState, Verdict, Watchdog,
};
use odoo_ha_core::term::Term;

use super::mood::{Asked, Kind, Link, dead};
use super::state::{Armed, State, locked};

/// How long before its deadline the watchdog begins to act.
pub(super) const ACTS_BEFORE: Duration = Duration::from_millis(600);

#[async_trait]
impl FloatingIp for Link {
    fn capabilities(&self) -> FloatingIpCapabilities {
        FloatingIpCapabilities::none()
    }

    async fn attach(&self, _term: Term, timeout: Duration) -> Result<(), Error> {
        let asked = Asked::new(Kind::Attach, "attach", timeout, (2, 30)).needs_belief();
        self.call(asked, |state| {
            state.site_mut(&self.me).address = true;
            state.judge_faces();
            Ok(())
        })
        .await
    }

    async fn detach(&self, timeout: Duration) -> Result<(), Error> {
        let asked = Asked::new(Kind::Detach, "detach", timeout, (1, 10));
        self.call(asked, |state| {
            state.site_mut(&self.me).address = false;
            Ok(())
        })
        .await
    }

    async fn look(&self, timeout: Duration) -> Result<AddressState, Error> {
        let asked = Asked::new(Kind::Attach, "look", timeout, (1, 3));
        let here = self.call(asked, |state| Ok(state.site(&self.me).address)).await?;
        Ok(if here { AddressState::Here } else { AddressState::NotHere })
    }
}

#[async_trait]
impl ServiceManager for Link {
    async fn start(&self, _term: Term, timeout: Duration) -> Result<(), Error> {
        let asked = Asked::new(Kind::ServicesUp, "start services", timeout, (50, 300)).needs_belief();
        self.call(asked, |state| {
            state.site_mut(&self.me).services = true;
            state.judge_faces();
            Ok(())
        })
        .await
    }

    async fn stop(&self, timeout: Duration) -> Result<(), Error> {
        let asked = Asked::new(Kind::ServicesDown, "stop services", timeout, (20, 60));
        self.call(asked, |state| {
            state.site_mut(&self.me).services = false;
            Ok(())
        })
        .await
    }

    async fn restart(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.start(term, timeout).await
    }

    async fn status(&self, timeout: Duration) -> Result<ServiceState, Error> {
        let asked = Asked::new(Kind::ServicesUp, "status of services", timeout, (1, 3));
        let run = self.call(asked, |state| Ok(state.site(&self.me).services)).await?;
        Ok(if run { ServiceState::Running } else { ServiceState::Stopped })
    }
}

#[async_trait]
impl FilestoreSync for Link {
    async fn lead(&self, _term: Term, timeout: Duration) -> Result<(), Error> {
        let asked = Asked::new(Kind::Files, "lead files", timeout, (5, 30));
        self.call(asked, |state| {
            state.site_mut(&self.me).leads_files = true;
            state.judge_faces();
            Ok(())
        })
        .await
    }

    async fn follow(
        &self,
        _term: Term,
        _leader: &MemberId,
        _endpoint: Option<&Endpoint>,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.call(Asked::new(Kind::Files, "follow files", timeout, (5, 30)), |state| self.no_lead(state)).await
    }

    async fn rest(&self, timeout: Duration) -> Result<(), Error> {
        self.call(Asked::new(Kind::Files, "rest files", timeout, (1, 5)), |state| self.no_lead(state)).await
    }

    async fn status(&self, _timeout: Duration) -> Result<FilestoreStatus, Error> {
        Ok(FilestoreStatus::default())
    }
}

impl Link {
    fn no_lead(&self, state: &mut State) -> Result<(), Error> {
        state.site_mut(&self.me).leads_files = false;
        Ok(())
    }

    async fn feeds(&self, feed: Feed, arms: bool, timeout: Duration) -> Result<(), Error> {
        let verb = if arms { "arm" } else { "feed" };
        self.call(Asked::new(Kind::Watchdog, verb, timeout, (1, 3)), |state| {
            let site = self.site(state).ok_or_else(dead)?;
            match site.armed {
                Some(armed) if armed.incarnation > feed.incarnation => {
                    return Err(Error::new(ErrorKind::Fenced, "a newer agent feeds it"));
                }
                None if !arms => return Err(Error::new(ErrorKind::Unavailable, "it is not armed")),
                _ => site.armed = Some(Armed { incarnation: feed.incarnation, deadline: feed.deadline }),
            }
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Watchdog for Link {
    fn acts_before(&self) -> Duration {
        ACTS_BEFORE
    }

    async fn arm(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        self.feeds(feed, true, timeout).await
    }

    async fn feed(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        self.feeds(feed, false, timeout).await
    }

    async fn disarm(&self, timeout: Duration) -> Result<(), Error> {
        self.call(Asked::new(Kind::Watchdog, "disarm", timeout, (1, 3)), |state| {
            let site = self.site(state).ok_or_else(dead)?;
            site.armed = None;
            Ok(())
        })
        .await
    }

    async fn lost(&self) {
        let bell = {
            let mut state = locked(&self.world);
            state.judge_lane(self, Kind::WatchdogLoss, "lost");
            let Some(site) = self.site(&mut state) else { return };
            site.bell.clone()
        };
        loop {
            let rung = bell.notified();
            let armed = self.site(&mut locked(&self.world)).is_some_and(|site| site.armed.is_some());
            if !armed {
                return;
            }
            rung.await;
        }
    }
}

#[async_trait]
impl Notifier for Link {
    async fn notify(&self, _event: &Event, timeout: Duration) -> Result<(), Error> {
        self.call(Asked::new(Kind::Notifier, "notify", timeout, (5, 50)), |_| Ok(())).await
    }
}

#[async_trait]
impl HealthProbe for Link {
    fn name(&self) -> &str {
        "made-up"
    }

    async fn check(&self, timeout: Duration) -> Result<Verdict, Error> {
        self.call(Asked::new(Kind::Probe, "check", timeout, (1, 10)), |_| Ok(Verdict::Healthy)).await
    }
}
