//! Real Consul servers and agents.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use odoo_ha_tests::stores::{Proxy, StoreProcess, eventually, free_port, tool};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long servers may take until they have a leader.
const READY: Duration = Duration::from_secs(40);

/// One server or client agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) process: StoreProcess,
    /// Its HTTP interface.
    pub(crate) http: SocketAddr,
    /// What the other servers connect to.
    rpc: SocketAddr,
    serf: SocketAddr,
    /// Between the others and its server's port, where it was asked for.
    pub(crate) link: Option<Proxy>,
}

impl Agent {
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.http)
    }
}

/// One Consul: one or three servers, and its files. Everything ends with it.
#[derive(Debug)]
pub(crate) struct Consul {
    pub(crate) agents: Vec<Agent>,
    files: TempDir,
}

impl Consul {
    /// A single server that is ready.
    pub(crate) async fn single() -> Self {
        Self::single_with(json!({})).await
    }

    /// A single server with more in its configuration; as ready as its rights let anybody see.
    pub(crate) async fn single_with(more: Value) -> Self {
        let consul = Self::start(1, false, &more);
        consul.elected(0).await;
        consul
    }

    /// A server that answers and has no leader: it waits for another one that never comes.
    pub(crate) async fn alone_of_two(more: Value) -> Self {
        let consul = Self::start(1, false, &more);
        let agent = &consul.agents[0];
        eventually("the server answers", READY, async || get(agent, "/v1/status/leader").await).await;
        consul
    }

    /// Three servers on 127.0.0.1 to 127.0.0.3.
    pub(crate) async fn three() -> Self {
        Self::three_with_links(false).await
    }

    /// Three servers, each behind a proxy for the other two.
    pub(crate) async fn three_linked() -> Self {
        Self::three_with_links(true).await
    }

    async fn three_with_links(linked: bool) -> Self {
        let consul = Self::start(3, linked, &json!({}));
        consul.ready().await;
        consul
    }

    fn start(count: u8, linked: bool, more: &Value) -> Self {
        let mut consul = Self { agents: Vec::new(), files: tempfile::tempdir().unwrap() };
        for number in 1..=count {
            let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
            // Where its own port is, when what the others connect to is a proxy.
            let own = if linked { IpAddr::V4(Ipv4Addr::new(127, 0, 1, number)) } else { address };
            let rpc = SocketAddr::new(address, free_port(address));
            let link = linked.then(|| Proxy::start(rpc, SocketAddr::new(own, rpc.port())));
            consul.add(
                format!("server{number}"),
                rpc,
                own,
                link,
                merged(json!({"server": true, "bootstrap_expect": count}), more),
            );
        }
        consul
    }

    /// Adds a client agent that knows all servers.
    pub(crate) fn add_client_agent(&mut self) {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let rpc = SocketAddr::new(address, free_port(address));
        self.add("client".into(), rpc, address, None, json!({}));
    }

    fn add(&mut self, name: String, rpc: SocketAddr, own: IpAddr, link: Option<Proxy>, more: Value) {
        let address = rpc.ip();
        let http = SocketAddr::new(address, free_port(address));
        let serf = SocketAddr::new(address, free_port(address));
        let config = json!({
            "node_name": name,
            "data_dir": self.files.path().join(&name),
            "bind_addr": own.to_string(),
            "serf_lan": address.to_string(),
            "advertise_addr": address.to_string(),
            "client_addr": address.to_string(),
            "ports": {"http": http.port(), "server": rpc.port(), "serf_lan": serf.port(), "serf_wan": -1, "dns": -1, "grpc": -1},
            "performance": {"raft_multiplier": 1},
            "retry_join": self.agents.iter().map(|agent| agent.serf.to_string()).collect::<Vec<_>>(),
            "retry_interval": "1s",
            "log_level": "warn",
            "disable_update_check": true,
            "connect": {"enabled": false},
        });
        let file = self.files.path().join(format!("{name}.json"));
        std::fs::write(&file, merged(config, &more).to_string()).unwrap();
        let arguments = ["agent", "-config-file", file.to_str().unwrap()];
        let process = StoreProcess::start(&name, &program(), arguments, self.files.path());
        self.agents.push(Agent { process, http, rpc, serf, link });
    }

    pub(crate) fn path(&self) -> &Path {
        self.files.path()
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.agents.iter().map(Agent::endpoint).collect()
    }

    /// Waits until every agent that runs answers a consistent read.
    pub(crate) async fn ready(&self) {
        for agent in self.agents.iter().filter(|agent| agent.process.is_running()) {
            let what = format!("{} is ready; {}", agent.endpoint(), agent.process.log());
            eventually(&what, READY, async || {
                let answer = get(agent, "/v1/kv/?keys&consistent").await?;
                matches!(answer.status, 200 | 404).then_some(())
            })
            .await;
        }
    }

    /// The number of the server that leads, as this one sees it, once it sees one.
    pub(crate) async fn elected(&self, asked: usize) -> usize {
        self.elected_other_than(None, asked).await
    }

    /// The same, once it is another.
    pub(crate) async fn elected_other_than(&self, old: Option<usize>, asked: usize) -> usize {
        let agent = &self.agents[asked];
        let what = format!("{} knows a leader; {}", agent.endpoint(), agent.process.log());
        eventually(&what, READY, async || {
            let answer = get(agent, "/v1/status/leader").await?;
            let leader = answer.json.as_str()?.parse().ok()?;
            self.agents.iter().position(|agent| agent.rpc == leader).filter(|number| Some(*number) != old)
        })
        .await
    }

    /// A server that is not this one.
    pub(crate) const fn another(&self, number: usize) -> usize {
        (number + 1) % 3
    }

    /// Takes this server away from the other two: they cannot reach it, nor it them.
    pub(crate) fn cut_off(&self, number: usize, mood: odoo_ha_tests::stores::Mood) {
        for (place, agent) in self.agents.iter().enumerate() {
            let link = agent.link.as_ref().expect("the servers are linked");
            if place == number {
                link.set(mood);
            } else {
                link.set_for(self.agents[number].process.pid(), mood);
            }
        }
    }

    /// Runs the `consul` program against the first server.
    pub(crate) fn run(&self, arguments: &[&str]) {
        let output = std::process::Command::new(program())
            .args(arguments)
            .env("CONSUL_HTTP_ADDR", self.agents[0].endpoint())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn program() -> std::path::PathBuf {
    tool("consul-1.8", "consul")
}

fn merged(mut config: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        match (config.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new.clone()),
            _ => config[key] = value.clone(),
        }
    }
    config
}

/// What a server answers to the test itself.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

pub(crate) async fn get(agent: &Agent, path: &str) -> Option<Answer> {
    ask(agent, "GET", path, "", String::new()).await
}

/// Asks without the library; `None` when there is no answer in a second.
pub(crate) async fn ask(agent: &Agent, method: &str, path: &str, token: &str, body: String) -> Option<Answer> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build().unwrap();
    let method = method.parse().unwrap();
    let request = client.request(method, format!("{}{path}", agent.endpoint())).header("x-consul-token", token);
    let answer = request.body(body).send().await.ok()?;
    let status = answer.status().as_u16();
    let text = answer.text().await.ok()?;
    Some(Answer { status, json: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
}
