//! The HTTP client: the only place that knows `reqwest`.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::store::Commit;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Identity, Url, redirect, tls};
use tokio::time::Instant;

use super::attempts::Attempts;
use super::config::ConsulConfig;
use super::credentials::{Credentials, Made, Wallet};
use super::error::{Verdict, judge_listing, judge_transaction};
use super::wire::malformed;

/// Longest answer, in bytes. A cluster of a hundred members has some hundred thousand, in base64.
const MOST_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// How long a connection is kept that nobody uses. A leader renews far more often.
const IDLE: Duration = Duration::from_secs(30);

/// Kept connections to one endpoint: one for each call that runs at the same time.
const MOST_IDLE: usize = 4;

/// How often a request is sent again that was not sent, as its connection had just been closed. A server that refuses a client's
/// certificate does so after the client has taken the connection for good. The reason is seen by one of these, most likely; what
/// closes all of them right after the handshake is taken to do so for that reason.
const SENT_AGAIN: usize = 3;

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    /// The endpoint.
    pub(super) from: String,
    pub(super) status: u16,
    /// `X-Consul-Index`
    pub(super) index: Option<u64>,
    /// `X-Consul-Results-Filtered-By-ACLs`
    pub(super) filtered: bool,
    pub(super) body: Vec<u8>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request<'a> {
    /// All keys of the cluster; with an index and a time, once they are newer or the time is over.
    List { wait: Option<(u64, Duration)> },
    /// A transaction; `commit` is what its checks and writes stand for, or nothing when it only looks.
    Transaction { body: &'a [u8], commit: Option<&'a Commit> },
}

/// Connections to all endpoints.
pub(super) struct Client {
    wallet: Wallet<reqwest::Client>,
    endpoints: Vec<Endpoint>,
    preferred: AtomicUsize,
    attempt: Duration,
}

struct Endpoint {
    /// As the operator wrote it; holds no secret.
    name: String,
    list: Url,
    transaction: Url,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.endpoints.iter().map(|endpoint| &endpoint.name).collect();
        f.debug_struct("Client").field("endpoints", &names).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(config: &ConsulConfig) -> Result<Self, Error> {
        let endpoints = config.endpoints.iter().map(|name| endpoint(name, config)).collect::<Result<Vec<_>, _>>()?;
        if (config.ca_file.is_some() || config.identity.is_some())
            && !endpoints.iter().any(|endpoint| endpoint.list.scheme() == "https")
        {
            return Err(Error::new(ErrorKind::Misconfigured, "the store has certificates but no endpoint with https")
                .hint("write the endpoints as https://host:port"));
        }
        let wallet = Wallet::open(config, http)?;
        Ok(Self { wallet, endpoints, preferred: AtomicUsize::new(0), attempt: config.attempt })
    }

    /// The tries of a call that begins now.
    pub(super) fn attempts(&self, timeout: Duration) -> Attempts {
        Attempts::new(Instant::now(), timeout, self.attempt, self.endpoints.len(), self.preferred())
    }

    /// The endpoint to begin with: the one that answered last, or the one after the one that failed last.
    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    pub(super) const fn attempt(&self) -> Duration {
        self.attempt
    }

    /// One try at one endpoint; where token or certificates are refused and others are there by now, one more with those.
    pub(super) async fn ask(&self, number: usize, request: Request<'_>, until: Instant) -> Verdict {
        let used = self.wallet.current();
        let (verdict, of_credentials) = self.ask_once(number, &used, request, until).await;
        let verdict = match of_credentials {
            true => match tokio::time::timeout_at(until, self.wallet.renewed(&used, http)).await.ok().flatten() {
                Some(renewed) => self.ask_once(number, &renewed, request, until).await.0,
                None => verdict,
            },
            false => verdict,
        };
        match verdict {
            Verdict::Done(_) | Verdict::Lost(_) => self.preferred.store(number, Ordering::Relaxed),
            // The next call begins with the next one.
            Verdict::Refused(_) | Verdict::Elsewhere(_) | Verdict::Perhaps { .. } => {
                let next = (number + 1) % self.endpoints.len();
                let _ = self.preferred.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
            }
            Verdict::Never(_) => {}
        }
        verdict
    }

