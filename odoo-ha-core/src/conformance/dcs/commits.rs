//! What one client sees of its own commits, one after another.

use super::{Client, Lab, key};
use crate::conformance::bench::{Checked, ShouldWork, Suite, describe, ensure, ensure_error};
use crate::error::ErrorKind;
use crate::store::{Guard, Key, Version};

const VERSIONS: &str = "Every change of a key's value gives it a version that it never had.";
const GUARDS: &str = "Writes several keys at one moment if every guard holds at that moment, else nothing.";
const CONFLICT: &str = "`Conflict`: a guard did not hold. Nothing was written, and it never will be.";
const READ: &str =
    "All keys of the cluster at one moment, linearizable: it shows every commit that was answered before.";
const REPEAT: &str =
    "The same commit sent twice happens at most once if it guards the version of one of the keys it writes.";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("a_new_cluster_is_empty", Box::pin(a_new_cluster_is_empty(lab))).await;
    suite.check("a_read_shows_the_own_write", Box::pin(a_read_shows_the_own_write(lab))).await;
    suite.check("any_bytes_come_back_as_they_were", Box::pin(any_bytes_come_back_as_they_were(lab))).await;
    suite.check("equal_bytes_get_a_new_version", Box::pin(equal_bytes_get_a_new_version(lab))).await;
    suite.check("a_version_never_comes_back", Box::pin(a_version_never_comes_back(lab))).await;
    suite.check("an_absent_guard_holds_once", Box::pin(an_absent_guard_holds_once(lab))).await;
    suite.check("a_version_guard_refuses_other_versions", Box::pin(a_version_guard_refuses_others(lab))).await;
    suite.check("a_version_guard_refuses_an_absent_key", Box::pin(a_version_guard_refuses_an_absent_key(lab))).await;
    suite.check("every_guard_counts", Box::pin(every_guard_counts(lab))).await;
    suite.check("a_conflict_writes_nothing", Box::pin(a_conflict_writes_nothing(lab))).await;
    suite.check("a_guarded_key_that_is_not_written_keeps_its_version", Box::pin(guarding_changes_nothing(lab))).await;
    suite.check("a_guarded_commit_happens_at_most_once", Box::pin(happens_at_most_once(lab))).await;
    suite.check("a_commit_of_many_keys_works", Box::pin(a_commit_of_many_keys_works(lab))).await;
    suite.check("a_large_value_comes_back_whole", Box::pin(a_large_value_comes_back_whole(lab))).await;
    suite.check("many_keys_are_all_shown_in_order", Box::pin(many_keys_are_all_shown(lab))).await;
}

async fn a_new_cluster_is_empty(lab: &Lab<'_>) -> Checked {
    let shown = lab.alone().await?.read().await?.entries;
    ensure(shown.is_empty(), "An instance is bound to one cluster and shows no others.", "no keys", shown)
}

async fn a_read_shows_the_own_write(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let leader = Key::leader();
    for round in 0..10_u8 {
        let version = store.put(&leader, &[round]).await?;
        let seen = store.entry(&leader).await?;
        let shown = seen.as_ref().is_some_and(|entry| entry.value == [round] && entry.version == version);
        ensure(shown, READ, &format!("value [{round}] with version {}", version.0), &seen)?;
    }
    Ok(())
}

async fn any_bytes_come_back_as_they_were(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let all_bytes: Vec<u8> = (0..=255).collect();
    for value in [b"{}".as_slice(), b"", b"\0", b"line\nline\r\n", "ü€𝄞\"'\\%".as_bytes(), &all_bytes, b" trimmed? \n"]
    {
        store.put(&Key::sync(), value).await?;
        let seen = store.entry(&Key::sync()).await?.map(|entry| entry.value);
        ensure(seen.as_deref() == Some(value), "A value and its version: its bytes.", &format!("{value:?}"), seen)?;
    }
    Ok(())
}

async fn equal_bytes_get_a_new_version(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let before = store.put(&Key::leader(), b"same").await?;
    let after = store.put(&Key::leader(), b"same").await?;
    ensure(before != after, VERSIONS, "another version after writing the same bytes", (before, after))?;
    let seen = store.entry(&Key::leader()).await?.map(|entry| entry.version);
    ensure(seen == Some(after), READ, "a read shows the version that the commit was given", (seen, after))?;
    let guard = Guard::Version(Key::leader(), before);
    let late = store.try_commit(&[guard], &[(&Key::leader(), b"late")]).await;
    ensure_error(&late, &[ErrorKind::Conflict], VERSIONS, "a guard on the version before the same bytes were written")
}

