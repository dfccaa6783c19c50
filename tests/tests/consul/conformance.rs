//! The role's suite.

use std::sync::Arc;

use odoo_ha_backends::consul::ConsulConfig;
use odoo_ha_core::conformance;
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::Dcs;

use crate::server::Consul;
use crate::timer;

async fn conforms(endpoints: &[String]) {
    let bench =
        |cluster: &ClusterId| Ok(Arc::new(ConsulConfig::new(endpoints, cluster.clone()).build()?) as Arc<dyn Dcs>);
    let report = conformance::dcs(&bench, &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_conforms() {
    let consul = Consul::single().await;
    conforms(&consul.endpoints()).await;
}

/// Both at once: each shows the other's keys to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn three_servers_and_a_client_agent_conform() {
    let mut consul = Consul::three().await;
    let servers = consul.endpoints();
    consul.add_client_agent();
    consul.ready().await;
    let agent = [consul.agents[3].endpoint()];
    tokio::join!(conforms(&servers), conforms(&agent));
}
