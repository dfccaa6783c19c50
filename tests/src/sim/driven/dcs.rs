//! The role of the store: requests and answers travel by themselves, so what was sent arrives whether or not its sender waits,
//! or lives.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{Dcs, DcsCapabilities, DcsWatch, WatchEvent};
use odoo_ha_core::store::{Commit, Committed, Revision, Snapshot};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::mood::{Asked, Kind, Link, Mood, dead};
use super::state::{State, Unanswered, World, locked};

/// From a change to when a watch shows it.
const WATCH_LATENCY: Duration = Duration::from_millis(3);

impl State {
    /// A commit arrives.
    fn arrives(&mut self, from: &MemberId, commit: &Commit) -> Result<Committed, Error> {
        let age = self.age();
        match self.store.commit(commit, age) {
            Ok((committed, revision, changes)) => {
                self.note(format_args!("the store is at {revision:?} by {from}"));
                self.changes.push((revision, Instant::now(), changes));
                self.sync_record = self.store.sync_record();
                self.store_bell.notify_waiters();
                Ok(committed)
            }
            Err(failure) => Err(Error::new(failure.kind, failure.message)),
        }
    }

    /// How long a message between a node and the store travels.
    fn travel(&mut self, name: &MemberId) -> Duration {
        let slow = self.site(name).slow_store.as_millis() as u64;
        self.chance.millis(1, 3) + self.chance.millis(0, slow.max(1))
    }
}

/// Sends a commit on its way. The answer comes where it is waited for, if it is.
fn send(world: &World, me: &MemberId, commit: &Commit) -> oneshot::Receiver<Result<Committed, Error>> {
    let (tell, told) = oneshot::channel();
    let (way, fate) = {
        let mut state = locked(world);
        let way = state.travel(me);
        let faults = &mut state.site_mut(me).unanswered;
        let fate = (!faults.is_empty()).then(|| faults.remove(0));
        (way, fate)
    };
    let (world, me, commit) = (world.clone(), me.clone(), commit.clone());
    tokio::spawn(async move {
        sleep(way).await;
        if let Some(Unanswered::Late(longer)) = fate {
            sleep(longer).await;
        }
        let (result, back) = {
            let mut state = locked(&world);
            if state.site(&me).cut_from_store || matches!(fate, Some(Unanswered::NotDone)) {
                return;
            }
            let result = state.arrives(&me, &commit);
            (result, state.travel(&me))
        };
        sleep(back).await;
        let lost = locked(&world).site(&me).cut_from_store;
        if fate.is_none() && !lost {
            // Nobody waits any more: fine.
            let _ = tell.send(result);
        }
    });
    told
}

impl Link {
    /// What the next call of the store meets, apart from the network.
    fn store_mood(&self) -> Option<Mood> {
        let mut state = locked(&self.world);
        let moods = self.site(&mut state)?.moods.get_mut(&Kind::Store)?;
        (!moods.is_empty()).then(|| moods.remove(0))
    }

    fn block_here(&self, blocked: Duration) {
        let mut state = locked(&self.world);
        if let Some(site) = self.site(&mut state) {
            let lane = site.turns.current();
            site.turns.block(&lane, Instant::now() + blocked);
        }
    }

    /// What goes wrong with a call before it is sent.
    async fn store_meets(&self) -> Result<(), Error> {
        match self.store_mood() {
            Some(Mood::Slow(longer)) => sleep(longer).await,
            Some(Mood::Hang | Mood::DoneUnanswered) => pending().await,
            Some(Mood::Fail | Mood::DoneFailed) => return Err(Error::new(ErrorKind::Unavailable, "refused")),
            Some(Mood::Panic) => std::panic::resume_unwind(Box::new("made up")),
            Some(Mood::Block(blocked)) => {
                self.block_here(blocked);
                sleep(Duration::from_millis(1)).await;
            }
            None => {}
        }
        Ok(())
    }

    /// A role that keeps its deadline, or one that leaves that to the driver.
    fn deadline(&self, timeout: Duration) -> Instant {
        let punctual = locked(&self.world).chance.one_in(2);
        Instant::now() + if punctual { timeout } else { Duration::from_secs(3600) }
    }
}

