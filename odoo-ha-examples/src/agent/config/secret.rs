//! Where a password or token is. The file never holds one.

use std::path::PathBuf;

use odoo_ha_backends::Secret;
use serde::{Deserialize, Serialize};

/// `{ file = "/etc/odoo-ha/password" }` or `{ env = "NAME" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretPlace {
    /// The first line of this file.
    File(PathBuf),
    /// This variable of the agent's environment.
    Env(String),
}

impl SecretPlace {
    /// The secret that is there; read when it is needed.
    pub fn secret(&self) -> Secret {
        match self {
            Self::File(path) => Secret::from_file(path),
            Self::Env(name) => Secret::from_environment(name),
        }
    }
}
