//! One connection to one member: the only place besides `feed.rs` and `error.rs` that knows `etcd_client`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, GetOptions, Identity, TlsOptions, Txn, TxnOp, WatchOptions,
};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::store::{Change, Commit, Committed, Entry, Guard, Key, Revision, Snapshot, Version};

use super::config::{EtcdConfig, EtcdTls};
use super::error::{Cause, Failure, Outcome, translate};
use super::feed::Feed;
use super::target::Target;

/// Keys of one page of a read. Clusters of up to ten members fit one.
const PAGE: i64 = 50;

/// Most pages of one read: more than this is not a cluster's keys.
const MOST_PAGES: usize = 100;

/// Largest answer, in bytes: a page of the largest values that etcd takes by default (1.5 MiB).
const MOST_ANSWER_BYTES: usize = 96 * 1024 * 1024;

/// Largest PEM file, in bytes.
const MOST_PEM_BYTES: u64 = 1024 * 1024;

/// Longest time for making a TCP connection; the call itself has less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a TLS connection may be closed without a reason before that is the reason.
const MOST_SILENT_CLOSES: u32 = 8;

/// Pings on a connection that is in use, and the time for their answer. etcd closes connections that ping more often than every 5 s
/// (its `--grpc-keepalive-min-time`).
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// A connection that has answered. A clone is the same one.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    config: Arc<EtcdConfig>,
    range: Range,
}

/// All keys that begin with a prefix.
#[derive(Clone, Debug)]
pub(super) struct Range {
    prefix: Arc<[u8]>,
    end: Arc<[u8]>,
}

impl Range {
    pub(super) fn of(config: &EtcdConfig) -> Self {
        let prefix = config.key_prefix().into_bytes();
        let mut end = prefix.clone();
        // It ends with `/`, which has a successor.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { prefix: prefix.into(), end: end.into() }
    }

    fn full(&self, key: &Key) -> Vec<u8> {
        [&self.prefix, key.as_str().as_bytes()].concat()
    }

    /// The key, or `None` where it is none of this library's.
    pub(super) fn own(&self, full: &[u8]) -> Option<Key> {
        let name = full.strip_prefix(&*self.prefix)?;
        Key::parse(std::str::from_utf8(name).ok()?).ok()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, logs in, and has an answer: what is sent afterwards goes to a member that was alive, had a leader and grants the
    /// rights to read.
    pub(super) async fn connect(target: &Target, config: &Arc<EtcdConfig>) -> Result<Self, Failure> {
        let mut left = MOST_SILENT_CLOSES;
        loop {
            match Self::connect_once(target, config).await {
                Err(failure) if target.tls && left > 0 && failure.is_without_reason() => left -= 1,
                ended => return ended,
            }
        }
    }

    async fn connect_once(target: &Target, config: &Arc<EtcdConfig>) -> Result<Self, Failure> {
        let failed =
            |error: &etcd_client::Error| translate(error, &format!("{target} cannot be connected")).before_sending();
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1)
            .with_keep_alive_while_idle(false)
            .with_tcp_keepalive(KEEP_ALIVE.0)
            .with_require_leader(true);
        if let Some(tls) = &config.tls {
            let tls = tls.clone();
            options = options.with_tls(off_the_executor(move || read_tls(&tls)).await?);
        }
        let client = Client::connect([target.to_string()], Some(options)).await.map_err(|error| failed(&error))?;
        let link = Self { client, config: Arc::clone(config), range: Range::of(config) };
        link.log_in().await?;
        link.greet().await.map_err(Failure::before_sending)?;
        Ok(link)
    }

    /// Gets a token, where there is a user.
    async fn log_in(&self) -> Result<(), Failure> {
        let Some((user, password)) = self.config.user.clone() else { return Ok(()) };
        let password =
            off_the_executor(move || password.reveal("the password of etcd's user")).await?.as_str().to_owned();
        match self.client.clone().update_user(Some((user, password))).await {
            Ok(()) => Ok(()),
            // As etcd's own client does: who needs no login may give one.
            Err(etcd_client::Error::GRpcStatus(status))
                if status.message() == "etcdserver: authentication is not enabled" =>
            {
                Ok(())
            }
            Err(error) => Err(translate(&error, "the login to etcd failed").before_sending()),
        }
    }

