//! `odoo-ha-agent`: its file, and its life on real PostgreSQL.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod api;
mod file;
mod life;
mod reference;
mod reload;
mod unit;
