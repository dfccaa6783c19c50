//! What a watch shows.

use std::collections::BTreeMap;

use super::{Client, Lab};
use crate::conformance::bench::{Checked, PATIENCE, QUIET, ShouldWork, Suite, ensure};
use crate::conformance::report::Finding;
use crate::conformance::timer::{BoxFuture, dropped_after, together, within};
use crate::roles::{DcsWatch, WatchEvent};
use crate::store::{Change, Key, Revision, Version};

const ALL: &str = "A stream of all changes after `from`. A change is never left out for good.";
const ONCE: &str = "A watch from here misses nothing and repeats nothing.";
const ORDER: &str = "Keys changed, in order.";
const CANCEL: &str = "Cancel-safe: an event that a dropped call had received is given by the next one.";
const APART: &str = "An instance is bound to one cluster and shows no others.";

pub(super) async fn run(suite: &mut Suite<'_>, lab: &Lab<'_>) {
    suite.check("a_watch_shows_what_was_written_before_it_began", Box::pin(shows_earlier_changes(lab))).await;
    suite.check("a_watch_shows_another_clients_writes", Box::pin(shows_the_other_client(lab))).await;
    suite.check("a_watch_shows_every_key_of_a_commit", Box::pin(shows_every_key(lab))).await;
    suite.check("a_watch_keeps_the_order", Box::pin(keeps_the_order(lab))).await;
    suite.check("a_watch_repeats_nothing", Box::pin(repeats_nothing(lab))).await;
    suite.check("a_watch_continues_where_another_was_left", Box::pin(continues(lab))).await;
    suite.check("a_watch_beside_a_busy_writer_misses_nothing", Box::pin(busy_writer(lab))).await;
    suite.check("a_watch_shows_nothing_of_another_cluster", Box::pin(shows_no_other_cluster(lab))).await;
    suite.check("a_dropped_wait_loses_no_event", Box::pin(a_dropped_wait_loses_nothing(lab))).await;
    suite.check("two_watches_do_not_share_events", Box::pin(two_watches(lab))).await;
}

/// A running watch with what it has shown so far.
struct Seen<'a> {
    lab: &'a Lab<'a>,
    watch: Box<dyn DcsWatch>,
    revision: Revision,
    changes: Vec<Change>,
}

impl<'a> Seen<'a> {
    async fn begin(lab: &'a Lab<'a>, client: &Client, from: Revision) -> Result<Self, Finding> {
        Ok(Self { lab, watch: client.watch(from).await?, revision: from, changes: Vec::new() })
    }

    /// Takes one event; fails on a gap, an error, or none in time.
    async fn one(&mut self) -> Result<(), Finding> {
        let event = within(self.lab.timer, PATIENCE, self.watch.next()).await;
        let event = event
            .ok_or_else(|| {
                Finding::new(ALL, format!("another event within {PATIENCE:?}"), format!("after {:?}", self.changes))
            })?
            .should_work("waiting for an event")?;
        self.take(event)
    }

    fn take(&mut self, event: WatchEvent) -> Checked {
        match event {
            WatchEvent::Gap => Err(Finding::new(ALL, "changes", "a gap, though nothing was lost")),
            WatchEvent::Changed { revision, changes } => {
                ensure(revision >= self.revision, ORDER, "revisions that grow", (self.revision, revision))?;
                self.revision = revision;
                self.changes.extend(changes);
                Ok(())
            }
        }
    }

    /// Takes events until the latest change of each of these keys is of the version given.
    async fn until(&mut self, wanted: &BTreeMap<Key, Version>) -> Checked {
        loop {
            let latest = self.latest();
            if wanted.iter().all(|(key, version)| latest.get(key) == Some(version)) {
                return Ok(());
            }
            self.one().await.map_err(|finding| Finding { expected: format!("{wanted:?} shown"), ..finding })?;
        }
    }

    fn latest(&self) -> BTreeMap<Key, Version> {
        self.changes
            .iter()
            .filter_map(|change| change.entry.as_ref().map(|entry| (change.key.clone(), entry.version)))
            .collect()
    }

