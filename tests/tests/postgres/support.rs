//! A place for real databases: own directories and ports, everything stopped and removed at the end.

use std::collections::BTreeSet;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use odoo_ha_backends::postgres::{PostgresConfig, PostgresReplication};
use odoo_ha_core::database::{
    BootstrapOrder, Bootstrapped, Endpoint, FollowOrder, Followed, PromoteOrder, Promoted, StopMode, SynchronousOrder,
    SynchronousStandbys, Upstream,
};
use odoo_ha_core::error::Error;
use odoo_ha_core::lsn::{Lsn, Timeline};
use odoo_ha_core::member::{MemberId, SystemId};
use odoo_ha_core::roles::ReplicationManager;
use odoo_ha_core::term::Term;
use tokio_postgres::{Client, NoTls};

/// Long enough for anything here on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Ports handed out by this process, so that two tests never get the same.
static PORTS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

pub(crate) fn free_port() -> u16 {
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Below the range from which the kernel takes outgoing ports, so that no connection takes it meanwhile.
        let port = 10_000 + port % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()
            && PORTS.lock().unwrap_or_else(PoisonError::into_inner).insert(port)
        {
            return port;
        }
    }
}

pub(crate) fn id(name: &str) -> MemberId {
    MemberId::new(name).unwrap()
}

pub(crate) fn ids(names: &[&str]) -> BTreeSet<MemberId> {
    names.iter().map(|name| id(name)).collect()
}

