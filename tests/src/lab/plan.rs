//! What a lab is built by.

use super::node::Settings;
use super::store::Store;

/// What a cluster is made of.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plan {
    pub(super) nodes: usize,
    pub(super) stores: usize,
    timing: String,
    policy: String,
    cluster: String,
    postgres: String,
    pub(super) synchronous: bool,
    disk_megabytes: Option<u32>,
    files: bool,
}

impl Plan {
    /// So many nodes, one member of the store, synchronous, `ttl` 3 s.
    pub fn nodes(nodes: usize) -> Self {
        Self {
            nodes,
            stores: 1,
            timing: "ttl = \"3s\"".into(),
            policy: String::new(),
            cluster: String::new(),
            postgres: String::new(),
            synchronous: true,
            disk_megabytes: None,
            files: false,
        }
    }

    /// With so many members of the store.
    pub fn stores(mut self, stores: usize) -> Self {
        self.stores = stores;
        self
    }

    /// With other lines of `[timing]`.
    pub fn timing(mut self, timing: &str) -> Self {
        timing.clone_into(&mut self.timing);
        self
    }

    /// With these lines of `[policy]`.
    pub fn policy(mut self, policy: &str) -> Self {
        policy.clone_into(&mut self.policy);
        self
    }

    /// With more lines of `[postgres]`.
    pub fn postgres(mut self, postgres: &str) -> Self {
        postgres.clone_into(&mut self.postgres);
        self
    }

    /// With a disk of this size for each node's data.
    pub fn disks(mut self, megabytes: u32) -> Self {
        self.disk_megabytes = Some(megabytes);
        self
    }

    /// With Odoo's files on every node, served by an rsync daemon.
    pub fn files(mut self) -> Self {
        self.files = true;
        self
    }

    /// In asynchronous mode.
    pub fn asynchronous(mut self) -> Self {
        self.synchronous = false;
        self.policy("sync_mode = \"asynchronous\"")
    }

    pub(super) fn settings(&self, store: &Store) -> Settings {
        Settings {
            founders: (1..=self.nodes).map(node_name).collect(),
            store: store.urls(),
            timing: self.timing.clone(),
            policy: self.policy.clone(),
            cluster: self.cluster.clone(),
            postgres: self.postgres.clone(),
            disk_megabytes: self.disk_megabytes,
            files: self.files,
        }
    }
}

pub(super) fn node_name(number: usize) -> String {
    format!("node{number}")
}
