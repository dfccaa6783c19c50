//! What a lab is built by.

use std::collections::{BTreeMap, BTreeSet};

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
    nodes_own: BTreeMap<usize, (String, String)>,
    uncounted: BTreeSet<String>,
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
            nodes_own: BTreeMap::new(),
            uncounted: BTreeSet::new(),
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

    /// With these lines of `[cluster]` and of `[postgres]` for this node, counted from 1, besides all others'.
    pub fn node(mut self, number: usize, cluster: &str, postgres: &str) -> Self {
        self.nodes_own.insert(number, (cluster.to_owned(), postgres.to_owned()));
        self
    }

    /// Commits never wait for this node, counted from 1: its own lines say so.
    pub fn uncounted(mut self, number: usize) -> Self {
        self.uncounted.insert(node_name(number));
        self
    }

    pub(super) fn is_uncounted(&self, name: &str) -> bool {
        self.uncounted.contains(name)
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

    pub(super) fn settings(&self, store: &Store, number: usize) -> Settings {
        let (cluster, postgres) = self.nodes_own.get(&number).cloned().unwrap_or_default();
        Settings {
            founders: (1..=self.nodes).map(node_name).collect(),
            store: store.urls(),
            timing: self.timing.clone(),
            policy: self.policy.clone(),
            cluster: format!("{}\n{cluster}", self.cluster),
            postgres: format!("{}\n{postgres}", self.postgres),
            disk_megabytes: self.disk_megabytes,
            files: self.files,
        }
    }
}

pub(super) fn node_name(number: usize) -> String {
    format!("node{number}")
}
