//! What an operator says about the store.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;

use super::dcs::EtcdDcs;
use super::target::Target;
use crate::common::secret::Secret;

/// Most endpoints. etcd clusters have up to seven members.
const MOST_ENDPOINTS: usize = 32;

/// Longest prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 256;

/// Which etcd, and which cluster's keys in it.
#[derive(Clone)]
#[non_exhaustive]
pub struct EtcdConfig {
    /// The members, as `http://HOST:PORT` or `https://HOST:PORT`, all of the same kind; at most 32. Empty when they are
    /// [discovered](EtcdConfig::discover).
    pub endpoints: Vec<String>,
    /// The domain whose DNS SRV records name the members.
    pub domain: Option<String>,
    /// The DNS server to ask for them, instead of the system's.
    pub name_server: Option<SocketAddr>,
    /// The cluster; several may share an etcd.
    pub cluster: ClusterId,
    /// What all keys begin with; the cluster's name and `/` follow. Default `/odoo-ha/`.
    pub prefix: String,
    /// The user's name and password, where etcd asks for them.
    pub user: Option<(String, Secret)>,
    /// Certificates, where the endpoints are `https`.
    pub tls: Option<EtcdTls>,
    /// After how long without an answer the next endpoint is tried as well. At most; a call with little time waits less. Default
    /// 250 ms, 10 ms to 5 s.
    pub attempt: Duration,
    /// How long a watch may be silent before it asks its member for a sign of life, which gets as long again. Default 1.5 s, 100 ms to 60 s:
    /// longer than a leader with the default `ttl` is silent, so a watch is not asked while somebody leads.
    pub silence: Duration,
}

impl EtcdConfig {
    /// This cluster in the etcd that has these members.
    pub fn new(cluster: ClusterId, endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            domain: None,
            name_server: None,
            cluster,
            prefix: "/odoo-ha/".into(),
            user: None,
            tls: None,
            attempt: Duration::from_millis(250),
            silence: Duration::from_millis(1500),
        }
    }

    /// This cluster in the etcd whose members the DNS SRV records of a domain name: `_etcd-client._tcp.DOMAIN`, and
    /// `_etcd-client-ssl._tcp.DOMAIN` with TLS (<https://etcd.io/docs/v3.5/op-guide/clustering/#dns-discovery>). They are asked for at the first
    /// call, then again in the background every 30 s, and sooner when no member answers.
    pub fn discover(cluster: ClusterId, domain: impl Into<String>) -> Self {
        Self { domain: Some(domain.into()), ..Self::new(cluster, [""; 0]) }
    }

    /// With this DNS server.
    #[must_use]
    pub const fn name_server(mut self, server: SocketAddr) -> Self {
        self.name_server = Some(server);
        self
    }

    /// With this prefix. A `/` is added where it ends without one.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// As this user. A password in a file is read at every login: a file that is replaced counts from the next one on.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>, password: Secret) -> Self {
        self.user = Some((name.into(), password));
        self
    }

    /// With these certificates.
    #[must_use]
    pub fn tls(mut self, tls: EtcdTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// With this time for a try.
    #[must_use]
    pub const fn attempt(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// With this time of silence on a watch.
    #[must_use]
    pub const fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// A client. Nothing is connected, resolved or read yet.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the endpoints or times are none that can be.
    pub fn build(self) -> Result<EtcdDcs, Error> {
        let targets = self.check()?;
        Ok(EtcdDcs::new(self, targets))
    }

    /// What all keys of the cluster begin with.
    pub(super) fn key_prefix(&self) -> String {
        let slash = if self.prefix.ends_with('/') { "" } else { "/" };
        format!("{}{slash}{}/", self.prefix, self.cluster)
    }

    fn check(&self) -> Result<Vec<Target>, Error> {
        let refuse = |what: &str| Err(Error::new(ErrorKind::Misconfigured, format!("etcd's configuration {what}")));
        let targets = self.endpoints.iter().map(|url| Target::parse(url)).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() != self.domain.is_some() {
            return refuse("needs either endpoints or a domain to discover them by");
        }
        if targets.len() > MOST_ENDPOINTS {
            return refuse("has more than 32 endpoints");
        }
        if targets.iter().any(|target| target.tls != self.tls.is_some()) {
            return refuse("needs certificates with https endpoints, and has none with http");
        }
        if self.prefix.is_empty() || self.prefix.len() > MAX_PREFIX_BYTES || self.prefix.chars().any(char::is_control) {
            return refuse("needs a prefix of 1 to 256 bytes without control characters");
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(5)).contains(&self.attempt) {
            return refuse("has an attempt that is not from 10 ms to 5 s");
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&self.silence) {
            return refuse("has a silence that is not from 100 ms to 60 s");
        }
        Ok(targets)
    }
}

impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("prefix", &self.key_prefix())
            .field("domain", &self.domain)
            // An endpoint that is none may hold anything.
            .field("endpoints", &self.endpoints.iter().filter_map(|url| Target::parse(url).ok()).collect::<Vec<_>>())
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Certificates, in PEM files that are read at every new connection: replaced ones count from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdTls {
    /// Who must have issued the members' certificates. The system's authorities are not used.
    pub authority: PathBuf,
    /// The client's own certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the members' certificates, where it is not the endpoint's host.
    pub server_name: Option<String>,
}

impl EtcdTls {
    /// Trusting this authority.
    pub fn new(authority: impl Into<PathBuf>) -> Self {
        Self { authority: authority.into(), identity: None, server_name: None }
    }

    /// With a certificate of our own and its key.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Expecting this name in the members' certificates.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}
