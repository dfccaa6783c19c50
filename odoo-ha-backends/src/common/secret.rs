//! A password, a token, or what members share: where it is, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use odoo_ha_core::error::{Error, ErrorKind};

/// Longest secret, in bytes.
const MOST_BYTES: u64 = 4096;

/// A text that nothing prints: its `Debug` says where it comes from, and it has no `Display` and no serialisation.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Source);

#[derive(Clone, PartialEq, Eq)]
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

    /// The first line of a file, of at most 4096 bytes. Read when it is needed, so where a backend says that it reads again, a replaced file counts
    /// without a restart.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// The value of a variable of the program's environment, read when it is needed.
    pub fn from_environment(name: impl Into<String>) -> Self {
        Self(Source::Environment(name.into()))
    }

    /// Whether this is the secret. How long it takes tells at most the secret's length. May block on a disk. `what` it is, as an error names
    /// it: "the token of the API".
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the secret cannot be read.
    pub fn is(&self, presented: &[u8], what: &str) -> Result<bool, Error> {
        let revealed = self.reveal(what)?;
        let own = revealed.as_str().as_bytes();
        let differs =
            own.iter().zip(presented).fold(0, |differs, (own, shown)| std::hint::black_box(differs | (own ^ shown)));
        Ok(differs == 0 && own.len() == presented.len())
    }

    /// The text, for handing it on. May block on a disk. `what` it is, as an error names it: "the password of etcd's user".
    pub(crate) fn reveal(&self, what: &str) -> Result<Revealed, Error> {
        let wrong = |why: String| Error::new(ErrorKind::Misconfigured, format!("{what} {why}"));
        let (text, place, hint) = match &self.0 {
            Source::Text(text) => (text.clone(), String::new(), "give one"),
            Source::File(path) => {
                let place = format!("in the file {} ", path.display());
                let mut text = String::new();
                File::open(path).and_then(|file| file.take(MOST_BYTES + 2).read_to_string(&mut text)).map_err(
                    |error| {
                        wrong(format!("{place}cannot be read"))
                            .hint("it must be a text file that the agent's user can read")
                            .caused_by(error)
                    },
                )?;
                (text.lines().next().unwrap_or_default().to_owned(), place, "its first line must hold it")
            }
            Source::Environment(name) => {
                let place = format!("in the variable {name} ");
                // The cause would show the value.
                let text = std::env::var(name).map_err(|_| {
                    wrong(format!("{place}is not set, or no text")).hint("set it for the agent's process")
                })?;
                (text, place, "set it for the agent's process")
            }
        };
        if text.is_empty() {
            return Err(wrong(format!("{place}is empty")).hint(hint));
        }
        if text.len() as u64 > MOST_BYTES {
            return Err(
                wrong(format!("{place}is longer than {MOST_BYTES} bytes")).hint("it is another text than you think")
            );
        }
        Ok(Revealed(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Text(_) => f.write_str("Secret"),
            Source::File(path) => write!(f, "Secret(file {})", path.display()),
            Source::Environment(name) => write!(f, "Secret(variable {name})"),
        }
    }
}

/// The text itself. It has no `Debug`, no `Display` and no serialisation.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Revealed(String);

impl Revealed {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let file = |text: &str| {
            let path = std::env::temp_dir().join(format!("odoo-ha-secret-{}-{}", std::process::id(), text.len()));
            std::fs::write(&path, text).expect("a file");
            let result = Secret::from_file(&path).reveal("the word");
            std::fs::remove_file(&path).expect("it was there");
            result
        };
        assert!(file("hush\r\nand a second line").is_ok_and(|text| text.as_str() == "hush"));
        let wrong = [
            Secret::new("").reveal("the word"),
            Secret::new("hush".repeat(1025)).reveal("the word"),
            Secret::from_environment("ODOO_HA_NO_SUCH_VARIABLE").reveal("the word"),
            Secret::from_file("/nowhere/secret").reveal("the word"),
            file(&"hush".repeat(1025)),
            file("\nhush"),
            file(""),
        ];
        for result in wrong {
            let error = result.err().expect("it is wrong");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            let said = error.chain();
            assert!(said.starts_with("the word ") && !said.contains("hush") && said.contains('('), "{said}");
        }
    }

    #[test]
    fn it_is_itself_and_nothing_else() {
        let is = |shown: &[u8]| Secret::new("hush").is(shown, "the word").expect("it is there");
        assert!(is(b"hush"));
        for other in [b"".as_slice(), b"hus", b"hush!", b"Hush", b"hushhush"] {
            assert!(!is(other));
        }
        assert!(Secret::new("").is(b"", "the word").is_err());
    }

    #[test]
    fn it_says_where_it_is_and_not_what() {
        let shown = [Secret::new("hush"), Secret::from_file("/etc/word"), Secret::from_environment("WORD")];
        assert_eq!(format!("{shown:?}"), "[Secret, Secret(file /etc/word), Secret(variable WORD)]");
    }
}
