//! The failover state machine: pure, without clock, randomness or input and output.
//!
//! It is handed the time and what happened ([`Machine::handle`]), and answers with actions ([`Machine::poll_action`]) and events
//! ([`Machine::poll_event`]); [`Machine::poll_timeout`] says when it wants to be handed the time again. It never reads a clock, draws a
//! random number or touches the world.
//!
//! Where to go next: [`TRANSITIONS`] is every change of state; `following.rs`, `candidacy.rs` and `takeover.rs` are the way to leadership,
//! `promotion.rs` and `leading.rs` leadership itself, `sync_change.rs` who must acknowledge commits, `giving_up.rs`, `hand_over.rs` and
//! `leaving.rs` the ways out. `reign.rs` says until when leadership is believed, `election.rs` which votes suffice, `invariants.rs` what is never allowed.

mod action;
mod beginning;
mod calls;
mod candidacy;
mod config;
mod election;
mod faces;
mod failsafe;
mod following;
mod giving_up;
mod hand_over;
mod input;
mod invariants;
mod joining;
mod leading;
mod leaving;
mod members;
mod orders;
mod policy;
mod promotion;
mod quorum;
mod reign;
mod renewal;
mod requests;
mod state;
mod status;
mod sync_change;
mod takeover;
mod transitions;
mod upkeep;
mod upstream;
mod view;
mod wake;
mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub use action::{Action, CallId, Memo, Order};
pub use config::{AddressFacts, Bootstrap, Config};
pub use input::{Answer, Command, Input};
pub use state::StateName;
pub use status::Status;
pub use transitions::{Cause, TRANSITIONS, Transition, diagram, table};

use self::calls::Reading;
use self::faces::Faces;
use self::orders::Running;
use self::reign::Reign;
use self::state::State;
use self::upkeep::Upkeep;
use self::view::View;
use self::watch::Watch;
use crate::database::DatabaseStatus;
use crate::event::{Event, EventKind};
use crate::lsn::Lsn;
use crate::member::MemberId;
use crate::records::{LeaderRef, MemberRecord};
use crate::store::Version;
use crate::term::{Mark, Term};
use crate::time::Moment;
use policy::PolicySource;

/// More changes of state than this in one step are a circle, and a bug.
const MAX_CHANGES_A_STEP: usize = 24;

/// More events than this are never kept: a driver that does not fetch them loses the oldest.
const MAX_EVENTS: usize = 1024;

/// What fails again and again is said this often.
const TROUBLE_AGAIN: Duration = Duration::from_secs(10);

/// So many different troubles are known apart.
const MAX_TROUBLES: usize = 32;

/// One member's failover state machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    config: Config,
    incarnation: u64,
    now: Moment,
    next_call: u64,
    next_nonce: u64,
    next_event: u64,

    /// What is kept beside the data for certain, and what is to be.
    memo: Memo,
    memo_wanted: Memo,
    remembering: Option<(CallId, Memo)>,
    remember_again_at: Moment,
    /// A stop that failed is repeated from then on.
    stop_again_at: Moment,

    view: View,
    /// The store was read at least once in this life.
    view_known: bool,
    /// The store shows less than is remembered: nothing is done on its word.
    stale: Option<String>,
    reads: BTreeMap<CallId, Reading>,
    read_again_at: Option<Moment>,
    /// The version of the leader record that is watched, and since when it is unchanged.
    watched: Option<Watch>,

    database: Option<DatabaseStatus>,
    observing: Option<CallId>,
    next_observation: Moment,
    running: Option<Running>,

    state: State,
    reign: Option<Reign>,
    faces: Faces,
    policy: PolicySource,
    upkeep: Upkeep,

    /// Whom the local database was last told to follow, and in which term.
    following: Option<(Term, MemberId)>,
    streaming_announced: bool,
    /// Of the member that is streamed from instead of the leader.
    cascade: upstream::Cascade,
    follow_began: Option<Moment>,
    follow_again_at: Moment,
    /// When the database last streamed, or was last told to.
    dry_since: Moment,
    /// The store confirmed that this member's data count for nothing: they may be discarded.
    may_discard: bool,
    needs_discard: bool,
    /// The read that is to confirm that this member's data count for nothing.
    discard_read: Option<CallId>,
    /// What it has promised a leader that does not reach the store.
    hold: Option<failsafe::Hold>,
    /// How often it has asked the members itself, in all of its reigns: they answer no round twice.
    rounds_asked: u64,
    /// This member does not suspect or vote before this.
    hold_off_until: Moment,
    /// False suspicions in a row.
    false_alarms: u32,
    frozen: Option<crate::database::Frozen>,
    /// The record that a vote of this member names, sent or possibly sent.
    bound: Option<LeaderRef>,
    /// Since when the record that was voted against was unchanged, and its ttl; `None`: it was vacant.
    voted_against: Option<(Moment, Duration)>,
    /// Where the log ended at the last look that the database answered, and when that was.
    last_look: Option<(Lsn, Moment)>,
    /// Members that say in the store that they stream from here: by which version, and when that was first noticed.
    said_to_stream: BTreeMap<MemberId, (Version, Moment)>,

    published: Option<MemberRecord>,
    publishing: Option<(CallId, MemberRecord)>,
    publish_again_at: Moment,
    asking: Option<(CallId, String)>,
    answered: BTreeSet<String>,
    /// The open wish, and when it was first looked at.
    asked: Option<(String, Moment)>,
    observed_at: Moment,
    penalty: u32,

    reinit: bool,
    recover: bool,
    shutdown: Option<leaving::Shutdown>,

    refusal: Option<String>,
    reported: BTreeSet<String>,
    troubles: BTreeMap<String, Moment>,
    broken_invariant: Option<String>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

