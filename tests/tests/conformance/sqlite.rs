//! The SQLite store.

use std::sync::Arc;

use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::conformance;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;

use crate::timer;

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_dcs_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let bench =
        |cluster: &ClusterId| Ok(Arc::new(SqliteDcs::new(SqliteConfig::new(&path, cluster.clone()))?) as Arc<dyn Dcs>);
    let report = conformance::dcs(&bench, &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 0);
}
