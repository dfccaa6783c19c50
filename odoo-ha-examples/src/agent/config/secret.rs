//! Where a password or token is. The file never holds one.

use std::fmt;
use std::path::PathBuf;

use odoo_ha_backends::Secret;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// `{ file = "/etc/odoo-ha/password" }` or `{ env = "NAME" }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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

/// By hand, as derived code would repeat in its error what stands there: it may be the secret itself.
impl<'de> Deserialize<'de> for SecretPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Place)
    }
}

struct Place;

impl Place {
    fn wrong<E: de::Error>() -> E {
        E::custom(
            "say where the secret is, { file = \"...\" } or { env = \"NAME\" }; the secret itself does not belong here",
        )
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = SecretPlace;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ file = \"...\" } or { env = \"NAME\" }")
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretPlace, E> {
        Err(Self::wrong())
    }

    // The default of each would repeat it.
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretPlace, E> {
        Err(Self::wrong())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretPlace, E> {
        Err(Self::wrong())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretPlace, E> {
        Err(Self::wrong())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretPlace, E> {
        Err(Self::wrong())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<SecretPlace, M::Error> {
        let place = match map.next_key::<String>()?.as_deref() {
            Some("file") => SecretPlace::File(map.next_value()?),
            Some("env") => SecretPlace::Env(map.next_value()?),
            _ => return Err(Self::wrong()),
        };
        match map.next_key::<String>()? {
            None => Ok(place),
            Some(_) => Err(Self::wrong()),
        }
    }
}
