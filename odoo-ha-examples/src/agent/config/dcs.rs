//! `[dcs.sqlite]`, `[dcs.etcd]`, `[dcs.consul]`: the coordination store, one of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use odoo_ha_backends::consul::ConsulConfig;
use odoo_ha_backends::etcd::{EtcdConfig, EtcdTls};
use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::error::Error;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;
use super::wrong;

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DcsSection {
    /// A file, for several nodes of one machine.
    Sqlite(SqliteSection),
    /// etcd.
    Etcd(EtcdSection),
    /// Consul.
    Consul(ConsulSection),
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteSection {
    /// On a local disk, the same for all nodes.
    pub file: PathBuf,
}

/// An etcd. Either `endpoints` or `domain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdSection {
    /// Its members, `http://HOST:PORT` or `https://HOST:PORT`.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// The domain whose SRV records name them.
    pub domain: Option<String>,
    /// The DNS server that knows that domain, where it is not the system's.
    pub name_server: Option<SocketAddr>,
    /// What all keys begin with.
    #[serde(default = "etcd_prefix")]
    pub prefix: String,
    /// The user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretPlace>,
    /// Certificates of whoever signed the members' own (PEM); needed with https.
    pub ca_file: Option<PathBuf>,
    /// The agent's own certificate (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of that (PEM).
    pub key_file: Option<PathBuf>,
    /// The name in the members' certificates, where it is not the endpoint's host.
    pub server_name: Option<String>,
}

fn etcd_prefix() -> String {
    "/odoo-ha/".into()
}

/// A Consul.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsulSection {
    /// Where it is asked, in this order: the local agent, servers, or both.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    #[serde(default = "consul_prefix")]
    pub prefix: String,
    /// The data center that holds the keys.
    pub datacenter: Option<String>,
    /// The namespace that holds the keys (Consul Enterprise).
    pub namespace: Option<String>,
    /// The ACL token.
    pub token: Option<SecretPlace>,
    /// Certificates of whoever signed the servers' own (PEM); needed with https.
    pub ca_file: Option<PathBuf>,
    /// The agent's own certificate (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of that (PEM).
    pub key_file: Option<PathBuf>,
}

fn consul_prefix() -> String {
    "odoo-ha".into()
}

impl DcsSection {
    /// A client of it. Reads certificates and tokens, and connects to nobody yet.
    pub(crate) fn build(&self, cluster: ClusterId) -> Result<Arc<dyn Dcs>, Error> {
        match self {
            Self::Sqlite(section) => Ok(Arc::new(SqliteDcs::new(SqliteConfig::new(&section.file, cluster))?)),
            Self::Etcd(section) => section.build(cluster),
            Self::Consul(section) => section.build(cluster),
        }
    }
}

impl EtcdSection {
    fn build(&self, cluster: ClusterId) -> Result<Arc<dyn Dcs>, Error> {
        let mut config = EtcdConfig::new(cluster, &self.endpoints).prefix(&self.prefix);
        config.domain.clone_from(&self.domain);
        config.name_server = self.name_server;
        config = match (&self.user, &self.password) {
            (Some(user), Some(password)) => config.user(user, password.secret()),
            (None, None) => config,
            _ => return Err(wrong("dcs.etcd", "user and password belong together")),
        };
        if let Some(ca) = &self.ca_file {
            let mut tls = EtcdTls::new(ca);
            tls.server_name.clone_from(&self.server_name);
            tls.identity = identity("dcs.etcd", &self.cert_file, &self.key_file)?;
            config = config.tls(tls);
        } else if self.cert_file.is_some() || self.key_file.is_some() || self.server_name.is_some() {
            return Err(wrong("dcs.etcd", "cert_file, key_file and server_name go with ca_file"));
        }
        Ok(Arc::new(config.build()?))
    }
}

impl ConsulSection {
    fn build(&self, cluster: ClusterId) -> Result<Arc<dyn Dcs>, Error> {
        let mut config = ConsulConfig::new(&self.endpoints, cluster).prefix(&self.prefix);
        config.datacenter.clone_from(&self.datacenter);
        config.namespace.clone_from(&self.namespace);
        config.token = self.token.as_ref().map(SecretPlace::secret);
        config.ca_file.clone_from(&self.ca_file);
        config.identity = identity("dcs.consul", &self.cert_file, &self.key_file)?;
        Ok(Arc::new(config.build()?))
    }
}

fn identity(section: &str, cert: &Option<PathBuf>, key: &Option<PathBuf>) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some((cert.clone(), key.clone()))),
        (None, None) => Ok(None),
        _ => Err(wrong(section, "cert_file and key_file belong together")),
    }
}
