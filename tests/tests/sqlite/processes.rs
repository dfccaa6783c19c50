//! Several processes on one file.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{Dcs, WatchEvent};
use odoo_ha_core::store::{Guard, Key};

use crate::{TIME, open, write};

const ROLE: &str = "ODOO_HA_TEST_ROLE";
const STORE: &str = "ODOO_HA_TEST_STORE";
const COUNT: &str = "ODOO_HA_TEST_COUNT";

/// Starts this very program again, to play a role.
fn start(role: &str, store: &Path, count: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["processes::plays_a_role", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(STORE, store)
        .env(COUNT, count.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// No test of its own: what the other processes do.
#[tokio::test(flavor = "multi_thread")]
async fn plays_a_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let store = open(Path::new(&std::env::var(STORE).unwrap()));
    let count: u64 = std::env::var(COUNT).unwrap().parse().unwrap();
    match role.as_str() {
        "increments" => {
            for _ in 0..count {
                increment(&store).await;
            }
        }
        "counts" => {
            for number in 0..count {
                let value = increment(&store).await;
                // Said only after it was answered: what is said must outlive this process.
                println!("\ncounted {value} as {number}");
            }
        }
        "stamps" => {
            for _ in 0..count {
                let before = now_ns();
                store.commit(&write(Vec::new(), &before.to_be_bytes()), TIME).await.unwrap();
                // Pauses of all lengths, so that no rhythm of the watch is hidden.
                std::thread::sleep(Duration::from_micros(3_000 + before % 11_000));
            }
        }
        other => unreachable!("{other}"),
    }
}

fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// Adds one by compare-and-swap until it wins; gives the new number.
async fn increment(store: &dyn Dcs) -> u64 {
    loop {
        let entry = store.read(TIME).await.unwrap().entries.remove(&Key::leader());
        let number =
            entry.as_ref().map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse::<u64>().unwrap()) + 1;
        let guard = entry.map_or(Guard::Absent(Key::leader()), |entry| Guard::Version(Key::leader(), entry.version));
        match store.commit(&write(vec![guard], number.to_string().as_bytes()), TIME).await {
            Ok(_) => return number,
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => panic!("{}", error.chain()),
        }
    }
}

async fn count(store: &dyn Dcs) -> u64 {
    let snapshot = store.read(TIME).await.unwrap();
    snapshot.entries.get(&Key::leader()).map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_lose_no_update() {
    const EACH: u64 = 100;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let begun = Instant::now();
    // They also race for making the file.
    let children: Vec<_> = (0..4).map(|_| start("increments", &path, EACH)).collect();
    let own = open(&path);
    for _ in 0..EACH {
        increment(&own).await;
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(count(&own).await, 5 * EACH);
    println!("5 processes made {} guarded commits in {:?}", 5 * EACH, begun.elapsed());
}

/// Once, a process that looked while another was making the file took it for another program's.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_make_the_file_together_agree() {
    const CLIENTS: u64 = 4;
    for _ in 0..60 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        // Clients share nothing but the file, so they stand for processes, and are sooner at it.
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let client = open(&path);
                tokio::spawn(async move { increment(&client).await })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(count(&open(&path)).await, CLIENTS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_in_its_commits_leaves_a_usable_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let own = open(&path);
    for round in 0..12_u64 {
        let mut child = start("counts", &path, 1_000_000);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = 0;
        let counted = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("counted ").map(str::to_owned));
        for (number, line) in counted.enumerate() {
            said = line.split(' ').next().unwrap().parse::<u64>().unwrap();
            if number as u64 == 3 + round * 2 {
                // It is at work on the next commit, at some point of it.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let kept = count(&own).await;
        assert!(kept >= said, "{said} was answered, {kept} is there");
        // One commit may have happened without being told.
        assert!(kept <= said + 1, "{said} was answered, {kept} is there");
        assert_eq!(increment(&own).await, kept + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_other_processes_soon() {
    const COMMITS: u64 = 400;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let own = open(&path);
    let from = own.read(TIME).await.unwrap().revision;
    let mut watch = own.watch(from, TIME).await.unwrap();
    let mut child = start("stamps", &path, COMMITS);
    let mut latencies_us = Vec::new();
    let mut last = Vec::new();
    let watching = async {
        loop {
            let WatchEvent::Changed { changes, .. } = watch.next().await.unwrap() else { panic!("a gap") };
            let now = now_ns();
            for change in changes {
                last = change.entry.unwrap().value;
                let begun = u64::from_be_bytes(last.clone().try_into().unwrap());
                latencies_us.push(now.saturating_sub(begun) / 1_000);
            }
        }
    };
    // The writer's end bounds the wait; the last commit is awaited by its bytes below.
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
    tokio::select! {
        () = watching => {}
        status = ended => assert!(status.unwrap().success()),
    }
    let newest = own.read(TIME).await.unwrap().entries.remove(&Key::leader()).unwrap().value;
    if last != newest {
        let event = tokio::time::timeout(TIME, watch.next()).await.expect("the last commit is shown").unwrap();
        assert!(
            matches!(event, WatchEvent::Changed { changes, .. } if changes[0].entry.as_ref().unwrap().value == newest)
        );
    }
    latencies_us.sort_unstable();
    let at =
        |share: usize| latencies_us[(latencies_us.len() * share / 100).min(latencies_us.len() - 1)] as f64 / 1_000.0;
    println!(
        "watch between processes, from before the commit to the event: {} events of {COMMITS} commits, p50 {:.1} ms, p95 {:.1} ms, max {:.1} ms",
        latencies_us.len(),
        at(50),
        at(95),
        at(100),
    );
}
