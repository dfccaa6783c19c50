//! A password that nothing prints.

use std::io::Read;
use std::path::PathBuf;

use odoo_ha_core::error::{Error, ErrorKind};

/// Longest password, in bytes; etcd's hash looks at 72.
const MAX_BYTES: u64 = 1024;

/// A password. It has no `Debug`, no `Display` and no serialisation.
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Text(String),
    File(PathBuf),
}

impl Secret {
    /// This text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Source::Text(text.into()))
    }

    /// The first line of a file, read whenever it is needed: a file that is replaced counts from the next login on.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// The value of an environment variable, read now.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when it is not set, or empty.
    pub fn from_environment(name: &str) -> Result<Self, Error> {
        match std::env::var(name) {
            Ok(text) if !text.is_empty() => Ok(Self::new(text)),
            // The cause would show the value.
            _ => Err(missing(&format!("the environment variable {name} holds no password"))),
        }
    }

    /// The text, for handing it to the server. May block on a disk.
    pub(super) fn reveal(&self) -> Result<String, Error> {
        let path = match &self.0 {
            Source::Text(text) => return Ok(text.clone()),
            Source::File(path) => path,
        };
        let unreadable =
            |error| missing(&format!("the password file {} cannot be read", path.display())).caused_by(error);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(line.to_owned()),
            _ => Err(missing(&format!("the password file {} is empty", path.display()))),
        }
    }
}

fn missing(what: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, what).hint("etcd's user needs its password")
}
