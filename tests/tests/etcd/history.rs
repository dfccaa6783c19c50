//! Concurrent commits and reads under faults are linearizable.
//!
//! The store itself gives the order: each commit has a version, each read a revision. What is checked is that this order is one that the
//! clients could have lived through: it agrees with real time, every read shows exactly what the order says, every guard held where
//! it was passed, and nothing happened that was answered as not done, or twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Change, Commit, Guard, Key, Revision, Snapshot, Version};

use crate::support::{NEW, OLD, Plan, TIME, event};

/// One call as its client saw it.
#[derive(Clone, Debug)]
struct Call {
    begun: Instant,
    ended: Instant,
    seen: Seen,
}

#[derive(Clone, Debug)]
enum Seen {
    Read(Snapshot),
    Done { commit: Commit, version: Version },
    NotDone(Commit),
    Unknown(Commit),
}

/// What every change of the store was, in order, from a watch that saw them all.
type Log = BTreeMap<Version, BTreeMap<Key, Vec<u8>>>;

/// What is wrong with a history; nothing if it is linearizable.
fn judge(calls: &[Call], log: &Log, begin: &Snapshot) -> Vec<String> {
    let mut wrong = Vec::new();
    let state = |at: u64| {
        let mut entries: BTreeMap<&Key, (Version, &Vec<u8>)> =
            begin.entries.iter().map(|(key, entry)| (key, (entry.version, &entry.value))).collect();
        for (version, writes) in log.range(..=Version(at)) {
            entries.extend(writes.iter().map(|(key, value)| (key, (*version, value))));
        }
        entries
    };
    let place = |call: &Call| match &call.seen {
        Seen::Read(snapshot) => Some(snapshot.revision.0),
        Seen::Done { version, .. } => Some(version.0),
        Seen::NotDone(_) | Seen::Unknown(_) => None,
    };
    for call in calls {
        match &call.seen {
            Seen::Read(snapshot) => {
                let expected = state(snapshot.revision.0);
                let shown: BTreeMap<_, _> =
                    snapshot.entries.iter().map(|(key, entry)| (key, (entry.version, &entry.value))).collect();
                if shown != expected {
                    wrong.push(format!("a read at {} shows {shown:?}, not {expected:?}", snapshot.revision.0));
                }
            }
            Seen::Done { commit, version } => {
                if log.get(version) != Some(&commit.writes) {
                    wrong.push(format!("a commit answered as {} is not there: {commit:?}", version.0));
                }
            }
            Seen::NotDone(commit) if landed(log, commit) > 0 => {
                wrong.push(format!("a commit answered as not done happened: {commit:?}"));
            }
            Seen::NotDone(_) | Seen::Unknown(_) => {}
        }
        if let Seen::Done { commit, .. } | Seen::Unknown(commit) = &call.seen {
            let times = landed(log, commit);
            if times > 1 {
                wrong.push(format!("a commit happened {times} times: {commit:?}"));
            }
            // Wherever it landed, its guards held.
            if let Some(version) = log.iter().find(|(_, writes)| **writes == commit.writes).map(|(version, _)| *version)
            {
                let before = state(version.0 - 1);
                let holds = |guard: &Guard| match guard {
                    Guard::Absent(key) => !before.contains_key(key),
                    Guard::Version(key, guarded) => before.get(key).is_some_and(|(version, _)| version == guarded),
                };
                if !commit.guards.iter().all(holds) {
                    wrong.push(format!("a commit passed a guard that did not hold: {commit:?}"));
                }
            }
        }
    }
    // Real time: what had ended before another call began comes before it. A read may be of the same moment as what it follows.
    let mut by_end: Vec<_> = calls.iter().filter_map(|call| Some((call.ended, place(call)?))).collect();
    by_end.sort_unstable();
    let mut by_begin: Vec<_> = calls.iter().filter_map(|call| Some((call.begun, place(call)?, call))).collect();
    by_begin.sort_by_key(|(begun, ..)| *begun);
    let (mut newest, mut ended) = (0, by_end.iter().peekable());
    for (begun, place, call) in by_begin {
        while let Some((_, earlier)) = ended.next_if(|(end, _)| *end < begun) {
            newest = newest.max(*earlier);
        }
        let is_commit = matches!(call.seen, Seen::Done { .. });
        if place < newest || is_commit && place == newest {
            wrong.push(format!("a call at {place} began after one at {newest} had ended: {call:?}"));
        }
    }
    wrong
}

