//! The records in the store: what is written, read back, and refused.
//!
//! Every record says which format, cluster and write it is ([`Header`]); a record of another cluster, of a newer format, or
//! that cannot be understood is refused with a sentence that says what to do, and is never misread.

mod cluster;
mod leader;
mod member;
mod policy;
mod request;
mod sync;
mod vote;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::member::ClusterId;
use crate::store::{Key, MAX_VALUE_BYTES};
use crate::term::Nonce;

pub use cluster::{ClusterRecord, HistoryRecord, HistoryRow, MAX_HISTORY_ROWS};
pub use leader::{LeaderRecord, Origin, PlannedHandOver};
pub use member::MemberRecord;
pub use policy::PolicyRecord;
pub use request::{RequestKind, RequestOutcome, RequestRecord};
pub use sync::{ElectionRule, SyncRecord};
pub use vote::{LeaderRef, VoteRecord};

/// The format that this version of the library writes. It reads this one and no newer.
pub const FORMAT: u32 = 1;

/// What every record begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Which write it is: makes the bytes of every rewrite differ, and settles unanswered ones.
    pub nonce: Nonce,
}

impl Header {
    /// The header of a write by this version of the library.
    pub const fn new(cluster: ClusterId, nonce: Nonce) -> Self {
        Self { format: FORMAT, cluster, nonce }
    }

    fn is_for(&self, cluster: &ClusterId) -> bool {
        self.format <= FORMAT && self.cluster == *cluster
    }
}

/// A record that stands in the store.
pub trait Record: Serialize + DeserializeOwned {
    /// Its header.
    fn header(&self) -> &Header;

    /// Checks what types cannot say.
    ///
    /// # Errors
    ///
    /// A sentence that says what contradicts what.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct HeaderOnly {
    header: LooseHeader,
}

#[derive(Deserialize)]
struct LooseHeader {
    format: u32,
    cluster: String,
}

/// The bytes of a record.
pub fn encode(record: &impl Record) -> Vec<u8> {
    // Records are plain structs with string keys: serialisation has nothing that could fail. Should that ever change, an
    // empty value is refused by every reader and by the guard of the store.
    serde_json::to_vec(record).unwrap_or_default()
}

/// Reads a record back.
///
/// # Errors
///
/// [`ErrorKind::Malformed`]: too large, not a record, another cluster's, written by a newer version, or contradicting
/// itself. The text names the key and what to do.
pub fn decode<R: Record>(cluster: &ClusterId, key: &Key, bytes: &[u8]) -> Result<R, Error> {
    let malformed = |what: String| Error::new(ErrorKind::Malformed, what);
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(malformed(format!("record {key} of cluster {cluster} has {} bytes", bytes.len()))
            .hint("something else writes to this prefix; give the cluster one of its own"));
    }
    // Most records are whole and this cluster's, and are read once. Of any other the header says best what is wrong.
    let record = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str::<R>(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    if !record.as_ref().is_ok_and(|record| record.header().is_for(cluster)) {
        check_header(cluster, key, bytes)?;
    }
    let record = record.map_err(|cause| {
        malformed(format!("record {key} of cluster {cluster} cannot be understood"))
            .hint("it is broken; look at it, or restore it")
            .caused_by(cause)
    })?;
    record.validate().map_err(|contradiction| {
        malformed(format!("record {key} of cluster {cluster} contradicts itself: {contradiction}"))
            .hint("it was not written by this library as it stands; look at it, or restore it")
    })?;
    Ok(record)
}

/// Reads the header alone, and says why the record is not for this cluster or this version.
fn check_header(cluster: &ClusterId, key: &Key, bytes: &[u8]) -> Result<(), Error> {
    let malformed = |what: String| Error::new(ErrorKind::Malformed, what);
    let header: HeaderOnly = serde_json::from_slice(bytes).map_err(|cause| {
        malformed(format!("record {key} of cluster {cluster} cannot be understood"))
            .hint("it is broken or not this library's; look at it, restore it, or give the cluster another prefix")
            .caused_by(cause)
    })?;
    if header.header.format > FORMAT {
        return Err(malformed(format!(
            "record {key} of cluster {cluster} has format {}, this version understands up to {FORMAT}",
            header.header.format
        ))
        .hint("a newer version of odoo-ha runs in this cluster; upgrade this node"));
    }
    if header.header.cluster != cluster.as_str() {
        return Err(malformed(format!(
            "record {key} belongs to cluster {:?}, not to {cluster}",
            header.header.cluster.chars().take(64).collect::<String>()
        ))
        .hint("two clusters share one prefix of the store; give each its own"));
    }
    Ok(())
}
