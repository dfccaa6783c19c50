//! How a wish is told, and its answer awaited.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::records::{Header, LeaderRecord, RequestKind, RequestOutcome, RequestRecord, decode, encode};
use odoo_ha_core::roles::Dcs;
use odoo_ha_core::store::{Commit, Guard, Key};
use odoo_ha_core::term::Nonce;

use super::STORE_TIMEOUT;

/// Between two looks for the answer.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Tells a wish and waits, at most so long, until it was done. Dropping the call takes nothing back.
///
/// # Errors
///
/// `NotReady` when it was refused, with the reason; `Unknown` when there was no answer in time, or another wish took its place: it may
/// still be done; and what the store says when it cannot be told.
pub(super) async fn wish(
    store: &dyn Dcs,
    cluster: &ClusterId,
    kind: RequestKind,
    limit: Duration,
) -> Result<(), Error> {
    let id = tell(store, cluster, kind).await?;
    let begun = Instant::now();
    let mut silent = None;
    while begun.elapsed() < limit {
        match answer(store, cluster, &id).await {
            Ok(Some(outcome)) => match outcome {
                RequestOutcome::Pending => silent = None,
                RequestOutcome::Done => return Ok(()),
                RequestOutcome::Refused(why) => return Err(Error::new(ErrorKind::NotReady, why)),
            },
            Ok(None) => {
                return Err(Error::new(ErrorKind::Unknown, "another wish took the place of this one")
                    .hint("one at a time; look at the status of the cluster and ask again"));
            }
            // A store that elects its leader is silent for a while.
            Err(error) => silent = Some(error),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let late = Error::new(ErrorKind::Unknown, format!("the wish was not answered within {limit:?}"))
        .hint("it may still be done; look at the status of the cluster and ask again");
    Err(match silent {
        Some(error) => late.caused_by(error),
        None => late,
    })
}

/// Writes the wish where the agents look, and returns its id.
async fn tell(store: &dyn Dcs, cluster: &ClusterId, kind: RequestKind) -> Result<String, Error> {
    let snapshot = store.read(STORE_TIMEOUT).await?;
    let entry = |key: &Key| snapshot.entries.get(key);
    let leader = entry(&Key::leader()).map(|entry| decode::<LeaderRecord>(cluster, &Key::leader(), &entry.value));
    if leader.transpose()?.is_none() {
        return Err(Error::new(ErrorKind::NotReady, format!("there is no cluster {cluster} in the store yet"))
            .hint("is this its store, and does an agent run?"));
    }
    let guard = match entry(&Key::request()) {
        None => Guard::Absent(Key::request()),
        Some(entry) => {
            let before: RequestRecord = decode(cluster, &Key::request(), &entry.value)?;
            // A leader that is away answers nothing: of what may be asked then, nothing waits for the old wish.
            if before.outcome == RequestOutcome::Pending && kind != RequestKind::Resume {
                return Err(Error::new(ErrorKind::NotReady, "another wish is still being carried out")
                    .hint("wait for it, and look at the status of the cluster"));
            }
            Guard::Version(Key::request(), entry.version)
        }
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let nonce = Nonce { incarnation: u64::try_from(now).unwrap_or_default(), number: u64::from(std::process::id()) };
    let id = format!("hactl-{:016x}-{}", nonce.incarnation, nonce.number);
    let header = Header::new(cluster.clone(), nonce);
    let record = RequestRecord { header, id: id.clone(), kind, outcome: RequestOutcome::Pending };
    let commit = Commit { guards: vec![guard], writes: BTreeMap::from([(Key::request(), encode(&record))]) };
    match store.commit(&commit, STORE_TIMEOUT).await {
        Ok(_) => Ok(id),
        // It may have been told all the same: if so, the answer will show it.
        Err(error) if error.kind() == ErrorKind::Unknown => Ok(id),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Err(Error::new(ErrorKind::NotReady, "another wish was told at the same moment")
                .hint("look at the status of the cluster, then ask again"))
        }
        Err(error) => Err(error),
    }
}

/// What became of the wish; `None` when another stands in its place.
async fn answer(store: &dyn Dcs, cluster: &ClusterId, id: &str) -> Result<Option<RequestOutcome>, Error> {
    let snapshot = store.read(STORE_TIMEOUT).await?;
    let Some(entry) = snapshot.entries.get(&Key::request()) else { return Ok(None) };
    let record: RequestRecord = decode(cluster, &Key::request(), &entry.value)?;
    Ok((record.id == id).then_some(record.outcome))
}
