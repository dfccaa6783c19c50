//! A password that nothing prints.

/// The password of the replication role. It has no `Debug`, no `Display` and no serialisation; PostgreSQL's programs get it in
/// a password file that only their user may read.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// This password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}
