//! Real PostgreSQL under `PostgresReplication`: one file a situation.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "postgres/support.rs"]
mod support;

#[path = "postgres/access.rs"]
mod access;
#[path = "postgres/archive.rs"]
mod archive;
#[path = "postgres/barrier.rs"]
mod barrier;
#[path = "postgres/beginning.rs"]
mod beginning;
#[path = "postgres/conformance.rs"]
mod conformance;
#[path = "postgres/dropped.rs"]
mod dropped;
#[path = "postgres/errors.rs"]
mod errors;
#[path = "postgres/external.rs"]
mod external;
#[path = "postgres/foreign_files.rs"]
mod foreign_files;
#[path = "postgres/freezing.rs"]
mod freezing;
#[path = "postgres/full_disk.rs"]
mod full_disk;
#[path = "postgres/parameters.rs"]
mod parameters;
#[path = "postgres/permissions.rs"]
mod permissions;
#[path = "postgres/processes.rs"]
mod processes;
#[path = "postgres/promotion.rs"]
mod promotion;
#[path = "postgres/rejoin.rs"]
mod rejoin;
#[path = "postgres/slots.rs"]
mod slots;
#[path = "postgres/stopping.rs"]
mod stopping;
#[path = "postgres/versions.rs"]
mod versions;
