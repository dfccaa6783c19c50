//! Where a member is reached.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Longest URL, in bytes; it stands in the store.
pub(super) const LONGEST_URL: usize = 255;

/// `http://HOST:PORT` and nothing else: what other members publish is handed to the resolver and printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// `None` when it is not of this form.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://").filter(|_| url.len() <= LONGEST_URL)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<Ipv6Addr>().is_ok())?,
            None => Some(host).filter(|host| is_host(host))?,
        };
        let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0)?;
        Some(Self { host: host.to_owned(), port })
    }

    /// Whether it is the address of all interfaces, which reaches nobody else.
    pub(super) fn is_unspecified(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

/// As it stands in a `Host` header.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// The characters of names and of IPv4 addresses. Names that mean something to a resolver or a shell have others.
fn is_host(host: &str) -> bool {
    let starts = host.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    starts && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_are_taken() {
        for (url, shown) in [
            ("http://10.0.0.1:7000", "10.0.0.1:7000"),
            ("http://node-a.lan:80/", "node-a.lan:80"),
            ("http://[fd00::1]:65535", "[fd00::1]:65535"),
        ] {
            assert_eq!(Target::parse(url).expect(url).to_string(), shown);
        }
        let long = format!("http://{}:80", "a".repeat(250));
        for url in [
            "",
            "http://",
            "a:80",
            "https://a:80",
            "http://a",
            "http://a:0",
            "http://a:+1",
            "http://a:65536",
            "http://a:80//",
            "http://a:80/x",
            "http://a:80?x",
            "http://u@a:80",
            "http://u:p@a:80",
            "http://[::1:80",
            "http://::1:80",
            "http://[fe80::1%eth0]:80",
            "http://a b:80",
            "http://a\r\nb:80",
            "http://-a:80",
            "http://ä:80",
            &long,
        ] {
            assert_eq!(Target::parse(url), None, "{url}");
        }
    }
}
