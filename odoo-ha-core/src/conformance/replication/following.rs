//! What a standby does.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{AT_ONCE, Lab, Node, ORDER};
use crate::conformance::bench::{Checked, QUIET, ShouldWork, Suite, describe, ensure, ensure_error};
use crate::database::{DatabaseState, FollowOrder, FollowedBy, StopMode, SynchronousOrder, SynchronousStandbys};
use crate::error::ErrorKind;
use crate::member::SystemId;
use crate::term::Term;

const FOLLOW: &str = "Makes the local database a streaming standby of the upstream, from whatever state it is in.";
const FENCED: &str = "Orders of an older term are refused as `Fenced`, untouched.";
const FREEZE: &str = "Makes the database receive nothing any more, from anybody, durably, and replay all it has.";
const SYNC: &str = "Every commit acknowledged from now on was flushed by all that the new value demands.";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("an_absent_standby_is_cloned_and_streams", Box::pin(cloned_and_streams(lab))).await;
    suite.check("following_is_idempotent_in_every_state", Box::pin(following_is_idempotent(lab))).await;
    suite.check("a_reclone_makes_another_copy", Box::pin(a_reclone(lab))).await;
    suite.check("following_an_older_term_is_fenced", Box::pin(following_is_fenced(lab))).await;
    suite.check("another_clusters_data_do_not_follow", Box::pin(another_cluster(lab))).await;
    suite.check("a_frozen_standby_receives_nothing", Box::pin(frozen_receives_nothing(lab))).await;
    suite.check("a_freeze_lasts_and_starts_what_is_down", Box::pin(a_freeze_lasts(lab))).await;
    suite.check("a_frozen_standby_follows_again", Box::pin(frozen_follows_again(lab))).await;
    if lab.bench.capabilities().synchronous {
        suite.check("a_commit_waits_for_its_synchronous_standby", Box::pin(a_commit_waits(lab))).await;
        suite.check("an_older_term_does_not_change_who_is_synchronous", Box::pin(synchronous_is_fenced(lab))).await;
        suite.check("a_barrier_without_its_standby_is_not_reached", Box::pin(a_barrier_waits(lab))).await;
        suite.check("a_stop_keeps_who_is_synchronous", Box::pin(a_stop_releases_nobody(lab))).await;
    } else {
        for name in [
            "a_commit_waits_for_its_synchronous_standby",
            "an_older_term_does_not_change_who_is_synchronous",
            "a_barrier_without_its_standby_is_not_reached",
            "a_stop_keeps_who_is_synchronous",
        ] {
            suite.skip(name, "synchronous is false");
        }
    }
}

async fn cloned_and_streams(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.one().await?;
    pair.write(Node::A).await?;
    let followed = pair.b.follow(&pair.follow_a(begun.system_id), ORDER).await.should_work("following from nothing")?;
    let cloned = followed.by == FollowedBy::Clone && followed.data_id != begun.data_id;
    ensure(cloned, "Every clone gets a new one.", "a clone with a data id of its own", (&followed, &begun))?;
    let status = pair.until(Node::B, "B streams", |status| status.streaming).await?;
    let right = status.state == DatabaseState::Standby
        && status.system_id == Some(begun.system_id)
        && status.data_id == Some(followed.data_id)
        && status.term == Term(1)
        && status.upstream == Some(pair.world.upstream(Node::A).member);
    ensure(right, FOLLOW, "a standby of A in term 1", status)?;
    pair.write_and_catch_up().await?;
    let member = pair.world.upstream(Node::B).member;
    let streams = |status: &crate::database::DatabaseStatus| status.standbys.get(&member).is_some_and(|b| b.streaming);
    pair.until(Node::A, "A sees B stream", streams).await.map(|_| ())
}