    /// Whether logging in anew may help against this failure, and has worked.
    async fn logged_in_after(&self, failure: Failure) -> Result<(), Failure> {
        if failure.outcome != Outcome::Token || self.config.user.is_none() {
            return Err(if failure.outcome == Outcome::Token { failure.before_sending() } else { failure });
        }
        self.log_in().await
    }

    /// Has an answer of the member itself, with a token that it knows.
    async fn greet(&self) -> Result<(), Failure> {
        let ask = || async {
            let options = GetOptions::new().with_range(&*self.range.end).with_count_only().with_serializable();
            let answer = self.client.kv_client().get(&*self.range.prefix, Some(options)).await;
            answer.map(|_| ()).map_err(|error| translate(&error, "etcd does not serve"))
        };
        match ask().await {
            Err(failure) => {
                self.logged_in_after(failure).await?;
                ask().await.map_err(Failure::before_sending)
            }
            Ok(()) => Ok(()),
        }
    }

    /// All keys of the cluster.
    pub(super) async fn read(&self) -> Result<Snapshot, Failure> {
        match self.read_once().await {
            Err(failure) => {
                self.logged_in_after(failure).await?;
                self.read_once().await
            }
            answered => answered,
        }
    }

    async fn read_once(&self) -> Result<Snapshot, Failure> {
        let mut kv = self.client.kv_client().max_decoding_message_size(MOST_ANSWER_BYTES);
        let mut snapshot = Snapshot::default();
        let (mut start, mut revision) = (self.range.prefix.to_vec(), 0);
        for _ in 0..MOST_PAGES {
            let options = GetOptions::new().with_range(&*self.range.end).with_limit(PAGE).with_revision(revision);
            let mut page =
                kv.get(start, Some(options)).await.map_err(|error| translate(&error, "the store could not be read"))?;
            if revision == 0 {
                // The pages after it are of this moment too.
                revision = page.header().map_or(0, etcd_client::ResponseHeader::revision);
                snapshot.revision = Revision(u64::try_from(revision).unwrap_or(0));
            }
            let more = page.more();
            let pairs = page.take_kvs();
            if snapshot.revision.0 == 0 || more && pairs.is_empty() {
                return Err(Failure::malformed("etcd's answer to a read makes no sense"));
            }
            start = pairs.last().map(|pair| [pair.key(), b"\0"].concat()).unwrap_or_default();
            for pair in pairs {
                if let Some(key) = self.range.own(pair.key()) {
                    let version = version_of(pair.mod_revision());
                    snapshot.entries.insert(key, Entry { version, value: pair.into_key_value().1 });
                }
            }
            if !more {
                return Ok(snapshot);
            }
        }
        Err(Failure::senseless(
            "there are thousands of keys below the cluster's prefix",
            "give the cluster a prefix that nothing else writes to",
        ))
    }

    /// Commits; `None` when a guard did not hold.
    pub(super) async fn commit(&self, commit: &Commit) -> Result<Option<Committed>, Failure> {
        let transaction = self.transaction(commit);
        let mut kv = self.client.kv_client();
        let what = "the commit failed";
        let mut answer = kv.txn(transaction.clone()).await.map_err(|error| translate(&error, what));
        if let Err(failure) = answer {
            // A refused token means that nothing was done.
            self.logged_in_after(failure).await?;
            answer = kv.txn(transaction).await.map_err(|error| translate(&error, what));
        }
        let answer = answer.map_err(|failure| match failure.outcome {
            Outcome::Token => failure.before_sending(),
            _ => failure,
        })?;
        if !answer.succeeded() {
            return Ok(None);
        }
        // All keys of a transaction get the revision that it made.
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        if revision <= 0 {
            return Err(Failure::malformed("etcd's answer to a commit makes no sense"));
        }
        let versions = commit.writes.keys().map(|key| (key.clone(), version_of(revision))).collect::<BTreeMap<_, _>>();
        Ok(Some(Committed { versions }))
    }