    /// Fails when another change is shown during a quiet time.
    async fn stays_quiet(&mut self, contract: &'static str, expected: &str) -> Checked {
        let before = self.changes.len();
        while let Some(event) = within(self.lab.timer, QUIET, self.watch.next()).await {
            self.take(event.should_work("waiting for an event")?)?;
            ensure(self.changes.len() == before, contract, expected, self.changes.get(before..))?;
        }
        Ok(())
    }
}

fn only(key: Key, version: Version) -> BTreeMap<Key, Version> {
    BTreeMap::from([(key, version)])
}

async fn shows_earlier_changes(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    a.put(&Key::leader(), b"before").await?;
    let from = b.read().await?.revision;
    let mut wanted = only(Key::leader(), a.put(&Key::leader(), b"1").await?);
    wanted.insert(Key::sync(), b.put(&Key::sync(), b"2").await?);
    // Both writes are done: a watch that begins with what comes next would never show them.
    let mut seen = Seen::begin(lab, &b, from).await?;
    seen.until(&wanted).await
}

async fn shows_the_other_client(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let mut seen = Seen::begin(lab, &b, b.read().await?.revision).await?;
    for round in 0..20_u8 {
        let version = a.put(&Key::leader(), &[round]).await?;
        seen.until(&only(Key::leader(), version)).await?;
        let value = seen.changes.last().and_then(|change| change.entry.as_ref()).map(|entry| entry.value.clone());
        ensure(value.as_deref() == Some(&[round]), ALL, &format!("the bytes [{round}]"), value)?;
    }
    Ok(())
}

async fn shows_every_key(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let mut seen = Seen::begin(lab, &b, b.read().await?.revision).await?;
    for _ in 0..10 {
        let writes: [(&Key, &[u8]); 4] =
            [(&Key::leader(), b"l"), (&Key::sync(), b"s"), (&Key::history(), b"h"), (&Key::request(), b"r")];
        let wanted = a.commit(&[], &writes).await?;
        seen.until(&wanted).await?;
    }
    Ok(())
}

async fn keeps_the_order(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let from = b.read().await?.revision;
    let mut seen = Seen::begin(lab, &b, from).await?;
    let mut order = Vec::new();
    for round in 0..40_u8 {
        let key = if round % 3 == 0 { Key::sync() } else { Key::leader() };
        order.push((key.clone(), a.put(&key, &[round]).await?));
    }
    seen.until(&order.iter().cloned().collect()).await?;
    in_order(&seen, &order)?;
    // The same from the beginning, when all is long done.
    let mut late = Seen::begin(lab, &b, from).await?;
    late.until(&order.iter().cloned().collect()).await?;
    in_order(&late, &order)
}

/// What was shown is a part of what was written, in the order in which it was written.
fn in_order(seen: &Seen<'_>, order: &[(Key, Version)]) -> Checked {
    let mut places = Vec::new();
    for change in &seen.changes {
        let shown = change.entry.as_ref().map(|entry| (change.key.clone(), entry.version));
        let place = order.iter().position(|written| Some(written) == shown.as_ref());
        ensure(place.is_some(), ALL, "only what was written", change)?;
        places.extend(place);
    }
    let grows = places.windows(2).all(|pair| pair.first() < pair.last());
    ensure(grows, ORDER, "each change once, in the order in which they were written (numbers that grow)", places)
}

async fn repeats_nothing(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let old = a.put(&Key::leader(), b"old").await?;
    let from = b.read().await?.revision;
    let mut seen = Seen::begin(lab, &b, from).await?;
    seen.stays_quiet(ONCE, "nothing: the snapshot had it all").await?;
    let new = a.put(&Key::sync(), b"new").await?;
    seen.until(&only(Key::sync(), new)).await?;
    let latest = seen.latest();
    ensure(
        !latest.values().any(|version| *version == old),
        ONCE,
        "only what the snapshot did not have",
        &seen.changes,
    )?;
    seen.stays_quiet(ONCE, "nothing: it was shown already").await
}