async fn following_is_idempotent(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    let before = pair.status(Node::B).await?.data_id;
    for state in 0..4 {
        match state {
            0 => {}
            1 => pair.b.stop(StopMode::Fast, ORDER).await.should_work("a fast stop").map(|_| ())?,
            2 => pair.kill(Node::B).await?,
            _ => pair.b.freeze(ORDER).await.should_work("a freeze").map(|_| ())?,
        }
        let followed = pair.b.follow(&pair.follow_a(begun.system_id), ORDER).await.should_work("following again")?;
        let as_it_was = followed.by == FollowedBy::Nothing && Some(&followed.data_id) == before.as_ref();
        ensure(as_it_was, FOLLOW, "the data as they were", (&followed, &before))?;
        pair.until(Node::B, "B streams", |status| status.streaming).await?;
        pair.write_and_catch_up().await?;
    }
    Ok(())
}

async fn a_reclone(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    let before = pair.status(Node::B).await?.data_id;
    let order = FollowOrder { may_discard: true, reclone: true, ..pair.follow_a(begun.system_id) };
    let followed = pair.b.follow(&order, ORDER).await.should_work("a reclone")?;
    let new = followed.by == FollowedBy::Clone && Some(&followed.data_id) != before.as_ref();
    ensure(new, "Replace the local data even if they could follow.", "a clone with a new data id", (followed, before))?;
    pair.until(Node::B, "B streams", |status| status.streaming).await?;
    pair.write_and_catch_up().await.map(|_| ())
}

async fn following_is_fenced(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    let stopped = pair.a.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
    pair.b.freeze(ORDER).await.should_work("a freeze")?;
    let order = pair.promote(Node::A, 3, 3, begun.system_id, stopped.lsn);
    pair.b.promote(&order, ORDER).await.should_work("a promotion")?;
    let newer = pair.follow(Node::B, 3, 3, begun.system_id);
    pair.a.follow(&newer, ORDER).await.should_work("following the successor")?;
    let older = pair.follow(Node::B, 2, 3, begun.system_id);
    let refused = pair.a.follow(&older, ORDER).await;
    ensure_error(&refused, &[ErrorKind::Fenced], FENCED, "following term 2 after term 3")?;
    let pair = pair.reopened(Node::A).await?;
    let older = pair.a.follow(&older, ORDER).await;
    ensure_error(
        &older,
        &[ErrorKind::Fenced],
        "The highest term is kept beside the data.",
        "the same by a new instance",
    )?;
    let status = pair.status(Node::A).await?;
    ensure(status.state == DatabaseState::Standby && status.term == Term(3), FENCED, "a standby of term 3", status)
}

async fn another_cluster(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    let before = pair.status(Node::B).await?.data_id;
    let other = pair.follow_a(SystemId(begun.system_id.0 ^ 1));
    let result = pair.b.follow(&other, ORDER).await;
    ensure_error(
        &result,
        &[ErrorKind::Misconfigured],
        "`Misconfigured` when they are another cluster's",
        "following another cluster",
    )?;
    let after = pair.status(Node::B).await?.data_id;
    ensure(before == after, "A copy of another is refused.", "the data untouched", (before, after))
}

async fn frozen_receives_nothing(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.two().await?;
    let lsn = pair.write_and_catch_up().await?;
    let frozen = pair.b.freeze(ORDER).await.should_work("a freeze")?;
    ensure(frozen.lsn >= lsn, "Then states where its log ends.", &format!("{lsn} or later"), &frozen)?;
    for _ in 0..3 {
        pair.write(Node::A).await?;
    }
    lab.timer.sleep(QUIET).await;
    let again = pair.b.freeze(ORDER).await.should_work("a freeze of what is frozen")?;
    ensure(again == frozen, FREEZE, &format!("the same end again: {frozen:?}"), again)?;
    let status = pair.status(Node::B).await?;
    let still = status.state == DatabaseState::Standby
        && status.upstream.is_none()
        && !status.streaming
        && status.lsn == frozen.lsn
        && status.replayed == frozen.lsn;
    ensure(still, FREEZE, "a standby of nobody that has replayed to the end of its log", status)
}

async fn a_freeze_lasts(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.two().await?;
    pair.write_and_catch_up().await?;
    let frozen = pair.b.freeze(ORDER).await.should_work("a freeze")?;
    for kill in [true, false] {
        if kill {
            pair.kill(Node::B).await?;
        } else {
            pair.b.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
        }
        pair.write(Node::A).await?;
        let again = pair.b.freeze(ORDER).await.should_work("a freeze of what is down")?;
        ensure(again == frozen, "It stays so, restarts included.", &format!("the same end: {frozen:?}"), again)?;
    }
    pair.is(Node::B, DatabaseState::Standby, FREEZE).await
}

