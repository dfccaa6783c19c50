//! What several clients see of each other at the same time.

use super::{Client, Lab};
use crate::conformance::bench::{Checked, Suite, describe, ensure};
use crate::conformance::report::Finding;
use crate::conformance::timer::{BoxFuture, breathe, together};
use crate::error::ErrorKind;
use crate::store::{Guard, Key, Version};

const CAS: &str = "Writes several keys at one moment if every guard holds at that moment, else nothing.";
const LINEAR: &str =
    "Linearizable: it shows every commit that was answered before this call began, by whichever client.";
const BACK: &str = "Linearizable: nothing that a later read takes back.";
const MOMENT: &str = "All keys of the cluster at one moment.";
const APART: &str = "Two clusters in one store never see each other's keys.";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("another_client_sees_an_answered_commit", Box::pin(another_client_sees_it(lab))).await;
    suite.check("two_clusters_do_not_see_each_other", Box::pin(two_clusters_are_apart(lab))).await;
    suite.check("of_concurrent_commits_on_one_version_one_wins", Box::pin(one_wins(lab))).await;
    suite.check("of_concurrent_commits_on_absence_one_wins", Box::pin(one_creates(lab))).await;
    suite.check("no_increment_is_lost", Box::pin(no_increment_is_lost(lab))).await;
    suite.check("several_keys_are_written_at_one_moment", Box::pin(keys_move_together(lab))).await;
    suite.check("reads_never_go_back", Box::pin(reads_never_go_back(lab))).await;
    suite.check("guards_and_writes_are_one_moment", Box::pin(no_write_skew(lab))).await;
}

async fn another_client_sees_it(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    for round in 0..40_u8 {
        let (writer, reader) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let version = writer.put(&Key::leader(), &[round]).await?;
        let seen = reader.entry(&Key::leader()).await?;
        let shown = seen.as_ref().is_some_and(|entry| entry.version == version && entry.value == [round]);
        ensure(shown, LINEAR, &format!("[{round}], which the other client was told is committed"), seen)?;
    }
    Ok(())
}

async fn two_clusters_are_apart(lab: &Lab<'_>) -> Checked {
    // The second name begins with the first: a prefix without a delimiter would mix them.
    let one = lab.cluster()?;
    let two = crate::member::ClusterId::new(format!("{one}x"))
        .map_err(|error| Finding::new(APART, "a name for a second cluster", error.chain()))?;
    let (one, two) = (lab.client(&one).await?, lab.client(&two).await?);
    let version = one.put(&Key::leader(), b"one").await?;
    let seen = two.read().await?.entries;
    ensure(seen.is_empty(), APART, "no keys in a cluster of which nobody wrote", seen)?;
    two.commit(&[Guard::Absent(Key::leader())], &[(&Key::leader(), b"two")]).await?;
    let seen = one.entry(&Key::leader()).await?;
    let kept = seen.as_ref().is_some_and(|entry| entry.version == version && entry.value == b"one");
    ensure(kept, APART, "the first cluster's leader as it was", seen)
}

/// The versions after a round of guarded commits of which exactly one may win.
async fn race(clients: &[Client], guard: &Guard, round: u8) -> Result<Version, Finding> {
    let racers: Vec<BoxFuture<'_, _>> = clients
        .iter()
        .zip(0_u8..)
        .map(|(client, number)| -> BoxFuture<'_, _> {
            Box::pin(async move {
                let value = [round, number];
                let writes: [(&Key, &[u8]); 1] = [(&Key::leader(), &value)];
                client.try_commit(std::slice::from_ref(guard), &writes).await
            })
        })
        .collect();
    let results = together(racers).await;
    let winners: Vec<_> = results
        .iter()
        .zip(0_u8..)
        .filter_map(|(result, number)| result.as_ref().ok().map(|versions| (number, versions)))
        .collect();
    let others_conflict =
        results.iter().all(|result| result.as_ref().map_or_else(|error| error.kind() == ErrorKind::Conflict, |_| true));
    let told: Vec<_> = results.iter().map(describe).collect();
    let [(winner, versions)] = winners.as_slice() else {
        return Err(Finding::new(CAS, format!("one winner among {}", clients.len()), told.join("; ")));
    };
    ensure(others_conflict, CAS, "a conflict for everybody but the winner", &told)?;
    let mut entry = None;
    for client in clients.iter().take(2) {
        entry = client.entry(&Key::leader()).await?;
        let is_winners = entry.as_ref().is_some_and(|entry| entry.value == [round, *winner]);
        ensure(is_winners, CAS, &format!("the value of winner {winner} in round {round}"), &entry)?;
    }
    let version = versions.get(&Key::leader()).copied();
    match entry {
        Some(entry) if Some(entry.version) == version => Ok(entry.version),
        other => Err(Finding::new(CAS, format!("version {version:?}"), format!("{other:?}"))),
    }
}

/// Eight clients: four of their own and four that share those.
async fn crowd(lab: &Lab<'_>) -> Result<Vec<Client>, Finding> {
    let cluster = lab.cluster()?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(lab.client(&cluster).await?);
    }
    clients.extend(clients.clone());
    Ok(clients)
}

async fn one_wins(lab: &Lab<'_>) -> Checked {
    let mut clients = crowd(lab).await?;
    let first = clients.first().ok_or_else(|| Finding::new(CAS, "clients", "none"))?;
    let mut version = first.put(&Key::leader(), b"start").await?;
    for round in 0..15 {
        version = race(&clients, &Guard::Version(Key::leader(), version), round).await?;
        clients.rotate_left(1);
    }
    Ok(())
}