async fn a_version_never_comes_back(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let mut all: Vec<Version> = Vec::new();
    for round in 0..12 {
        let value: &[u8] = if round % 2 == 0 { b"A" } else { b"B" };
        let version = store.put(&Key::leader(), value).await?;
        ensure(
            !all.contains(&version),
            VERSIONS,
            "a version that it never had, though the bytes were there before",
            (version, &all),
        )?;
        all.push(version);
    }
    Ok(())
}

async fn an_absent_guard_holds_once(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let guard = || Guard::Absent(Key::leader());
    store.commit(&[guard()], &[(&Key::leader(), b"first")]).await?;
    let second = store.try_commit(&[guard()], &[(&Key::leader(), b"second")]).await;
    ensure_error(&second, &[ErrorKind::Conflict], GUARDS, "guarding the absence of a key that exists")?;
    store.put(&Key::sync(), b"").await?;
    let empty = store.try_commit(&[Guard::Absent(Key::sync())], &[(&Key::sync(), b"second")]).await;
    ensure_error(&empty, &[ErrorKind::Conflict], GUARDS, "guarding the absence of a key whose value is empty")
}

async fn a_version_guard_refuses_others(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let first = store.put(&Key::leader(), b"1").await?;
    let second = store
        .commit(&[Guard::Version(Key::leader(), first)], &[(&Key::leader(), b"2")])
        .await?
        .get(&Key::leader())
        .copied()
        .unwrap_or(first);
    for wrong in [first, Version(second.0.wrapping_add(1)), Version(u64::MAX), Version(0)] {
        let result = store.try_commit(&[Guard::Version(Key::leader(), wrong)], &[(&Key::leader(), b"3")]).await;
        ensure_error(
            &result,
            &[ErrorKind::Conflict],
            GUARDS,
            &format!("guarding version {} of {}", wrong.0, second.0),
        )?;
    }
    Ok(())
}

async fn a_version_guard_refuses_an_absent_key(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let other = store.put(&Key::sync(), b"other").await?;
    for version in [other, Version(0), Version(1)] {
        let result = store.try_commit(&[Guard::Version(Key::leader(), version)], &[(&Key::leader(), b"1")]).await;
        ensure_error(&result, &[ErrorKind::Conflict], GUARDS, &format!("guarding version {} of no key", version.0))?;
    }
    Ok(())
}

async fn every_guard_counts(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let (leader, sync, history, request) = (Key::leader(), Key::sync(), Key::history(), Key::request());
    let versions = store.commit(&[], &[(&leader, b"l"), (&sync, b"s"), (&history, b"h")]).await?;
    let version = |key: &Key| versions.get(key).copied().unwrap_or(Version(0));
    let good = [
        Guard::Version(leader.clone(), version(&leader)),
        Guard::Version(sync.clone(), version(&sync)),
        Guard::Version(history.clone(), version(&history)),
        Guard::Absent(request.clone()),
    ];
    let bad = [
        Guard::Absent(leader.clone()),
        Guard::Version(sync.clone(), Version(version(&sync).0.wrapping_add(7))),
        Guard::Absent(history.clone()),
        Guard::Version(request.clone(), version(&leader)),
    ];
    for (place, wrong) in bad.into_iter().enumerate() {
        let mut guards = good.to_vec();
        if let Some(guard) = guards.get_mut(place) {
            *guard = wrong;
        }
        let result = store.try_commit(&guards, &[(&leader, b"no")]).await;
        let what = format!("a commit with four guards of which number {} does not hold", place + 1);
        ensure_error(&result, &[ErrorKind::Conflict], GUARDS, &what)?;
    }
    store.commit(&good, &[(&leader, b"yes")]).await.map(|_| ())
}

async fn a_conflict_writes_nothing(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    store.commit(&[], &[(&Key::leader(), b"l"), (&Key::sync(), b"s")]).await?;
    let before = store.read().await?.entries;
    let guards = [Guard::Absent(Key::leader())];
    let writes: [(&Key, &[u8]); 3] = [(&Key::leader(), b"x"), (&Key::sync(), b"x"), (&Key::request(), b"x")];
    let result = store.try_commit(&guards, &writes).await;
    ensure_error(&result, &[ErrorKind::Conflict], CONFLICT, "a commit whose guard does not hold")?;
    let after = store.read().await?.entries;
    ensure(before == after, CONFLICT, &format!("the keys as before: {before:?}"), after)
}

