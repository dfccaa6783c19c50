//! The cluster's policy in the store, for operators' programs: they need a store and no node.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::member::ClusterId;
use crate::policy::Policy;
use crate::records::{Header, PolicyRecord, Record, decode, encode};
use crate::roles::Dcs;
use crate::store::{Commit, Guard, Key};
use crate::term::Nonce;

/// The cluster's policy as it stands in the store; `None` while every member goes by its own configuration. Dropping the call changes nothing.
///
/// # Errors
///
/// Those of [`Dcs::read`]; `Malformed` when what stands there cannot be used, with what to do.
pub async fn read_policy(dcs: &dyn Dcs, cluster: &ClusterId, timeout: Duration) -> Result<Option<PolicyRecord>, Error> {
    let snapshot = dcs.read(timeout).await?;
    let entry = snapshot.entries.get(&Key::policy());
    entry.map(|entry| decode(cluster, &Key::policy(), &entry.value)).transpose()
}

/// Changes the cluster's policy; every member goes by it as soon as it sees it. `change` is given what stands there, `None` when there is nothing or
/// nothing that can be used (which is replaced then), and gives what is to stand there. `by` is who wrote it, for people: at most 128
/// characters. Each of the two calls of the store may take `timeout`. A dropped call may have changed it.
///
/// # Errors
///
/// What `change` gives; `Misconfigured` for a policy that cannot be; `Conflict` when somebody else changed it meanwhile: nothing was written, look at
/// it again; `Unknown` when it may have been written; others of [`Dcs::read`] and [`Dcs::commit`].
pub async fn change_policy(
    dcs: &dyn Dcs,
    cluster: &ClusterId,
    by: &str,
    change: impl FnOnce(Option<Policy>) -> Result<Policy, Error>,
    timeout: Duration,
) -> Result<PolicyRecord, Error> {
    let snapshot = dcs.read(timeout).await?;
    let entry = snapshot.entries.get(&Key::policy());
    let present = entry.and_then(|entry| decode::<PolicyRecord>(cluster, &Key::policy(), &entry.value).ok());
    let guard = match entry {
        Some(entry) => Guard::Version(Key::policy(), entry.version),
        None => Guard::Absent(Key::policy()),
    };
    let policy = change(present.map(|record| record.policy))?;
    policy.check()?;
    // Drawn, so that no two writes have the same bytes.
    let nonce = Nonce { incarnation: RandomState::new().build_hasher().finish(), number: 1 };
    let record = PolicyRecord { header: Header::new(cluster.clone(), nonce), by: by.to_owned(), policy };
    record.validate().map_err(|why| Error::new(ErrorKind::Misconfigured, format!("the policy: {why}")))?;
    let writes = BTreeMap::from([(Key::policy(), encode(&record))]);
    dcs.commit(&Commit { guards: vec![guard], writes }, timeout).await?;
    Ok(record)
}
