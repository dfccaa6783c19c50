//! One action becomes one call of a role, and its outcome one answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::database::{DatabaseAnswer, DatabaseOrder};
use crate::error::{Error, ErrorKind, Failure};
use crate::machine::{Action, Answer, Order};
use crate::roles::{
    AddressState, Dcs, Feed, FilestoreSync, FloatingIp, Peers, ReplicationManager, ServiceManager, Watchdog,
};
use crate::term::Term;
use crate::time::Moment;

use super::clock::Clock;
use super::lanes::Place;
use super::memo::MemoFile;
use super::questions::Questions;

/// How long a stop waits for the order whose place it takes to be dropped. Dropping takes microseconds, unless that
/// order blocks its thread; then the stop begins beside it, because a stop cannot wait.
const DROP_WAIT: Duration = Duration::from_millis(50);

/// The roles of a node.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) dcs: Arc<dyn Dcs>,
    pub(super) database: Arc<dyn ReplicationManager>,
    pub(super) address: Option<Arc<dyn FloatingIp>>,
    pub(super) services: Option<Arc<dyn ServiceManager>>,
    pub(super) filestore: Option<Arc<dyn FilestoreSync>>,
    pub(super) watchdog: Option<Arc<dyn Watchdog>>,
    pub(super) peers: Option<Arc<dyn Peers>>,
}

impl Parts {
    /// The lanes that calls of these roles need.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = vec![
            Place::Store,
            Place::Disk,
            Place::Database,
            Place::DatabaseLook,
            Place::DatabaseStop,
            Place::DatabaseWatch,
        ];
        if self.address.is_some() {
            places.extend([Place::Address, Place::AddressDown]);
        }
        if self.services.is_some() {
            places.extend([Place::Services, Place::ServicesDown]);
        }
        if self.filestore.is_some() {
            places.extend([Place::Filestore, Place::FilestoreLook]);
        }
        if self.watchdog.is_some() {
            places.extend([Place::Watchdog, Place::WatchdogWatch]);
        }
        if self.peers.is_some() {
            places.extend([Place::Peers, Place::PeersWatch]);
        }
        places
    }
}

/// Everything that a call needs.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    pub(super) parts: Arc<Parts>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memo: Arc<MemoFile>,
    pub(super) questions: Arc<Questions>,
    pub(super) incarnation: u64,
    /// Held while an order to the database runs: one at a time.
    pub(super) turn: Arc<Mutex<()>>,
}

/// Where an order runs.
pub(super) const fn place_of(order: &Order) -> Place {
    match order {
        Order::Read | Order::Commit(_) => Place::Store,
        Order::Remember(_) => Place::Disk,
        Order::Database(DatabaseOrder::Observe) => Place::DatabaseLook,
        Order::Database(DatabaseOrder::Stop(_)) => Place::DatabaseStop,
        Order::Database(
            DatabaseOrder::Bootstrap(_)
            | DatabaseOrder::StartPrimary(_)
            | DatabaseOrder::Checkpoint
            | DatabaseOrder::Follow(_)
            | DatabaseOrder::Freeze
            | DatabaseOrder::Promote(_)
            | DatabaseOrder::SetSynchronous(_)
            | DatabaseOrder::KeepSlots(_),
        ) => Place::Database,
        Order::AttachAddress { .. } | Order::LookAtAddress => Place::Address,
        Order::DetachAddress => Place::AddressDown,
        Order::StartServices { .. } => Place::Services,
        Order::StopServices => Place::ServicesDown,
        Order::LeadFilestore { .. } | Order::FollowFilestore { .. } | Order::RestFilestore => Place::Filestore,
        Order::ArmWatchdog { .. } | Order::FeedWatchdog { .. } | Order::DisarmWatchdog => Place::Watchdog,
        Order::AskMember { .. } | Order::AnswerMember { .. } => Place::Peers,
    }
}

