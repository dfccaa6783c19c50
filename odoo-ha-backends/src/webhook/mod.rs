//! The `webhook` backend: a [`Notifier`] that posts each event as JSON to a URL.
//!
//! The document is the [`Event`] with its severity:
//!
//! ```json
//! { "id": "…", "cluster": "shop", "member": "node_a", "term": 7, "severity": "info",
//!   "kind": { "event": "serving" }, "sentence": "…" }
//! ```
//!
//! With a secret, the header `x-odoo-ha-signature` is `sha256=` and the hexadecimal HMAC-SHA256 of the body, so that a receiver knows who sent it; repeats it tells
//! by the event's `id`. The URL is a secret itself: it stands in no error and no log. Redirects are not followed, proxies that the environment
//! names are not used, and the body of the answer is not read: any status from 200 to 299 means that the event has been taken.

mod config;
mod signature;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::event::Event;
use odoo_ha_core::roles::Notifier;

pub use self::config::WebhookConfig;
use crate::common::post::Poster;
use crate::common::secret::Secret;

/// Posts events as JSON, see the [module](self).
#[derive(Clone, Debug)]
pub struct WebhookNotifier {
    config: WebhookConfig,
    poster: Poster,
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn notify(&self, event: &Event, timeout: Duration) -> Result<(), Error> {
        if event.severity() < self.config.least {
            return Ok(());
        }
        let mut document = document(event).map_err(|error| {
            Error::new(ErrorKind::Misconfigured, "the webhook cannot write this event as JSON").caused_by(error)
        })?;
        let (mut headers, began) = (Vec::new(), Instant::now());
        if let Some(secret) = self.config.secret.clone() {
            let signed;
            (document, signed) = signed_in_time(secret, document, timeout).await?;
            headers.push((signature::HEADER, signed));
        }
        self.poster.post(document, headers, timeout.saturating_sub(began.elapsed())).await
    }
}

/// The document and its signature. The secret may be a file, and a file may hang: nobody's thread waits for it here, and none longer than it may.
async fn signed_in_time(secret: Secret, document: Vec<u8>, timeout: Duration) -> Result<(Vec<u8>, String), Error> {
    let signing =
        tokio::task::spawn_blocking(move || signature::sign(&secret, &document).map(|signed| (document, signed)));
    match tokio::time::timeout(timeout, signing).await {
        Ok(Ok(signed)) => signed,
        Ok(Err(error)) => Err(unsigned("could not be read").caused_by(error)),
        Err(_) => Err(unsigned(&format!("was not read within {timeout:?}"))),
    }
}

/// Nothing was sent.
fn unsigned(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the secret of the webhook {why}"))
        .hint("look at the disk or the network share that it lies on")
}

fn document(event: &Event) -> Result<Vec<u8>, serde_json::Error> {
    let mut document = serde_json::to_value(event)?;
    if let Some(fields) = document.as_object_mut() {
        fields.insert("severity".to_owned(), serde_json::to_value(event.severity())?);
    }
    serde_json::to_vec(&document)
}
