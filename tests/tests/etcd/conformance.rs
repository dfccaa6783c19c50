//! The suite of the role.

use std::sync::Arc;

use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_core::conformance::{self, BoxFuture};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;

use crate::support::{Etcd, NEW, OLD, Plan};

fn timer(time: std::time::Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(time))
}

async fn conforms(etcd: Etcd) {
    let mut urls = etcd.urls();
    let urls = std::sync::Mutex::new(&mut urls);
    let bench = |cluster: &ClusterId| {
        // Each client begins at another member.
        let mut urls = urls.lock().unwrap();
        urls.rotate_left(1);
        Ok(Arc::new(EtcdConfig::new(cluster.clone(), urls.clone()).build()?) as Arc<dyn Dcs>)
    };
    let report = conformance::dcs(&bench, &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_3_4_conforms() {
    conforms(Plan::new(OLD, 1).serving().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_3_5_conforms() {
    conforms(Plan::new(NEW, 1).serving().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_3_4_of_three_conforms() {
    conforms(Plan::new(OLD, 3).serving().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_3_5_of_three_conforms() {
    conforms(Plan::new(NEW, 3).serving().await).await;
}
