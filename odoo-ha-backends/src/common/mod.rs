//! What several backends share.

pub(crate) mod secret;
