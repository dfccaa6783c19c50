//! The agent's side: [`GuardWatchdog`].

use std::io;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{Feed, Watchdog};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use super::config::GuardConfig;
use super::connection::Connection;
use super::protocol::{Arm, GuardStatus, Refusal, Reply, Request};
use super::spawn::{Started, start};
use super::{files, proc};

/// How often arming looks again for a guard that is just ending or beginning. Each look is some milliseconds; the caller's
/// timeout is the bound that counts.
const LOOKS: u32 = 200;

/// Between two such looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A watchdog in a process of its own, see the [module](super).
///
/// A call that is dropped, or whose timeout passes, may have reached the guard; the next call connects anew. All calls must be
/// made on one tokio runtime with I/O and time enabled: that which armed hears of the guard's end.
#[derive(Debug)]
pub struct GuardWatchdog {
    config: GuardConfig,
    link: tokio::sync::Mutex<Link>,
    /// To the guard that is armed; it is closed when that ends.
    watched: watch::Sender<Option<Arc<Connection>>>,
    /// Guards that this process started, to be waited for when they end.
    children: Mutex<Vec<Child>>,
}

#[derive(Debug, Default)]
struct Link {
    connection: Option<Connection>,
    /// The one that this agent armed with.
    incarnation: Option<u64>,
}

impl GuardWatchdog {
    pub(super) fn new(config: GuardConfig) -> Self {
        Self {
            config,
            link: tokio::sync::Mutex::default(),
            watched: watch::Sender::new(None),
            children: Mutex::default(),
        }
    }

    /// What it was built of.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// Looks at the guard; `None` when none is running. Changes nothing; may be dropped at any time.
    ///
    /// # Errors
    ///
    /// `Unavailable` when it does not answer within `timeout`.
    pub async fn status(&self, timeout: Duration) -> Result<Option<GuardStatus>, Error> {
        let look = async {
            let Some(mut connection) = Connection::open(&self.config).await? else { return Ok(None) };
            match connection.exchange(&Request::Status).await {
                Ok(Reply::Status(status)) => Ok(Some(status)),
                Ok(other) => Err(nonsense(&other)),
                Err(error) => Err(self.gone().caused_by(error)),
            }
        };
        match tokio::time::timeout(timeout, look).await {
            Ok(result) => result,
            Err(_) => Err(self.silent(false)),
        }
    }

