//! What a copy remembers beside its data: files under `<data directory>.odoo-ha/`, which no clone and no rewind carries along.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::member::{DataId, MemberId, SystemId};
use odoo_ha_core::term::Term;
use serde::{Deserialize, Serialize};

use super::error::{self, malformed, misconfigured};
use super::files;
use super::user::Owner;

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// Work on the data that was begun and not ended. While it stands, the data are not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unfinished {
    /// A new cluster is being made; repeated, it goes on. It has never served anybody.
    Bootstrap,
    /// Data that were there are being adopted; repeated, it goes on.
    Adopt,
    /// `pg_rewind` is changing the data; if it was broken off, they are cloned anew.
    Rewind,
    /// The data are being removed or replaced; if it was broken off, they are cloned anew.
    Replace,
}

/// Of one copy: who it is, and what it was last part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The format of this file.
    pub(super) format: u32,
    /// Whose copy.
    pub(super) member: MemberId,
    /// The highest term that this copy led or followed; 0: of none yet.
    pub(super) term: Term,
    /// Which copy; `None` until there is one.
    pub(super) data_id: Option<DataId>,
    /// Of which cluster.
    pub(super) system_id: Option<SystemId>,
    /// What was begun and not ended.
    pub(super) unfinished: Option<Unfinished>,
    /// The timeline that the reign of `term` reserved, once this copy was told to promote itself to it.
    pub(super) reserved: Option<Timeline>,
}

impl Memory {
    /// That of a member without data.
    pub(super) fn empty(member: MemberId) -> Self {
        Self { format: FORMAT, member, term: Term(0), data_id: None, system_id: None, unfinished: None, reserved: None }
    }

    /// Refuses an order of an older term than this copy remembers.
    pub(super) fn check_term(&self, term: Term) -> Result<(), Error> {
        if term >= self.term {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Fenced,
            format!("an order of term {term} came to data of {}, which remember term {}", self.member, self.term),
        ))
    }

    /// Whether what was begun left the data unfit to be started.
    pub(super) fn data_are_broken(&self) -> bool {
        match self.unfinished {
            Some(Unfinished::Rewind | Unfinished::Replace) => true,
            Some(Unfinished::Bootstrap | Unfinished::Adopt) | None => false,
        }
    }

    /// Whether there are no data that a cluster could miss: broken ones, or those of a bootstrap that was not finished.
    pub(super) fn data_are_worthless(&self) -> bool {
        self.data_are_broken() || self.unfinished == Some(Unfinished::Bootstrap)
    }
}

/// The directory beside the data.
#[derive(Clone, Debug)]
pub(super) struct Beside {
    dir: PathBuf,
    owner: Owner,
}

impl Beside {
    /// `<data directory>.odoo-ha`, made if need be.
    pub(super) fn make(data_dir: &Path, owner: Owner) -> Result<Self, Error> {
        let mut name = data_dir.as_os_str().to_owned();
        name.push(".odoo-ha");
        let beside = Self { dir: PathBuf::from(name), owner };
        files::make_private_dir(&beside.dir, owner)?;
        Ok(beside)
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the server writes to its standard output and error.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("postgres.log")
    }

    /// Password file of PostgreSQL's programs.
    pub(super) fn password_file(&self) -> PathBuf {
        self.dir.join("pgpass")
    }

    /// Where a new copy is made, until it takes the place of the data directory.
    pub(super) fn new_copy(&self) -> PathBuf {
        self.dir.join("new")
    }

    /// Where the last replaced copy is kept.
    pub(super) fn kept_copy(&self) -> PathBuf {
        self.dir.join("kept")
    }

    /// Where log is kept that was not archived before a rewind removed it.
    pub(super) fn unarchived(&self) -> PathBuf {
        self.dir.join("unarchived")
    }

    /// Takes the lock that only one agent of a data directory can hold; the kernel drops it with the file.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(files::NO_LINKS)
            .open(&path)
            .map_err(|source| error::io(format!("{} cannot be opened", path.display()), source))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(misconfigured(format!("another agent holds {}", path.display()))
                .hint("one agent a data directory: stop the other one first")),
            Err(TryLockError::Error(source)) => Err(error::io(format!("{} cannot be locked", path.display()), source)),
        }
    }

    /// What is remembered; of a member without any, nothing.
    pub(super) fn recall(&self, member: &MemberId) -> Result<Memory, Error> {
        let path = self.dir.join("memory.json");
        let Some(text) = files::read(&path)? else {
            return Ok(Memory::empty(member.clone()));
        };
        let bad = |why: String| {
            malformed(format!("{} {why}", path.display()))
                .hint("it is written by the agent alone; if it is lost, remove it together with the data directory")
        };
        let memory: Memory = serde_json::from_str(&text).map_err(|source| bad(format!("is broken: {source}")))?;
        if memory.format != FORMAT {
            return Err(bad(format!("has format {}, this version reads {FORMAT}", memory.format)));
        }
        if memory.member != *member {
            return Err(misconfigured(format!("{} is of member {}, not {member}", path.display(), memory.member))
                .hint("give each member a data directory of its own"));
        }
        Ok(memory)
    }

    /// Remembers, durably.
    pub(super) fn remember(&self, memory: &Memory) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(memory)
            .map_err(|source| malformed("what is to be remembered cannot be written").caused_by(source))?;
        files::write_durably(&self.dir.join("memory.json"), &text, self.owner)
    }
}

/// A new name for a copy: 128 random bits.
pub(super) fn new_data_id() -> Result<DataId, Error> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|source| error::io("random numbers cannot be had", source))?;
    Ok(DataId(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}
