//! Two nodes of Patroni with real PostgreSQL databases, on an etcd of their own.

use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::Fallible;
use crate::stores::free_port;

/// Longest time until both nodes run and one is synchronous.
const READY: Duration = Duration::from_secs(120);

/// Longest time for ending a node in good order.
const STOP: Duration = Duration::from_secs(20);

/// Whom PostgreSQL runs as where this program is root's, as which it does not run.
const USER: &str = "postgres";

/// What decides how often it turns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) ttl: u32,
    pub(super) loop_wait: u32,
    pub(super) retry_timeout: u32,
}

/// Where its programs are.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    patroni: PathBuf,
    postgres: PathBuf,
}

impl Programs {
    /// Those that are named, or else those that are found.
    ///
    /// # Errors
    ///
    /// A sentence that says what is missing.
    pub(super) fn find(patroni: Option<&Path>) -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = || std::env::split_paths(&path).map(|place| place.join("patroni")).find(|file| file.is_file());
        let patroni = patroni.map(Path::to_owned).or_else(on_path);
        let patroni =
            patroni.filter(|file| file.is_file()).ok_or("there is no program `patroni`: name it with --patroni")?;
        let versions = std::fs::read_dir("/usr/lib/postgresql").map_err(|_| "there is no PostgreSQL")?;
        let bins = versions.flatten().map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
        let postgres = bins.max().ok_or("there is no PostgreSQL")?;
        Ok(Self { patroni, postgres })
    }
}

#[derive(Debug)]
pub(super) struct Patroni {
    nodes: Vec<Node>,
    _directory: TempDir,
}

#[derive(Debug)]
struct Node {
    child: Child,
    data: PathBuf,
}

impl Patroni {
    /// Starts two nodes in synchronous mode, and waits until one leads and the other is synchronous.
    pub(super) async fn start(programs: &Programs, etcd: &str, settings: Settings) -> Fallible<Self> {
        let directory = tempfile::Builder::new().prefix("odoo-ha-bench-patroni-").tempdir()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
        let mut patroni = Self { nodes: Vec::new(), _directory: directory };
        let (mut rest, mut homes) = (0, Vec::new());
        for name in ["node_a", "node_b"] {
            let home = patroni._directory.path().join(name);
            rest = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST));
            patroni.nodes.push(Node::start(programs, &home, name, rest, etcd, settings)?);
            homes.push(home);
            // The first is to begin the cluster.
            sleep(Duration::from_secs(2)).await;
        }
        let limit = Instant::now() + READY;
        while !is_whole(rest).await {
            if Instant::now() > limit {
                let logs = homes.iter().map(|home| std::fs::read_to_string(home.join("log")).unwrap_or_default());
                let ends = logs.map(|log| log.lines().rev().take(8).map(str::to_owned).collect::<Vec<_>>().join("\n"));
                return Err(format!("Patroni is not whole in time: {}", ends.collect::<Vec<_>>().join("\n\n")).into());
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(patroni)
    }

    /// The agents' processes.
    pub(super) fn agents(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.child.id()).collect()
    }
}

impl Node {
    fn start(
        programs: &Programs,
        home: &Path,
        name: &str,
        rest: u16,
        etcd: &str,
        settings: Settings,
    ) -> Fallible<Self> {
        let port = free_port(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let data = home.join("data");
        std::fs::create_dir(home)?;
        let config = json!({
            "scope": "bench",
            "name": name,
            "restapi": {"listen": format!("127.0.0.1:{rest}"), "connect_address": format!("127.0.0.1:{rest}")},
            "etcd3": {"hosts": [etcd.trim_start_matches("http://")]},
            "bootstrap": {
                "dcs": {
                    "ttl": settings.ttl,
                    "loop_wait": settings.loop_wait,
                    "retry_timeout": settings.retry_timeout,
                    "synchronous_mode": true,
                    "postgresql": {"use_slots": true, "parameters": {"wal_log_hints": "on", "shared_buffers": "32MB"}},
                },
                "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}],
            },
            "postgresql": {
                "listen": format!("127.0.0.1:{port}"),
                "connect_address": format!("127.0.0.1:{port}"),
                "data_dir": data,
                "bin_dir": programs.postgres,
                "pgpass": home.join("pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "postgres"},
                    "rewind": {"username": "postgres"},
                },
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
                "parameters": {"unix_socket_directories": home},
            },
        });
        // JSON is YAML.
        let file = home.join("patroni.yml");
        std::fs::write(&file, config.to_string())?;
        let log = std::fs::File::create(home.join("log"))?;
        // When this program dies they end in good order by themselves: killed, they would leave their databases.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if rustix::process::geteuid().is_root() {
            let (user, group) = ids(USER).ok_or("there is no user postgres to run PostgreSQL as")?;
            for path in [home, &file] {
                chown(path, Some(user), Some(group))?;
            }
            command.args(["--reuid", USER, "--regid", USER, "--init-groups"]);
        }
        command.arg("--").arg(&programs.patroni).arg(&file).current_dir(home).env("HOME", home);
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self { child: command.spawn()?, data })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let end = |pid: Option<i32>, signal| {
            if let Some(pid) = pid.and_then(Pid::from_raw) {
                // It may have ended by itself.
                let _ = kill_process(pid, signal);
            }
        };
        end(i32::try_from(self.child.id()).ok(), Signal::TERM);
        let limit = std::time::Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) && std::time::Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = (self.child.kill(), self.child.wait());
        // A database that is left over is ended at once.
        let left = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        end(left.lines().next().and_then(|line| line.trim().parse().ok()), Signal::QUIT);
    }
}

/// One leads, and the other streams and is synchronous.
async fn is_whole(rest: u16) -> bool {
    let Some(cluster) = ask(rest).await else { return false };
    let members = cluster.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
    let role = |wanted: &str| members.iter().any(|member| member.get("role").and_then(Value::as_str) == Some(wanted));
    members.len() == 2 && role("leader") && role("sync_standby")
}

async fn ask(rest: u16) -> Option<Value> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().ok()?;
    let answer = client.get(format!("http://127.0.0.1:{rest}/cluster")).send().await.ok()?;
    serde_json::from_str(&answer.text().await.ok()?).ok()
}

/// Numbers of a user and its group (passwd(5)).
fn ids(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
