//! A node, put together as its file says.

use std::sync::Arc;

use odoo_ha_backends::postgres::PostgresReplication;
use odoo_ha_core::driver::HaNode;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::ReplicationManager;

use super::config::{AddressSection, AgentConfig, ServiceSection};

/// Puts the node together, and hands out its database beside it. Takes the data directory and the memory of this node for this process.
pub(crate) fn build(config: &AgentConfig) -> Result<(HaNode, Arc<PostgresReplication>), Error> {
    let AgentConfig {
        cluster,
        dcs,
        postgres,
        address,
        services,
        filestore,
        guard: _,
        watchdog,
        peers,
        probes,
        notify,
        api: _,
        timing,
        policy,
    } = config;
    let timing = timing.timing();
    let database = Arc::new(postgres.config(cluster.member.clone()).build()?);
    let mut builder = HaNode::builder()
        .cluster(cluster.name.clone())
        .member(cluster.member.clone())
        .founders(cluster.founders.iter().cloned())
        .bootstrap(cluster.bootstrap.into())
        .tags(cluster.tags())
        .state_dir(&cluster.state_dir)
        .endpoint(postgres.endpoint())
        .dcs(dcs.build(cluster.name.clone())?)
        .database(Arc::clone(&database) as Arc<dyn ReplicationManager>)
        .timing(timing)
        .policy(policy.policy())
        .policy_in_store(true);
    match address {
        Some(AddressSection::Listener(section)) => {
            builder = builder.address(Arc::new(section.config(postgres.endpoint().to_string()).build()?));
        }
        Some(AddressSection::Linux(section)) => builder = builder.address(Arc::new(section.config()?.build()?)),
        None => {}
    }
    if let Some(services) = ServiceSection::build_all(services)? {
        builder = builder.services(Arc::new(services));
    }
    if let Some(filestore) = filestore {
        builder = builder.filestore(Arc::new(filestore.config(&cluster.state_dir).build()?));
    }
    if let Some(guard) = config.effective_guard()?.config(&postgres.data_dir, timing.stop_budget) {
        builder = builder.watchdog(Arc::new(guard.build()?));
    }
    // After the guard: of two, the second is the one that is worse to be left alone with.
    if let Some(watchdog) = watchdog {
        builder = builder.watchdog(Arc::new(watchdog.config(timing.ttl).build()?));
    }
    if let Some(peers) = peers {
        builder = builder.peers(peers.build()?);
    }
    for (number, probe) in probes.iter().enumerate() {
        builder = builder.probe(probe.build(number)?, probe.settings());
    }
    for notify in notify {
        builder = builder.notifier(notify.build()?);
    }
    Ok((builder.build()?, database))
}