    /// The verdict, and whether other credentials may change it.
    async fn ask_once(
        &self,
        number: usize,
        with: &Arc<Made<reqwest::Client>>,
        request: Request<'_>,
        until: Instant,
    ) -> (Verdict, bool) {
        let Some(endpoint) = self.endpoints.get(number) else {
            let error = Error::new(ErrorKind::Unavailable, "the store has no such endpoint");
            return (Verdict::Elsewhere(error), false);
        };
        let began = Instant::now();
        let verdict = match tokio::time::timeout_at(until, endpoint.send(&with.client, request)).await {
            Ok(Ok(answer)) => match request {
                Request::List { .. } => judge_listing(answer),
                Request::Transaction { commit, .. } => judge_transaction(answer, commit),
            },
            Ok(Err(failed)) => {
                let of_credentials = failed.of_credentials;
                return (failed.verdict, of_credentials);
            }
            Err(_) => {
                let time = Duration::from_millis(began.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
                let what = format!("{} did not answer in {time:?}", endpoint.name);
                Verdict::Perhaps { error: Error::new(ErrorKind::Unavailable, what), slow: true }
            }
        };
        let of_credentials = matches!(verdict, Verdict::Refused(_));
        (verdict, of_credentials)
    }
}

/// Why there is no answer.
struct Failed {
    verdict: Verdict,
    of_credentials: bool,
}

impl Endpoint {
    async fn send(&self, client: &reqwest::Client, request: Request<'_>) -> Result<Answer, Failed> {
        let mut sent = self.request(client, request).send().await;
        for _ in 0..SENT_AGAIN {
            if !sent.as_ref().is_err_and(was_not_sent) {
                break;
            }
            sent = self.request(client, request).send().await;
        }
        let mut response = sent.map_err(|error| self.failed(error))?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let mut answer = Answer {
            from: self.name.clone(),
            status: response.status().as_u16(),
            index: header("x-consul-index").and_then(|index| index.parse().ok()),
            filtered: header("x-consul-results-filtered-by-acls").is_some_and(|value| value == "true"),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if answer.body.len() + chunk.len() > MOST_ANSWER_BYTES {
                let error = malformed(format!("{} answers with more than {MOST_ANSWER_BYTES} bytes", self.name));
                return Err(Failed { verdict: Verdict::Perhaps { error, slow: false }, of_credentials: false });
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn request(&self, client: &reqwest::Client, request: Request<'_>) -> reqwest::RequestBuilder {
        match request {
            Request::List { wait } => {
                let mut url = self.list.clone();
                if let Some((index, time)) = wait {
                    let query = &mut url.query_pairs_mut();
                    query.append_pair("index", &index.to_string());
                    query.append_pair("wait", &format!("{}ms", time.as_millis()));
                }
                client.get(url)
            }
            Request::Transaction { body, .. } => {
                client.put(self.transaction.clone()).header(CONTENT_TYPE, "application/json").body(body.to_vec())
            }
        }
    }

    fn failed(&self, error: reqwest::Error) -> Failed {
        let cause = innermost(&error);
        let not_sent = was_not_sent(&error);
        let not_reached = error.is_connect() || not_sent;
        let mut kind = ErrorKind::Unavailable;
        let (what, hint) = if refuses_client(&cause) || not_sent && self.list.scheme() == "https" {
            kind = ErrorKind::Denied;
            ("refuses this client's certificate", "look at the client certificate's files, its signer and its end")
        } else if not_reached && cause.contains("certificate") {
            ("is not trusted", "look at the server's certificate, its names, its end, and at the CA file")
        } else if not_sent {
            ("closes connections at once", "look at the server")
        } else if not_reached {
            ("cannot be reached", "look at the network and at the store's servers")
        } else {
            ("broke off", "look at the store's servers")
        };
        let refused = kind == ErrorKind::Denied;
        let error =
            Error::new(kind, format!("{} {what}: {cause}", self.name)).hint(hint).caused_by(error.without_url());
        let verdict = if refused {
            Verdict::Refused(error)
        } else if not_reached {
            Verdict::Elsewhere(error)
        } else {
            Verdict::Perhaps { error, slow: false }
        };
        Failed { verdict, of_credentials: refused || not_sent || not_reached && cause.contains("certificate") }
    }
}

/// Whether the connection was gone before a byte of the request had been given to it.
fn was_not_sent(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(error) = cause {
        // The client library's type is not to be had, only its words (hyper's `Error::is_canceled`).
        if error.to_string() == "operation was canceled" {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the other side ended the TLS handshake because of this side's certificate: with TLS 1.3 that is told only after the
/// request went out, but it was never looked at.
fn refuses_client(cause: &str) -> bool {
    const ALERTS: &[&str] = &[
        "BadCertificate",
        "UnsupportedCertificate",
        "CertificateRevoked",
        "CertificateExpired",
        "CertificateUnknown",
        "CertificateRequired",
        "UnknownCA",
        "AccessDenied",
    ];
    cause.split_once("received fatal alert: ").is_some_and(|(_, alert)| ALERTS.contains(&alert.trim()))
}

/// The last cause: `reqwest` wraps it in sentences that repeat the URL.
fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn endpoint(name: &str, config: &ConsulConfig) -> Result<Endpoint, Error> {
    // The text is not repeated: whoever writes a password into it must not find it in a log.
    let wrong = || {
        Error::new(ErrorKind::Misconfigured, "an endpoint of the store is not http://host:port or https://host:port")
            .hint("no path, no query, no user; the token has its own place")
    };
    let base = Url::parse(name).map_err(|_| wrong())?;
    let bare = base.has_host() && base.path() == "/" && base.query().is_none() && base.fragment().is_none();
    if !bare || !base.username().is_empty() || base.password().is_some() || !matches!(base.scheme(), "http" | "https") {
        return Err(wrong());
    }
    if base.scheme() == "https" && config.ca_file.is_none() {
        return Err(Error::new(ErrorKind::Misconfigured, "the store's endpoints have https but there is no CA file")
            .hint("name the file with the certificate of whoever signed the servers' own"));
    }
    let with_path = |path: &str, flags: &[&str]| {
        let mut url = base.clone();
        url.set_path(path);
        {
            let mut query = url.query_pairs_mut();
            for flag in flags {
                query.append_key_only(flag);
            }
            if let Some(datacenter) = &config.datacenter {
                query.append_pair("dc", datacenter);
            }
            if let Some(namespace) = &config.namespace {
                query.append_pair("ns", namespace);
            }
        }
        url
    };
    Ok(Endpoint {
        name: name.trim_end_matches('/').to_owned(),
        // `consistent`: the leader asks the others whether it still is, before it answers.
        list: with_path(&format!("/v1/kv/{}", config.key_prefix()), &["recurse", "consistent"]),
        transaction: with_path("/v1/txn", &["consistent"]),
    })
}

/// A client with these credentials: the token as a header of every request, never a part of a URL.
fn http(config: &ConsulConfig, credentials: &Credentials) -> Result<reqwest::Client, Error> {
    let wrong = |what: &str| Error::new(ErrorKind::Misconfigured, what.to_owned()).hint("it must be in PEM");
    let mut headers = HeaderMap::new();
    if let Some(token) = &credentials.token {
        let mut value = HeaderValue::from_bytes(token.as_bytes())
            .map_err(|_| Error::new(ErrorKind::Misconfigured, "the store's token is none").hint("look at its file"))?;
        value.set_sensitive(true);
        headers.insert("x-consul-token", value);
    }
    let mut builder = reqwest::Client::builder()
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .min_tls_version(tls::Version::TLS_1_2)
        .tls_built_in_root_certs(false);
    if let Some(pem) = &credentials.ca {
        let path = config.ca_file.as_deref().unwrap_or(std::path::Path::new("")).display();
        let certificates = Certificate::from_pem_bundle(pem)
            .map_err(|error| wrong(&format!("the store's CA file {path} holds no certificates")).caused_by(error))?;
        if certificates.is_empty() {
            return Err(wrong(&format!("the store's CA file {path} holds no certificates")));
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(pem) = &credentials.identity {
        // Its error is left out: it may show a part of the key.
        let identity = Identity::from_pem(pem.as_bytes())
            .map_err(|_| wrong("the store's client certificate and its key cannot be used"))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| wrong("the store's client could not be made").caused_by(error))
}
