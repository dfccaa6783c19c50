//! The settings that the agent owns: a file of its own in the data directory, rewritten before every start, read last.
//!
//! A base backup and a rewind bring the other member's files along, `postgresql.auto.conf` included (protocol rule 22): so each
//! owned setting is also taken out of that file, which PostgreSQL would read after ours.

use std::collections::BTreeMap;
use std::path::Path;

use odoo_ha_core::database::{Endpoint, SynchronousStandbys, Upstream};
use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;
use serde::{Deserialize, Serialize};

use super::access::AccessFile;
use super::config::PostgresConfig;
use super::error::{malformed, misconfigured};
use super::files;
use super::memory::Beside;
use super::standby_names;
use super::user::Owner;

/// The file, in the data directory.
const FILE: &str = "odoo-ha.conf";

/// Begins the line that holds the agent's own words for what the file says.
const STATE_MARK: &str = "# odoo-ha: ";

/// How often a standby without a WAL receiver looks again (rule 26's wait; PostgreSQL's default is 5 s).
pub(super) const RETRY_INTERVAL_MS: u64 = 100;

/// Settings that only the agent sets.
const OWNED: [&str; 30] = [
    "data_directory",
    "hba_file",
    "listen_addresses",
    "port",
    "unix_socket_directories",
    "hot_standby",
    "wal_log_hints",
    "wal_retrieve_retry_interval",
    "lc_messages",
    "password_encryption",
    "primary_conninfo",
    "primary_slot_name",
    "synchronous_standby_names",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_time",
    "recovery_target_xid",
    "recovery_target_timeline",
    "recovery_min_apply_delay",
    "promote_trigger_file",
    "standby_mode",
    "odoo_ha.upstream",
    "cluster_name",
    "config_file",
    "include",
    "include_dir",
    "include_if_exists",
];

/// Settings that have another default here; the configuration may change them.
const DEFAULTS: [(&str, &str); 8] = [
    ("wal_level", "replica"),
    ("max_wal_senders", "20"),
    ("max_replication_slots", "20"),
    // Both bound how long a silent connection counts as alive.
    ("wal_sender_timeout", "10s"),
    ("wal_receiver_timeout", "10s"),
    ("wal_receiver_status_interval", "1s"),
    // A member that never comes back must not fill the disk; it is cloned anew if it does.
    ("max_slot_wal_keep_size", "16GB"),
    ("wal_receiver_create_temp_slot", "off"),
];

/// How a crashed database flushes its files; since PostgreSQL 14.
const FLUSH_METHOD: &str = "recovery_init_sync_method";

/// Whether only the agent sets this.
pub(super) fn is_owned(name: &str) -> bool {
    OWNED.contains(&name)
}

/// The part of the settings that orders change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    member: MemberId,
    upstream: Option<(MemberId, Endpoint)>,
    /// Whom commits wait for, as the setting's text: the order of names matters to the barrier.
    pub(super) synchronous: String,
}

impl Wanted {
    /// Nobody to follow, nobody to wait for.
    pub(super) const fn nothing(member: MemberId) -> Self {
        Self { member, upstream: None, synchronous: String::new() }
    }

    /// What stands in the data directory; another member's words (brought by a clone) count for nothing.
    pub(super) fn read(data_dir: &Path, member: &MemberId) -> Result<Self, Error> {
        let text = files::read(&data_dir.join(FILE))?.unwrap_or_default();
        let Some(state) = text.lines().find_map(|line| line.strip_prefix(STATE_MARK)) else {
            return Ok(Self::nothing(member.clone()));
        };
        let wanted: Self = serde_json::from_str(state).map_err(|source| {
            malformed(format!("{} in {} is broken", FILE, data_dir.display()))
                .hint("remove it; it is written anew")
                .caused_by(source)
        })?;
        Ok(if wanted.member == *member { wanted } else { Self::nothing(member.clone()) })
    }

    /// Whom to follow.
    pub(super) fn upstream(&self) -> Option<&MemberId> {
        self.upstream.as_ref().map(|(member, _)| member)
    }

    /// The same, following this member, or nobody.
    pub(super) fn following(mut self, upstream: Option<&Upstream>) -> Self {
        self.upstream = upstream.map(|upstream| (upstream.member.clone(), upstream.endpoint.clone()));
        self
    }

