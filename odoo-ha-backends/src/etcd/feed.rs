//! One stream of changes from one member.

use std::fmt;

use etcd_client::WatchStream;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::store::{Change, Revision};

use super::client::{Range, change, version_of};
use super::error::{Failure, said, translate};

/// What a member tells.
#[derive(Debug)]
pub(super) enum Heard {
    /// The watch runs; the member's own revision, which may be behind the store's.
    Begun(Revision),
    /// These changed, the last of them at this revision. None of them may be of interest.
    Changes(Revision, Vec<Change>),
    /// It lives.
    Alive,
    /// What was to be watched has been compacted away.
    Compacted,
}

/// A stream of changes. Dropping it ends it.
pub(super) struct Feed {
    stream: WatchStream,
    range: Range,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl Feed {
    pub(super) const fn new(stream: WatchStream, range: Range) -> Self {
        Self { stream, range }
    }

    /// The next message. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Heard, Failure> {
        let message = self.stream.message().await.map_err(|error| translate(&error, "the watch was lost"))?;
        let Some(message) = message else {
            return Err(Failure::not_done(ErrorKind::Unavailable, "etcd has ended the watch"));
        };
        if message.compact_revision() > 0 {
            return Ok(Heard::Compacted);
        }
        if message.canceled() {
            let reason = message.cancel_reason();
            return Err(said(0, reason, "etcd has cancelled the watch").unwrap_or_else(|| {
                Failure::not_done(ErrorKind::Unavailable, format!("etcd has cancelled the watch: {reason:?}"))
            }));
        }
        if message.created() {
            return Ok(Heard::Begun(Revision(
                version_of(message.header().map_or(0, etcd_client::ResponseHeader::revision)).0,
            )));
        }
        let events = message.events();
        // Not the header's revision: while a watch catches up, that is ahead of its events.
        let Some(last) =
            events.iter().filter_map(etcd_client::Event::kv).map(etcd_client::KeyValue::mod_revision).max()
        else {
            return Ok(Heard::Alive);
        };
        let changes = events.iter().filter_map(|event| change(&self.range, event)).collect();
        Ok(Heard::Changes(Revision(version_of(last).0), changes))
    }

    /// Asks for a sign of life.
    pub(super) async fn ask(&mut self) -> Result<(), Failure> {
        self.stream.request_progress().await.map_err(|error| translate(&error, "the watch was lost"))
    }
}
