//! Two agents on one machine, each with a real PostgreSQL: started, told to read its file again, and to leave.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::records::{LeaderRecord, decode};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::Key;
use odoo_ha_tests::stores::{eventually, free_port};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Several times what anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) struct Place {
    directory: TempDir,
    address: u16,
    store: SqliteDcs,
}

/// A running agent. Dropped, it leaves, and its database with it.
pub(crate) struct Agent {
    child: Child,
    file: PathBuf,
    text: String,
    log: PathBuf,
    heard: UnixDatagram,
}

impl Place {
    pub(crate) fn new() -> Self {
        // Short, as Unix sockets lie in it, and open to PostgreSQL's user.
        let directory = tempfile::Builder::new().prefix("odoo-ha-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let store = SqliteConfig::new(directory.path().join("store"), ClusterId::new("shop").unwrap());
        Self { address: free_port(IpAddr::V4(Ipv4Addr::LOCALHOST)), store: SqliteDcs::new(store).unwrap(), directory }
    }

    pub(crate) fn start(&self, name: &str) -> Agent {
        self.start_with(name, "")
    }

    /// With these sections, too.
    pub(crate) fn start_with(&self, name: &str, more: &str) -> Agent {
        self.start_of(&["a", "b"], name, more)
    }

    /// The same, in a cluster that these begin.
    pub(crate) fn start_of(&self, founders: &[&str], name: &str, more: &str) -> Agent {
        let path = |what: &str| self.directory.path().join(format!("{name}.{what}"));
        let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (shared, data, state) = (self.directory.path().display(), path("data"), path("state"));
        let text = format!(
            "[cluster]\nname = \"shop\"\nmember = \"{name}\"\nfounders = {founders:?}\nstate_dir = \"{}\"\n\
             [dcs.sqlite]\nfile = \"{shared}/store\"\n\
             [postgres]\ndata_dir = \"{}\"\nhost = \"127.0.0.1\"\nport = {port}\n\
             [address.listener]\nlisten = \"127.0.0.1:{}\"\nfence_file = \"{shared}/fence\"\n{more}",
            state.display(),
            data.display(),
            self.address,
        );
        let (file, log, socket) = (path("toml"), path("log"), path("notify"));
        std::fs::write(&file, &text).unwrap();
        let heard = UnixDatagram::bind(&socket).unwrap();
        heard.set_nonblocking(true).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ha_agent"))
            .arg("--config")
            .arg(&file)
            .env("NOTIFY_SOCKET", &socket)
            .env("ODOO_HA_TEST_WORD", "hush, hush, hush")
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Agent { child, file, text, log, heard }
    }

    pub(crate) async fn leader(&self) -> Option<LeaderRecord> {
        let snapshot = self.store.read(PATIENCE).await.ok()?;
        decode(&ClusterId::new("shop").ok()?, &Key::leader(), &snapshot.entries.get(&Key::leader())?.value).ok()
    }

    /// Waits until somebody else than this one serves.
    pub(crate) async fn served_by_another_than(&self, name: Option<&str>) -> String {
        let what = format!("another than {name:?} serves");
        eventually(&what, PATIENCE, async || {
            let record = self.leader().await.filter(|record| record.serving)?;
            record.holder.map(|holder| holder.to_string()).filter(|holder| Some(holder.as_str()) != name)
        })
        .await
    }
}

impl Agent {
    /// Has it read this in place of what stands in its file (SIGHUP).
    pub(crate) fn reads(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
        self.signal(Signal::HUP);
    }

    /// What its file said when it was started.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Asks its database, over the socket.
    pub(crate) async fn shows(&self, setting: &str) -> String {
        let port = self.text.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap();
        let mut config = tokio_postgres::Config::new();
        let socket_dir = self.file.with_extension("data.odoo-ha");
        config.host_path(socket_dir).port(port).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let row = client.query_one(&format!("show {setting}"), &[]).await.unwrap();
        row.get(0)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) async fn says(&self, what: &str) {
        eventually(what, PATIENCE, async || self.said().contains(what).then_some(())).await;
    }

    /// Waits until the service manager hears this.
    async fn tells(&self, what: &str) {
        eventually(what, PATIENCE, async || {
            let mut bytes = [0; 4096];
            // All that is there: what is not taken is not followed by more.
            while let Ok(length) = self.heard.recv(&mut bytes) {
                if String::from_utf8_lossy(&bytes[..length]).contains(what) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    pub(crate) async fn ended(&mut self) -> Option<i32> {
        eventually("it ends", PATIENCE, async || self.child.try_wait().unwrap()).await.code()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::TERM);
            let begun = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ = self.child.kill();
            _ = self.child.wait();
        }
        if std::thread::panicking() {
            println!("{}:\n{}", self.file.display(), self.said());
        }
    }
}

#[tokio::test]
async fn told_to_leave_it_hands_over_and_told_of_a_change_it_takes_it_over() {
    let place = Place::new();
    let mut agents = [("a", place.start("a")), ("b", place.start("b"))];
    for (_, agent) in &agents {
        agent.tells("READY=1").await;
    }
    let first = place.served_by_another_than(None).await;
    agents.sort_by_key(|(name, _)| *name != first);
    let [(_, leader), (other_name, other)] = &mut agents;
    leader.tells("STATUS=leading in term").await;
    other.says("the database streams from").await;
    // Before it counts, nobody can hand over to it.
    leader.says("commits are acknowledged when").await;

    // SIGHUP: times count at once, the rest is named.
    for agent in [&*leader, &*other] {
        std::fs::write(
            &agent.file,
            format!("{}\n[timing]\nttl = \"3s\"\n[guard]\nacts_before = \"500ms\"\n", agent.text),
        )
        .unwrap();
        agent.signal(Signal::HUP);
        agent.says("changes of guard wait for a restart").await;
        agent.tells("RELOADING=1").await;
    }
    eventually("the record has the new ttl", PATIENCE, async || {
        place.leader().await.filter(|record| record.ttl() == Duration::from_secs(3)).map(|_| ())
    })
    .await;
    // So do parameters of PostgreSQL; what only a restart can change is named.
    let more = "\n[timing]\nttl = \"3s\"\n[postgres.parameters]\nmax_connections = \"77\"\nwork_mem = \"7MB\"\n";
    std::fs::write(&other.file, format!("{}{more}", other.text)).unwrap();
    other.signal(Signal::HUP);
    other.says("settings=\"max_connections\"").await;
    // A file that is wrong changes nothing.
    std::fs::write(&leader.file, "[cluster]\n").unwrap();
    leader.signal(Signal::HUP);
    leader.says("the configuration stays as it was").await;

    // SIGTERM: the other leads before it has gone, in a new term, without a vote.
    leader.signal(Signal::TERM);
    leader.tells("STOPPING=1").await;
    assert_eq!(leader.ended().await, Some(0), "{}", leader.said());
    assert_eq!(place.served_by_another_than(Some(&first)).await, *other_name);
    assert!(!other.said().contains("voted with"), "{}", other.said());

    // The last one frees its leadership.
    other.signal(Signal::TERM);
    assert_eq!(other.ended().await, Some(0), "{}", other.said());
    assert_eq!(place.leader().await.unwrap().holder, None);
}
