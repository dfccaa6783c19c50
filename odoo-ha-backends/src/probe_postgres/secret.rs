//! A password.

/// A text that is shown nowhere: it has no `Debug`, `Display` or serialisation.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for handing it to the server.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}
