//! The HTTP client: the only place that knows `reqwest`.

use std::error::Error as StdError;

use odoo_ha_core::error::{Error, ErrorKind};
use reqwest::header::{HOST, HeaderValue};
use reqwest::{Url, redirect};

use super::config::HttpProbeConfig;

#[derive(Clone, Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    url: Url,
    host: Option<HeaderValue>,
}

impl Client {
    pub(super) fn new(config: &HttpProbeConfig) -> Result<Self, Error> {
        let wrong =
            |what: &str| Error::new(ErrorKind::Misconfigured, format!("the HTTP probe {:?} {what}", config.name));
        let url = Url::parse(&config.url).map_err(|error| wrong("has a URL that is none").caused_by(error))?;
        if url.scheme() != "http" || !url.has_host() {
            return Err(wrong("has a URL that is not http://…").hint("probe the service behind the encryption"));
        }
        let host = match &config.host {
            Some(host) => Some(
                HeaderValue::from_str(host)
                    .map_err(|error| wrong("has a host that is no header's value").caused_by(error))?,
            ),
            None => None,
        };
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            // No connection outlives its check: each one is fresh.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| wrong("could not be made").caused_by(error))?;
        Ok(Self { client, url, host })
    }

    /// The status of the answer, or what went wrong as text. The body is dropped unread.
    pub(super) async fn ask(&self) -> Result<u16, String> {
        let mut request = self.client.get(self.url.clone());
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        match request.send().await {
            Ok(answer) => Ok(answer.status().as_u16()),
            Err(error) => Err(innermost(&error)),
        }
    }
}

/// The last cause: `reqwest` wraps "connection refused" in three sentences that repeat the URL.
fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