    /// Bounds a call. When the time is over it is unknown whether the guard did what it was sent, if it was sent anything.
    async fn bounded<T>(
        &self,
        timeout: Duration,
        sent: &AtomicBool,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(self.silent(sent.load(Ordering::Relaxed))),
        }
    }

    async fn arm_now(&self, feed: Feed, sent: &AtomicBool) -> Result<(), Error> {
        let mut link = self.link.lock().await;
        link.connection = None;
        let mut connection = self.connect_or_start().await?;
        // A second one, which nothing is asked on: `lost` reads it while the first is fed.
        let watched = Connection::open(&self.config).await?.ok_or_else(|| self.gone())?;
        if watched.pid() != connection.pid() {
            return Err(self.gone());
        }
        let data_dir = self.config.data_dir.clone();
        let look = move || (owner(&data_dir), resolve(data_dir), proc::own_identity());
        let (owner, data_dir, own) = tokio::task::spawn_blocking(look).await.map_err(blocked)?;
        let own = own.ok_or_else(|| Error::new(ErrorKind::Misconfigured, "guard: /proc does not show this process"))?;
        let Some(data_dir) = data_dir.to_str() else {
            let what = "guard: data_dir leads to a path that is no plain text";
            return Err(Error::new(ErrorKind::Misconfigured, what).hint("give it a path of UTF-8"));
        };
        let request = Request::Arm(Arm {
            leave: feed.into(),
            data_dir: data_dir.to_owned(),
            owner,
            agent_started: own.started,
            acts_before_ms: u64::try_from(self.config.acts_before.as_millis()).unwrap_or(u64::MAX),
            kill_agent: self.config.kill_agent,
            drop_address: self.config.drop_address.clone(),
            stop_services: self.config.stop_services.clone(),
        });
        sent.store(true, Ordering::Relaxed);
        let reply = connection.exchange(&request).await;
        self.judge(reply, ErrorKind::NotReady)?;
        tracing::debug!(guard = connection.pid(), term = %feed.term, "guard armed");
        self.watched.send_replace(Some(Arc::new(watched)));
        link.incarnation = Some(feed.incarnation);
        link.connection = Some(connection);
        Ok(())
    }

    async fn feed_now(&self, feed: Feed, sent: &AtomicBool) -> Result<(), Error> {
        let mut link = self.link.lock().await;
        // Put back only after a whole exchange: a dropped call leaves half a line behind.
        let mut connection = match link.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.config).await?.ok_or_else(|| self.gone())?,
        };
        sent.store(true, Ordering::Relaxed);
        let reply = connection.exchange(&Request::Feed(feed.into())).await;
        if reply.is_ok() {
            link.connection = Some(connection);
        }
        self.judge(reply, ErrorKind::Fenced)
    }

    async fn disarm_now(&self) -> Result<(), Error> {
        let mut link = self.link.lock().await;
        link.connection = None;
        match Connection::open(&self.config).await? {
            Some(mut connection) => {
                let request = Request::Disarm { incarnation: link.incarnation };
                let reply = connection.exchange(&request).await;
                self.judge(reply, ErrorKind::Unknown)?;
            }
            None => {
                let lock = files::lock(&self.config.runtime_dir);
                let is_free = tokio::task::spawn_blocking(move || is_free(&lock)).await.map_err(blocked)?;
                if !is_free.map_err(|error| self.gone().caused_by(error))? {
                    return Err(self.gone().hint("a guard is just beginning or ending"));
                }
            }
        }
        self.watched.send_replace(None);
        self.reap();
        Ok(())
    }

    async fn connect_or_start(&self) -> Result<Connection, Error> {
        for _ in 0..LOOKS {
            self.reap();
            if let Some(connection) = Connection::open(&self.config).await? {
                return Ok(connection);
            }
            match start(&self.config).await? {
                Started::Ready(child) => {
                    tracing::info!(guard = child.id(), data_dir = %self.config.data_dir.display(), "guard started");
                    self.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
                }
                Started::Busy => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Err(self.gone())
    }

    /// Waits for guards that have ended, so that none stays a zombie.
    fn reap(&self) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// `acting` is what it means to the call that the guard is acting just now.
    fn judge(&self, reply: io::Result<Reply>, acting: ErrorKind) -> Result<(), Error> {
        let refusal = match reply {
            Ok(Reply::Done) => return Ok(()),
            Ok(Reply::Refused(refusal)) => refusal,
            Ok(other @ Reply::Status(_)) => return Err(nonsense(&other)),
            Err(error) => return Err(self.gone().caused_by(error)),
        };
        Err(match refusal {
            Refusal::Acted { term } => {
                Error::new(ErrorKind::Fenced, format!("guard: it has acted against term {term} already"))
                    .hint("a newer term, or a new start of the agent, can arm it")
            }
            Refusal::Older { incarnation, term } => {
                let what =
                    format!("guard: it was armed with incarnation {incarnation} and term {term}, which are newer");
                Error::new(ErrorKind::Fenced, what)
                    .hint("is another agent running on this data directory, or was the store set back?")
            }
            Refusal::Acting => Error::new(acting, "guard: it is stopping the database now"),
            Refusal::Unarmed => Error::new(ErrorKind::Unavailable, "guard: it is not armed by this process"),
            Refusal::TooLate { left_ms } => {
                let what = format!("guard: only {left_ms} ms are left of the deadline");
                Error::new(ErrorKind::NotReady, what)
                    .hint(format!("it acts {} ms before; renew first", self.config.acts_before.as_millis()))
            }
            Refusal::Unidentified => {
                Error::new(ErrorKind::Misconfigured, "guard: it cannot find this process, which it would have to kill")
                    .hint("agent and guard need the same process namespace and /proc, or kill_agent = false")
            }
            Refusal::Powerless { why } => {
                Error::new(ErrorKind::Misconfigured, format!("guard: it could not stop the database in time: {why}"))
                    .hint("run the agent as PostgreSQL's user, or with CAP_KILL and CAP_SYS_PTRACE (or, in place of that, CAP_SETUID and CAP_SETGID)")
            }
            Refusal::Malformed => Error::new(ErrorKind::Misconfigured, "guard: it did not understand this agent"),
        })
    }

    fn gone(&self) -> Error {
        let what = format!("guard: no guard answers for {}", self.config.data_dir.display());
        Error::new(ErrorKind::Unavailable, what).hint(format!("see {}", files::log(&self.config.runtime_dir).display()))
    }

    fn silent(&self, sent: bool) -> Error {
        let kind = if sent { ErrorKind::Unknown } else { ErrorKind::Unavailable };
        Error::new(kind, format!("guard: it did not answer in time for {}", self.config.data_dir.display()))
    }
}

#[async_trait]
impl Watchdog for GuardWatchdog {
    fn acts_before(&self) -> Duration {
        self.config.acts_before
    }

    async fn arm(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        let sent = AtomicBool::new(false);
        self.bounded(timeout, &sent, self.arm_now(feed, &sent)).await
    }

    async fn feed(&self, feed: Feed, timeout: Duration) -> Result<(), Error> {
        let sent = AtomicBool::new(false);
        self.bounded(timeout, &sent, self.feed_now(feed, &sent)).await
    }

    async fn disarm(&self, timeout: Duration) -> Result<(), Error> {
        let sent = AtomicBool::new(true);
        let result = self.bounded(timeout, &sent, self.disarm_now()).await;
        // Whatever went wrong: a guard that was armed may still act.
        result.map_err(|error| {
            Error::new(ErrorKind::Unknown, "guard: it may still act, it was not disarmed").caused_by(error)
        })
    }

    async fn lost(&self) {
        let mut watched = self.watched.subscribe();
        loop {
            let armed = watched.borrow_and_update().clone();
            match armed {
                // The sender lives as long as this call's borrow of it.
                None => _ = watched.changed().await,
                Some(guard) => tokio::select! {
                    () = guard.ended() => {
                        self.reap();
                        return;
                    }
                    _ = watched.changed() => {}
                },
            }
        }
    }
}

/// The data directory as the kernel will name it; what is not there yet keeps its last name.
fn resolve(data_dir: std::path::PathBuf) -> std::path::PathBuf {
    if let Ok(resolved) = data_dir.canonicalize() {
        return resolved;
    }
    match (data_dir.parent().map(std::path::Path::canonicalize), data_dir.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => data_dir,
    }
}

/// The user that the data directory belongs to, which PostgreSQL runs as. While it is not there, that of an agent that is not root, which can
/// start PostgreSQL as nobody else.
fn owner(data_dir: &std::path::Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid();
    std::fs::metadata(data_dir).map(|found| found.uid()).ok().or((!own.is_root()).then(|| own.as_raw()))
}

/// Whether no guard holds the lock.
fn is_free(lock: &std::path::Path) -> io::Result<bool> {
    let file = match std::fs::File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn nonsense(reply: &Reply) -> Error {
    Error::new(ErrorKind::Malformed, format!("guard: it answered something else than was asked: {reply:?}"))
}

fn blocked(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Unavailable, "guard: the runtime is shutting down").caused_by(error)
}