impl Machine {
    /// A machine that knows nothing yet. `memo` is what was last remembered beside the data; `incarnation` differs at every start of every agent, and grows
    /// from start to start on one machine.
    pub fn new(config: Config, memo: Memo, incarnation: u64, now: Moment) -> Self {
        let mut machine = Self {
            incarnation,
            now,
            next_call: 0,
            next_nonce: 0,
            next_event: 0,
            memo_wanted: memo.clone(),
            memo,
            remembering: None,
            remember_again_at: now,
            stop_again_at: now,
            view: View::default(),
            view_known: false,
            stale: None,
            reads: BTreeMap::new(),
            read_again_at: None,
            watched: None,
            database: None,
            observing: None,
            next_observation: now,
            running: None,
            state: State::Joining,
            reign: None,
            faces: Faces::new(&config, now),
            policy: PolicySource::new(config.policy, now),
            upkeep: Upkeep::new(now),
            config,
            following: None,
            streaming_announced: false,
            cascade: upstream::Cascade::default(),
            follow_began: None,
            follow_again_at: now,
            dry_since: now,
            may_discard: false,
            needs_discard: false,
            discard_read: None,
            hold: None,
            rounds_asked: 0,
            hold_off_until: now,
            false_alarms: 0,
            frozen: None,
            bound: None,
            voted_against: None,
            last_look: None,
            said_to_stream: BTreeMap::new(),
            published: None,
            publishing: None,
            publish_again_at: now,
            asking: None,
            answered: BTreeSet::new(),
            asked: None,
            observed_at: now,
            penalty: 0,
            reinit: false,
            recover: false,
            shutdown: None,
            refusal: None,
            reported: BTreeSet::new(),
            troubles: BTreeMap::new(),
            broken_invariant: None,
            actions: VecDeque::new(),
            events: VecDeque::new(),
        };
        machine.refresh();
        machine.duties();
        machine
    }