async fn continues(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let mut seen = Seen::begin(lab, &b, b.read().await?.revision).await?;
    for _ in 0..5 {
        let first = a.put(&Key::leader(), b"first").await?;
        seen.until(&only(Key::leader(), first)).await?;
        let from = seen.revision;
        drop(seen);
        let second = a.put(&Key::sync(), b"second").await?;
        seen = Seen::begin(lab, &b, from).await?;
        seen.until(&only(Key::sync(), second)).await?;
        let repeated = seen.latest().contains_key(&Key::leader());
        ensure(!repeated, ONCE, "only what came after the revision that the first watch gave", &seen.changes)?;
    }
    Ok(())
}

async fn busy_writer(lab: &Lab<'_>) -> Checked {
    const LAST: u32 = 150;
    let (a, b) = lab.pair().await?;
    let from = b.read().await?.revision;
    let writing: BoxFuture<'_, Result<BTreeMap<Key, Version>, Finding>> = Box::pin(async {
        let mut last = BTreeMap::new();
        for round in 0..LAST {
            let key = if round % 2 == 0 { Key::leader() } else { Key::history() };
            last.insert(key.clone(), a.put(&key, &round.to_be_bytes()).await?);
        }
        Ok(last)
    });
    let watching: BoxFuture<'_, Result<BTreeMap<Key, Version>, Finding>> = Box::pin(async {
        // The last two writes are known by their value: their versions are only known to the writer.
        let mut seen = Seen::begin(lab, &b, from).await?;
        let is_value =
            |change: &Change, round: u32| change.entry.as_ref().is_some_and(|entry| entry.value == round.to_be_bytes());
        while !(LAST - 2..LAST).all(|round| seen.changes.iter().any(|change| is_value(change, round))) {
            seen.one().await?;
        }
        Ok(seen.latest())
    });
    let mut both = together(vec![writing, watching]).await.into_iter();
    match (both.next(), both.next()) {
        (Some(written), Some(shown)) => {
            let (written, shown) = (written?, shown?);
            ensure(written == shown, ALL, &format!("the versions that the writer was given: {written:?}"), shown)
        }
        _ => Ok(()),
    }
}

async fn shows_no_other_cluster(lab: &Lab<'_>) -> Checked {
    let (mine, other) = (lab.alone().await?, lab.alone().await?);
    let mut seen = Seen::begin(lab, &mine, mine.read().await?.revision).await?;
    other.put(&Key::leader(), b"other").await?;
    seen.stays_quiet(APART, "nothing: another cluster was written to").await?;
    let version = mine.put(&Key::leader(), b"mine").await?;
    seen.until(&only(Key::leader(), version)).await
}

async fn a_dropped_wait_loses_nothing(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let mut seen = Seen::begin(lab, &b, b.read().await?.revision).await?;
    let mut order = Vec::new();
    for round in 0..30_u8 {
        // A wait that is dropped before, and one that is dropped after there is something to wait for.
        let polls = 1 + usize::from(round % 3);
        for before in [true, false] {
            if !before {
                order.push((Key::leader(), a.put(&Key::leader(), &[round]).await?));
            }
            let waiting = within(lab.timer, QUIET / 20, dropped_after(polls, seen.watch.next())).await;
            if let Some(Some(event)) = waiting {
                seen.take(event.should_work("waiting for an event")?)?;
            }
        }
        if round % 5 == 0 {
            let wanted = order.iter().cloned().collect();
            seen.until(&wanted).await.map_err(|finding| Finding { contract: CANCEL, ..finding })?;
        }
    }
    let wanted = order.iter().cloned().collect();
    seen.until(&wanted).await.map_err(|finding| Finding { contract: CANCEL, ..finding })?;
    in_order(&seen, &order)
}

async fn two_watches(lab: &Lab<'_>) -> Checked {
    let (a, b) = lab.pair().await?;
    let from = b.read().await?.revision;
    let mut one = Seen::begin(lab, &b, from).await?;
    let mut two = Seen::begin(lab, &b, from).await?;
    let ended = Seen::begin(lab, &b, from).await?;
    let mut wanted = only(Key::leader(), a.put(&Key::leader(), b"1").await?);
    one.until(&wanted).await?;
    two.until(&wanted).await?;
    drop(ended);
    wanted.insert(Key::sync(), a.put(&Key::sync(), b"2").await?);
    one.until(&wanted).await?;
    two.until(&wanted).await
}
