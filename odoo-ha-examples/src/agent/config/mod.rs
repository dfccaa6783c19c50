//! The configuration of a node: one TOML file.
//!
//! What is a fact of this node and what all nodes must say alike stands together; `docs/reference/configuration.md` has every key.

mod address;
mod api;
mod cluster;
mod dcs;
mod filestore;
mod guard;
mod notify;
mod peers;
mod postgres;
mod probe;
mod secret;
mod services;
mod times;
mod watchdog;

use std::path::Path;

use odoo_ha_core::error::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

pub use address::{AddressSection, LinuxSection, ListenerSection};
pub use api::ApiSection;
pub use cluster::{Beginning, ClusterSection};
pub use dcs::{ConsulSection, DcsSection, EtcdSection, SqliteSection};
pub use filestore::{FilestoreSection, RsyncSection};
pub use guard::GuardSection;
pub use notify::{NotifySection, SlackSection, WebhookSection};
pub use peers::PeersSection;
pub use postgres::PostgresSection;
pub use probe::{HttpProbeSection, PostgresProbeSection, ProbeSection, TcpProbeSection};
pub use secret::SecretPlace;
pub use services::{CommandSection, ServiceSection, SystemdSection};
pub use times::{PolicySection, TimingSection};
pub use watchdog::{LinuxWatchdogSection, WatchdogSection};

/// Longest file, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// A complete node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// Who this node is.
    pub cluster: ClusterSection,
    /// The coordination store.
    pub dcs: DcsSection,
    /// This node's database.
    pub postgres: PostgresSection,
    /// The address that users type.
    pub address: Option<AddressSection>,
    /// What serves users on the leader, in the order of its start.
    #[serde(default)]
    pub services: Vec<ServiceSection>,
    /// The way that Odoo's files come to the other nodes.
    pub filestore: Option<FilestoreSection>,
    /// What stops the database when the agent cannot.
    #[serde(default)]
    pub guard: GuardSection,
    /// What resets this machine when neither agent nor guard can stop the database.
    pub watchdog: Option<WatchdogSection>,
    /// The way to the other nodes when the store is away.
    pub peers: Option<PeersSection>,
    /// What shows that this node serves.
    #[serde(default)]
    pub probes: Vec<ProbeSection>,
    /// Who is told what happens.
    #[serde(default)]
    pub notify: Vec<NotifySection>,
    /// The HTTP interface.
    pub api: Option<ApiSection>,
    /// The times of the cluster.
    #[serde(default)]
    pub timing: TimingSection,
    /// What the cluster strives for.
    #[serde(default)]
    pub policy: PolicySection,
}

impl AgentConfig {
    /// Reads and checks a file. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, with the line where TOML has one.
    pub fn read(file: &Path) -> Result<Self, Error> {
        use std::io::Read;
        let wrong = |why: &str| Error::new(ErrorKind::Misconfigured, format!("{} {why}", file.display()));
        let mut text = String::new();
        std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text)).map_err(
            |error| wrong("cannot be read").hint("name the node's TOML file with --config").caused_by(error),
        )?;
        if text.len() as u64 > MOST_BYTES {
            return Err(wrong("is longer than 1 MiB").hint("it is another file than you think"));
        }
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            // Not the error's own text, which shows the line: whoever wrote a password into it must not find it in a log.
            let start = error.span().map_or(0, |span| span.start);
            let line = (text[..start].matches('\n').count() + 1).min(text.lines().count());
            let section = section_of(text.lines().take(line));
            wrong(&format!("is not a node's configuration: line {line}{section}: {}", error.message()))
                .hint("docs/reference/configuration.md has every key")
        })?;
        config.check()?;
        if config.postgres.recovery_min_apply_delay.is_some() {
            // Implied: one that replays late must neither lead nor be waited for.
            (config.cluster.nofailover, config.cluster.nosync) = (true, true);
        }
        Ok(config)
    }

    /// Whether the parts can work, as far as that shows without the other nodes, the store and the database.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, with the section.
    pub fn check(&self) -> Result<(), Error> {
        let timing = self.timing.timing();
        timing.check()?;
        self.policy.policy().check()?;
        self.dcs.build(self.cluster.name.clone())?;
        if self.postgres.recovery_min_apply_delay.is_some_and(|delay| delay.is_zero()) {
            return Err(wrong(
                "postgres",
                "recovery_min_apply_delay is nothing: choose one from 1 ms to 24 days, or leave it out",
            ));
        }
        if self.cluster.replicate_from.as_ref() == Some(&self.cluster.member) {
            return Err(wrong("cluster", "replicate_from names this node itself: name another, or leave it out"));
        }
        self.postgres.config(self.cluster.member.clone()).check()?;
        match &self.address {
            Some(AddressSection::Listener(section)) => section.config(self.postgres.endpoint().to_string()).check()?,
            Some(AddressSection::Linux(section)) => section.check(&timing)?,
            None => {}
        }
        ServiceSection::build_all(&self.services)?;
        if let Some(filestore) = &self.filestore {
            filestore.config(&self.cluster.state_dir).check()?;
        }
        if let Some(guard) = self.effective_guard()?.config(&self.postgres.data_dir, timing.stop_budget) {
            guard.check()?;
        }
        if let Some(watchdog) = &self.watchdog {
            watchdog.check(&timing)?;
        }
        if let Some(peers) = &self.peers {
            peers.build()?;
        }
        for (number, probe) in self.probes.iter().enumerate() {
            probe.build(number)?;
            probe.settings().check()?;
        }
        for notify in &self.notify {
            notify.build()?;
        }
        if let Some(api) = &self.api {
            api.check()?;
        }
        Ok(())
    }

    /// The guard, which drops an address of this host and stops the services by itself unless it is told how.
    pub(crate) fn effective_guard(&self) -> Result<GuardSection, Error> {
        let mut guard = self.guard.clone();
        if !guard.enabled {
            return Ok(guard);
        }
        if let Some(AddressSection::Linux(section)) = &self.address
            && guard.drop_address.is_none()
        {
            guard.drop_address = Some(section.config()?.drop_command()?);
        }
        if guard.stop_services.is_none() && !self.services.is_empty() {
            let stop = ServiceSection::stop_all(&self.services).ok_or_else(|| {
                wrong("guard", "services of several kinds are not stopped by one command: say stop_services, a script that stops all of them")
            })?;
            guard.stop_services = Some(stop);
        }
        Ok(guard)
    }

    /// The file as if every default stood in it. It holds no secret, as the file holds none.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when a value has no form in TOML, or a default cannot be told.
    pub fn effective(&self) -> Result<String, Error> {
        let watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.effective(self.timing.ttl));
        let guard = self.effective_guard()?;
        let full = Self { timing: self.timing.effective(), watchdog, guard, ..self.clone() };
        toml::to_string(&full)
            .map_err(|error| Error::new(ErrorKind::Misconfigured, "the configuration is no TOML").caused_by(error))
    }
}

/// The last heading of these lines, for an error; nothing that is no plain heading.
fn section_of<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
    let heading = lines.filter(|line| line.starts_with('[')).last();
    let name = heading.map(|line| line.trim().trim_start_matches('[').trim_end_matches(']'));
    name.filter(|name| is_plain(name)).map(|name| format!(" in [{name}]")).unwrap_or_default()
}

fn wrong(section: &str, why: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, format!("[{section}]: {why}")).hint("see docs/reference/configuration.md")
}
