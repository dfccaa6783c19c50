//! The cluster's policy, where it stands in the store.

use serde::{Deserialize, Serialize};

use super::{Header, Record};
use crate::policy::Policy;

/// Longest name of whoever wrote it, in characters.
const LONGEST_AUTHOR: usize = 128;

/// What the cluster strives for, for all members alike. One that is there takes the place of what each member's own configuration says. Anybody may
/// rewrite it, by compare-and-swap; it decides nothing about who may lead (that is what the sync record says).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// What every record begins with.
    pub header: Header,
    /// Who wrote it, as they call themselves.
    pub by: String,
    /// What is striven for.
    pub policy: Policy,
}

impl Record for PolicyRecord {
    fn header(&self) -> &Header {
        &self.header
    }

    fn validate(&self) -> Result<(), String> {
        if self.by.chars().count() > LONGEST_AUTHOR || self.by.chars().any(char::is_control) {
            return Err(format!("its author is no name of at most {LONGEST_AUTHOR} characters"));
        }
        self.policy.check().map_err(|error| error.what().to_owned())
    }
}