async fn frozen_follows_again(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    pair.b.freeze(ORDER).await.should_work("a freeze")?;
    pair.write(Node::A).await?;
    let followed = pair.b.follow(&pair.follow_a(begun.system_id), ORDER).await.should_work("a thaw")?;
    ensure(followed.by == FollowedBy::Nothing, FOLLOW, "the data as they were", followed)?;
    pair.write_and_catch_up().await.map(|_| ())
}

fn only_b(pair: &super::Pair<'_>, term: u64, barrier: bool) -> SynchronousOrder {
    let names = BTreeSet::from([pair.world.upstream(Node::B).member]);
    SynchronousOrder { term: Term(term), standbys: SynchronousStandbys::AllOf(names), barrier }
}

async fn a_commit_waits(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    let order = only_b(&pair, 1, true);
    for _ in 0..2 {
        pair.a.set_synchronous(&order, ORDER).await.should_work("making B synchronous")?;
    }
    let status = pair.status(Node::A).await?;
    ensure(status.synchronous.as_ref() == Some(&order.standbys), SYNC, "B alone is synchronous", &status)?;
    pair.write(Node::A).await?;
    pair.b.stop(AT_ONCE, ORDER).await.should_work("stopping B")?;
    let alone = pair.world.write(Node::A, Duration::from_secs(1)).await;
    ensure(alone.is_err(), SYNC, "no acknowledgement while B is down", describe(&alone))?;
    pair.b.follow(&pair.follow_a(begun.system_id), ORDER).await.should_work("following again")?;
    pair.write(Node::A).await?;
    let nobody = SynchronousOrder { standbys: SynchronousStandbys::Nobody, barrier: false, ..order };
    pair.b.stop(AT_ONCE, ORDER).await.should_work("stopping B")?;
    pair.a.set_synchronous(&nobody, ORDER).await.should_work("making nobody synchronous")?;
    pair.write(Node::A).await
}

async fn synchronous_is_fenced(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.two().await?;
    let older = pair.a.set_synchronous(&only_b(&pair, 0, false), ORDER).await;
    ensure_error(&older, &[ErrorKind::Fenced], FENCED, "changing who is synchronous in term 0")?;
    let status = pair.status(Node::A).await?;
    ensure(status.synchronous == Some(SynchronousStandbys::Nobody), FENCED, "nobody is synchronous", status)
}

async fn a_barrier_waits(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.two().await?;
    pair.b.stop(AT_ONCE, ORDER).await.should_work("stopping B")?;
    let barrier = pair.a.set_synchronous(&only_b(&pair, 1, true), Duration::from_secs(1)).await;
    let kinds = [ErrorKind::NotReady, ErrorKind::Unknown];
    ensure_error(&barrier, &kinds, "`NotReady` when the barrier was not reached in time", "a barrier while B is down")
}

/// Protocol rule 21: a stop that emptied `synchronous_standby_names` would release waiting commits as acknowledged.
async fn a_stop_releases_nobody(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.two().await?;
    pair.a.set_synchronous(&only_b(&pair, 1, true), ORDER).await.should_work("making B synchronous")?;
    pair.b.stop(AT_ONCE, ORDER).await.should_work("stopping B")?;
    let commit = pair.world.write(Node::A, ORDER);
    let stop = async {
        lab.timer.sleep(QUIET).await;
        pair.a.stop(StopMode::AtOnce { fast_for_ms: 2_000 }, ORDER).await.should_work("stopping A").map(|_| ())
    };
    let stopping: crate::conformance::BoxFuture<'_, Checked> = Box::pin(stop);
    let writing: crate::conformance::BoxFuture<'_, Checked> = Box::pin(async {
        let released = commit.await;
        ensure(
            released.is_err(),
            "No waiting commit is released as acknowledged.",
            "no acknowledgement",
            describe(&released),
        )
    });
    crate::conformance::timer::together(vec![writing, stopping]).await.into_iter().collect()
}
