//! A node of a cluster inside a program of one's own.

use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::guard::{self, GuardConfig};
use odoo_ha_backends::listener::{ListenerConfig, Target};
use odoo_ha_backends::postgres::PostgresConfig;
use odoo_ha_backends::sqlite::{SqliteConfig, SqliteDcs};
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::driver::{HaNode, Streamed};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::Timing;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    guard::run_if_guard(); // the watchdog is this program, started a second time

    let (cluster, member) = (ClusterId::new("shop")?, MemberId::new("node_a")?);
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: 5433 };
    let data = "/var/lib/postgresql/shop/data";

    let node = HaNode::builder()
        .dcs(Arc::new(SqliteDcs::new(SqliteConfig::new("/var/lib/shop/store.sqlite", cluster.clone()))?))
        .database(Arc::new(PostgresConfig::new(member.clone(), data, endpoint.clone()).build()?))
        .address(Arc::new(
            ListenerConfig::new(([127, 0, 0, 1], 5432).into(), Target::Tcp(endpoint.to_string())).build()?,
        ))
        .watchdog(Arc::new(GuardConfig::new(data).build()?))
        .cluster(cluster)
        .member(member)
        .endpoint(endpoint)
        .timing(Timing::with_ttl(Duration::from_secs(5)))
        .state_dir("/var/lib/shop/node_a")
        .build()?
        .spawn()?;

    let mut events = node.events();
    while let Some(next) = events.next().await {
        if let Streamed::Event(event) = next {
            println!("{}", event.sentence);
        }
    }
    Ok(())
}