/// The order in words, for errors and logs.
pub(super) const fn verb(order: &Order) -> &'static str {
    match order {
        Order::Read => "read the store",
        Order::Commit(_) => "commit to the store",
        Order::Remember(_) => "write the memo",
        Order::Database(DatabaseOrder::Observe) => "observe the database",
        Order::Database(DatabaseOrder::Bootstrap(_)) => "bootstrap the database",
        Order::Database(DatabaseOrder::StartPrimary(_)) => "start the database",
        Order::Database(DatabaseOrder::Checkpoint) => "checkpoint the database",
        Order::Database(DatabaseOrder::Stop(_)) => "stop the database",
        Order::Database(DatabaseOrder::Follow(_)) => "make the database follow",
        Order::Database(DatabaseOrder::Freeze) => "freeze the database",
        Order::Database(DatabaseOrder::Promote(_)) => "promote the database",
        Order::Database(DatabaseOrder::SetSynchronous(_)) => "set synchronous standbys",
        Order::Database(DatabaseOrder::KeepSlots(_)) => "keep slots",
        Order::AttachAddress { .. } => "attach the address",
        Order::DetachAddress => "detach the address",
        Order::LookAtAddress => "look at the address",
        Order::StartServices { .. } => "start services",
        Order::StopServices => "stop services",
        Order::LeadFilestore { .. } => "lead the filestore",
        Order::FollowFilestore { .. } => "follow the filestore",
        Order::RestFilestore => "rest the filestore",
        Order::ArmWatchdog { .. } => "arm the watchdog",
        Order::FeedWatchdog { .. } => "feed the watchdog",
        Order::DisarmWatchdog => "disarm the watchdog",
        Order::AskMember { .. } => "ask another member",
        Order::AnswerMember { .. } => "answer another member",
    }
}

impl Hands {
    /// Does it. `asked` is when the machine wanted it; its time runs from there, waits included.
    ///
    /// # Errors
    ///
    /// The role's; `Fenced` or `Unavailable`, without a call, when it could not begin in time.
    pub(super) async fn perform(self, action: Action, asked: Moment) -> Result<Answer, Failure> {
        // Held to the end of the call, and let go of when this future is dropped.
        let _turn = match place_of(&action.order) {
            Place::Database => Some(self.turn.clone().lock_owned().await),
            Place::DatabaseStop => tokio::time::timeout(DROP_WAIT, self.turn.clone().lock_owned()).await.ok(),
            _ => None,
        };
        let timeout = self.time_left(&action, asked)?;
        let id = action.id;
        let result = match action.order {
            Order::Read => self.parts.dcs.read(timeout).await.map(Answer::Snapshot),
            Order::Commit(commit) => self.parts.dcs.commit(&commit, timeout).await.map(Answer::Committed),
            Order::Remember(memo) => self.memo.write(id.0, &memo).map(|()| Answer::Done),
            Order::Database(order) => self.database(&order, timeout).await.map(Answer::Database),
            Order::AttachAddress { term } => done(self.address()?.attach(term, timeout).await),
            Order::DetachAddress => done(self.address()?.detach(timeout).await),
            Order::LookAtAddress => {
                self.address()?.look(timeout).await.map(|state| Answer::AddressHere(state == AddressState::Here))
            }
            Order::StartServices { term } => done(self.services()?.start(term, timeout).await),
            Order::StopServices => done(self.services()?.stop(timeout).await),
            Order::LeadFilestore { term } => done(self.filestore()?.lead(term, timeout).await),
            Order::FollowFilestore { term, leader, endpoint } => {
                done(self.filestore()?.follow(term, &leader, endpoint.as_ref(), timeout).await)
            }
            Order::RestFilestore => done(self.filestore()?.rest(timeout).await),
            Order::ArmWatchdog { term, deadline } => {
                done(self.watchdog()?.arm(self.portion(term, deadline), timeout).await)
            }
            Order::FeedWatchdog { term, deadline } => {
                done(self.watchdog()?.feed(self.portion(term, deadline), timeout).await)
            }
            Order::DisarmWatchdog => done(self.watchdog()?.disarm(timeout).await),
            Order::AskMember { at: None, .. } => {
                Err(Error::new(ErrorKind::Unavailable, "the member has not said where it can be asked"))
            }
            Order::AskMember { at: Some(at), question } => {
                self.peers()?.ask(&at, &question, timeout).await.map(Answer::Asked)
            }
            Order::AnswerMember { ticket, reply } => {
                self.questions.answer(ticket, reply);
                Ok(Answer::Done)
            }
        };
        result.map_err(|error| Failure::from(&error))
    }

