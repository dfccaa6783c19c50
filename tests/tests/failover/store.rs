//! An etcd or a Consul of one server, for a demo to use.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use odoo_ha_tests::stores::{StoreProcess, eventually, free_port, tool};
use tempfile::TempDir;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long a server may take until it has itself as leader.
const READY: Duration = Duration::from_secs(40);

/// A store that ends with its value.
pub(crate) struct Store {
    /// As the demo wants to hear it.
    pub(crate) url: String,
    _process: StoreProcess,
    /// Dropped after the process.
    _directory: TempDir,
}

impl Store {
    pub(crate) fn etcd() -> Self {
        let directory = tempfile::Builder::new().prefix("odoo-ha-etcd-").tempdir().unwrap();
        let (client, peer) = (free_port(HERE), free_port(HERE));
        let (client_url, peer_url) = (format!("http://{HERE}:{client}"), format!("http://{HERE}:{peer}"));
        let data = directory.path().join("data").display().to_string();
        let arguments = [
            format!("--data-dir={data}"),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
        ];
        let process = StoreProcess::start("etcd", &tool("etcd-3.5", "etcd"), arguments, directory.path());
        wait_for(&format!("{client_url}/health"), "true");
        Self { url: format!("etcd://{HERE}:{client}"), _process: process, _directory: directory }
    }

    pub(crate) fn consul() -> Self {
        let directory = tempfile::Builder::new().prefix("odoo-ha-consul-").tempdir().unwrap();
        let [http, rpc, serf] = [(); 3].map(|()| free_port(HERE));
        let data = directory.path().join("data").display().to_string();
        let arguments = ["agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", "-client=127.0.0.1"]
            .map(str::to_owned)
            .into_iter()
            .chain([
                format!("-data-dir={data}"),
                format!("-http-port={http}"),
                format!("-server-port={rpc}"),
                format!("-serf-lan-port={serf}"),
                "-serf-wan-port=-1".into(),
                "-dns-port=-1".into(),
            ]);
        let process = StoreProcess::start("consul", &tool("consul-1.8", "consul"), arguments, directory.path());
        wait_for(&format!("http://{HERE}:{http}/v1/status/leader"), &rpc.to_string());
        Self { url: format!("consul://{HERE}:{http}"), _process: process, _directory: directory }
    }
}

/// Waits until what this address answers contains that.
fn wait_for(url: &str, part: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(eventually("the store is ready", READY, async || {
        let said = reqwest::get(url).await.ok()?.text().await.ok()?;
        said.contains(part).then_some(())
    }));
}
