//! `[peers]`: the way to the other nodes, by which a leader that does not reach the store asks whether it may go on.

use std::net::SocketAddr;
use std::sync::Arc;

use odoo_ha_backends::peers_http::HttpPeersConfig;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::Peers;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;

/// The way to the other nodes. All nodes have one, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersSection {
    /// Where this node listens.
    pub listen: SocketAddr,
    /// Where the others reach it, `http://HOST:PORT`. Default: `listen`.
    pub url: Option<String>,
    /// What all nodes share, at least 16 bytes.
    pub secret: SecretPlace,
    /// More secrets that are accepted, while the secret is being changed.
    #[serde(default)]
    pub accept: Vec<SecretPlace>,
}

impl PeersSection {
    pub(crate) fn build(&self) -> Result<Arc<dyn Peers>, Error> {
        let mut config = HttpPeersConfig::new(self.listen, self.secret.secret());
        config.url.clone_from(&self.url);
        for secret in &self.accept {
            config = config.accept(secret.secret());
        }
        Ok(Arc::new(config.build()?))
    }
}