async fn one_creates(lab: &Lab<'_>) -> Checked {
    for round in 0..5 {
        let clients = crowd(lab).await?;
        race(&clients, &Guard::Absent(Key::leader()), round).await?;
    }
    Ok(())
}

async fn no_increment_is_lost(lab: &Lab<'_>) -> Checked {
    const EACH: u64 = 8;
    let clients = crowd(lab).await?;
    let first = clients.first().ok_or_else(|| Finding::new(CAS, "clients", "none"))?;
    first.put(&Key::history(), b"0").await?;
    let workers: Vec<BoxFuture<'_, Checked>> = clients
        .iter()
        .map(|client| -> BoxFuture<'_, Checked> {
            Box::pin(async move {
                for _ in 0..EACH {
                    increment(client).await?;
                }
                Ok(())
            })
        })
        .collect();
    together(workers).await.into_iter().collect::<Checked>()?;
    let expected = EACH * clients.len() as u64;
    let seen = number(first, &Key::history()).await?.0;
    ensure(seen == expected, CAS, &format!("{expected}: one for every commit that was answered Ok"), seen)
}

async fn increment(client: &Client) -> Checked {
    loop {
        breathe().await;
        let (count, version) = number(client, &Key::history()).await?;
        let value = (count + 1).to_string();
        let guards = [Guard::Version(Key::history(), version)];
        match client.try_commit(&guards, &[(&Key::history(), value.as_bytes())]).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(Finding::new(CAS, "Ok or a conflict", error.chain())),
        }
    }
}

async fn number(client: &Client, key: &Key) -> Result<(u64, Version), Finding> {
    let entry = client.entry(key).await?;
    entry
        .as_ref()
        .and_then(|entry| Some((std::str::from_utf8(&entry.value).ok()?.parse().ok()?, entry.version)))
        .ok_or_else(|| Finding::new(LINEAR, format!("a number in {key}"), format!("{entry:?}")))
}

/// One client writes two keys together while another reads: it never sees one without the other.
async fn keys_move_together(lab: &Lab<'_>) -> Checked {
    const ROUNDS: u64 = 60;
    let (writer, reader) = lab.pair().await?;
    let (leader, sync, history) = (Key::leader(), Key::sync(), Key::history());
    let write = |count: u64| {
        let (writer, leader, sync, history) = (writer.clone(), leader.clone(), sync.clone(), history.clone());
        async move {
            let value = count.to_string();
            let value = value.as_bytes();
            writer.commit(&[], &[(&leader, value), (&sync, value), (&history, value)]).await.map(|_| ())
        }
    };
    write(0).await?;
    let writing: BoxFuture<'_, Checked> = Box::pin(async {
        for count in 1..=ROUNDS {
            breathe().await;
            write(count).await?;
        }
        Ok(())
    });
    let reading: BoxFuture<'_, Checked> = Box::pin(async {
        loop {
            breathe().await;
            let entries = reader.read().await?.entries;
            let values: Vec<_> = entries.values().map(|entry| entry.value.clone()).collect();
            let equal = values.len() == 3 && values.windows(2).all(|pair| pair.first() == pair.last());
            ensure(equal, MOMENT, "three keys with the value of one commit", &entries)?;
            if values.first().is_some_and(|value| *value == ROUNDS.to_string().into_bytes()) {
                return Ok(());
            }
        }
    });
    together(vec![writing, reading]).await.into_iter().collect()
}

async fn reads_never_go_back(lab: &Lab<'_>) -> Checked {
    const LAST: u64 = 60;
    let cluster = lab.cluster()?;
    let (writer, a, b) = (lab.client(&cluster).await?, lab.client(&cluster).await?, lab.client(&cluster).await?);
    writer.put(&Key::leader(), b"0").await?;
    let writing: BoxFuture<'_, Checked> = Box::pin(async {
        for count in 1..=LAST {
            breathe().await;
            writer.put(&Key::leader(), count.to_string().as_bytes()).await?;
        }
        Ok(())
    });
    let reading: BoxFuture<'_, Checked> = Box::pin(async {
        let mut newest = 0;
        let mut turn = [&a, &b];
        while newest < LAST {
            breathe().await;
            let [reader, _] = turn;
            let seen = number(reader, &Key::leader()).await?.0;
            ensure(seen >= newest, BACK, &format!("{newest} or later, which the other client had read before"), seen)?;
            newest = seen;
            turn.reverse();
        }
        Ok(())
    });
    together(vec![writing, reading]).await.into_iter().collect()
}

/// Each of two clients writes a key of its own, guarded by the other's: only one of a round may win.
async fn no_write_skew(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let (mine, yours) = (Key::leader(), Key::sync());
    for round in 0..15_u8 {
        let value = [round];
        let versions = a.commit(&[], &[(&mine, &value), (&yours, &value)]).await?;
        let guard = |key: &Key| versions.get(key).map(|version| Guard::Version(key.clone(), *version));
        let (Some(guard_mine), Some(guard_yours)) = (guard(&mine), guard(&yours)) else {
            return Err(Finding::new("The new version of each written key.", "two versions", format!("{versions:?}")));
        };
        let racers: Vec<BoxFuture<'_, _>> = vec![
            Box::pin(async { a.try_commit(&[guard_yours], &[(&mine, b"a")]).await }),
            Box::pin(async { b.try_commit(&[guard_mine], &[(&yours, b"b")]).await }),
        ];
        let results = together(racers).await;
        let winners = results.iter().filter(|result| result.is_ok()).count();
        let told: Vec<_> = results.iter().map(describe).collect();
        ensure(winners == 1, CAS, "one winner of two commits that each void the other's guard", told)?;
    }
    Ok(())
}