#[async_trait]
impl Dcs for Link {
    fn capabilities(&self) -> DcsCapabilities {
        DcsCapabilities::new(true, true)
    }

    async fn read(&self, timeout: Duration) -> Result<Snapshot, Error> {
        let _under = self.begin(Asked::new(Kind::Store, "read", timeout, (0, 0)))?;
        let deadline = self.deadline(timeout);
        let reading = async {
            self.store_meets().await?;
            let way = locked(&self.world).travel(&self.me);
            sleep(way).await;
            let (snapshot, back) = {
                let mut state = locked(&self.world);
                let cut = self.site(&mut state).map(|site| site.cut_from_store).ok_or_else(dead)?;
                ((!cut).then(|| state.store.snapshot()), state.travel(&self.me))
            };
            sleep(back).await;
            match snapshot {
                Some(snapshot) => Ok(snapshot),
                None => pending().await,
            }
        };
        let late = || Err(Error::new(ErrorKind::Unavailable, "no answer in time"));
        timeout_at(deadline, reading).await.unwrap_or_else(|_| late())
    }

    async fn commit(&self, commit: &Commit, timeout: Duration) -> Result<Committed, Error> {
        let _under = self.begin(Asked::new(Kind::Store, "commit", timeout, (0, 0)))?;
        locked(&self.world).judge_commit(&self.me, commit);
        let deadline = self.deadline(timeout);
        let committing = async {
            self.store_meets().await?;
            match send(&self.world, &self.me, commit).await {
                Ok(result) => result,
                // The message or its answer was lost.
                Err(_) => pending().await,
            }
        };
        let late = || Err(Error::new(ErrorKind::Unknown, "no answer in time"));
        timeout_at(deadline, committing).await.unwrap_or_else(|_| late())
    }

    async fn watch(&self, from: Revision, timeout: Duration) -> Result<Box<dyn DcsWatch>, Error> {
        let bell = {
            let mut state = locked(&self.world);
            state.judge_lane(self, Kind::Store, "watch");
            let site = self.site(&mut state).ok_or_else(dead)?;
            site.watch_ends = None;
            state.store_bell.clone()
        };
        let way = locked(&self.world).travel(&self.me);
        sleep(way).await;
        if locked(&self.world).site(&self.me).cut_from_store {
            sleep(timeout).await;
            return Err(Error::new(ErrorKind::Unavailable, "no answer in time"));
        }
        Ok(Box::new(Watch { link: self.clone(), bell, told: from }))
    }
}

#[derive(Debug)]
struct Watch {
    link: Link,
    bell: Arc<Notify>,
    told: Revision,
}

enum Next {
    Tell(WatchEvent),
    Wait(Instant),
    Nothing,
    Over,
}

impl Watch {
    fn look(&mut self) -> Next {
        let mut state = locked(&self.link.world);
        let now = Instant::now();
        let Some(site) = self.link.site(&mut state) else { return Next::Over };
        match site.watch_ends.take() {
            Some(true) => return Next::Tell(WatchEvent::Gap),
            Some(false) => return Next::Over,
            None => {}
        }
        if site.cut_from_store {
            return Next::Wait(now + Duration::from_millis(20));
        }
        if site.watch_still_until > now {
            return Next::Wait(site.watch_still_until);
        }
        let at = state.changes.partition_point(|(revision, _, _)| *revision <= self.told);
        let Some((revision, told_at, changes)) = state.changes.get(at) else { return Next::Nothing };
        if *told_at + WATCH_LATENCY > now {
            return Next::Wait(*told_at + WATCH_LATENCY);
        }
        self.told = *revision;
        Next::Tell(WatchEvent::Changed { revision: *revision, changes: changes.clone() })
    }
}

#[async_trait]
impl DcsWatch for Watch {
    async fn next(&mut self) -> Result<WatchEvent, Error> {
        loop {
            let bell = self.bell.clone();
            // Made before the look: what rings after it is heard.
            let rung = bell.notified();
            match self.look() {
                Next::Tell(event) => return Ok(event),
                Next::Wait(until) => sleep_until(until).await,
                Next::Nothing => rung.await,
                Next::Over => return Err(Error::new(ErrorKind::Unavailable, "the connection is lost")),
            }
        }
    }
}
