//! What an operator says about the store.

use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::store::Key;

use super::dcs::ConsulDcs;
use crate::common::secret::Secret;

/// Most endpoints: a call asks them one after another, so more would leave none of them time.
const MOST_ENDPOINTS: usize = 16;

/// Shortest [`attempt`](ConsulConfig::attempt): less than a busy machine takes to answer its neighbour.
const SHORTEST_ATTEMPT: Duration = Duration::from_millis(20);

/// Consul itself lets a query wait for ten minutes at most; so long would a member that stopped answering go unnoticed.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Which Consul, and which cluster in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsulConfig {
    /// Where it is asked, `http://host:port` or `https://host:port`, in this order: the local agent, several servers, or both.
    /// At most 16.
    pub endpoints: Vec<String>,
    /// The cluster; several may share a Consul.
    pub cluster: ClusterId,
    /// What all keys begin with, before the cluster's name. Default `odoo-ha`: the leader record of the cluster `shop` is
    /// `odoo-ha/shop/leader`.
    pub prefix: String,
    /// The data center that holds the keys, where it is another than the endpoints' own.
    pub datacenter: Option<String>,
    /// The namespace that holds the keys. Only Consul Enterprise has namespaces; another one refuses to be read.
    pub namespace: Option<String>,
    /// The ACL token, where ACLs are on; white space around it does not count. A file is read again when the store refuses the token,
    /// so a rotated one works without a restart.
    pub token: Option<Secret>,
    /// The certificates (PEM) of whoever signed the servers' own; with `https`, they are needed, and no others are trusted.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate (PEM, with its chain) and its key, where the servers ask for one. Both files are read
    /// again when a connection is refused, so renewed ones work without a restart.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Longest first try at one endpoint before the next one is asked; later tries are longer. Default 500 ms, at least 20 ms.
    /// A call with little time tries for less.
    pub attempt: Duration,
    /// How long a watch lets the store wait for changes before it asks anew: that long can an endpoint that stopped answering
    /// go unnoticed by it. Default 2 s, 100 ms to 60 s.
    pub watch_wait: Duration,
}

impl ConsulConfig {
    /// This cluster at these endpoints, without token or TLS.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>, cluster: ClusterId) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            cluster,
            prefix: "odoo-ha".into(),
            datacenter: None,
            namespace: None,
            token: None,
            ca_file: None,
            identity: None,
            attempt: Duration::from_millis(500),
            watch_wait: Duration::from_secs(2),
        }
    }

    /// With this in front of the cluster's name.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// In this data center.
    #[must_use]
    pub fn datacenter(mut self, datacenter: impl Into<String>) -> Self {
        self.datacenter = Some(datacenter.into());
        self
    }

    /// In this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// With the token that is there.
    #[must_use]
    pub fn token(mut self, source: Secret) -> Self {
        self.token = Some(source);
        self
    }

    /// Trusting whom these certificates signed, and nobody else.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// With a client certificate and its key.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// With this longest first try at one endpoint.
    #[must_use]
    pub const fn attempt(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// With this wait of a watch.
    #[must_use]
    pub const fn watch_wait(mut self, wait: Duration) -> Self {
        self.watch_wait = wait;
        self
    }

    /// A client. Reads the token and the certificates, and connects to nobody yet.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when a value cannot be used, or a file that it names cannot be.
    pub fn build(self) -> Result<ConsulDcs, Error> {
        self.check()?;
        ConsulDcs::new(&self)
    }

    /// What every key of the cluster begins with.
    pub(super) fn key_prefix(&self) -> String {
        format!("{}/{}/", self.prefix, self.cluster)
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |what: String, hint: &str| Err(Error::new(ErrorKind::Misconfigured, what).hint(hint));
        if self.endpoints.is_empty() || self.endpoints.len() > MOST_ENDPOINTS {
            let what = format!("the store has {} endpoints", self.endpoints.len());
            return refuse(what, "name one to 16, such as http://127.0.0.1:8500");
        }
        if Key::parse(&self.prefix).is_err() {
            let what = format!("{:?} cannot stand before the store's keys", self.prefix);
            return refuse(what, "use letters, digits, '_', '-', '.', and '/' between parts");
        }
        for (what, name) in [("data center", &self.datacenter), ("namespace", &self.namespace)] {
            let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            if name.as_ref().is_some_and(|name| name.is_empty() || !name.bytes().all(fine)) {
                return refuse(format!("{name:?} is no name of a {what}"), "use letters, digits, '_' and '-'");
            }
        }
        if self.attempt < SHORTEST_ATTEMPT {
            let what = format!("a try at one endpoint of the store may take {:?}", self.attempt);
            return refuse(what, "give it 20ms or more; the default is 500ms");
        }
        if !(Duration::from_millis(100)..=LONGEST_WAIT).contains(&self.watch_wait) {
            let what = format!("a watch of the store waits for {:?}", self.watch_wait);
            return refuse(what, "it may wait for 100ms to 60s; the default is 2s");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_refused_with_a_hint() {
        let config = || ConsulConfig::new(["http://127.0.0.1:1"], ClusterId::new("shop").unwrap());
        let cases = [
            ConsulConfig { endpoints: Vec::new(), ..config() },
            ConsulConfig { endpoints: vec!["http://127.0.0.1:1".into(); 17], ..config() },
            ConsulConfig { endpoints: vec!["127.0.0.1:8500".into()], ..config() },
            ConsulConfig { endpoints: vec!["ftp://127.0.0.1".into()], ..config() },
            ConsulConfig { endpoints: vec!["http://me:secret@127.0.0.1:8500".into()], ..config() },
            ConsulConfig { endpoints: vec!["http://127.0.0.1:8500/v1".into()], ..config() },
            ConsulConfig { endpoints: vec!["http://127.0.0.1:8500/?token=secret".into()], ..config() },
            ConsulConfig { endpoints: vec!["https://127.0.0.1:8501".into()], ..config() },
            config().ca_file("/nowhere/ca.pem"),
            config().prefix(""),
            config().prefix("/odoo-ha"),
            config().prefix("odoo ha"),
            config().datacenter(""),
            config().namespace("a&b=c"),
            config().attempt(Duration::from_millis(1)),
            config().watch_wait(Duration::ZERO),
            config().watch_wait(Duration::from_secs(600)),
            config().token(Secret::from_file("/nowhere/token")),
            config().token(Secret::from_environment("ODOO_HA_TEST_NO_SUCH_VARIABLE")),
        ];
        for case in cases {
            let told = format!("{case:?}");
            let error = case.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured, "{told}");
            assert!(error.to_string().contains('('), "a hint is missing: {error}");
            assert!(!error.chain().contains("secret"), "{error}");
        }
        config().build().unwrap();
    }
}