    /// The same, waiting for these; the text is kept when it means the same already.
    pub(super) fn waiting_for(mut self, standbys: &SynchronousStandbys) -> Self {
        if standby_names::parse(&self.synchronous).is_none_or(|(now, _)| now != *standbys) {
            self.synchronous = standby_names::render(standbys, &standby_names::names(&self.synchronous));
        }
        self
    }

    /// The connection string of the WAL receiver; empty for nobody.
    pub(super) fn conninfo(&self, config: &PostgresConfig, beside: &Beside) -> String {
        let Some((_, endpoint)) = &self.upstream else {
            return String::new();
        };
        // The database is for the synchronisation of logical slots (PostgreSQL 17); streaming itself has none.
        conninfo(endpoint, config.member.as_str(), &config.replication_user, &config.database, beside)
    }
}

/// A connection string of PostgreSQL's own programs; the password is in a file, a silent peer is given up within seconds.
pub(super) fn conninfo(
    endpoint: &Endpoint,
    application_name: &str,
    user: &str,
    database: &str,
    beside: &Beside,
) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    format!(
        "host={} port={} user={} dbname={} application_name={} passfile={} connect_timeout=3 keepalives_idle=5 \
         keepalives_interval=2 keepalives_count=3 tcp_user_timeout=5000",
        quoted(&endpoint.host),
        endpoint.port,
        quoted(user),
        quoted(database),
        quoted(application_name),
        quoted(&beside.password_file().to_string_lossy()),
    )
}

/// The name of the physical slot that a member's upstream keeps for it.
pub(super) fn slot_name(member: &MemberId) -> String {
    format!("{SLOT_PREFIX}{member}")
}

/// Begins the name of every slot that the agents keep.
pub(super) const SLOT_PREFIX: &str = "odoo_ha_";

/// Writes the agent's file, durably; nothing is written when it says all that already.
pub(super) fn write(
    data_dir: &Path,
    config: &PostgresConfig,
    beside: &Beside,
    wanted: &Wanted,
    owner: Owner,
) -> Result<(), Error> {
    let path = data_dir.join(FILE);
    let text = render(config, beside, wanted)?;
    if files::read(&path)?.as_deref() == Some(text.as_str()) {
        return Ok(());
    }
    files::write_durably(&path, text.as_bytes(), owner)
}

/// Everything that must stand before a start: the agent's file, read last, undisturbed by `postgresql.auto.conf`, and who may connect.
pub(super) fn prepare(
    dir: &Path,
    config: &PostgresConfig,
    beside: &Beside,
    wanted: &Wanted,
    owner: Owner,
) -> Result<(), Error> {
    write(dir, config, beside, wanted, owner)?;
    let main = dir.join("postgresql.conf");
    let Some(text) = files::read(&main)? else {
        return Err(misconfigured(format!("{} does not exist", main.display()))
            .hint("move the configuration of these data into their directory (Debian keeps it in /etc/postgresql)"));
    };
    replace(&main, &text, &with_include(&text), owner)?;
    let auto = dir.join("postgresql.auto.conf");
    if let Some(text) = files::read(&auto)? {
        replace(&auto, &text, &without_ours(&text, &config.live.now()), owner)?;
    }
    let access = dir.join("pg_hba.conf");
    let text = files::read(&access)?.unwrap_or_default();
    let new = AccessFile::make(&text, config);
    for line in &new.refused {
        tracing::warn!(member = %config.member, line, "taken out of force in pg_hba.conf: over the network there is scram-sha-256 only");
    }
    replace(&access, &text, &new.text, owner)
}

fn replace(path: &Path, old: &str, new: &str, owner: Owner) -> Result<(), Error> {
    if old == new { Ok(()) } else { files::write_durably(path, new.as_bytes(), owner) }
}

