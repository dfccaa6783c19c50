//! The architecture, held as tests: what `docs/decisions/0001-house.md` decides, these check.
//!
//! Each file holds one concern. A rule is a function from text to complaints, so each has beside it a test that hands
//! it an offender made up for the purpose and sees it complain. Nothing here builds or needs the network.
//!
//! Start with `layers` (who may import whom) and `dependencies` (which feature may pull what);
//! `code`, `manifest` and `repo` are how they read.

#![expect(clippy::panic, reason = "a check that cannot read the repository has to fail loudly")]

mod code;
mod dependencies;
mod layers;
mod manifest;
mod manifests;
mod names;
mod repo;
mod shortcuts;
