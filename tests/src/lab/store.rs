//! The etcd of a lab: one member or three, each on a host of its own.

use std::path::Path;
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use odoo_ha_backends::etcd::{EtcdConfig, EtcdDcs};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::records::{Record, decode};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::Key;

use super::network::{Host, Network};
use super::programs::Programs;
use crate::stores::{StoreProcess, eventually};

/// The name of every lab's cluster.
pub(super) const CLUSTER: &str = "lab";

/// Longest time until it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// A real store, and a client of the lab's own that nothing cuts off.
#[derive(Debug)]
pub struct Store {
    members: Vec<(Host, StoreProcess)>,
    client: EtcdDcs,
    cluster: ClusterId,
}

impl Store {
    pub(super) async fn start(network: &Network, programs: &Programs, members: usize, directory: &Path) -> Self {
        let hosts: Vec<Host> = (1..=members).map(|number| network.host(&format!("store{number}"))).collect();
        let all: Vec<String> = hosts.iter().map(|host| format!("{}=http://{}:2380", host.name(), host.ip())).collect();
        let members: Vec<(Host, StoreProcess)> = hosts
            .into_iter()
            .map(|host| {
                let [enter, network] = host.enter();
                let (client, peer) = (url(&host), format!("http://{}:2380", host.ip()));
                let mut arguments = vec![network, programs.etcd.display().to_string()];
                arguments.extend(
                    [
                        ("name", host.name()),
                        ("data-dir", &directory.join(host.name()).display().to_string()),
                        ("listen-client-urls", &client),
                        ("advertise-client-urls", &client),
                        ("listen-peer-urls", &peer),
                        ("initial-advertise-peer-urls", &peer),
                        ("initial-cluster", &all.join(",")),
                        ("logger", "zap"),
                    ]
                    .map(|(name, value)| format!("--{name}={value}")),
                );
                let process = StoreProcess::start(host.name(), Path::new(&enter), arguments, directory);
                (host, process)
            })
            .collect();
        let cluster = ClusterId::new(CLUSTER).expect("it is a name");
        let client = EtcdConfig::new(cluster.clone(), members.iter().map(|(host, _)| url(host)));
        let store = Self { members, client: client.build().expect("it is right"), cluster };
        eventually("the store serves", PATIENCE, async || store.client.read(Duration::from_secs(1)).await.ok()).await;
        store
    }

    /// Where clients ask.
    pub fn urls(&self) -> Vec<String> {
        self.members.iter().map(|(host, _)| url(host)).collect()
    }

    /// The hosts of its members.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.members.iter().map(|(host, _)| host)
    }

    /// The processes of its members.
    pub fn processes(&self) -> impl Iterator<Item = &StoreProcess> {
        self.members.iter().map(|(_, process)| process)
    }

    /// The member that leads the others.
    pub async fn leader(&self) -> usize {
        eventually("a member of the store leads", PATIENCE, async || {
            for (number, (host, _)) in self.members.iter().enumerate().filter(|(_, (_, process))| process.is_running())
            {
                let options = ConnectOptions::new().with_timeout(Duration::from_millis(500));
                let Ok(mut client) = Client::connect([url(host)], Some(options)).await else { continue };
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

    /// The process of a member.
    pub fn member(&self, number: usize) -> &StoreProcess {
        &self.members[number].1
    }

    /// A record, as it stands there now; `None` when it does not, or the store does not answer.
    pub async fn record<R: Record>(&self, key: &Key) -> Option<R> {
        let snapshot = self.client.read(Duration::from_secs(2)).await.ok()?;
        decode(&self.cluster, key, &snapshot.entries.get(key)?.value).ok()
    }
}

fn url(host: &Host) -> String {
    format!("http://{}:2379", host.ip())
}
