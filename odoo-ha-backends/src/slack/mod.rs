//! The `slack` backend: a [`Notifier`] that posts a line an event to an incoming webhook of Slack (or of what takes the same, such as Mattermost).
//!
//! The webhook's URL is a secret: whoever has it can post. It stands in no error and no log. Slack takes about one message a second and
//! answers more with 429; a failover makes about ten events, so with [`least`](SlackConfig::least) at its default the last ones of many may be dropped and are
//! logged as such.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::event::{Event, Severity};
use odoo_ha_core::roles::Notifier;

use crate::common::post::Poster;
use crate::common::secret::Secret;

/// Longest text, in characters; Slack cuts at 40,000, and nobody reads a tenth of it.
const LONGEST_TEXT: usize = 2_000;

/// Which webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlackConfig {
    /// The URL of the incoming webhook.
    pub url: Secret,
    /// Certificates of whoever signed the receiver's own (PEM). Default: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// What is less severe is not sent. Default: everything is.
    pub least: Severity,
}

impl SlackConfig {
    /// This webhook, everything.
    pub fn new(url: Secret) -> Self {
        Self { url, ca_file: None, least: Severity::Info }
    }

    /// With another [`ca_file`](Self::ca_file).
    #[must_use]
    pub fn ca_file(mut self, ca_file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(ca_file.into());
        self
    }

    /// Only what is at least as severe.
    #[must_use]
    pub fn least(mut self, least: Severity) -> Self {
        self.least = least;
        self
    }

    /// The notifier. Reads URL and certificates, and connects to nobody.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when one of them cannot be read or is none.
    pub fn build(self) -> Result<SlackNotifier, Error> {
        Ok(SlackNotifier {
            poster: Poster::new("the Slack webhook", self.url, self.ca_file.as_deref())?,
            least: self.least,
        })
    }
}

/// Posts a line an event, see the [module](self).
#[derive(Clone, Debug)]
pub struct SlackNotifier {
    poster: Poster,
    least: Severity,
}

#[async_trait]
impl Notifier for SlackNotifier {
    async fn notify(&self, event: &Event, timeout: Duration) -> Result<(), Error> {
        if event.severity() < self.least {
            return Ok(());
        }
        let document = serde_json::to_vec(&serde_json::json!({ "text": line(event) })).map_err(|error| {
            Error::new(ErrorKind::Misconfigured, "the Slack webhook cannot write this event as JSON").caused_by(error)
        })?;
        self.poster.post(document, Vec::new(), timeout).await
    }
}

/// The line that people read.
fn line(event: &Event) -> String {
    let mark = match event.severity() {
        Severity::Info => "",
        Severity::Warning => ":warning: ",
        Severity::Error => ":rotating_light: ",
    };
    let sentence: String = event.sentence.chars().take(LONGEST_TEXT).collect();
    let text = format!("{} on {} (term {}): {sentence}", event.cluster, event.member, event.term);
    // What Slack reads as its own marks ("Escaping text" in its documentation).
    mark.to_owned() + &text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use odoo_ha_core::event::EventKind;
    use odoo_ha_core::member::{ClusterId, MemberId};
    use odoo_ha_core::term::Term;

    use super::*;

    #[test]
    fn the_line_says_where_and_calls_nobody_by_mistake() {
        let (cluster, member) = (ClusterId::new("shop").expect("a name"), MemberId::new("node_a").expect("a name"));
        let sentence = format!("<!channel> & {}", "x".repeat(5_000));
        let event = Event::new("1".into(), cluster, member, Term(7), EventKind::DatabaseDied, sentence);
        let line = line(&event);
        assert!(line.starts_with(":warning: shop on node_a (term 7): &lt;!channel&gt; &amp; xxx"), "{line}");
        assert!(line.len() < 2_200);
    }
}
