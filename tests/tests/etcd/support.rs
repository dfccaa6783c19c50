//! A real etcd, and what the tests do with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use odoo_ha_backends::etcd::{EtcdConfig, EtcdDcs};
use odoo_ha_core::error::Error;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::{Dcs, DcsWatch, WatchEvent};
use odoo_ha_core::store::{Commit, Committed, Guard, Key, Version};
use odoo_ha_tests::stores::{Proxy, StoreProcess, eventually, free_port, tool};
use tempfile::TempDir;

/// Generous: where nothing is a matter of speed.
pub(crate) const TIME: Duration = Duration::from_secs(30);

pub(crate) const OLD: &str = "etcd-3.4";
pub(crate) const NEW: &str = "etcd-3.5";

/// An etcd of one or three members.
pub(crate) struct Etcd {
    pub(crate) members: Vec<Member>,
    /// Dropped after the members.
    _directory: TempDir,
}

pub(crate) struct Member {
    pub(crate) process: StoreProcess,
    pub(crate) client: SocketAddr,
    scheme: &'static str,
    /// Before its port for other members, where there is one.
    pub(crate) peers: Option<Proxy>,
}

impl Member {
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.client)
    }
}

/// How to start one.
pub(crate) struct Plan {
    version: &'static str,
    members: u8,
    arguments: Vec<String>,
    proxies: bool,
    tls: bool,
}

impl Plan {
    pub(crate) fn new(version: &'static str, members: u8) -> Self {
        Self { version, members, arguments: Vec::new(), proxies: false, tls: false }
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
        self
    }

    /// With a proxy before each member, for the other members.
    pub(crate) fn proxies(mut self) -> Self {
        self.proxies = true;
        self
    }

    /// Clients speak TLS; the arguments name the certificates.
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    pub(crate) fn start(self) -> Etcd {
        let directory = tempfile::Builder::new().prefix("odoo-ha-etcd-").tempdir().unwrap();
        let program = tool(self.version, "etcd");
        let scheme = if self.tls { "https" } else { "http" };
        let places: Vec<_> = (1..=self.members)
            .map(|number| {
                let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
                let (client, peer) = (SocketAddr::new(ip, free_port(ip)), SocketAddr::new(ip, free_port(ip)));
                let proxy = self.proxies.then(|| Proxy::start(SocketAddr::new(ip, free_port(ip)), peer));
                (format!("m{number}"), client, peer, proxy)
            })
            .collect();
        let advertised = |peer: &SocketAddr, proxy: &Option<Proxy>| {
            format!("http://{}", proxy.as_ref().map_or(*peer, Proxy::address))
        };
        let cluster: Vec<_> =
            places.iter().map(|(name, _, peer, proxy)| format!("{name}={}", advertised(peer, proxy))).collect();
        let members = places.into_iter().map(|(name, client, peer, proxy)| {
            let data = directory.path().join(&name).display().to_string();
            let (client_url, peer_url) = (format!("{scheme}://{client}"), format!("http://{peer}"));
            let mut arguments: Vec<String> = [
                ("name", name.as_str()),
                ("data-dir", &data),
                ("listen-client-urls", &client_url),
                ("advertise-client-urls", &client_url),
                ("listen-peer-urls", &peer_url),
                ("initial-advertise-peer-urls", &advertised(&peer, &proxy)),
                ("initial-cluster", &cluster.join(",")),
                ("initial-cluster-token", "odoo-ha-test"),
                // A fifth of the defaults: less waiting.
                ("heartbeat-interval", "20"),
                ("election-timeout", "200"),
                ("logger", "zap"),
            ]
            .into_iter()
            .map(|(name, value)| format!("--{name}={value}"))
            .collect();
            arguments.extend(self.arguments.iter().cloned());
            let process = StoreProcess::start(&name, &program, arguments, directory.path());
            Member { process, client, scheme, peers: proxy }
        });
        Etcd { members: members.collect(), _directory: directory }
    }

    /// Starts it and waits until it serves.
    pub(crate) async fn serving(self) -> Etcd {
        let etcd = self.start();
        etcd.serves().await;
        etcd
    }
}

