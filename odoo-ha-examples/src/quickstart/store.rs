//! Where the nodes agree on who leads: a file of the demo's own, or an etcd or a Consul that runs already.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

#[cfg(any(feature = "etcd", feature = "consul"))]
use odoo_ha_backends::Secret;
#[cfg(feature = "consul")]
use odoo_ha_backends::consul::ConsulConfig;
#[cfg(feature = "etcd")]
use odoo_ha_backends::etcd::{EtcdConfig, EtcdTls};
use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::error::Error;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;
use serde::{Deserialize, Serialize};

use super::trouble::Trouble;

/// The variable with the password of etcd's user.
#[cfg(feature = "etcd")]
const ETCD_PASSWORD: &str = "ETCD_PASSWORD";

/// The variable with Consul's token, the one that Consul's own programs read.
#[cfg(feature = "consul")]
const CONSUL_TOKEN: &str = "CONSUL_HTTP_TOKEN";

/// How long a store may take to answer before the demo begins.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Where the nodes agree on who leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// A file in the work directory.
    Sqlite,
    /// An etcd.
    Etcd(Servers),
    /// A Consul.
    Consul(Servers),
}

/// The servers of a store, and how to get in. Passwords and tokens come from the environment or from files only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Servers {
    /// Host and port of each.
    hosts: Vec<String>,
    /// Certificates of whoever signed the servers' own; with them the servers are asked by TLS.
    ca: Option<PathBuf>,
    /// The client's own certificate.
    cert: Option<PathBuf>,
    /// The key of that.
    key: Option<PathBuf>,
    /// The user's name (etcd).
    user: Option<String>,
    /// The file with the user's password, or with the token.
    secret_file: Option<PathBuf>,
}

impl Store {
    /// A client of the store, of this cluster in it.
    pub(crate) fn connect(&self, cluster: ClusterId, file: &Path) -> Result<Arc<dyn Dcs>, Error> {
        match self {
            Self::Sqlite => Ok(Arc::new(SqliteDcs::new(SqliteConfig::new(file, cluster))?)),
            #[cfg(feature = "etcd")]
            Self::Etcd(servers) => servers.etcd(cluster),
            #[cfg(not(feature = "etcd"))]
            Self::Etcd(_) => Err(not_built("etcd")),
            #[cfg(feature = "consul")]
            Self::Consul(servers) => servers.consul(cluster),
            #[cfg(not(feature = "consul"))]
            Self::Consul(_) => Err(not_built("consul")),
        }
    }

    /// A name for the cluster of one run. In a store that others use, too, it is nobody else's.
    pub(crate) fn new_cluster(&self) -> Result<ClusterId, Trouble> {
        let name = match self {
            Self::Sqlite => "quickstart".into(),
            Self::Etcd(_) | Self::Consul(_) => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                format!("quickstart_{:x}_{}", now.as_millis(), std::process::id())
            }
        };
        Ok(ClusterId::new(name)?)
    }

    /// Reads once, before anything is started: who mistyped an address wants to know now.
    pub(crate) async fn check(&self, cluster: &ClusterId) -> Result<(), Trouble> {
        if *self == Self::Sqlite {
            return Ok(());
        }
        let advice = "Is it running, and is that its address? Without --dcs the demo takes a file of its own.";
        let cannot = |error: &Error| Trouble::new(format!("{self} is no use: {}.", error.chain())).advice(advice);
        let store = self.connect(cluster.clone(), Path::new("")).map_err(|error| cannot(&error))?;
        store.read(ANSWERS_WITHIN).await.map_err(|error| cannot(&error))?;
        Ok(())
    }

    /// What is left in the store when the demo has ended, and how it is removed.
    pub(crate) fn leftovers(&self, cluster: &ClusterId) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Etcd(_) => Some(format!("etcdctl del --prefix /odoo-ha/{cluster}/")),
            Self::Consul(_) => Some(format!("consul kv delete -recurse odoo-ha/{cluster}/")),
        }
    }
}

#[cfg(not(all(feature = "etcd", feature = "consul")))]
fn not_built(feature: &str) -> Error {
    Error::new(odoo_ha_core::error::ErrorKind::Misconfigured, format!("this program was built without {feature}"))
        .hint("build it with the feature of that name")
}

impl Servers {
    #[cfg(any(feature = "etcd", feature = "consul", test))]
    fn urls(&self) -> impl Iterator<Item = String> {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        self.hosts.iter().map(move |host| format!("{scheme}://{host}"))
    }

    #[cfg(feature = "etcd")]
    fn etcd(&self, cluster: ClusterId) -> Result<Arc<dyn Dcs>, Error> {
        let mut config = EtcdConfig::new(cluster, self.urls());
        if let Some(ca) = &self.ca {
            let tls = EtcdTls::new(ca);
            config = config.tls(match (&self.cert, &self.key) {
                (Some(cert), Some(key)) => tls.identity(cert, key),
                _ => tls,
            });
        }
        if let Some(user) = &self.user {
            let password = match &self.secret_file {
                Some(file) => Secret::from_file(file),
                None => Secret::from_environment(ETCD_PASSWORD),
            };
            config = config.user(user, password);
        }
        Ok(Arc::new(config.build()?))
    }

