//! Real clusters on hosts of their own: `odoo-ha-agent`, PostgreSQL, etcd and a client that writes all the time, and what befalls them.
//!
//! Each test is a situation (`odoo_ha_tests::lab`): a whole cluster, some harm, and a judge who wants it whole again with every acknowledged
//! row, and never two databases that accepted writes at once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod changes;
mod cuts;
mod disks;
mod files;
mod frozen;
mod kills;
mod restarts;
mod standbys;
mod tagged;
mod wishes;
