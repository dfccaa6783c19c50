//! A real Consul of one or three servers, as quick as it can be set (`raft_multiplier` 1).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Fallible;
use crate::stores::{StoreProcess, find_tool, free_port};

/// How long it may take until it serves.
const READY: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Consul {
    servers: Vec<Server>,
    /// Dropped after the servers.
    _directory: TempDir,
}

#[derive(Debug)]
struct Server {
    process: StoreProcess,
    http: SocketAddr,
    rpc: SocketAddr,
}

impl Consul {
    /// Starts it and waits until every server serves.
    pub(super) async fn start(count: u8) -> Fallible<Self> {
        let missing = "consul-1.8 is not there: `.ci/peers consul-1.8` unpacks it";
        let program = find_tool("consul-1.8", "consul").ok_or(missing)?;
        let directory = tempfile::Builder::new().prefix("odoo-ha-bench-consul-").tempdir()?;
        let mut servers = Vec::new();
        let mut join: Vec<String> = Vec::new();
        for number in 1..=count {
            let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
            let [http, rpc, serf] = [(); 3].map(|()| SocketAddr::new(ip, free_port(ip)));
            let name = format!("server{number}");
            let config = json!({
                "node_name": name,
                "server": true,
                "bootstrap_expect": count,
                "data_dir": directory.path().join(&name),
                "bind_addr": ip.to_string(),
                "client_addr": ip.to_string(),
                "ports": {"http": http.port(), "server": rpc.port(), "serf_lan": serf.port(), "serf_wan": -1, "dns": -1, "grpc": -1},
                "performance": {"raft_multiplier": 1},
                "retry_join": join,
                "retry_interval": "1s",
                "log_level": "warn",
                "disable_update_check": true,
                "connect": {"enabled": false},
                // A server that is dead for half a minute would be removed, and be no voter for a while when it comes back.
                "autopilot": {"cleanup_dead_servers": false},
                // Every contender of the benchmark comes from one address.
                "limits": {"http_max_conns_per_client": 1000},
            });
            let file = directory.path().join(format!("{name}.json"));
            std::fs::write(&file, config.to_string())?;
            let arguments = ["agent".to_owned(), "-config-file".to_owned(), file.display().to_string()];
            let process = StoreProcess::start(&name, &program, arguments, directory.path());
            servers.push(Server { process, http, rpc });
            join.push(serf.to_string());
        }
        let consul = Self { servers, _directory: directory };
        consul.serves().await?;
        Ok(consul)
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("http://{}", server.http)).collect()
    }

    pub(super) fn process(&self, number: usize) -> &StoreProcess {
        &self.servers[number].process
    }

    pub(super) fn http(&self, number: usize) -> SocketAddr {
        self.servers[number].http
    }

    /// Waits until every server answers a consistent read, and the loss of as many as may be would be survived.
    pub(super) async fn serves(&self) -> Fallible {
        let limit = tokio::time::Instant::now() + READY;
        let tolerance = (self.servers.len() as u64 - 1) / 2;
        for server in &self.servers {
            while !is_ready(server, tolerance).await {
                if tokio::time::Instant::now() > limit {
                    return Err(format!("Consul does not serve within {READY:?}: {}", server.process.log()).into());
                }
                tokio::time::sleep(STEP).await;
            }
        }
        Ok(())
    }

    /// The number of the server that leads.
    pub(super) async fn leader(&self) -> Fallible<usize> {
        let (_, answer) = get(&self.servers[0], "/v1/status/leader").await.ok_or("Consul does not answer")?;
        let leader = answer.as_str().and_then(|text| text.parse::<SocketAddr>().ok());
        let place = leader.and_then(|leader| self.servers.iter().position(|server| server.rpc == leader));
        place.ok_or_else(|| "no server of Consul leads".into())
    }
}

async fn is_ready(server: &Server, tolerance: u64) -> bool {
    let reads = matches!(get(server, "/v1/kv/?keys&consistent").await, Some((200 | 404, _)));
    let health = get(server, "/v1/operator/autopilot/health").await;
    let survived = health.and_then(|(_, health)| health.get("FailureTolerance")?.as_u64());
    reads && survived.is_some_and(|survived| survived >= tolerance)
}

/// Status and content; `None` when there is no answer in a second.
async fn get(server: &Server, path: &str) -> Option<(u16, Value)> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build().ok()?;
    let answer = client.get(format!("http://{}{path}", server.http)).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, serde_json::from_str(&answer.text().await.ok()?).unwrap_or_default()))
}