fn landed(log: &Log, commit: &Commit) -> usize {
    log.values().filter(|writes| **writes == commit.writes).count()
}

/// A client that reads and commits, each commit with a value of its own, until it is told to stop.
async fn client(store: Arc<dyn Dcs>, name: u8, calls: Arc<Mutex<Vec<Call>>>, over: Arc<std::sync::atomic::AtomicBool>) {
    let mut known: Option<Snapshot> = None;
    let mut number = 0_u32;
    while !over.load(std::sync::atomic::Ordering::SeqCst) {
        number += 1;
        let begun = Instant::now();
        let timeout = Duration::from_millis(150 + u64::from(number % 4) * 150);
        let seen = if number.is_multiple_of(2) {
            match store.read(timeout).await {
                Ok(snapshot) => {
                    known = Some(snapshot.clone());
                    Seen::Read(snapshot)
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
                    continue;
                }
            }
        } else {
            let commit = next_commit(known.as_ref(), name, number);
            let result = store.commit(&commit, timeout).await;
            match result {
                Ok(done) => Seen::Done { version: *done.versions.values().next().unwrap(), commit },
                Err(error) if error.kind() == ErrorKind::Unknown => Seen::Unknown(commit),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unavailable), "{}", error.chain());
                    Seen::NotDone(commit)
                }
            }
        };
        let ended = Instant::now();
        assert!(ended - begun < timeout + Duration::from_secs(2), "a call took {:?} of {timeout:?}", ended - begun);
        calls.lock().unwrap().push(Call { begun, ended, seen });
        // Different rhythms, so that calls of different clients overlap in all ways.
        tokio::time::sleep(Duration::from_millis(u64::from(name) * 2 + 1)).await;
    }
}

/// Two keys with a guard on both, or one with its own, or one without any.
fn next_commit(known: Option<&Snapshot>, name: u8, number: u32) -> Commit {
    let value = format!("{name}/{number}").into_bytes();
    let guard = |key: Key| match known.and_then(|known| known.entries.get(&key)) {
        Some(entry) => Guard::Version(key, entry.version),
        None => Guard::Absent(key),
    };
    let keys: &[Key] = match number % 3 {
        0 => &[Key::leader(), Key::sync()],
        1 => &[Key::leader()],
        _ => &[Key::sync()],
    };
    // Some without any guard, which may be sent only once.
    let guards = if number.is_multiple_of(5) { vec![] } else { keys.iter().cloned().map(guard).collect() };
    Commit { guards, writes: keys.iter().map(|key| (key.clone(), value.clone())).collect() }
}