    #[cfg(feature = "consul")]
    fn consul(&self, cluster: ClusterId) -> Result<Arc<dyn Dcs>, Error> {
        let mut config = ConsulConfig::new(self.urls(), cluster);
        if let Some(ca) = &self.ca {
            config = config.ca_file(ca);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            config = config.identity(cert, key);
        }
        if let Some(file) = &self.secret_file {
            config = config.token(Secret::from_file(file));
        } else if std::env::var_os(CONSUL_TOKEN).is_some_and(|token| !token.is_empty()) {
            config = config.token(Secret::from_environment(CONSUL_TOKEN));
        }
        Ok(Arc::new(config.build()?))
    }

    /// `HOST:PORT,...?OPTION=VALUE&...`; what is missing is this machine, and the store's usual port.
    fn parse(text: &str, port: u16, options: &[&str]) -> Result<Self, String> {
        let (hosts, query) = text.split_once('?').unwrap_or((text, ""));
        let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
        if hosts.contains('@') {
            return Err("a password or token does not belong here: other users see it in the list of processes".into());
        }
        let mut servers =
            Self { hosts: hosts.split(',').map(|host| with_port(host, port)).collect(), ..Self::default() };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !options.contains(&name) || value.is_empty() {
                return Err(format!("after '?' there may be {}, each with a value, joined by '&'", options.join(", ")));
            }
            match name {
                "ca" => servers.ca = Some(value.into()),
                "cert" => servers.cert = Some(value.into()),
                "key" => servers.key = Some(value.into()),
                "user" => servers.user = Some(value.into()),
                _ => servers.secret_file = Some(value.into()),
            }
        }
        if servers.cert.is_some() != servers.key.is_some() || (servers.cert.is_some() && servers.ca.is_none()) {
            return Err("cert and key belong together, and go with ca".into());
        }
        if servers.secret_file.is_some() && servers.user.is_none() && options.contains(&"user") {
            return Err("password-file goes with user".into());
        }
        Ok(servers)
    }
}

fn with_port(host: &str, port: u16) -> String {
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let named = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    if named { host.into() } else { format!("{host}:{port}") }
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "sqlite" {
            return Ok(Self::Sqlite);
        }
        match text.split_once("://") {
            Some(("etcd", rest)) => {
                Servers::parse(rest, 2379, &["ca", "cert", "key", "user", "password-file"]).map(Self::Etcd)
            }
            Some(("consul", rest)) => {
                Servers::parse(rest, 8500, &["ca", "cert", "key", "token-file"]).map(Self::Consul)
            }
            _ => Err("give sqlite, etcd://HOST:PORT,... or consul://HOST:PORT,...".into()),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("SQLite, a file"),
            Self::Etcd(servers) => write!(f, "etcd at {}", servers.hosts.join(", ")),
            Self::Consul(servers) => write!(f, "Consul at {}", servers.hosts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Servers {
        match text.parse() {
            Ok(Store::Etcd(servers) | Store::Consul(servers)) => servers,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn one_server_or_several_with_the_usual_port() {
        assert_eq!(servers("etcd://").hosts, ["127.0.0.1:2379"]);
        assert_eq!(servers("consul://store/").hosts, ["store:8500"]);
        assert_eq!(servers("etcd://a:1,b,[::1],[::1]:7").hosts, ["a:1", "b:2379", "[::1]:2379", "[::1]:7"]);
    }

    #[test]
    fn certificates_and_files_with_secrets_are_options() {
        let given = servers("etcd://a?ca=/ca.pem&cert=/me.pem&key=/me.key&user=shop&password-file=/secret");
        assert_eq!(given.urls().collect::<Vec<_>>(), ["https://a:2379"]);
        assert_eq!((given.user.as_deref(), given.secret_file), (Some("shop"), Some("/secret".into())));
        assert_eq!(servers("consul://?token-file=/token").secret_file, Some("/token".into()));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "etcd",
            "http://127.0.0.1:2379",
            "etcd://user:secret@a",
            "etcd://a?token-file=/t",
            "etcd://a?cert=/me.pem",
            "etcd://a?cert=/me.pem&key=/me.key",
            "etcd://a?password-file=/p",
            "consul://a?ca",
        ] {
            assert!(text.parse::<Store>().is_err(), "{text}");
        }
    }

    #[test]
    fn runs_in_a_shared_store_do_not_meet() {
        let store: Store = "etcd://".parse().unwrap();
        assert_ne!(store.new_cluster().unwrap().to_string(), "quickstart");
        assert_eq!(Store::Sqlite.new_cluster().unwrap().to_string(), "quickstart");
    }
}
