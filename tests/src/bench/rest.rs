//! What a cluster of two members costs its store while nothing happens: requests a minute, and the store's processor time.
//!
//! Each cluster has a store of its own, one etcd member or one Consul server; a store that nobody uses stands beside. All are counted in the
//! same stretch of time, Patroni with PostgreSQL among them where it is installed.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::Fallible;
use super::args::{RestArgs, Which};
use super::consul::Consul;
use super::contender::Contender;
use super::counter::Counter;
use super::etcd::Etcd;
use super::failover::{Member, node_arguments};
use super::figures::{print_table, ratio};
use super::patroni::{Patroni, Programs, Settings};
use super::usage::{processor_time, status};

/// Longest time until a cluster stands.
const SETTLE: Duration = Duration::from_secs(60);

/// What it takes until all is quiet.
const CALM: Duration = Duration::from_secs(5);

/// The fastest that Patroni accepts, and its defaults.
const FASTEST: Settings = Settings { ttl: 20, loop_wait: 1, retry_timeout: 3 };
const DEFAULTS: Settings = Settings { ttl: 30, loop_wait: 10, retry_timeout: 10 };

/// What is measured of ours.
#[derive(Debug)]
struct Setting {
    what: &'static str,
    store: Which,
    ttl: Duration,
    silence: Option<Duration>,
}

const SETTINGS: [Setting; 5] = [
    Setting { what: "ours, ttl 5 s", store: Which::Etcd, ttl: Duration::from_secs(5), silence: None },
    Setting {
        what: "ours, ttl 5 s, silence 1 s",
        store: Which::Etcd,
        ttl: Duration::from_secs(5),
        silence: Some(Duration::from_secs(1)),
    },
    Setting { what: "ours, ttl 1 s", store: Which::Etcd, ttl: Duration::from_secs(1), silence: None },
    Setting { what: "ours, ttl 5 s", store: Which::Consul, ttl: Duration::from_secs(5), silence: None },
    Setting { what: "ours, ttl 1 s", store: Which::Consul, ttl: Duration::from_secs(1), silence: None },
];

/// Requests a minute of Patroni 4.1.5 at its fastest, as they were counted once; printed where it is not installed.
const QUOTED: f64 = 125.0;

pub(super) async fn run(args: &RestArgs) -> Fallible {
    let mut beds = vec![Bed::idle(Which::Etcd).await?, Bed::idle(Which::Consul).await?];
    for setting in &SETTINGS {
        beds.push(Bed::of_ours(setting).await?);
    }
    match Programs::find(args.patroni.as_deref()) {
        Ok(programs) => {
            beds.push(Bed::of_patroni(&programs, "Patroni, fastest", FASTEST).await?);
            beds.push(Bed::of_patroni(&programs, "Patroni, defaults", DEFAULTS).await?);
        }
        Err(missing) => eprintln!("Patroni is not measured: {missing}"),
    }
    sleep(CALM).await;
    let mut before = Vec::new();
    for bed in &beds {
        before.push(bed.look().await?);
    }
    eprintln!("counting for {:?}", args.time);
    sleep(args.time).await;
    let mut rows = Vec::new();
    for (bed, before) in beds.iter().zip(before) {
        rows.push(Row::between(bed, &before, &bed.look().await?));
    }
    print(args, &rows);
    Ok(())
}

/// A store and who lies on it.
#[derive(Debug)]
struct Bed {
    what: &'static str,
    store: Which,
    // Clients end before their store.
    nodes: Vec<Contender>,
    patroni: Option<Patroni>,
    server: Server,
    _directory: TempDir,
}

#[derive(Debug)]
enum Server {
    Etcd(Etcd),
    Consul(Consul, Counter),
}

impl Server {
    async fn start(store: Which) -> Fallible<Self> {
        if store == Which::Consul {
            let consul = Consul::start(1).await?;
            let counter = Counter::start(consul.http(0)).await?;
            return Ok(Self::Consul(consul, counter));
        }
        Ok(Self::Etcd(Etcd::start(1).await?))
    }