    async fn database(&self, order: &DatabaseOrder, timeout: Duration) -> Result<DatabaseAnswer, Error> {
        let database = &self.parts.database;
        Ok(match order {
            DatabaseOrder::Observe => DatabaseAnswer::Observed(database.status(timeout).await?),
            DatabaseOrder::Bootstrap(order) => DatabaseAnswer::Bootstrapped(database.bootstrap(order, timeout).await?),
            DatabaseOrder::StartPrimary(order) => {
                DatabaseAnswer::Started(database.start_primary(order, timeout).await?)
            }
            DatabaseOrder::Checkpoint => nothing(database.checkpoint(timeout).await)?,
            DatabaseOrder::Stop(mode) => DatabaseAnswer::Stopped(database.stop(*mode, timeout).await?),
            DatabaseOrder::Follow(order) => DatabaseAnswer::Followed(database.follow(order, timeout).await?),
            DatabaseOrder::Freeze => DatabaseAnswer::Frozen(database.freeze(timeout).await?),
            DatabaseOrder::Promote(order) => DatabaseAnswer::Promoted(database.promote(order, timeout).await?),
            DatabaseOrder::SetSynchronous(order) => nothing(database.set_synchronous(order, timeout).await)?,
            DatabaseOrder::KeepSlots(members) => nothing(database.keep_slots(members, timeout).await)?,
        })
    }

    /// The last look at the clock before a call: how much time it has, or why it may not begin.
    fn time_left(&self, action: &Action, asked: Moment) -> Result<Duration, Failure> {
        let now = self.clock.now();
        if action.not_after.is_some_and(|not_after| now >= not_after) {
            return Err(Failure::new(
                ErrorKind::Fenced,
                format!("{} was not begun: leadership was not certain any more", verb(&action.order)),
            ));
        }
        let left = action.timeout.saturating_sub(now.since(asked));
        if left.is_zero() {
            let message = format!("{} was not begun: its time was over before its turn came", verb(&action.order));
            return Err(Failure::new(ErrorKind::Unavailable, message));
        }
        Ok(left)
    }

    const fn portion(&self, term: Term, deadline: Option<Moment>) -> Feed {
        Feed { incarnation: self.incarnation, term, deadline }
    }

    fn address(&self) -> Result<&Arc<dyn FloatingIp>, Failure> {
        self.parts.address.as_ref().ok_or_else(|| absent("address"))
    }

    fn services(&self) -> Result<&Arc<dyn ServiceManager>, Failure> {
        self.parts.services.as_ref().ok_or_else(|| absent("service manager"))
    }

    fn filestore(&self) -> Result<&Arc<dyn FilestoreSync>, Failure> {
        self.parts.filestore.as_ref().ok_or_else(|| absent("filestore"))
    }

    fn peers(&self) -> Result<&Arc<dyn Peers>, Failure> {
        self.parts.peers.as_ref().ok_or_else(|| absent("way to other members"))
    }

    fn watchdog(&self) -> Result<&Arc<dyn Watchdog>, Failure> {
        self.parts.watchdog.as_ref().ok_or_else(|| absent("watchdog"))
    }
}

/// The answer when a role is asked for that the node does not have.
pub(super) fn absent(role: &str) -> Failure {
    Failure::new(ErrorKind::Unsupported, format!("this node has no {role}"))
}

fn done(result: Result<(), Error>) -> Result<Answer, Error> {
    result.map(|()| Answer::Done)
}

fn nothing(result: Result<(), Error>) -> Result<DatabaseAnswer, Error> {
    result.map(|()| DatabaseAnswer::Done)
}
