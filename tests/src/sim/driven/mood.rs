//! How a call of a role goes: how long it takes, and what it meets.

use std::future::pending;
use std::panic::resume_unwind;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::MemberId;
use tokio::time::{Instant, sleep};

use super::state::{LiveCall, Site, State, World, locked};

/// Kinds of calls. The driver promises that code of one that blocks its thread holds up no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Store,
    Orders,
    Look,
    Stop,
    Exit,
    Attach,
    Detach,
    ServicesUp,
    ServicesDown,
    Watchdog,
    WatchdogLoss,
    Files,
    Notifier,
    Probe,
}

impl Kind {
    /// Those whose calls may meet something.
    pub(super) const MOODY: [Self; 12] = [
        Self::Store,
        Self::Orders,
        Self::Look,
        Self::Stop,
        Self::Attach,
        Self::Detach,
        Self::ServicesUp,
        Self::ServicesDown,
        Self::Watchdog,
        Self::Files,
        Self::Notifier,
        Self::Probe,
    ];
}

/// What a call meets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mood {
    /// It takes this much longer.
    Slow(Duration),
    /// It never answers, and nothing is done.
    Hang,
    /// It is done, and never answers.
    DoneUnanswered,
    /// It fails, and nothing is done.
    Fail,
    /// It is done, and fails all the same.
    DoneFailed,
    /// It panics.
    Panic,
    /// It blocks its thread.
    Block(Duration),
}

/// What is asked of a role.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) verb: &'static str,
    pub(super) timeout: Duration,
    /// It takes so many milliseconds at least, and up to so many more.
    pub(super) takes: (u64, u64),
    /// It may begin only while leadership is certain.
    pub(super) needs_belief: bool,
}

impl Asked {
    pub(super) const fn new(kind: Kind, verb: &'static str, timeout: Duration, takes: (u64, u64)) -> Self {
        Self { kind, verb, timeout, takes, needs_belief: false }
    }

    #[must_use]
    pub(super) const fn needs_belief(mut self) -> Self {
        self.needs_belief = true;
        self
    }
}

/// One start of one agent, as its roles know it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) world: World,
    pub(super) me: MemberId,
    pub(super) life: u64,
}

/// A call that is under way, until it is dropped.
pub(super) struct Under<'a> {
    link: &'a Link,
    call: u64,
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let mut state = locked(&self.link.world);
        if let Some(site) = self.link.site(&mut state) {
            site.calls.remove(&self.call);
        }
    }
}

impl Link {
    /// The node, unless this agent is dead.
    pub(super) fn site<'a>(&self, state: &'a mut State) -> Option<&'a mut Site> {
        state.sites.get_mut(&self.me).filter(|site| site.life == self.life && site.agent.is_some())
    }

    /// A call begins. The judges that need no more than that look at it.
    pub(super) fn begin(&self, asked: Asked) -> Result<Under<'_>, Error> {
        let mut state = locked(&self.world);
        state.calls += 1;
        let call = state.calls;
        state.judge_begin(self, asked)?;
        let name = &self.me;
        state.note(format_args!("{name} {}", asked.verb));
        let Some(site) = self.site(&mut state) else { return Err(dead()) };
        let lane = site.turns.current();
        let deadline = Instant::now() + asked.timeout;
        site.calls.insert(call, LiveCall { kind: asked.kind, verb: asked.verb, lane, deadline });
        Ok(Under { link: self, call })
    }

    /// Takes as long as it does, and meets what it meets; `effect` is what it does to the world.
    pub(super) async fn call<T: Send>(
        &self,
        asked: Asked,
        effect: impl FnOnce(&mut State) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let _under = self.begin(asked)?;
        let (wait, mood, punctual) = {
            let mut state = locked(&self.world);
            let wait = state.chance.millis(asked.takes.0, asked.takes.1);
            let punctual = state.chance.one_in(2);
            let mood = self.site(&mut state).and_then(|site| site.next_mood(asked.kind));
            if let Some(mood) = mood {
                state.tell(format_args!("{}: {} meets {mood:?}", self.me, asked.verb));
            }
            (wait, mood, punctual)
        };
        let work = async {
            let mut wait = wait;
            match mood {
                Some(Mood::Slow(longer)) => wait += longer,
                Some(Mood::Hang) => pending().await,
                Some(Mood::Fail) => {
                    sleep(wait).await;
                    return Err(Error::new(ErrorKind::NotReady, "it fails"));
                }
                // Not `panic!`: nothing is printed.
                Some(Mood::Panic) => resume_unwind(Box::new("made up")),
                Some(Mood::Block(blocked)) => {
                    let mut state = locked(&self.world);
                    if let Some(site) = self.site(&mut state) {
                        let lane = site.turns.current();
                        site.turns.block(&lane, Instant::now() + blocked);
                    }
                }
                Some(Mood::DoneUnanswered | Mood::DoneFailed) | None => {}
            }
            // Not later than its end: half of it before what it does, half after.
            sleep(wait / 2).await;
            let done = {
                let mut state = locked(&self.world);
                if self.site(&mut state).is_none() { Err(dead()) } else { effect(&mut state) }
            };
            sleep(wait - wait / 2).await;
            match mood {
                Some(Mood::DoneUnanswered) => pending().await,
                Some(Mood::DoneFailed) => Err(Error::new(ErrorKind::Unknown, "it fails, or does it")),
                _ => done,
            }
        };
        // A role that keeps its deadline, or one that leaves that to the driver.
        if punctual {
            tokio::time::timeout(asked.timeout, work)
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unknown, "not within the time")))
        } else {
            work.await
        }
    }
}

impl Site {
    fn next_mood(&mut self, kind: Kind) -> Option<Mood> {
        let moods = self.moods.get_mut(&kind)?;
        (!moods.is_empty()).then(|| moods.remove(0))
    }
}

/// What a dead agent's calls are told; nobody hears it.
pub(super) fn dead() -> Error {
    Error::new(ErrorKind::Unavailable, "this agent is dead")
}
