//! What a client does when its caller has no time.

use std::time::Duration;

use super::{Client, Lab, commit};
use crate::conformance::bench::{Checked, PATIENCE, QUIET, Suite, describe, ends, ensure};
use crate::conformance::report::Finding;
use crate::conformance::timer::dropped_after;
use crate::error::ErrorKind;
use crate::store::{Guard, Key};

const USABLE: &str = "Cancelling is like an unanswered call. It leaves the implementation usable.";
const KINDS: &str =
    "`Unavailable`: it was certainly not sent, or certainly not done. Nothing was written, and never will be.";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("a_dropped_read_leaves_the_client_usable", Box::pin(dropped_reads(lab))).await;
    suite.check("a_dropped_commit_leaves_the_client_usable", Box::pin(dropped_commits(lab))).await;
    suite.check("a_dropped_watch_leaves_the_client_usable", Box::pin(dropped_watches(lab))).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time_at_all(lab))).await;
    suite.check("a_commit_without_time_tells_the_truth", Box::pin(tells_the_truth(lab))).await;
    suite.check("the_client_outlives_a_storm_of_dropped_calls", Box::pin(a_storm(lab))).await;
}

/// A read shows what a commit wrote that was made after the calls were dropped.
async fn is_usable(client: &Client) -> Checked {
    let version = client.put(&Key::request(), b"usable").await?;
    let seen = client.entry(&Key::request()).await?.map(|entry| entry.version);
    ensure(seen == Some(version), USABLE, "a read that shows the commit before it", (seen, version))
}

async fn dropped_reads(lab: &Lab<'_>) -> Checked {
    let client = lab.alone().await?;
    for polls in 1..6 {
        dropped_after(polls, client.0.read(PATIENCE)).await;
        is_usable(&client).await?;
    }
    Ok(())
}

async fn dropped_commits(lab: &Lab<'_>) -> Checked {
    let client = lab.alone().await?;
    for polls in 1..6_u8 {
        let before = client.put(&Key::leader(), b"before").await?;
        let guard = Guard::Version(Key::leader(), before);
        let dropped = commit(std::slice::from_ref(&guard), &[(&Key::leader(), b"dropped")]);
        dropped_after(polls.into(), client.0.commit(&dropped, PATIENCE)).await;
        is_usable(&client).await?;
        // The caller settles it as the protocol says: by a guarded commit, or by seeing its effect.
        let settled = client.try_commit(&[guard], &[(&Key::leader(), b"settled")]).await;
        let seen = client.entry(&Key::leader()).await?.map(|entry| entry.value);
        let expected: &[u8] = if settled.is_ok() { b"settled" } else { b"dropped" };
        ensure(
            seen.as_deref() == Some(expected),
            USABLE,
            "either of two commits on one version",
            (seen, describe(&settled)),
        )?;
    }
    Ok(())
}

async fn dropped_watches(lab: &Lab<'_>) -> Checked {
    let client = lab.alone().await?;
    for polls in 1..6 {
        let from = client.read().await?.revision;
        drop(dropped_after(polls, client.0.watch(from, PATIENCE)).await);
        drop(client.watch(from).await?);
        is_usable(&client).await?;
    }
    Ok(())
}

async fn no_time_at_all(lab: &Lab<'_>) -> Checked {
    let client = lab.alone().await?;
    let none = Duration::ZERO;
    let some = commit(&[], &[(&Key::leader(), b"quick")]);
    let allowed = |kind| matches!(kind, ErrorKind::Unavailable | ErrorKind::Unknown);
    for _ in 0..5 {
        let read = ends(lab.timer, "a read", none, client.0.read(none)).await?;
        let fine = read.as_ref().map_or_else(|error| error.kind() == ErrorKind::Unavailable, |_| true);
        ensure(fine, "`Unavailable` when no answer came in time", "a snapshot or `unavailable`", describe(&read))?;
        let done = ends(lab.timer, "a commit", none, client.0.commit(&some, none)).await?;
        let fine = done.as_ref().map_or_else(|error| allowed(error.kind()), |_| true);
        ensure(fine, KINDS, "Ok, `unavailable` or `unknown`", describe(&done))?;
        let watch = ends(lab.timer, "beginning a watch", none, client.0.watch(crate::store::Revision(0), none)).await?;
        let fine = watch.as_ref().map_or_else(|error| error.kind() == ErrorKind::Unavailable, |_| true);
        ensure(
            fine,
            "`Unavailable` when the store cannot be reached in time",
            "a watch or `unavailable`",
            describe(&watch),
        )?;
    }
    is_usable(&client).await
}

/// Commits with hardly any time: what is answered as done is there, and what is answered as not done never appears.
async fn tells_the_truth(lab: &Lab<'_>) -> Checked {
    let (client, other) = lab.pair().await?;
    let mut never: Vec<Vec<u8>> = Vec::new();
    for round in 0..24_u64 {
        let time = Duration::from_micros([0, 20, 100, 300, 1_000, 3_000].get(round as usize % 6).copied().unwrap_or(0));
        let value = round.to_be_bytes().to_vec();
        let guards = other.entry(&Key::leader()).await?.map_or_else(
            || vec![Guard::Absent(Key::leader())],
            |entry| vec![Guard::Version(Key::leader(), entry.version)],
        );
        let hasty = commit(&guards, &[(&Key::leader(), &value)]);
        let result = ends(lab.timer, "a commit", time, client.0.commit(&hasty, time)).await?;
        match &result {
            Ok(_) => {
                let seen = other.entry(&Key::leader()).await?.map(|entry| entry.value);
                ensure(seen.as_ref() == Some(&value), KINDS, "what was answered as done", seen)?;
            }
            Err(error) if error.kind() == ErrorKind::Unknown => {}
            Err(error) if error.kind() == ErrorKind::Unavailable => never.push(value),
            // An earlier one whose outcome was unknown came between.
            Err(error) if error.kind() == ErrorKind::Conflict => never.push(value),
            Err(_) => return Err(Finding::new(KINDS, "Ok, conflict, unavailable or unknown", describe(&result))),
        }
        for _ in 0..3 {
            let seen = other.entry(&Key::leader()).await?.map(|entry| entry.value);
            let lied = seen.as_ref().is_some_and(|seen| never.contains(seen));
            ensure(!lied, KINDS, "nothing of a commit that was answered as not done", &seen)?;
        }
    }
    lab.timer.sleep(QUIET).await;
    let seen = other.entry(&Key::leader()).await?.map(|entry| entry.value);
    let lied = seen.as_ref().is_some_and(|seen| never.contains(seen));
    ensure(!lied, KINDS, "nothing of a commit that was answered as not done, not even later", &seen)
}

async fn a_storm(lab: &Lab<'_>) -> Checked {
    let client = lab.alone().await?;
    let some = commit(&[], &[(&Key::sync(), b"storm")]);
    for round in 0..200 {
        let polls = 1 + round % 3;
        dropped_after(polls, client.0.read(PATIENCE)).await;
        dropped_after(polls, client.0.commit(&some, PATIENCE)).await;
    }
    is_usable(&client).await
}
