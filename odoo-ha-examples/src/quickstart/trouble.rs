//! What keeps the quickstart from running, for the person who started it.

use std::fmt;

/// What is wrong and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    what: String,
    advice: Option<String>,
}

impl Trouble {
    /// Something is wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), advice: None }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.advice {
            Some(advice) => write!(f, "\n  {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Trouble {}

/// The same for a failure of the library.
impl From<odoo_ha_core::error::Error> for Trouble {
    fn from(error: odoo_ha_core::error::Error) -> Self {
        Self::new(error.chain())
    }
}
