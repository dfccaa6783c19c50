//! `[api]`: the HTTP interface.

use std::net::SocketAddr;

use odoo_ha_core::error::Error;
use serde::{Deserialize, Serialize};

use super::secret::SecretPlace;

/// The HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSection {
    /// Where it is asked.
    pub listen: SocketAddr,
    /// What an operator shows who wants something done. Without one nothing can be asked for.
    pub token: Option<SecretPlace>,
}

impl ApiSection {
    pub(crate) fn check(&self) -> Result<(), Error> {
        // Read, and compared with nothing.
        self.token.as_ref().map_or(Ok(()), |token| token.secret().is(b"", "the token of [api]").map(|_| ()))
    }
}
