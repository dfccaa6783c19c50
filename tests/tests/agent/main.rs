//! `odoo-ha-agent`: its file, and its life on real PostgreSQL.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod file;
mod life;
mod reference;
