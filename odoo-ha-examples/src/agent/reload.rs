//! What a changed file changes in a node that runs.

use std::time::Duration;

use odoo_ha_backends::postgres::PostgresReplication;
use odoo_ha_core::driver::HaHandle;
use odoo_ha_core::error::{Error, ErrorKind};

use super::config::AgentConfig;

/// The keys that are taken over at once; everything else waits for the agent's next start.
pub(crate) const AT_ONCE: &str = "timing, postgres.parameters, and policy while none stands in the store";

/// How long the database may take to read changed parameters.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes over what can be while it runs. Returns the sections that wait for a restart.
pub(crate) async fn apply(
    node: &HaHandle,
    database: &PostgresReplication,
    now: &mut AgentConfig,
    new: AgentConfig,
) -> Result<Vec<&'static str>, Error> {
    let timing = new.timing.timing();
    if let Some(watchdog) = &now.watchdog {
        // As it was started: a device that runs gets no other timeout.
        watchdog.check(&timing)?;
    }
    node.check_timing(timing)?;
    // First, as it may be refused: then nothing is taken over.
    if now.postgres.parameters != new.postgres.parameters {
        match database.set_parameters(new.postgres.parameters.clone(), READ_TIMEOUT).await {
            Ok(_) => {}
            // They are written, so they are what the next file is compared with.
            Err(error) if error.kind() == ErrorKind::Unknown => tracing::warn!("{}", error.chain()),
            Err(error) => return Err(error),
        }
        now.postgres.parameters.clone_from(&new.postgres.parameters);
    }
    if now.timing != new.timing {
        node.set_timing(new.timing.timing()).await?;
        now.timing = new.timing;
    }
    if now.policy != new.policy {
        node.set_policy(new.policy.policy()).await?;
        now.policy = new.policy;
    }
    let sections = [
        ("cluster", now.cluster != new.cluster),
        ("dcs", now.dcs != new.dcs),
        ("postgres", now.postgres != new.postgres),
        ("address", now.address != new.address),
        ("services", now.services != new.services),
        ("filestore", now.filestore != new.filestore),
        ("guard", now.guard != new.guard),
        ("watchdog", now.watchdog != new.watchdog.map(|watchdog| watchdog.effective(timing.ttl))),
        ("peers", now.peers != new.peers),
        ("probes", now.probes != new.probes),
        ("api", now.api != new.api),
        ("notify", now.notify != new.notify),
    ];
    Ok(sections.into_iter().filter_map(|(section, changed)| changed.then_some(section)).collect())
}