    fn transaction(&self, commit: &Commit) -> Txn {
        let guards = commit.guards.iter().map(|guard| match guard {
            Guard::Absent(key) => Compare::create_revision(self.range.full(key), CompareOp::Equal, 0),
            // `could_hold` was asked before.
            Guard::Version(key, version) => Compare::mod_revision(
                self.range.full(key),
                CompareOp::Equal,
                i64::try_from(version.0).unwrap_or(i64::MAX),
            ),
        });
        let writes = commit.writes.iter().map(|(key, value)| TxnOp::put(self.range.full(key), value.clone(), None));
        Txn::new().when(guards.collect::<Vec<_>>()).and_then(writes.collect::<Vec<_>>())
    }

    /// The store's revision now, linearizable.
    pub(super) async fn revision(&self) -> Result<Revision, Failure> {
        let options = GetOptions::new().with_range(&*self.range.end).with_count_only();
        let answer = self.client.kv_client().get(&*self.range.prefix, Some(options)).await;
        let answer = answer.map_err(|error| translate(&error, "the store could not be read"))?;
        Ok(Revision(version_of(answer.header().map_or(0, etcd_client::ResponseHeader::revision)).0))
    }

    /// A stream of what changes after this revision. It has not said yet that it begins.
    pub(super) async fn feed(&self, from: Revision) -> Result<Feed, Failure> {
        // A watch with a token that has expired is told "no permission": a token that is known to be good tells one from the other.
        self.greet().await?;
        let start = i64::try_from(from.0).unwrap_or(i64::MAX).saturating_add(1);
        let options = WatchOptions::new().with_range(&*self.range.end).with_start_revision(start);
        let mut watch = self.client.watch_client().max_decoding_message_size(MOST_ANSWER_BYTES);
        let stream = watch.watch(&*self.range.prefix, Some(options)).await;
        let stream = stream.map_err(|error| translate(&error, "the watch could not begin"))?;
        Ok(Feed::new(stream, self.range.clone()))
    }
}

/// What an event of etcd says.
pub(super) fn change(range: &Range, event: &etcd_client::Event) -> Option<Change> {
    let pair = event.kv()?;
    let key = range.own(pair.key())?;
    // A deletion carries the key and the revision alone.
    let entry = (pair.create_revision() != 0)
        .then(|| Entry { version: version_of(pair.mod_revision()), value: pair.value().to_vec() });
    Some(Change { key, entry })
}

/// Whether the guard can hold of any key: versions are from 1 to what etcd can count.
pub(super) fn could_hold(guard: &Guard) -> bool {
    match guard {
        Guard::Absent(_) => true,
        Guard::Version(_, version) => (1..=i64::MAX.unsigned_abs()).contains(&version.0),
    }
}

/// etcd's revisions have a sign; they never are negative.
pub(super) fn version_of(revision: i64) -> Version {
    Version(u64::try_from(revision).unwrap_or(0))
}

/// Runs what may block on a disk.
async fn off_the_executor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        // A file is as it is, whichever member it is meant for.
        Ok(Err(error)) => Err(Failure { outcome: Outcome::Refused, error, broken: false }),
        Err(error) => {
            let error = Error::new(ErrorKind::Unavailable, "a file could not be read").caused_by(error);
            Err(Failure { outcome: Outcome::NotDone, error, broken: false })
        }
    }
}

fn read_tls(tls: &EtcdTls) -> Result<TlsOptions, Error> {
    let mut options = TlsOptions::new().ca_certificate(Certificate::from_pem(read_pem(&tls.authority)?));
    if let Some((certificate, key)) = &tls.identity {
        options = options.identity(Identity::from_pem(read_pem(certificate)?, read_pem(key)?));
    }
    if let Some(name) = &tls.server_name {
        options = options.domain_name(name);
    }
    Ok(options)
}

fn read_pem(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Misconfigured, format!("{} {what}", path.display())).hint("give PEM files for etcd's TLS")
    };
    let size = std::fs::metadata(path).map_err(|error| wrong("cannot be read").caused_by(error))?.len();
    if size > MOST_PEM_BYTES {
        return Err(wrong("is too large for a certificate or key"));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong("cannot be read").caused_by(error))?;
    let is_pem = bytes.windows(11).any(|part| part == b"-----BEGIN ");
    if is_pem { Ok(bytes) } else { Err(wrong("is no PEM file").caused_by(Cause("no BEGIN line".into()))) }
}
