//! How leadership moves from one database to the other.

use super::{AT_ONCE, Lab, Node, ORDER, start_order};
use crate::conformance::bench::{Checked, ShouldWork, Suite, ensure, ensure_error};
use crate::conformance::report::Finding;
use crate::database::{DatabaseState, FollowOrder, FollowedBy, StopMode};
use crate::error::ErrorKind;
use crate::lsn::{Lsn, Timeline};
use crate::member::SystemId;
use crate::term::Term;

const PROMOTE: &str =
    "Makes the frozen local database a primary, and returns only after reading from it that it left recovery.";
const DIVERGED: &str =
    "`Diverged` when the data cannot follow as they are and `may_discard` is not set (nothing was touched).";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("a_frozen_standby_is_promoted", Box::pin(a_frozen_standby_is_promoted(lab))).await;
    suite.check("a_promotion_is_refused_where_it_must_be", Box::pin(refused_promotions(lab))).await;
    suite.check("a_cleanly_stopped_leader_follows_as_it_is", Box::pin(clean_hand_over(lab))).await;
    suite.check("a_diverged_leader_is_not_discarded_unasked", Box::pin(a_diverged_leader(lab))).await;
    suite.check("a_standby_is_not_started_as_primary", Box::pin(a_standby_is_no_primary(lab))).await;
}

async fn a_frozen_standby_is_promoted(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    pair.write_and_catch_up().await?;
    let frozen = pair.b.freeze(ORDER).await.should_work("a freeze")?;
    pair.a.stop(AT_ONCE, ORDER).await.should_work("stopping A")?;
    let order = pair.promote(Node::A, 2, 2, begun.system_id, frozen.lsn);
    let promoted = pair.b.promote(&order, ORDER).await.should_work("a promotion")?;
    let right =
        promoted.timeline == Timeline(2) && promoted.switch_lsn >= frozen.lsn && promoted.lsn >= promoted.switch_lsn;
    ensure(
        right,
        "The timeline that the reign reserved: PostgreSQL is made to choose it.",
        "timeline 2 from the frozen end on",
        &promoted,
    )?;
    let status = pair.status(Node::B).await?;
    let primary = status.state == DatabaseState::Primary && status.timeline == Timeline(2) && status.term == Term(2);
    ensure(primary, PROMOTE, "a primary of term 2 on timeline 2", status)?;
    let again = pair.b.promote(&order, ORDER).await.should_work("the same promotion again")?;
    ensure(again.timeline == promoted.timeline, "A repeated call finds it so.", "the same timeline", again)?;
    pair.write(Node::B).await
}

async fn refused_promotions(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    pair.write_and_catch_up().await?;
    let frozen = pair.b.freeze(ORDER).await.should_work("a freeze")?;
    let good = pair.promote(Node::A, 2, 2, begun.system_id, frozen.lsn);
    let refusals = [
        (ErrorKind::Fenced, "an older term", crate::database::PromoteOrder { term: Term(0), ..good.clone() }),
        (
            ErrorKind::NotReady,
            "data that do not reach so far",
            crate::database::PromoteOrder { at_least: Lsn(frozen.lsn.0 + 1_000_000_000), ..good.clone() },
        ),
        (
            ErrorKind::Misconfigured,
            "another cluster",
            crate::database::PromoteOrder { system_id: SystemId(begun.system_id.0 ^ 1), ..good.clone() },
        ),
    ];
    for (kind, what, order) in refusals {
        let result = pair.b.promote(&order, ORDER).await;
        ensure_error(
            &result,
            &[kind],
            "`Fenced`; `NotReady` when its data do not reach `at_least`; `Misconfigured` when they are another cluster's",
            &format!("a promotion of {what}"),
        )?;
        pair.is(Node::B, DatabaseState::Standby, "What is refused is untouched.").await?;
    }
    pair.b.promote(&good, ORDER).await.should_work("a promotion after refused ones").map(|_| ())
}

async fn clean_hand_over(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    pair.write_and_catch_up().await?;
    let stopped = pair.a.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
    ensure(stopped.clean, "Let connected standbys receive it.", "a clean stop", &stopped)?;
    let frozen = pair.b.freeze(ORDER).await.should_work("a freeze")?;
    ensure(
        frozen.lsn >= stopped.lsn,
        "Let connected standbys receive it (PostgreSQL's fast shutdown).",
        &format!("all that A had: {stopped:?}"),
        &frozen,
    )?;
    let order = pair.promote(Node::A, 2, 2, begun.system_id, stopped.lsn);
    pair.b.promote(&order, ORDER).await.should_work("a promotion")?;
    pair.write(Node::B).await?;
    let followed = pair
        .a
        .follow(&pair.follow(Node::B, 2, 2, begun.system_id), ORDER)
        .await
        .should_work("following the successor")?;
    ensure(
        followed.by == FollowedBy::Nothing,
        "Whether the data can follow is decided by timeline history.",
        "the data as they were",
        followed,
    )?;
    let lsn = pair.status(Node::B).await?.lsn;
    pair.until(Node::A, "A has what B wrote", |status| status.streaming && status.replayed >= lsn).await.map(|_| ())
}

async fn a_diverged_leader(lab: &Lab<'_>) -> Checked {
    let (pair, begun) = lab.two().await?;
    pair.write_and_catch_up().await?;
    let frozen = pair.b.freeze(ORDER).await.should_work("a freeze")?;
    // Written by A when B received nothing any more: the two histories part here.
    pair.write(Node::A).await?;
    pair.kill(Node::A).await?;
    let order = pair.promote(Node::A, 2, 2, begun.system_id, frozen.lsn);
    pair.b.promote(&order, ORDER).await.should_work("a promotion")?;
    pair.write(Node::B).await?;
    let before = pair.status(Node::A).await?;
    let careful = pair.follow(Node::B, 2, 2, begun.system_id);
    let result = pair.a.follow(&careful, ORDER).await;
    ensure_error(&result, &[ErrorKind::Diverged], DIVERGED, "following with diverged data")?;
    let after = pair.status(Node::A).await?;
    ensure(before.data_id == after.data_id, DIVERGED, "the data untouched", (&before, &after))?;
    let followed = pair
        .a
        .follow(&FollowOrder { may_discard: true, ..careful }, ORDER)
        .await
        .should_work("following at the cost of the own data")?;
    ensure(followed.by != FollowedBy::Nothing, DIVERGED, "a rewind or a clone", &followed)?;
    if followed.by == FollowedBy::Clone {
        ensure(Some(followed.data_id) != before.data_id, "Every clone gets a new one.", "a new data id", before)?;
    }
    let lsn = pair.status(Node::B).await?.lsn;
    pair.until(Node::A, "A has what B wrote", |status| status.streaming && status.replayed >= lsn).await.map(|_| ())
}

async fn a_standby_is_no_primary(lab: &Lab<'_>) -> Checked {
    let (pair, _) = lab.two().await?;
    for stop in [false, true] {
        if stop {
            pair.b.stop(StopMode::Fast, ORDER).await.should_work("a fast stop")?;
        }
        let result = pair.b.start_primary(&start_order(1), ORDER).await;
        ensure_error(
            &result,
            &[ErrorKind::NotReady],
            "`NotReady` when the data are a standby's",
            "starting a standby's data as primary",
        )?;
        let state = pair.status(Node::B).await?.state;
        if state == DatabaseState::Primary {
            return Err(Finding::new("`NotReady` when the data are a standby's", "no primary", format!("{state:?}")));
        }
    }
    Ok(())
}
