//! Where the data and PostgreSQL's programs are, and as whom they run.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;

use super::PostgresReplication;
use super::client::Access;
use super::durable;
use super::error::{self, misconfigured};
use super::external::ExternalCommand;
use super::memory::Beside;
use super::parameters::Parameters;
use super::programs::Programs;
use super::settings;
use super::user::Owner;
use crate::common::secret::{Revealed, Secret};

/// PostgreSQL counts the delay of replay in milliseconds, in 31 bits: 24 days.
const MAX_APPLY_DELAY_MS: u128 = 24 * 24 * 3600 * 1000;

/// Longest path of a Unix socket's directory: the kernel's 108 bytes less `/.s.PGSQL.65535` and the end mark.
const MAX_SOCKET_DIR_BYTES: usize = 90;

/// How to run one member's PostgreSQL. Only what has no sensible default must be said:
///
/// ```
/// use odoo_ha_backends::postgres::PostgresConfig;
/// use odoo_ha_core::{database::Endpoint, member::MemberId};
///
/// # fn main() -> Result<(), odoo_ha_core::error::Error> {
/// let listen = Endpoint { host: "10.0.0.1".into(), port: 5432 };
/// let config = PostgresConfig::new(MemberId::new("node_a")?, "/var/lib/postgresql/odoo", listen);
/// # let _ = config;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresConfig {
    pub(super) member: MemberId,
    pub(super) data_dir: PathBuf,
    pub(super) endpoint: Endpoint,
    pub(super) listen: Option<String>,
    pub(super) bin_dir: Option<PathBuf>,
    pub(super) socket_dir: Option<PathBuf>,
    pub(super) superuser: String,
    pub(super) replication_user: String,
    pub(super) database: String,
    pub(super) password: Option<Secret>,
    pub(super) run_as: Option<String>,
    pub(super) networks: Vec<String>,
    parameters: BTreeMap<String, String>,
    /// `parameters`, once built; they may be changed from then on.
    pub(super) live: Parameters,
    /// A crashed database flushes its files by file system.
    pub(super) flushes_by_file_system: bool,
    pub(super) wal_keep_mb: u32,
    /// A standby replays so late.
    pub(super) apply_delay: Duration,
    pub(super) bootstrap_command: Option<ExternalCommand>,
    pub(super) clone_command: Option<ExternalCommand>,
    pub(super) clone_fallback: bool,
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("member", &self.member)
            .field("data_dir", &self.data_dir)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// The database of this member, in this directory, listening at this address and port.
    pub fn new(member: MemberId, data_dir: impl Into<PathBuf>, endpoint: Endpoint) -> Self {
        Self {
            member,
            data_dir: data_dir.into(),
            endpoint,
            listen: None,
            bin_dir: None,
            socket_dir: None,
            superuser: "postgres".into(),
            replication_user: "odoo_ha".into(),
            database: "postgres".into(),
            password: None,
            run_as: None,
            networks: vec!["127.0.0.1/32".into(), "::1/128".into()],
            parameters: BTreeMap::new(),
            live: Parameters::default(),
            flushes_by_file_system: false,
            wal_keep_mb: 1024,
            apply_delay: Duration::ZERO,
            bootstrap_command: None,
            clone_command: None,
            clone_fallback: false,
        }
    }

    /// Where PostgreSQL's programs are; else the newest supported of `/usr/lib/postgresql/*/bin`.
    #[must_use]
    pub fn bin_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.bin_dir = Some(dir.into());
        self
    }

    /// Where the Unix socket is; else beside the data. Only PostgreSQL's user may enter it: its sessions are trusted.
    #[must_use]
    pub fn socket_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.socket_dir = Some(dir.into());
        self
    }

    /// PostgreSQL's `listen_addresses`, if it is more than the endpoint's host.
    #[must_use]
    pub fn listen(mut self, addresses: impl Into<String>) -> Self {
        self.listen = Some(addresses.into());
        self
    }

    /// The superuser (`postgres`).
    #[must_use]
    pub fn superuser(mut self, name: impl Into<String>) -> Self {
        self.superuser = name.into();
        self
    }

    /// The role under which members stream, clone and rewind (`odoo_ha`), made by a bootstrap.
    #[must_use]
    pub fn replication_user(mut self, name: impl Into<String>) -> Self {
        self.replication_user = name.into();
        self
    }

    /// The password of that role, read when this is built. Without it members trust each other, which is accepted on loopback only.
    #[must_use]
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// As whom PostgreSQL's programs run when the agent is root (`postgres`).
    #[must_use]
    pub fn run_as(mut self, user: impl Into<String>) -> Self {
        self.run_as = Some(user.into());
        self
    }

    /// From which networks (`10.0.0.0/24`) members and clients may connect; loopback alone by default.
    #[must_use]
    pub fn networks(mut self, networks: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.networks = networks.into_iter().map(Into::into).collect();
        self
    }

    /// One more setting of PostgreSQL.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into().to_ascii_lowercase(), value.into());
        self
    }

    /// How much write-ahead log is kept for members that are away, in MiB (1024), besides what slots keep.
    #[must_use]
    pub fn wal_keep_mb(mut self, mb: u32) -> Self {
        self.wal_keep_mb = mb;
        self
    }

    /// As a standby, replays each commit so long after it was made (PostgreSQL's `recovery_min_apply_delay`; not at all late by default, at most 24
    /// days, to the millisecond): a mistake can be looked up in the past for so long. Only for a member that is tagged `nofailover`, which never freezes
    /// nor votes: it receives log at once, but is led by a new leader only when it has replayed, as late as ever, what it had received before.
    #[must_use]
    pub fn apply_delay(mut self, delay: Duration) -> Self {
        self.apply_delay = delay;
        self
    }

    /// A program (an absolute path) and its arguments that make the data of a new cluster in place of `initdb`, such as a restore from backups. It is run as
    /// PostgreSQL's user, without a shell, and fills the directory that it gets for `{data_dir}` and in `ODOO_HA_DATA_DIR`; `{member}` and
    /// `ODOO_HA_MEMBER` are this member's name. Where it leaves a `recovery.signal`, the archive is replayed to its end.
    #[must_use]
    pub fn bootstrap_command(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.bootstrap_command = Some(ExternalCommand::new(command.into_iter().map(Into::into).collect()));
        self
    }

    /// A program and its arguments that make this member's copy in place of `pg_basebackup`; as `bootstrap_command`, and the upstream is `{host}` and `{port}`
    /// (`ODOO_HA_UPSTREAM_HOST`, `ODOO_HA_UPSTREAM_PORT`), the role to connect as `{user}` (`ODOO_HA_REPLICATION_USER`), its password in
    /// `{passfile}` (`PGPASSFILE`). The copy is started only if the upstream's history shows that it is of this cluster and an earlier state of it.
    #[must_use]
    pub fn clone_command(mut self, command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.clone_command = Some(ExternalCommand::new(command.into_iter().map(Into::into).collect()));
        self
    }

    /// When `clone_command` fails or its copy cannot follow, `pg_basebackup` makes one after all (no).
    #[must_use]
    pub fn clone_fallback(mut self, yes: bool) -> Self {
        self.clone_fallback = yes;
        self
    }

    /// Checks what can be checked without looking at the machine: no file is read, nothing is taken.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the setting and what to do.
    pub fn check(&self) -> Result<(), Error> {
        self.check_names()?;
        self.check_networks()?;
        if let Some(command) = &self.bootstrap_command {
            command.check("bootstrap_command", false)?;
        }
        if let Some(command) = &self.clone_command {
            command.check("clone_command", true)?;
        } else if self.clone_fallback {
            return Err(misconfigured("clone_fallback is set without a clone_command").hint("leave it out"));
        }
        let milliseconds = self.apply_delay.as_millis();
        if milliseconds > MAX_APPLY_DELAY_MS || (milliseconds == 0 && !self.apply_delay.is_zero()) {
            return Err(misconfigured(format!("recovery_min_apply_delay is {:?}", self.apply_delay))
                .hint("choose one from 1 ms to 24 days, or leave it out"));
        }
        check_parameters(&self.parameters)
    }

    /// Checks everything that can be checked without a database, and takes the data directory for this process.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the setting and what to do; `Disk`.
    pub fn build(mut self) -> Result<PostgresReplication, Error> {
        self.check()?;
        self.live = Parameters::new(self.parameters.clone());
        let password = self.read_password()?;
        self.data_dir = settled_dir(&self.data_dir)?;
        let owner = Owner::find(self.run_as.as_deref())?;
        owner.check_can_reach(&self.data_dir)?;
        let programs = Programs::find(self.bin_dir.as_deref(), &self.data_dir, owner)?;
        self.flushes_by_file_system = programs.major() >= 14 && durable::by_file_system();
        let beside = Beside::make(&self.data_dir, owner)?;
        let lock = beside.lock()?;
        let socket_dir = self.socket_dir.clone().unwrap_or_else(|| beside.dir().to_path_buf());
        if socket_dir.as_os_str().len() > MAX_SOCKET_DIR_BYTES {
            return Err(misconfigured(format!(
                "the socket's directory {} has a longer path than {MAX_SOCKET_DIR_BYTES} bytes",
                socket_dir.display()
            ))
            .hint("set socket_dir to a shorter one"));
        }
        if self.socket_dir.is_some() {
            super::files::make_private_dir(&socket_dir, owner)?;
            check_private(&socket_dir)?;
        }
        self.write_password_file(password.as_ref(), &beside, owner)?;
        let access = Access {
            socket_dir: socket_dir.clone(),
            port: self.endpoint.port,
            superuser: self.superuser.clone(),
            replication_user: self.replication_user.clone(),
            database: self.database.clone(),
            password,
            options: super::client::options(programs.major()),
        };
        self.socket_dir = Some(socket_dir);
        Ok(PostgresReplication::assemble(self, owner, programs.in_dir(beside.dir()), beside, access, lock))
    }

    fn check_names(&self) -> Result<(), Error> {
        for (what, name) in [("superuser", &self.superuser), ("replication_user", &self.replication_user)] {
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if name.is_empty() || name.len() > 63 || !name.bytes().all(fine) {
                return Err(misconfigured(format!("{what} {name:?} is not a plain role name"))
                    .hint("use lower-case letters, digits and '_'"));
            }
        }
        let host = &self.endpoint.host;
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'_' | b'%');
        if host.is_empty() || !host.bytes().all(fine) || self.endpoint.port == 0 {
            return Err(misconfigured(format!("endpoint {} is not a host name or address with a port", self.endpoint))
                .hint("say where the other members reach this database"));
        }
        Ok(())
    }

    fn check_networks(&self) -> Result<(), Error> {
        for network in &self.networks {
            let parsed = network.split_once('/').and_then(|(address, bits)| {
                let address: IpAddr = address.parse().ok()?;
                let bits: u8 = bits.parse().ok()?;
                let max = if address.is_ipv4() { 32 } else { 128 };
                (bits <= max).then_some(())
            });
            if parsed.is_none() {
                return Err(misconfigured(format!("network {network:?} is not a network"))
                    .hint("write an address and a number of bits, such as 10.0.0.0/24"));
            }
            if self.password.is_none() && !is_loopback(network) {
                return Err(misconfigured(format!("network {network} needs a password for the replication role"))
                    .hint("set one; trust without a password is accepted on loopback only"));
            }
        }
        Ok(())
    }

    fn read_password(&self) -> Result<Option<Revealed>, Error> {
        let Some(password) = &self.password else { return Ok(None) };
        let password = password.reveal("the replication role's password")?;
        if password.as_str().contains(['\n', '\0']) {
            return Err(misconfigured("the replication role's password has a line break"));
        }
        Ok(Some(password))
    }

    /// PostgreSQL's programs take the password from here: it is in no argument and no environment.
    fn write_password_file(&self, password: Option<&Revealed>, beside: &Beside, owner: Owner) -> Result<(), Error> {
        let Some(password) = password else {
            return super::files::remove(&beside.password_file());
        };
        let escaped = password.as_str().replace('\\', "\\\\").replace(':', "\\:");
        let line = format!("*:*:*:{}:{escaped}\n", self.replication_user);
        super::files::write_durably(&beside.password_file(), line.as_bytes(), owner)
    }
}