    fn endpoint(&self) -> String {
        match self {
            Self::Etcd(etcd) => etcd.endpoints().concat(),
            Self::Consul(_, counter) => counter.endpoint(),
        }
    }

    fn pid(&self) -> u32 {
        match self {
            Self::Etcd(etcd) => etcd.process(0).pid(),
            Self::Consul(consul, _) => consul.process(0).pid(),
        }
    }

    /// How many requests there have been, by kind.
    async fn requests(&self) -> Fallible<BTreeMap<String, u64>> {
        match self {
            Self::Etcd(etcd) => {
                let client = reqwest::Client::builder().no_proxy().build()?;
                let text = client.get(format!("{}/metrics", etcd.endpoints().concat())).send().await?.text().await?;
                Ok(etcd_requests(&text))
            }
            Self::Consul(_, counter) => Ok(BTreeMap::from([("HTTP".to_owned(), counter.count())])),
        }
    }
}

/// Single calls, and messages on streams (a keep-alive of a lease is one), as etcd counts them. Its own health checks are none.
fn etcd_requests(metrics: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in metrics.lines() {
        let single = line.starts_with("grpc_server_started_total{") && line.contains("grpc_type=\"unary\"");
        let message = line.starts_with("grpc_server_msg_received_total{") && line.contains("grpc_type=\"bidi_stream\"");
        let method = line.split_once("grpc_method=\"").and_then(|(_, rest)| rest.split('"').next());
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<f64>().ok());
        if let (true, Some(method), Some(count)) = (single || message, method, count) {
            *counts.entry(method.to_owned()).or_default() += count as u64;
        }
    }
    counts
}

/// What has been counted until a moment.
#[derive(Debug)]
struct Look {
    at: Instant,
    requests: BTreeMap<String, u64>,
    store: Duration,
    agents: Duration,
}

impl Bed {
    async fn idle(store: Which) -> Fallible<Self> {
        Ok(Self {
            what: "nobody",
            store,
            nodes: Vec::new(),
            patroni: None,
            server: Server::start(store).await?,
            _directory: tempfile::tempdir()?,
        })
    }

