//! A real etcd of one or three members, with etcd's own defaults of time.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use tempfile::TempDir;

use super::Fallible;
use crate::stores::{StoreProcess, find_tool, free_port};

/// The version that is measured.
const VERSION: &str = "etcd-3.5";

/// How long it may take until it serves.
const READY: Duration = Duration::from_secs(60);

const STEP: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Etcd {
    members: Vec<Member>,
    /// Dropped after the members.
    _directory: TempDir,
}

#[derive(Debug)]
struct Member {
    process: StoreProcess,
    url: String,
}

impl Etcd {
    /// Starts it and waits until every member serves.
    pub(super) async fn start(members: u8) -> Fallible<Self> {
        let program = find_tool(VERSION, "etcd").ok_or("etcd-3.5 is not there: `.ci/peers etcd-3.5` unpacks it")?;
        let directory = tempfile::Builder::new().prefix("odoo-ha-bench-etcd-").tempdir()?;
        let places: Vec<_> = (1..=members)
            .map(|number| {
                let ip = IpAddr::V4(Ipv4Addr::new(127, 0, 0, number));
                let url = || format!("http://{ip}:{}", free_port(ip));
                (format!("m{number}"), url(), url())
            })
            .collect();
        let cluster: Vec<_> = places.iter().map(|(name, _, peer)| format!("{name}={peer}")).collect();
        let members = places.into_iter().map(|(name, client, peer)| {
            let data = directory.path().join(&name).display().to_string();
            let arguments = [
                ("name", name.as_str()),
                ("data-dir", &data),
                ("listen-client-urls", &client),
                ("advertise-client-urls", &client),
                ("listen-peer-urls", &peer),
                ("initial-advertise-peer-urls", &peer),
                ("initial-cluster", &cluster.join(",")),
                ("logger", "zap"),
                ("log-level", "warn"),
            ]
            .map(|(name, value)| format!("--{name}={value}"));
            Member { process: StoreProcess::start(&name, &program, arguments, directory.path()), url: client }
        });
        let etcd = Self { members: members.collect(), _directory: directory };
        etcd.serves().await?;
        Ok(etcd)
    }

    pub(super) fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.url.clone()).collect()
    }

    pub(super) fn process(&self, number: usize) -> &StoreProcess {
        &self.members[number].process
    }

    /// Waits until every member knows a leader.
    pub(super) async fn serves(&self) -> Fallible {
        let limit = tokio::time::Instant::now() + READY;
        for member in &self.members {
            while status(member).await.is_none_or(|(_, leader)| leader == 0) {
                if tokio::time::Instant::now() > limit {
                    return Err(format!("etcd does not serve within {READY:?}: {}", member.process.log()).into());
                }
                tokio::time::sleep(STEP).await;
            }
        }
        Ok(())
    }

    /// The number of the member that leads.
    pub(super) async fn leader(&self) -> Fallible<usize> {
        for (number, member) in self.members.iter().enumerate() {
            if status(member).await.is_some_and(|(own, leader)| own == leader) {
                return Ok(number);
            }
        }
        Err("no member of etcd leads".into())
    }
}

/// Its own id, and its leader's.
async fn status(member: &Member) -> Option<(u64, u64)> {
    let options = ConnectOptions::new().with_timeout(Duration::from_millis(500));
    let mut client = Client::connect([&member.url], Some(options)).await.ok()?;
    let status = client.status().await.ok()?;
    Some((status.header()?.member_id(), status.leader()))
}