async fn linearizable_under_faults(version: &'static str) {
    let etcd = Plan::new(version, 3).proxies().serving().await;
    let witness = etcd.open();
    crate::support::put(&witness, "begin").await;
    let begin = witness.read(TIME).await.unwrap();
    let mut watch = witness.watch(begin.revision, TIME).await.unwrap();
    let (calls, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let clients: Vec<_> = (1..=5_u8)
        .map(|name| {
            let mut urls = etcd.urls();
            urls.rotate_left(usize::from(name) % 3);
            let store = odoo_ha_backends::etcd::EtcdConfig::new(crate::support::cluster("shop"), urls).build().unwrap();
            tokio::spawn(client(Arc::new(store), name, Arc::clone(&calls), Arc::clone(&over)))
        })
        .collect();
    for round in 0..5 {
        let leader = etcd.leader().await;
        let other = (leader + 1) % 3;
        tokio::time::sleep(Duration::from_millis(200)).await;
        match round {
            0 => etcd.members[leader].process.freeze(),
            1 => etcd.members[leader].process.kill(),
            2 => etcd.members[other].process.freeze(),
            3 => cut(&etcd, leader, odoo_ha_tests::stores::Mood::Stall),
            _ => cut(&etcd, other, odoo_ha_tests::stores::Mood::Cut),
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
        match round {
            0 => etcd.members[leader].process.thaw(),
            1 => etcd.members[leader].process.restart(),
            2 => etcd.members[other].process.thaw(),
            3 => cut(&etcd, leader, odoo_ha_tests::stores::Mood::Open),
            _ => cut(&etcd, other, odoo_ha_tests::stores::Mood::Open),
        }
        etcd.serves().await;
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    // What was unknown and not done yet is voided by what comes now, except where nothing guards it; those have landed or been refused when
    // all members have answered. The watch has shown everything when it shows this.
    etcd.serves().await;
    let end = crate::support::put(&witness, "end").await;
    let mut log = Log::new();
    while !log.contains_key(&end) {
        match event(&mut watch).await {
            Ok(WatchEvent::Changed { changes, .. }) => {
                for Change { key, entry } in changes {
                    let entry = entry.expect("nobody deletes");
                    log.entry(entry.version).or_default().insert(key, entry.value);
                }
            }
            // The watch was lost: another goes on where it was.
            Err(_) => {
                let from = log.last_key_value().map_or(begin.revision, |(version, _)| Revision(version.0));
                watch = witness.watch(from, TIME).await.unwrap();
            }
            Ok(WatchEvent::Gap) => panic!("nothing was compacted"),
        }
    }
    let calls = calls.lock().unwrap().clone();
    let count = |is: fn(&Seen) -> bool| calls.iter().filter(|call| is(&call.seen)).count();
    let (reads, done) = (count(|seen| matches!(seen, Seen::Read(_))), count(|seen| matches!(seen, Seen::Done { .. })));
    let (not_done, unknown) =
        (count(|seen| matches!(seen, Seen::NotDone(_))), count(|seen| matches!(seen, Seen::Unknown(_))));
    println!(
        "{version}: {reads} reads, {done} commits done, {not_done} not done, {unknown} unknown, {} changes",
        log.len()
    );
    let wrong = judge(&calls, &log, &begin);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(reads > 100 && done > 100, "there was too little to judge");
    the_judge_sees(&calls, &log, &begin);
}

fn cut(etcd: &crate::support::Etcd, cut_off: usize, mood: odoo_ha_tests::stores::Mood) {
    let its = etcd.members[cut_off].process.pid();
    for (number, member) in etcd.members.iter().enumerate() {
        let proxy = member.peers.as_ref().unwrap();
        if number == cut_off { proxy.set(mood) } else { proxy.set_for(its, mood) }
    }
}

/// The judge sees a stale read, a lost commit, a lie and a commit that happened twice, made up from this very history.
fn the_judge_sees(calls: &[Call], log: &Log, begin: &Snapshot) {
    let done = |call: &&Call| matches!(&call.seen, Seen::Done { commit, .. } if !commit.guards.is_empty());
    let last = calls.iter().rev().find(done).unwrap().clone();
    let Seen::Done { commit, version } = last.seen.clone() else { return };
    let with = |call: Call| [calls, &[call]].concat();
    let later = |seen| Call { begun: last.ended + TIME, ended: last.ended + 2 * TIME, seen };
    let stale = with(later(Seen::Read(begin.clone())));
    assert!(!judge(&stale, log, begin).is_empty(), "a stale read");
    let lie = with(later(Seen::NotDone(commit.clone())));
    assert!(!judge(&lie, log, begin).is_empty(), "a commit that happened and was denied");
    let mut lost = log.clone();
    lost.remove(&version);
    assert!(!judge(calls, &lost, begin).is_empty(), "a commit that was lost");
    let mut twice = log.clone();
    twice.insert(Version(u64::MAX - 1), commit.writes);
    assert!(!judge(calls, &twice, begin).is_empty(), "a commit that happened twice");
    let values: BTreeSet<_> = log.values().collect();
    assert_eq!(values.len(), log.len(), "every commit has a value of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_faults_are_linearizable_3_4() {
    linearizable_under_faults(OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_faults_are_linearizable_3_5() {
    linearizable_under_faults(NEW).await;
}