/// One temporary directory with the data of some members.
pub(crate) struct Place {
    dir: PathBuf,
    /// Removed at the end.
    _temporary: Option<tempfile::TempDir>,
    ports: Mutex<Vec<(String, u16)>>,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("odoo-ha-pg-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        if rustix::process::geteuid().is_root() {
            chown_to_postgres(dir.path());
        }
        Self { dir: dir.path().to_owned(), _temporary: Some(dir), ports: Mutex::default() }
    }

    /// In a directory that somebody else made, and removes.
    pub(crate) fn at(dir: &Path) -> Self {
        if rustix::process::geteuid().is_root() {
            chown_to_postgres(dir);
        }
        Self { dir: dir.to_owned(), _temporary: None, ports: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn port(&self, name: &str) -> u16 {
        let mut ports = self.ports.lock().unwrap();
        if let Some((_, port)) = ports.iter().find(|(known, _)| known == name) {
            return *port;
        }
        let port = free_port();
        ports.push((name.to_owned(), port));
        port
    }

    pub(crate) fn endpoint(&self, name: &str) -> Endpoint {
        Endpoint { host: "127.0.0.1".into(), port: self.port(name) }
    }

    pub(crate) fn config(&self, name: &str) -> PostgresConfig {
        PostgresConfig::new(id(name), self.data_dir(name), self.endpoint(name))
            .bin_dir(bin_dir())
            .parameter("shared_buffers", "16MB")
            .parameter("max_standby_streaming_delay", "-1")
    }

    pub(crate) fn member(&self, name: &str) -> PostgresReplication {
        self.config(name).build().unwrap()
    }

    pub(crate) fn upstream(&self, name: &str) -> Upstream {
        Upstream { member: id(name), endpoint: self.endpoint(name) }
    }

    pub(crate) fn socket_dir(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.odoo-ha"))
    }

    /// A client of this member, as superuser over its socket.
    pub(crate) async fn client(&self, name: &str) -> Client {
        self.connect(name).await.unwrap()
    }

    /// The same, which may fail.
    pub(crate) async fn connect(&self, name: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.socket_dir(name)).port(self.port(name)).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Every process that works in this place.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.processes_in(self.path())
    }

    /// Every process that works in this directory or below it.
    pub(crate) fn processes_in(&self, dir: &Path) -> Vec<i32> {
        let inside = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
        let is_zombie =
            |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        all_pids().into_iter().filter(|pid| inside(pid) && !is_zombie(pid)).collect()
    }

    pub(crate) fn order(&self, system_id: SystemId, upstream: &str, term: u64, timeline: u32) -> FollowOrder {
        FollowOrder {
            term: Term(term),
            upstream: self.upstream(upstream),
            timeline: Timeline(timeline),
            system_id,
            may_discard: false,
            reclone: false,
            members: BTreeSet::new(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for _ in 0..500 {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(crate) fn all_pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.flatten().filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect()
}

fn chown_to_postgres(path: &Path) {
    let done = std::process::Command::new("chown").arg("postgres:postgres").arg(path).status().unwrap();
    assert!(done.success(), "these tests need the user postgres");
}

pub(crate) async fn bootstrap(member: &PostgresReplication) -> Bootstrapped {
    member.bootstrap(&BootstrapOrder { term: Term(1), adopt: false }, LONG).await.unwrap()
}

/// `a` as primary of term 1 and `b` as its standby, streaming.
pub(crate) async fn pair(place: &Place) -> (PostgresReplication, PostgresReplication, Bootstrapped) {
    let (a, b) = (place.member("a"), place.member("b"));
    let begun = bootstrap(&a).await;
    a.keep_slots(&ids(&["a", "b"]), LONG).await.unwrap();
    let followed = b.follow(&place.order(begun.system_id, "a", 1, 1), LONG).await.unwrap();
    assert_ne!(followed.data_id, begun.data_id, "a clone has a name of its own");
    streaming(&a, "b").await;
    (a, b, begun)
}

/// Waits until `standby` streams and has flushed all of the primary's log.
pub(crate) async fn streaming(primary: &PostgresReplication, standby: &str) {
    eventually("the standby streams", || async {
        let status = primary.status(LONG).await.unwrap();
        status.standbys.get(&id(standby)).is_some_and(|standby| standby.streaming && standby.flushed >= status.lsn)
    })
    .await;
}

pub(crate) fn promote_order(begun: &Bootstrapped, term: u64, timeline: u32, at_least: Lsn) -> PromoteOrder {
    PromoteOrder {
        term: Term(term),
        timeline: Timeline(timeline),
        system_id: begun.system_id,
        at_least,
        synchronous: SynchronousStandbys::Nobody,
        members: BTreeSet::new(),
    }
}

/// Freezes and promotes.
pub(crate) async fn take_over(
    member: &PostgresReplication,
    begun: &Bootstrapped,
    term: u64,
    timeline: u32,
) -> Promoted {
    let frozen = member.freeze(LONG).await.unwrap();
    member.promote(&promote_order(begun, term, timeline, frozen.lsn), LONG).await.unwrap()
}

pub(crate) async fn kill(member: &PostgresReplication) {
    member.stop(StopMode::AtOnce { fast_for_ms: 0 }, LONG).await.unwrap();
}

pub(crate) fn all_of(term: u64, names: &[&str]) -> SynchronousOrder {
    SynchronousOrder { term: Term(term), standbys: SynchronousStandbys::all_of(ids(names)), barrier: true }
}

/// Waits for a condition, with a deadline.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < LONG, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    messages
        .into_iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("").to_owned()),
            _ => None,
        })
        .collect()
}

pub(crate) async fn value(client: &Client, sql: &str) -> String {
    rows(client, sql).await.pop().unwrap_or_default()
}

pub(crate) fn followed_by(result: Result<Followed, Error>) -> odoo_ha_core::database::FollowedBy {
    match result {
        Ok(followed) => followed.by,
        Err(error) => panic!("following failed: {}", error.chain()),
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// A program of this place, run by a shell of its own.
pub(crate) fn script(place: &Place, name: &str, text: &str) -> String {
    let path = place.path().join(name);
    std::fs::write(&path, format!("#!/bin/sh\nset -eu\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Where PostgreSQL's programs are.
pub(crate) fn bin_dir() -> PathBuf {
    match std::env::var_os("ODOO_HA_TEST_POSTGRES") {
        Some(dir) => dir.into(),
        None => "/usr/lib/postgresql/15/bin".into(),
    }
}
