//! The role.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::failsafe::{Question, Reply};
use odoo_ha_core::roles::{Asked, Peers};
use tokio::sync::Mutex;

use super::client::{self, Answer};
use super::error::{foreign, no_address, no_answer, refused, unproved};
use super::proof::Keys;
use super::server::Server;
use super::target::Target;
use super::wire::{Signed, read_reply};

/// The way to the other members over HTTP. Made by [`HttpPeersConfig::build`](super::HttpPeersConfig::build).
///
/// It listens on the runtime of whoever calls [`next`](Peers::next) first, until it is dropped or that runtime ends; then the next call begins
/// anew. Both methods need a tokio runtime with IO and time enabled.
pub struct HttpPeers {
    listen: SocketAddr,
    url: String,
    keys: Arc<Keys>,
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    server: Option<Server>,
    /// It was said that nothing can be heard: the driver tries several times a second.
    warned: bool,
}

impl HttpPeers {
    pub(super) fn new(listen: SocketAddr, url: String, keys: Keys) -> Self {
        Self { listen, url, keys: Arc::new(keys), listening: Mutex::default() }
    }
}

#[async_trait]
impl Peers for HttpPeers {
    fn address(&self) -> String {
        self.url.clone()
    }

    async fn ask(&self, at: &str, question: &Question, timeout: Duration) -> Result<Reply, Error> {
        let target = Target::parse(at).ok_or_else(no_address)?;
        let question = Signed::question(question, self.keys.own())?;
        let answer = tokio::time::timeout(timeout, client::send(&target, &question)).await;
        let Answer { status, tag, body } = answer.map_err(|_| no_answer(&target, timeout))??;
        if status != 200 {
            return Err(refused(&target, status));
        }
        // Nothing is read before it is proved.
        if !tag.is_some_and(|tag| self.keys.own().proves_reply(&tag, &question.tag, &body)) {
            return Err(unproved(&target));
        }
        read_reply(&body).ok_or_else(|| foreign(&target))
    }

    async fn next(&self) -> Result<Asked, Error> {
        let mut listening = self.listening.lock().await;
        let Listening { server, warned } = &mut *listening;
        let server = match server {
            Some(server) => server,
            None => match Server::begin(self.listen, Arc::clone(&self.keys)).await {
                Ok(begun) => {
                    *warned = false;
                    server.insert(begun)
                }
                Err(error) => {
                    if !std::mem::replace(warned, true) {
                        tracing::warn!(error = %error.chain(), "no other member can ask this one; it is tried again");
                    }
                    return Err(error);
                }
            },
        };
        if let Some(asked) = server.next().await {
            return Ok(asked);
        }
        listening.server = None;
        let what = format!("listening on {} has ended with the runtime that it began on", self.listen);
        Err(Error::new(ErrorKind::Unavailable, what).hint("the next call begins anew"))
    }
}

impl fmt::Debug for HttpPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPeers").field("listen", &self.listen).field("url", &self.url).finish_non_exhaustive()
    }
}
