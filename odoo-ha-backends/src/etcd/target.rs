//! Where an endpoint is.

use std::fmt;

use odoo_ha_core::error::{Error, ErrorKind};

/// Scheme, host and port of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tls: bool,
    /// A name, or an address (IPv6 in brackets).
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// `http://HOST:PORT` or `https://HOST:PORT`, and nothing more: what stands in a URL stands in logs.
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let rest = url.strip_prefix("https://").map(|rest| (true, rest));
        let rest = rest.or_else(|| url.strip_prefix("http://").map(|rest| (false, rest)));
        let target = rest.and_then(|(tls, rest)| {
            let (host, port) = rest.strip_suffix('/').unwrap_or(rest).rsplit_once(':')?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            is_host(host).then(|| Self { tls, host: host.to_owned(), port })
        });
        // The URL itself is not shown: somebody may have put a password into it.
        target.ok_or_else(|| {
            Error::new(ErrorKind::Misconfigured, "an endpoint of etcd is not http://HOST:PORT or https://HOST:PORT")
                .hint("user and password have settings of their own")
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.tls { "https" } else { "http" }, self.host, self.port)
    }
}

fn is_host(text: &str) -> bool {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn urls_are_read_or_refused_without_being_shown() {
        for url in ["http://10.0.0.1:2379", "https://etcd-1.example.com:2379", "http://[::1]:2379"] {
            assert_eq!(Target::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(Target::parse("http://a:1/").unwrap().to_string(), "http://a:1");
        for url in [
            "",
            "a:1",
            "http://",
            "http://a",
            "http://a:",
            "http://a:0",
            "http://a:70000",
            "ftp://a:1",
            "http://u:hidden@a:1",
            "http://a:1/path",
            "http://a b:1",
            "http://[::g]:1",
            "http://::1:1",
            "https//a:1",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(!error.chain().contains("hidden"), "{}", error.chain());
        }
    }
}