async fn guarding_changes_nothing(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let leader = store.put(&Key::leader(), b"l").await?;
    let versions = store
        .commit(&[Guard::Version(Key::leader(), leader)], &[(&Key::sync(), b"s"), (&Key::history(), b"h")])
        .await?;
    let named: Vec<_> = versions.keys().cloned().collect();
    ensure(named == [Key::history(), Key::sync()], "The new version of each written key.", "history and sync", named)?;
    let seen = store.entry(&Key::leader()).await?.map(|entry| entry.version);
    ensure(seen == Some(leader), VERSIONS, "the version of a key that was only guarded is as before", (seen, leader))
}

async fn happens_at_most_once(lab: &Lab<'_>) -> Checked {
    let store = lab.alone().await?;
    let before = store.put(&Key::leader(), b"before").await?;
    let once = super::commit(&[Guard::Version(Key::leader(), before)], &[(&Key::leader(), b"once")]);
    let patience = crate::conformance::bench::PATIENCE;
    store.0.commit(&once, patience).await.should_work("a commit whose guard holds")?;
    let between = store.put(&Key::leader(), b"between").await?;
    let again = store.0.commit(&once, patience).await;
    ensure_error(&again, &[ErrorKind::Conflict], REPEAT, "the same guarded commit, sent again")?;
    let seen = store.entry(&Key::leader()).await?.map(|entry| (entry.version, entry.value));
    ensure(
        seen == Some((between, b"between".to_vec())),
        REPEAT,
        "the value that was written in between",
        (seen, describe(&again)),
    )
}

/// A takeover guards and writes the leader, sync and history records and every vote.
async fn a_commit_of_many_keys_works(lab: &Lab<'_>) -> Checked {
    const KEYS: usize = 12;
    let store = lab.alone().await?;
    let keys = (0..KEYS).map(|number| key(&format!("votes/member_{number:02}"))).collect::<Result<Vec<_>, _>>()?;
    let absent: Vec<_> = keys.iter().cloned().map(Guard::Absent).collect();
    let writes: Vec<(&Key, &[u8])> = keys.iter().map(|key| (key, b"vote".as_slice())).collect();
    let versions = store.commit(&absent, &writes).await?;
    ensure(versions.len() == KEYS, "The new version of each written key.", "12 versions", &versions)?;
    let guards: Vec<_> = versions.iter().map(|(key, version)| Guard::Version(key.clone(), *version)).collect();
    store.commit(&guards, &writes).await?;
    let shown = store.read().await?.entries.len();
    ensure(shown == KEYS, READ, "12 keys", shown)
}

async fn a_large_value_comes_back_whole(lab: &Lab<'_>) -> Checked {
    const BYTES: usize = 200_000;
    let store = lab.alone().await?;
    // Not compressible to nothing, and wrong at once where a part is lost or repeated.
    let value: Vec<u8> = (0..BYTES).map(|place| (place % 251) as u8 ^ (place / 251 % 256) as u8).collect();
    let version = store.put(&Key::history(), &value).await?;
    let seen = store.entry(&Key::history()).await?;
    let whole = seen.as_ref().is_some_and(|entry| entry.value == value && entry.version == version);
    let length = seen.map(|entry| entry.value.len());
    ensure(whole, "A value and its version: its bytes.", "all 200000 bytes as they were", length)
}

async fn many_keys_are_all_shown(lab: &Lab<'_>) -> Checked {
    const ROUNDS: usize = 30;
    let store = lab.alone().await?;
    let mut written: Vec<(Key, Vec<u8>)> = Vec::new();
    // Names that a store with a poor idea of prefixes or of order mixes up.
    for odd in
        ["leader", "leader2", "leader.old", "leader-old", "members/a", "members/a/b", "members/ab", "members-a", "Z"]
    {
        let key = key(odd)?;
        store.put(&key, odd.as_bytes()).await?;
        written.push((key, odd.as_bytes().to_vec()));
    }
    for round in 0..ROUNDS {
        let keys: Vec<Key> = (0..5).map(|part| key(&format!("m/{round}/{part}"))).collect::<Result<_, _>>()?;
        let values: Vec<(&Key, &[u8])> = keys.iter().map(|key| (key, key.as_str().as_bytes())).collect();
        store.commit(&[], &values).await?;
        written.extend(keys.iter().map(|key| (key.clone(), key.as_str().as_bytes().to_vec())));
    }
    written.sort();
    let seen = shown(&store).await?;
    let missing: Vec<_> = written.iter().filter(|pair| !seen.contains(pair)).collect();
    ensure(seen == written, READ, "all 159 keys, each with its own value, in the order of keys", (seen.len(), missing))
}

async fn shown(store: &Client) -> Result<Vec<(Key, Vec<u8>)>, crate::conformance::Finding> {
    Ok(store.read().await?.entries.into_iter().map(|(key, entry)| (key, entry.value)).collect())
}