fn render(config: &PostgresConfig, beside: &Beside, wanted: &Wanted) -> Result<String, Error> {
    let state = serde_json::to_string(wanted)
        .map_err(|source| malformed("the agent's settings cannot be written").caused_by(source))?;
    let mut text =
        format!("# Written by odoo-ha before every start: changes made here are lost.\n{STATE_MARK}{state}\n");
    let mut values: BTreeMap<String, String> =
        DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    values.insert("wal_keep_size".into(), format!("{}MB", config.wal_keep_mb));
    if config.flushes_by_file_system {
        // After a crash PostgreSQL flushes all files before it replays; one by one that takes longer than all the rest.
        values.insert(FLUSH_METHOD.into(), "syncfs".into());
    }
    values.extend(config.live.now());
    let socket_dir = config.socket_dir.as_deref().unwrap_or(beside.dir());
    let upstream = wanted.upstream().map(ToString::to_string).unwrap_or_default();
    let slot = if wanted.upstream.is_some() { slot_name(&config.member) } else { String::new() };
    // A database without an upstream is to come to the end of its log: a delayed standby is never told to wait there.
    let delay = if wanted.upstream.is_some() { config.apply_delay.as_millis() } else { 0 }.to_string();
    let owned = [
        ("data_directory", config.data_dir.to_string_lossy().into_owned()),
        ("hba_file", config.data_dir.join("pg_hba.conf").to_string_lossy().into_owned()),
        ("listen_addresses", config.listen.clone().unwrap_or_else(|| config.endpoint.host.clone())),
        ("port", config.endpoint.port.to_string()),
        ("unix_socket_directories", format!("\"{}\"", socket_dir.display())),
        ("cluster_name", config.member.to_string()),
        ("hot_standby", "on".into()),
        ("wal_log_hints", "on".into()),
        ("wal_retrieve_retry_interval", format!("{RETRY_INTERVAL_MS}ms")),
        ("lc_messages", "C".into()),
        ("password_encryption", "scram-sha-256".into()),
        ("recovery_target_timeline", "latest".into()),
        ("recovery_target", String::new()),
        ("recovery_target_lsn", String::new()),
        ("recovery_target_name", String::new()),
        ("recovery_target_time", String::new()),
        ("recovery_target_xid", String::new()),
        ("recovery_min_apply_delay", delay),
        ("primary_conninfo", wanted.conninfo(config, beside)),
        ("primary_slot_name", slot),
        ("synchronous_standby_names", wanted.synchronous.clone()),
        ("odoo_ha.upstream", upstream),
    ];
    values.extend(owned.map(|(name, value)| (name.to_owned(), value)));
    for (name, value) in values {
        // PostgreSQL reads backslashes in quoted values as escapes.
        let value = value.replace('\\', "\\\\").replace('\'', "''").replace(['\n', '\r', '\0'], " ");
        text.push_str(&format!("{name} = '{value}'\n"));
    }
    Ok(text)
}

/// The main file with the agent's as its last line.
fn with_include(text: &str) -> String {
    let include = format!("include '{FILE}'");
    let mut lines: Vec<&str> = text.lines().filter(|line| line.trim() != include).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    format!("{}\n{include}\n", lines.join("\n"))
}

/// The file of `ALTER SYSTEM` without what stands in the agent's.
fn without_ours(text: &str, parameters: &BTreeMap<String, String>) -> String {
    let is_ours = |line: &str| {
        let end = line.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(line.len());
        let name = line.get(..end).unwrap_or_default().to_ascii_lowercase();
        let by_default = DEFAULTS.iter().any(|(default, _)| *default == name);
        let by_default = by_default || name == "wal_keep_size" || name == FLUSH_METHOD;
        is_owned(&name) || by_default || parameters.contains_key(&name)
    };
    text.lines().filter(|line| !is_ours(line.trim_start())).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_include_is_the_last_line_and_there_once() {
        let once = with_include("port = 1\n");
        assert_eq!(once, "port = 1\ninclude 'odoo-ha.conf'\n");
        assert_eq!(with_include(&once), once);
        assert_eq!(with_include(&format!("{once}port = 2\n\n")), "port = 1\nport = 2\ninclude 'odoo-ha.conf'\n");
    }

    #[test]
    fn owned_settings_leave_the_file_of_alter_system() {
        let text = "# comment\nprimary_conninfo = 'host=other'\nPort=5\nwork_mem = '4MB'\nwal_keep_size '1'\n";
        assert_eq!(without_ours(text, &BTreeMap::new()), "# comment\nwork_mem = '4MB'\n");
    }
}