    async fn of_ours(setting: &Setting) -> Fallible<Self> {
        let Setting { what, store, ttl, silence } = *setting;
        let server = Server::start(store).await?;
        let directory = tempfile::Builder::new().prefix("odoo-ha-bench-").tempdir()?;
        let members = ["node_a", "node_b"];
        let mut nodes = Vec::new();
        for member in members {
            let arguments = node_arguments(&Member {
                cluster: "rest",
                member,
                members: &members,
                store,
                endpoints: &[server.endpoint()],
                directory: directory.path(),
                ttl,
                synchronous: true,
                silence,
            });
            nodes.push(Contender::start(member.to_owned(), arguments, directory.path())?);
        }
        let limit = Instant::now() + SETTLE;
        while !nodes.iter().all(Contender::is_whole) {
            if Instant::now() > limit {
                let words: Vec<_> = nodes.iter().map(Contender::last_words).collect();
                return Err(format!("a cluster is not whole within {SETTLE:?}\n{}", words.join("\n")).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(Self { what, store, nodes, patroni: None, server, _directory: directory })
    }

    async fn of_patroni(programs: &Programs, what: &'static str, settings: Settings) -> Fallible<Self> {
        let mut bed = Self { what, ..Self::idle(Which::Etcd).await? };
        bed.patroni = Some(Patroni::start(programs, &bed.server.endpoint(), settings).await?);
        Ok(bed)
    }

    fn agents(&self) -> Vec<u32> {
        let ours = self.nodes.iter().map(Contender::pid);
        ours.chain(self.patroni.iter().flat_map(Patroni::agents)).collect()
    }

    async fn look(&self) -> Fallible<Look> {
        Ok(Look {
            at: Instant::now(),
            requests: self.server.requests().await?,
            store: processor_time(self.server.pid()),
            agents: self.agents().into_iter().map(processor_time).sum(),
        })
    }
}

/// What one bed comes to, a minute.
#[derive(Debug)]
struct Row {
    what: &'static str,
    store: Which,
    requests: f64,
    kinds: String,
    store_seconds: f64,
    agent_seconds: f64,
    agent_mib: u64,
}

impl Row {
    fn between(bed: &Bed, before: &Look, after: &Look) -> Self {
        let minutes = (after.at - before.at).as_secs_f64() / 60.0;
        let rate = |method: &str, count: u64| {
            (count - before.requests.get(method).copied().unwrap_or_default()) as f64 / minutes
        };
        let rates: Vec<_> = after.requests.iter().map(|(method, count)| (method, rate(method, *count))).collect();
        let kinds = rates.iter().filter(|(_, rate)| *rate > 0.0).map(|(method, rate)| format!("{rate:.0} {method}"));
        let agents = bed.agents();
        let each = agents.len().max(1);
        Self {
            what: bed.what,
            store: bed.store,
            requests: rates.iter().map(|(_, rate)| rate).sum(),
            kinds: kinds.collect::<Vec<_>>().join(" + "),
            store_seconds: (after.store - before.store).as_secs_f64() / minutes,
            agent_seconds: (after.agents - before.agents).as_secs_f64() / minutes / each as f64,
            agent_mib: agents.iter().map(|pid| status(*pid, "VmRSS")).sum::<u64>() / 1024 / each as u64,
        }
    }
}

fn print(args: &RestArgs, rows: &[Row]) {
    println!("Two members at rest, {:?}; every figure is a minute's", args.time);
    println!();
    let heading = [
        "who is at rest",
        "store",
        "requests",
        "of which",
        "store's processor",
        "more than idle",
        "processor a node",
        "memory a node",
    ];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    let idle = |store: Which| rows.iter().find(|row| row.store == store).map_or(0.0, |row| row.store_seconds);
    for row in rows {
        table.push(vec![
            row.what.to_owned(),
            if row.store == Which::Consul { "Consul" } else { "etcd" }.to_owned(),
            format!("{:.0}", row.requests),
            row.kinds.clone(),
            format!("{:.2} s", row.store_seconds),
            format!("{:.2} s", (row.store_seconds - idle(row.store)).max(0.0)),
            format!("{:.2} s", row.agent_seconds),
            format!("{} MiB", row.agent_mib),
        ]);
    }
    print_table(&table);
    let find = |what: &str| rows.iter().find(|row| row.what == what && row.store == Which::Etcd);
    let fastest = find("Patroni, fastest");
    let (requests, how) = fastest.map_or((QUOTED, "quoted, not measured"), |row| (row.requests, "same run"));
    for Setting { what, .. } in SETTINGS.iter().filter(|setting| setting.store == Which::Etcd) {
        let Some(ours) = find(what) else { continue };
        println!("requests, {what} by Patroni's fastest ({requests:.0}, {how}): {}", ratio(ours.requests, requests));
        if let Some(peer) = fastest {
            let more = |row: &Row| row.store_seconds - idle(Which::Etcd);
            println!("etcd's processor beyond idle, likewise: {}", ratio(more(ours), more(peer)));
        }
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_messages_are_counted_and_streams_are_not() {
        let metrics = r#"# HELP grpc_server_started_total Total
grpc_server_started_total{grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 12
grpc_server_started_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"} 7
grpc_server_msg_received_total{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"} 8
grpc_server_msg_received_total{grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"} 12
"#;
        let expected = [("LeaseKeepAlive".to_owned(), 8), ("Txn".to_owned(), 12)];
        assert_eq!(etcd_requests(metrics), BTreeMap::from(expected));
    }
}
