//! What an operator says about the way to the other members.

use std::fmt;
use std::net::SocketAddr;

use odoo_ha_core::error::{Error, ErrorKind};

use super::peers::HttpPeers;
use super::proof::{Key, Keys};
use super::target::{LONGEST_URL, Target};
use crate::common::secret::Secret;

/// Most secrets: the old and the new one, and as many to spare. Each costs a hash for every question of a stranger.
const MOST_SECRETS: usize = 4;

/// Shortest secret, in bytes: what can be guessed protects nothing.
const FEWEST_SECRET_BYTES: usize = 16;

/// Longest secret, in bytes; more than 64 make an HMAC-SHA256 no stronger.
const MOST_SECRET_BYTES: usize = 1024;

/// Where a member listens, where the others reach it, and what proves that somebody is a member.
#[derive(Clone)]
#[non_exhaustive]
pub struct HttpPeersConfig {
    /// Where it listens; its port is not 0.
    pub listen: SocketAddr,
    /// Where the others reach it, `http://HOST:PORT`, at most 255 bytes. Default: where it listens, which must then be no address of all
    /// interfaces.
    pub url: Option<String>,
    /// The cluster's secret, the same on all members, 16 to 1024 bytes. Of several, at most 4, the first signs what this member asks,
    /// and all are accepted.
    pub secrets: Vec<Secret>,
}

impl HttpPeersConfig {
    /// Listening here, with this secret.
    pub fn new(listen: SocketAddr, secret: Secret) -> Self {
        Self { listen, url: None, secrets: vec![secret] }
    }

    /// Reached there by the others.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Accepting this secret, too.
    #[must_use]
    pub fn accept(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The way to the other members. Reads the secrets; may block on a disk. It listens from the first
    /// [`next`](odoo_ha_core::roles::Peers::next) on, so a port that is still taken keeps no agent from starting.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming what cannot work and what to do.
    pub fn build(self) -> Result<HttpPeers, Error> {
        let at = self.check()?;
        let keys = self.secrets.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let keys = Keys::new(keys).ok_or_else(no_secret)?;
        Ok(HttpPeers::new(self.listen, at, keys))
    }

    /// Whether it can work, but for the secrets, which are not read. Gives the URL to publish.
    fn check(&self) -> Result<String, Error> {
        if self.listen.port() == 0 {
            return Err(wrong("listen has port 0, which is another one each time", "give it a port of its own"));
        }
        if self.secrets.is_empty() {
            return Err(no_secret());
        }
        if self.secrets.len() > MOST_SECRETS {
            return Err(wrong(&format!("there are more than {MOST_SECRETS} secrets"), "leave out the oldest ones"));
        }
        let Some(url) = &self.url else {
            if self.listen.ip().is_unspecified() {
                let what = format!("it listens on all interfaces ({}), so nobody knows where to reach it", self.listen);
                return Err(wrong(&what, "set url to http://HOST:PORT as the other members see this one"));
            }
            return Ok(format!("http://{}", self.listen));
        };
        if url.len() > LONGEST_URL {
            let what = format!("url has {} bytes, more than {LONGEST_URL}", url.len());
            return Err(wrong(&what, "use a shorter name, or an address"));
        }
        // The text is not repeated: whoever writes a password into it must not find it in a log.
        let target = Target::parse(url).ok_or_else(|| {
            wrong(
                "url is not http://HOST:PORT",
                "no path, no query, no user, and a port that is not 0; IPv6 in brackets",
            )
        })?;
        if target.is_unspecified() {
            return Err(wrong("url is the address of all interfaces", "use one that the other members can reach"));
        }
        Ok(url.trim_end_matches('/').to_owned())
    }
}

impl fmt::Debug for HttpPeersConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("HttpPeersConfig");
        // A URL that is none may hold a password.
        let url = self.url.as_ref().map(|url| if Target::parse(url).is_some() { url } else { "(not a URL)" });
        shown.field("listen", &self.listen).field("url", &url).field("secrets", &self.secrets.len()).finish()
    }
}

/// The key, for signing. May block on a disk.
fn key(secret: &Secret) -> Result<Key, Error> {
    let text = secret.reveal("the secret of the members")?;
    if !(FEWEST_SECRET_BYTES..=MOST_SECRET_BYTES).contains(&text.as_str().len()) {
        let what = format!("{secret:?} does not have {FEWEST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes");
        return Err(wrong(&what, "`openssl rand -base64 32` makes a good one; it is the same on all members"));
    }
    Ok(Key::new(text.as_str().as_bytes()))
}

fn no_secret() -> Error {
    wrong("there is no secret", "give all members the same one, such as `openssl rand -base64 32` makes")
}

fn wrong(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, format!("the way to other members: {what}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> HttpPeersConfig {
        HttpPeersConfig::new(listen.parse().expect("an address"), Secret::new("hush, hush, hush"))
    }

    #[test]
    fn what_cannot_work_is_refused_and_says_what_to_do() {
        let long = format!("http://{}:80", "a".repeat(250));
        let none = HttpPeersConfig { secrets: Vec::new(), ..config("127.0.0.1:80") };
        let many = (0..4).fold(config("127.0.0.1:80"), |config, _| config.accept(Secret::new("0123456789abcdef")));
        let wrong = [
            (config("127.0.0.1:0"), "port 0"),
            (config("127.0.0.1:0").url("http://a:80"), "port 0"),
            (config("0.0.0.0:80"), "all interfaces"),
            (config("[::]:80"), "all interfaces"),
            (config("0.0.0.0:80").url("http://0.0.0.0:80"), "all interfaces"),
            (config("127.0.0.1:80").url(long), "255"),
            (config("127.0.0.1:80").url(""), "http://HOST:PORT"),
            (config("127.0.0.1:80").url("http://u:p@a:80"), "http://HOST:PORT"),
            (none, "no secret"),
            (many, "more than 4"),
        ];
        for (config, expected) in wrong {
            let error = config.clone().build().expect_err("it is wrong");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(expected) && error.to_string().ends_with(')'), "{error}");
            assert!(!format!("{error} {config:?}").contains("u:p"), "{error}");
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused_and_not_shown() {
        for text in ["hush", "hush_hush_hush!", &"hush".repeat(257)] {
            let error = HttpPeersConfig::new(([127, 0, 0, 1], 80).into(), Secret::new(text)).build().expect_err("no");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(!error.chain().contains("hush") && error.to_string().contains("16 to 1024 bytes"), "{error}");
        }
    }

    #[test]
    fn what_is_published_is_where_it_listens_or_the_url() {
        let published = |config: HttpPeersConfig| config.check().expect("it is fine");
        assert_eq!(published(config("10.0.0.1:7000")), "http://10.0.0.1:7000");
        assert_eq!(published(config("[fd00::1]:7000")), "http://[fd00::1]:7000");
        assert_eq!(published(config("0.0.0.0:7000").url("http://node-a.lan:7000/")), "http://node-a.lan:7000");
    }
}
