//! What can be set about a listener.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use super::address::ListenerAddress;

/// Longest path of a Unix socket in bytes, the final zero not counted (`unix(7)`).
const LONGEST_SOCKET_PATH: usize = 107;

/// The service that connections are handed on to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// `host:port`; a name is looked up for every connection.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How a [`ListenerAddress`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerConfig {
    /// The address that users type; its port is not 0.
    pub listen: SocketAddr,
    /// The node's own service.
    pub target: Target,
    /// Remembers the highest term, absolute, on a local disk, the same for all processes that may hold the address. Beside it a
    /// file with `.lock` appended is made. Default: none, and then no term is remembered.
    pub fence_file: Option<PathBuf>,
    /// How long the service may take to accept a connection; then the client's is reset. Default: 5 s.
    pub connect_timeout: Duration,
}

impl ListenerConfig {
    /// A listener here that hands on to there.
    pub fn new(listen: SocketAddr, target: Target) -> Self {
        Self { listen, target, fence_file: None, connect_timeout: Duration::from_secs(5) }
    }

    /// With a [`fence_file`](Self::fence_file).
    #[must_use]
    pub fn fence_file(mut self, fence_file: impl Into<PathBuf>) -> Self {
        self.fence_file = Some(fence_file.into());
        self
    }

    /// With another [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// The address, detached. Starts its thread, which ends when the address is dropped.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key; `Unavailable` when the thread cannot be started.
    pub fn build(self) -> Result<ListenerAddress, Error> {
        self.check()?;
        ListenerAddress::start(self)
    }

    /// Whether it can work; looks at nothing outside.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Misconfigured, what));
        if self.listen.port() == 0 {
            return wrong("listener: listen has port 0, which is another one each time".to_owned());
        }
        match &self.target {
            Target::Tcp(address) if address.parse() == Ok(self.listen) => {
                return wrong(format!("listener: target is the address it listens on, {address}"));
            }
            Target::Tcp(address) => {
                let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
                if !port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0)) {
                    return wrong(format!("listener: target is not host:port: {address}"));
                }
            }
            Target::Unix(path) => {
                if !path.is_absolute() || path.as_os_str().len() > LONGEST_SOCKET_PATH {
                    let path = path.display();
                    return wrong(format!(
                        "listener: target is no absolute path of at most {LONGEST_SOCKET_PATH} bytes: {path}"
                    ));
                }
            }
        }
        match &self.fence_file {
            Some(path) if !path.is_absolute() || path.file_name().is_none() => {
                wrong(format!("listener: fence_file is not the absolute path of a file: {}", path.display()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(target: Target) -> ListenerConfig {
        ListenerConfig::new(SocketAddr::from(([127, 0, 0, 1], 5000)), target)
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let tcp = |address: &str| config(Target::Tcp(address.to_owned()));
        assert!(tcp("localhost:5432").check().is_ok());
        assert!(tcp("[::1]:5432").check().is_ok());
        assert!(config(Target::Unix("/run/odoo.sock".into())).check().is_ok());
        let zero = ListenerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), Target::Tcp("localhost:1".to_owned()));
        let wrong = [
            (tcp("localhost"), "host:port"),
            (tcp(":5432"), "host:port"),
            (tcp("localhost:0"), "host:port"),
            (tcp("127.0.0.1:5000"), "it listens on"),
            (config(Target::Unix("odoo.sock".into())), "absolute path"),
            (config(Target::Unix(format!("/{}", "x".repeat(107)).into())), "107 bytes"),
            (tcp("localhost:5432").fence_file("fence"), "fence_file"),
            (zero, "port 0"),
        ];
        for (config, expected) in wrong {
            let error = config.check().expect_err("it is wrong");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
