//! The token and the certificates: read from where they are, again when they are refused, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use odoo_ha_core::error::{Error, ErrorKind};

use super::config::ConsulConfig;
use crate::common::secret::Secret;

/// Longest file of certificates or of a key, in bytes.
const MOST_PEM_BYTES: u64 = 1024 * 1024;

/// Bytes that nobody may see: no `Debug`, no `Display`, no way into a URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(Vec<u8>);

impl Hidden {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What is shown to the store, as it was when it was last read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// Goes into a header.
    pub(super) token: Option<Hidden>,
    /// Certificates of those who are trusted, in PEM. Public.
    pub(super) ca: Option<Vec<u8>>,
    /// The client's certificate and its key, in PEM.
    pub(super) identity: Option<Hidden>,
}

impl Credentials {
    /// Reads all of them. Files are small and local; it blocks for as long as the disk does.
    pub(super) fn read(config: &ConsulConfig) -> Result<Self, Error> {
        let token = config.token.as_ref().map(read_token).transpose()?;
        let ca = config.ca_file.as_deref().map(|path| read_file(path, "CA file", MOST_PEM_BYTES)).transpose()?;
        let identity = match &config.identity {
            Some((certificate, key)) => {
                let mut pem = read_file(certificate, "client certificate", MOST_PEM_BYTES)?;
                pem.push(b'\n');
                pem.extend(read_file(key, "client certificate's key", MOST_PEM_BYTES)?);
                Some(Hidden(pem))
            }
            None => None,
        };
        Ok(Self { token, ca, identity })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

fn read_token(source: &Secret) -> Result<Hidden, Error> {
    let revealed = source.reveal("the store's token")?;
    let token = revealed.as_str().trim_ascii();
    // Also what a header may hold.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::new(ErrorKind::Misconfigured, format!("the store's token is none ({source:?})"))
            .hint("it must be the token's SecretID and nothing else"));
    }
    Ok(Hidden(token.as_bytes().to_vec()))
}

fn read_file(path: &Path, what: &str, most: u64) -> Result<Vec<u8>, Error> {
    let wrong =
        |why: &str| Error::new(ErrorKind::Misconfigured, format!("the store's {what} {} {why}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(|error| {
        wrong("cannot be read").hint("it must exist and the agent's user must be able to read it").caused_by(error)
    })?;
    if bytes.len() as u64 > most {
        return Err(wrong(&format!("has more than {most} bytes")).hint("it is another file than you think"));
    }
    Ok(bytes)
}

/// The credentials of a client, changed while it runs.
pub(super) struct Wallet<T> {
    config: ConsulConfig,
    made: Mutex<Arc<Made<T>>>,
}

/// Credentials and what was made of them.
pub(super) struct Made<T> {
    pub(super) credentials: Credentials,
    pub(super) client: T,
}

impl<T: Send + Sync + 'static> Wallet<T> {
    /// Reads the credentials and makes a client of them.
    pub(super) fn open(
        config: &ConsulConfig,
        make: fn(&ConsulConfig, &Credentials) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let credentials = Credentials::read(config)?;
        let client = make(config, &credentials)?;
        Ok(Self { config: config.clone(), made: Mutex::new(Arc::new(Made { credentials, client })) })
    }

    pub(super) fn current(&self) -> Arc<Made<T>> {
        // No step under the lock can panic half-way.
        Arc::clone(&self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the credentials again, off the executor. Gives a client with others than `used` had, if there are any: what
    /// cannot be read or used now leaves everything as it was.
    pub(super) async fn renewed(
        &self,
        used: &Arc<Made<T>>,
        make: fn(&ConsulConfig, &Credentials) -> Result<T, Error>,
    ) -> Option<Arc<Made<T>>> {
        let current = self.current();
        if !Arc::ptr_eq(&current, used) {
            return Some(current);
        }
        let (config, old) = (self.config.clone(), current);
        let read = tokio::task::spawn_blocking(move || {
            let credentials = Credentials::read(&config).ok().filter(|new| *new != old.credentials)?;
            let client = make(&config, &credentials).ok()?;
            Some(Arc::new(Made { credentials, client }))
        });
        let made = read.await.ok().flatten()?;
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&made);
        Some(made)
    }
}

impl<T> fmt::Debug for Wallet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wallet").finish_non_exhaustive()
    }
}
