//! One JSON document to a URL that is a secret: the only place of the notifiers that knows `reqwest`.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, StatusCode, Url, redirect};

use super::secret::Secret;

/// Where distributions keep the certificates that browsers trust; the first that is there is read.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Longest file of certificates, in bytes.
const MOST_CERTIFICATES: u64 = 4 * 1024 * 1024;

/// Posts to one place.
#[derive(Clone, Debug)]
pub(crate) struct Poster {
    /// What it is, as errors name it: the URL itself is a secret.
    name: &'static str,
    url: Secret,
    client: reqwest::Client,
}

impl Poster {
    /// A poster to this URL, whose certificates are those of `ca_file`, or the system's. Reads both; connects to nobody.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the URL cannot be read or is none, or the certificates cannot be.
    pub(crate) fn new(name: &'static str, url: Secret, ca_file: Option<&Path>) -> Result<Self, Error> {
        let is_encrypted = read_url(name, &url)?.scheme() == "https";
        let mut builder = reqwest::Client::builder()
            // A redirect would carry the event, and its signature, to somebody else.
            .redirect(redirect::Policy::none())
            .no_proxy()
            // Events are rare: a connection kept for the next one is a dead one by then.
            .pool_max_idle_per_host(0)
            .tls_built_in_root_certs(false);
        if is_encrypted || ca_file.is_some() {
            for certificate in certificates(name, ca_file)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|error| wrong(name, "could not be made").caused_by(error))?;
        Ok(Self { name, url, client })
    }

    /// Posts a document. The answer's body is not read.
    ///
    /// # Errors
    ///
    /// `Unavailable` when nobody took it, `Denied`, `Misconfigured`, or `Unknown` when there was no answer. No text of it names the URL.
    pub(crate) async fn post(
        &self,
        document: Vec<u8>,
        headers: Vec<(&'static str, String)>,
        timeout: Duration,
    ) -> Result<(), Error> {
        match tokio::time::timeout(timeout, self.post_now(document, headers)).await {
            Ok(result) => result,
            Err(_) => Err(self.failed(ErrorKind::Unknown, format!("did not answer within {timeout:?}"))),
        }
    }

    async fn post_now(&self, document: Vec<u8>, headers: Vec<(&'static str, String)>) -> Result<(), Error> {
        let (name, secret) = (self.name, self.url.clone());
        // It may be a file, and a file may hang.
        let url = tokio::task::spawn_blocking(move || read_url(name, &secret))
            .await
            .map_err(|error| self.failed(ErrorKind::Unavailable, "was cut off".to_owned()).caused_by(error))??;
        let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(document);
        for (header, value) in headers {
            let value = HeaderValue::from_str(&value)
                .map_err(|error| wrong(name, "has a header that is none").caused_by(error))?;
            request = request.header(header, value);
        }
        let answer = request.send().await.map_err(|error| {
            let kind = if error.is_connect() { ErrorKind::Unavailable } else { ErrorKind::Unknown };
            self.failed(kind, format!("could not be asked: {}", innermost(&error)))
        })?;
        self.judge(answer.status())
    }

    fn judge(&self, status: StatusCode) -> Result<(), Error> {
        let code = status.as_u16();
        let said = format!("answered with status {code}");
        match code {
            200..=299 => Ok(()),
            401 | 403 => Err(self.failed(ErrorKind::Denied, said).hint("its URL or secret is not accepted")),
            429 => Err(self.failed(ErrorKind::Unavailable, said).hint("it is asked too often")),
            300..=499 => {
                Err(self.failed(ErrorKind::Misconfigured, said).hint("give the URL that takes the event itself"))
            }
            _ => Err(self.failed(ErrorKind::Unavailable, said)),
        }
    }

    fn failed(&self, kind: ErrorKind, what: String) -> Error {
        Error::new(kind, format!("{} {what}", self.name))
    }
}

fn wrong(name: &str, what: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, format!("{name} {what}"))
}

fn read_url(name: &str, secret: &Secret) -> Result<Url, Error> {
    let url = secret.reveal(&format!("the URL of {name}"))?;
    // Not the cause: it may show a part of it.
    let url = Url::parse(url.as_str()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| wrong(name, "has a URL that is neither http:// nor https://"))
}

fn certificates(name: &str, ca_file: Option<&Path>) -> Result<Vec<Certificate>, Error> {
    use std::io::Read;
    let found = || BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
    let file = ca_file.map(Path::to_path_buf).or_else(found).ok_or_else(|| {
        wrong(name, "has an https:// URL, and this machine has no certificates to trust")
            .hint("install ca-certificates, or set ca_file")
    })?;
    let unreadable = || {
        wrong(name, &format!("has certificates in {} that cannot be read", file.display()))
            .hint("ca_file must be a file of certificates in PEM")
    };
    let mut pem = Vec::new();
    let opened = std::fs::File::open(&file);
    opened
        .and_then(|file| file.take(MOST_CERTIFICATES).read_to_end(&mut pem))
        .map_err(|error| unreadable().caused_by(error))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unreadable().caused_by(error))?;
    if certificates.is_empty() { Err(unreadable()) } else { Ok(certificates) }
}

/// The last cause: the outer ones repeat the URL.
fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    // An error without a cause is reqwest's own, which may name the URL.
    if std::ptr::eq(cause, error) { "no connection".to_owned() } else { cause.to_string() }
}