/// Settings that the configuration may give.
pub(super) fn check_parameters(parameters: &BTreeMap<String, String>) -> Result<(), Error> {
    for name in parameters.keys() {
        if settings::is_owned(name) {
            return Err(misconfigured(format!("setting {name:?} is the agent's own"))
                .hint("leave it out of the parameters; docs/reference/configuration.md lists the agent's own ones"));
        }
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_');
        if name.is_empty() || !name.bytes().all(fine) {
            return Err(misconfigured(format!("{name:?} is not the name of a setting of PostgreSQL"))
                .hint("write it as in postgresql.conf, its value in quotes"));
        }
    }
    Ok(())
}

/// Whether all of this network is the machine itself.
pub(super) fn is_loopback(network: &str) -> bool {
    let Some((address, bits)) = network.split_once('/') else {
        return false;
    };
    match (address.parse::<IpAddr>(), bits.parse::<u8>()) {
        (Ok(IpAddr::V4(address)), Ok(bits)) => address.is_loopback() && bits >= 8,
        (Ok(IpAddr::V6(address)), Ok(bits)) => address.is_loopback() && bits == 128,
        _ => false,
    }
}

/// The directory by its real path: a link is followed once and for all, since it is compared with what the kernel says.
fn settled_dir(dir: &Path) -> Result<PathBuf, Error> {
    if !dir.is_absolute() {
        return Err(misconfigured(format!("data directory {} is not an absolute path", dir.display()))
            .hint("write it from / on: the agent may be started anywhere"));
    }
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(
            misconfigured(format!("{} cannot be a data directory", dir.display())).hint("use a directory of its own")
        );
    };
    let settled = if dir.exists() { dir.canonicalize() } else { parent.canonicalize().map(|parent| parent.join(name)) };
    let settled = settled.map_err(|source| {
        misconfigured(format!("the directory above data directory {} cannot be reached", dir.display()))
            .hint("make it, owned by PostgreSQL's user")
            .caused_by(source)
    })?;
    let above = settled.parent().unwrap_or(&settled);
    for should_be in [above, &settled] {
        if should_be.exists() && !should_be.is_dir() {
            return Err(misconfigured(format!("{} is not a directory", should_be.display()))
                .hint(format!("choose another data directory than {}", dir.display())));
        }
    }
    let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
    if let (Some(own), Some(above)) = (device(&settled), settled.parent().and_then(device))
        && own != above
    {
        return Err(misconfigured(format!("data directory {} is a mount point", settled.display()))
            .hint("use a directory inside it: clones take their place by renaming"));
    }
    Ok(settled)
}

fn check_private(dir: &Path) -> Result<(), Error> {
    let metadata =
        dir.metadata().map_err(|source| error::io(format!("directory {} cannot be read", dir.display()), source))?;
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(misconfigured(format!("the socket's directory {} can be entered by other users", dir.display()))
        .hint("chmod 0700: whoever reaches the socket is trusted"))
}