impl Etcd {
    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(Member::url).collect()
    }

    pub(crate) fn config(&self) -> EtcdConfig {
        EtcdConfig::new(cluster("shop"), self.urls())
    }

    /// A client of the cluster `shop`.
    pub(crate) fn open(&self) -> EtcdDcs {
        self.config().build().unwrap()
    }

    /// A client of one member only.
    pub(crate) fn open_at(&self, member: usize) -> EtcdDcs {
        EtcdConfig::new(cluster("shop"), [self.members[member].url()]).build().unwrap()
    }

    /// Waits until every member that runs answers a linearizable read.
    pub(crate) async fn serves(&self) {
        for (number, member) in self.members.iter().enumerate().filter(|(_, member)| member.process.is_running()) {
            let store = self.open_at(number);
            let ready = async || store.read(Duration::from_secs(1)).await.ok();
            let waiting = tokio::time::timeout(TIME, eventually("the member serves", TIME * 2, ready)).await;
            assert!(waiting.is_ok(), "{}", member.process.log());
        }
    }

    /// A client that can do everything, and retries nothing.
    pub(crate) async fn admin(&self) -> Client {
        let options = ConnectOptions::new().with_timeout(Duration::from_secs(20));
        Client::connect([self.members[0].url()], Some(options)).await.unwrap()
    }

    /// The number of the member that leads.
    pub(crate) async fn leader(&self) -> usize {
        eventually("a member leads", TIME, async || {
            for (number, member) in self.members.iter().enumerate().filter(|(_, member)| member.process.is_running()) {
                let options = ConnectOptions::new().with_timeout(Duration::from_millis(500));
                let Ok(mut client) = Client::connect([member.url()], Some(options)).await else { continue };
                if let Ok(status) = client.status().await
                    && status.header().is_some_and(|header| header.member_id() == status.leader())
                {
                    return Some(number);
                }
            }
            None
        })
        .await
    }
}

pub(crate) fn cluster(name: &str) -> ClusterId {
    ClusterId::new(name).unwrap()
}

pub(crate) fn write(guards: Vec<Guard>, value: impl AsRef<[u8]>) -> Commit {
    Commit { guards, writes: BTreeMap::from([(Key::leader(), value.as_ref().to_vec())]) }
}

/// The version of the leader record that a commit wrote.
pub(crate) fn version(committed: &Committed) -> Version {
    committed.versions[&Key::leader()]
}

/// The leader record's value.
pub(crate) async fn value(store: &dyn Dcs) -> Option<Vec<u8>> {
    store.read(TIME).await.unwrap().entries.get(&Key::leader()).map(|entry| entry.value.clone())
}

/// Commits with a guard on what is there, until it is answered as done.
pub(crate) async fn put(store: &dyn Dcs, text: &str) -> Version {
    eventually("a commit is done", TIME, async || {
        let entry = store.read(Duration::from_secs(2)).await.ok()?.entries.remove(&Key::leader());
        let guard = entry.map_or(Guard::Absent(Key::leader()), |entry| Guard::Version(Key::leader(), entry.version));
        let done = store.commit(&write(vec![guard], text), Duration::from_secs(2)).await.ok()?;
        Some(version(&done))
    })
    .await
}

/// The next event of a watch, which must come in time.
pub(crate) async fn event(watch: &mut Box<dyn DcsWatch>) -> Result<WatchEvent, Error> {
    tokio::time::timeout(TIME, watch.next()).await.expect("the watch tells something")
}

/// Waits until a watch shows this value of the leader record; all that it shows on the way.
pub(crate) async fn until_shown(watch: &mut Box<dyn DcsWatch>, text: &str) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    loop {
        match event(watch).await {
            Ok(WatchEvent::Changed { changes, .. }) => {
                seen.extend(changes.into_iter().filter_map(|change| change.entry).map(|entry| entry.value));
                if seen.last().is_some_and(|value| value == text.as_bytes()) {
                    return seen;
                }
            }
            other => panic!("waiting for {text:?}: {other:?}"),
        }
    }
}
