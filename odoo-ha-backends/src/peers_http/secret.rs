//! A secret that nothing prints.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use odoo_ha_core::error::{Error, ErrorKind};

use super::proof::Key;

/// Shortest secret, in bytes: what can be guessed protects nothing.
const FEWEST_BYTES: usize = 16;

/// Longest secret, in bytes; more than 64 make an HMAC-SHA256 no stronger.
const MOST_BYTES: usize = 1024;

/// What all members of a cluster share. It has no `Debug`, no `Display` and no serialisation.
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Text(String),
    File(PathBuf),
    Environment(String),
}

impl Secret {
    /// This text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Source::Text(text.into()))
    }

    /// The first line of a file.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// The value of a variable of the program's environment.
    pub fn from_environment(name: impl Into<String>) -> Self {
        Self(Source::Environment(name.into()))
    }

    /// The key, for signing. May block on a disk.
    pub(super) fn key(&self) -> Result<Key, Error> {
        let (text, place) = match &self.0 {
            Source::Text(text) => (text.clone(), "the secret of the members".to_owned()),
            Source::File(path) => {
                let place = format!("the secret of the members in {}", path.display());
                let mut text = String::new();
                let file = File::open(path).and_then(|file| file.take(MOST_BYTES as u64 + 2).read_to_string(&mut text));
                file.map_err(|error| {
                    wrong(&format!("{place} cannot be read"))
                        .hint("it must be a text file that the agent's user can read")
                        .caused_by(error)
                })?;
                (text.lines().next().unwrap_or_default().to_owned(), place)
            }
            Source::Environment(name) => {
                let place = format!("the secret of the members in the variable {name}");
                // The cause would show the value.
                let value = std::env::var(name).map_err(|_| {
                    wrong(&format!("{place} is not set, or no text")).hint("set it for the agent's process")
                })?;
                (value, place)
            }
        };
        if !(FEWEST_BYTES..=MOST_BYTES).contains(&text.len()) {
            return Err(wrong(&format!("{place} does not have {FEWEST_BYTES} to {MOST_BYTES} bytes"))
                .hint("`openssl rand -base64 32` makes a good one; it is the same on all members"));
        }
        Ok(Key::new(text.as_bytes()))
    }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let file = |text: &str| {
            let path = std::env::temp_dir().join(format!("odoo-ha-secret-{}-{}", std::process::id(), text.len()));
            std::fs::write(&path, text).expect("a file");
            let result = Secret::from_file(&path).key();
            std::fs::remove_file(&path).expect("it was there");
            result
        };
        assert!(file("a good secret of 24 byte\nand a second line").is_ok());
        let wrong = [
            Secret::new("").key(),
            Secret::new("hush_hush_hush!").key(),
            Secret::new("hush".repeat(257)).key(),
            Secret::from_environment("ODOO_HA_NO_SUCH_VARIABLE").key(),
            Secret::from_file("/nowhere/secret").key(),
            file("hush\nand a second line that is long"),
            file(&"hush".repeat(300)),
            file(""),
        ];
        for result in wrong {
            let error = result.err().expect("it is wrong");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(!error.chain().contains("hush") && error.to_string().ends_with(')'), "{}", error.chain());
        }
    }
}