    /// Takes what happened at `now`, which never goes back.
    pub fn handle(&mut self, now: Moment, input: Input) {
        self.now = self.now.max(now);
        if matches!(self.state, State::Stopped) {
            // It has left; what its last calls answer, and what is still asked of it, means nothing.
            return;
        }
        let before = self.memo_wanted.mark;
        self.absorb(input);
        self.take_policy();
        for round in 0.. {
            if !self.step() {
                break;
            }
            if round == MAX_CHANGES_A_STEP {
                self.broken_invariant = Some("the state changes in a circle".into());
                break;
            }
        }
        self.duties();
        self.check_invariants(before);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Its configuration, with what was changed since.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn absorb(&mut self, input: Input) {
        match input {
            Input::Time => {}
            Input::Finished { id, result } => self.finished(id, result),
            Input::Changed { revision, changes } => {
                self.view.apply(&self.config.cluster, revision, &changes);
                self.look_at_leader();
            }
            Input::WatchLost => self.refresh(),
            Input::DatabaseExited => {
                self.next_observation = self.now;
                self.database_exited();
            }
            Input::WatchdogLost => self.faces.watchdog_lost(self.now),
            Input::Health { probe, healthy, penalty } => {
                self.penalty = penalty;
                let sentence = format!("probe {probe} says {}", if healthy { "healthy" } else { "unhealthy" });
                self.tell(EventKind::HealthChanged { probe, healthy }, sentence);
            }
            Input::ClockJumped => self.clock_jumped(),
            Input::Questioned { ticket, question } => self.questioned(ticket, &question),
            Input::Command(command) => self.command(command),
        }
    }

    /// At most one change of state. Returns whether there was one.
    fn step(&mut self) -> bool {
        if self.step_down_if_due() {
            return true;
        }
        match &self.state {
            State::Joining => self.joining(),
            State::Following => self.following(),
            State::Suspecting { .. } => self.suspecting(),
            State::Freezing { .. } => self.freezing(),
            State::Voting { .. } => self.voting(),
            State::TakingOver(_) => self.taking_over(),
            State::Resuming => self.resuming(),
            State::Bootstrapping => self.bootstrapping(),
            State::Promoting => self.promoting(),
            State::Leading => self.leading(),
            State::HandingOver(_) => self.handing_over(),
            State::GivingUp(_) => self.giving_up(),
            State::Leaving { .. } => self.leaving(),
            State::Stopped => false,
        }
    }

    /// What is done whatever the state, after each step.
    fn duties(&mut self) {
        if matches!(self.state, State::Stopped) {
            return;
        }
        self.renew_if_due();
        self.ask_members_if_due();
        self.remember_if_due();
        self.read_if_due();
        self.observe_if_due();
        self.tend_faces();
        self.tend_database();
        self.publish_if_due();
        self.write_policy_if_due();
    }

    /// Changes the state along a row of [`TRANSITIONS`].
    fn go(&mut self, to: State, cause: Cause) {
        let (from, to_name) = (self.state.name(), to.name());
        let Some(row) = transitions::find(from, to_name, cause) else {
            self.broken_invariant = Some(format!("no transition from {from} to {to_name} for {cause:?}"));
            return;
        };
        self.state = to;
        self.refusal = None;
        let kind =
            EventKind::StateChanged { from: from.to_string(), to: to_name.to_string(), cause: format!("{cause:?}") };
        self.tell(kind, row.sentence.to_owned());
    }

    fn tell(&mut self, kind: EventKind, sentence: String) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        let id = format!("{}-{:x}-{}", self.config.me, self.incarnation, self.next_event);
        self.next_event += 1;
        let (cluster, me) = (self.config.cluster.clone(), self.config.me.clone());
        self.events.push_back(Event::new(id, cluster, me, self.term(), kind, sentence));
    }

    /// Says what stands in the way: in the status, and once as an event.
    fn refuse(&mut self, why: impl Into<String>) {
        let why = why.into();
        if self.refusal.as_ref() != Some(&why) {
            self.refusal = Some(why.clone());
            self.tell(EventKind::Refusal { why: why.clone() }, why);
        }
    }

    /// Says that something failed and is tried again; what fails again and again is said now and then.
    fn trouble(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.troubles.get(&what).is_some_and(|said| self.now.since(*said) < TROUBLE_AGAIN) {
            return;
        }
        if self.troubles.len() == MAX_TROUBLES {
            self.troubles.clear();
        }
        self.troubles.insert(what.clone(), self.now);
        self.tell(EventKind::Trouble { what: what.clone() }, what);
    }

    /// The term in force, as far as this member knows.
    fn term(&self) -> Term {
        let seen = self.view.leader.as_ref().map_or(Term(0), |seen| seen.record.mark.term);
        self.reign.as_ref().map_or(seen, |reign| reign.term.max(seen))
    }

    /// The newest leader record that this member knows of, remembered or seen.
    fn newest_mark(&self) -> Mark {
        let seen = self.view.leader.as_ref().map(|seen| seen.record.mark).unwrap_or_default();
        seen.max(self.memo_wanted.mark)
    }

    fn me(&self) -> &MemberId {
        &self.config.me
    }

    fn after(&self, wait: Duration) -> Moment {
        self.now + wait
    }
}
