//! Many clusters on one etcd, all of their leaders in one process: whether their renewals come in time.
//!
//! Each cluster is one member with a database in memory, and all members share their threads. They begin evenly over a renewal's interval, and so
//! renew. Beside them, on the same etcd, etcd's client alone does guarded writes of the same size: a few at the same time, from a thread of their own,
//! then as many as the clusters did, over one connection and over one for each cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_backends::memory::MemoryWorld;
use odoo_ha_core::driver::{HaHandle, HaNode, Lanes};
use odoo_ha_core::error::Error;
use odoo_ha_core::event::{Event, EventKind};
use odoo_ha_core::machine::StateName;
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::Timing;
use odoo_ha_core::roles::Notifier;
use odoo_ha_core::term::Term;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Fallible;
use super::args::ManyArgs;
use super::etcd::Etcd;
use super::figures::{Figures, millis, print_table, ratio};
use super::measured::{Measured, Measurements};
use super::usage::{open_files, processor_time, status};

/// Longest time until all of them lead.
const BEGIN: Duration = Duration::from_secs(300);

/// Longest time of one measurement of etcd's client alone.
const LONGEST_BARE: Duration = Duration::from_secs(60);

/// Between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// As long as a leader record.
const BESIDE_BYTES: usize = 331;

/// Between two writes of etcd's client beside the clusters.
const BESIDE_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn run(args: &ManyArgs) -> Fallible {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum })?;
    let etcd = Etcd::start(1).await?;
    let (ours, beside) = clusters(args, &etcd).await?;
    let bare_time = args.time.min(LONGEST_BARE);
    let one = bare(args, &etcd, 1, bare_time, ours.record_bytes).await?;
    let each = bare(args, &etcd, args.clusters, bare_time, ours.record_bytes).await?;
    print(args, &[ours, beside, one, each]);
    Ok(())
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    what: String,
    time: Duration,
    latency: Figures,
    failed: u64,
    lost: String,
    etcd: Option<Duration>,
    own: Option<Duration>,
    notes: String,
    record_bytes: usize,
}

async fn clusters(args: &ManyArgs, etcd: &Etcd) -> Fallible<(Row, Row)> {
    let directory = tempfile::Builder::new().prefix("odoo-ha-bench-").tempdir()?;
    let (measurements, losses) = (Measurements::default(), Arc::<Losses>::default());
    let own = std::process::id();
    let before = (status(own, "VmRSS"), status(own, "Threads"), open_files(own));
    let lanes = Arc::new(Lanes::new());
    let mut nodes = Vec::new();
    let mut ticks = interval(args.ttl / 5 / args.clusters);
    for number in 0..args.clusters {
        let (cluster, member) = (ClusterId::new(format!("cluster_{number}"))?, MemberId::new("node_a")?);
        let world = MemoryWorld::new();
        let store = EtcdConfig::new(cluster.clone(), etcd.endpoints()).build()?;
        let node = HaNode::builder()
            .cluster(cluster)
            .dcs(Arc::new(Measured { store, measurements: measurements.clone() }))
            .database(Arc::new(world.open(&member)))
            .endpoint(world.endpoint(&member))
            .notifier(losses.clone())
            .timing(Timing::with_ttl(args.ttl))
            .state_dir(directory.path().join(format!("state-{number}")))
            .lanes(lanes.clone())
            .member(member)
            .build()?;
        ticks.tick().await;
        nodes.push(node.spawn()?);
    }
    let begun = Instant::now();
    while !nodes.iter().all(leads) {
        if begun.elapsed() > BEGIN {
            return Err("not all of the clusters lead in time".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    eprintln!("{} clusters lead {:.1} s after the last was started", nodes.len(), begun.elapsed().as_secs_f64());
    let terms: Vec<Term> = nodes.iter().map(|node| node.status().term).collect();

    losses.0.store(0, Ordering::Relaxed);
    measurements.take();
    let begun = Instant::now();
    let beside = beside(etcd, begun + args.time);
    let used = (processor_time(etcd.process(0).pid()), processor_time(own));
    while begun.elapsed() < args.time {
        sleep(LINE_EVERY.min(args.time.saturating_sub(begun.elapsed()))).await;
        let now_leading = nodes.iter().filter(|node| leads(node)).count();
        eprintln!("{:.0} s: {now_leading} lead", begun.elapsed().as_secs_f64());
    }
    let time = begun.elapsed();
    let measured = measurements.take();
    let used = (processor_time(etcd.process(0).pid()) - used.0, processor_time(own) - used.1);
    let after = (status(own, "VmRSS"), status(own, "Threads"), open_files(own));
    let changed = nodes.iter().zip(&terms).filter(|(node, term)| !leads(node) || node.status().term != **term).count();
    for node in &nodes {
        node.kill();
    }
    for node in &nodes {
        node.ended().await;
    }
    let beside = beside.join().map_err(|_| "the thread of etcd's client ended")??;
    let per_cluster = |after: u64, before: u64| after.saturating_sub(before) / u64::from(args.clusters);
    let ours = Row {
        what: format!("{} clusters", args.clusters),
        time,
        latency: Figures::of(measured.renewals),
        failed: measured.failed,
        lost: format!("{} ({changed} changed)", losses.0.load(Ordering::Relaxed)),
        etcd: Some(used.0),
        own: Some(used.1),
        notes: format!(
            "RSS {} MiB ({} KiB a cluster), {} threads, {} files open ({} before); besides, {} commits and {} reads",
            after.0 / 1024,
            per_cluster(after.0, before.0),
            after.1,
            after.2,
            before.2,
            measured.others,
            measured.reads
        ),
        record_bytes: measured.record_bytes,
    };
    let beside = Row {
        what: "etcd's client alone, at the same time".into(),
        time,
        latency: Figures::of(beside.0),
        failed: beside.1,
        lost: "-".into(),
        etcd: None,
        own: None,
        notes: String::new(),
        record_bytes: 0,
    };
    Ok((ours, beside))
}

/// What was written, how long each write took, and how many failed.
type Written = (Vec<Duration>, u64);

/// Writes one key by etcd's client alone, on a thread of its own, for the time that the clusters are looked at.
fn beside(etcd: &Etcd, until: Instant) -> JoinHandle<Fallible<Written>> {
    let endpoints = etcd.endpoints();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = Client::connect(endpoints, None).await?;
            Ok(write_again_and_again(client, "beside", vec![b'x'; BESIDE_BYTES], BESIDE_EVERY, until).await)
        })
    })
}

fn leads(node: &HaHandle) -> bool {
    node.status().state == StateName::Leading
}

/// Counts leaderships that ended.
#[derive(Debug, Default)]
struct Losses(AtomicU64);

#[async_trait]
impl Notifier for Losses {
    async fn notify(&self, event: &Event, _timeout: Duration) -> Result<(), Error> {
        if matches!(event.kind, EventKind::LeadershipGivenUp { .. } | EventKind::LeaderSuspected { .. }) {
            eprintln!("{}: {}", event.cluster, event.sentence);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The same writes by etcd's client alone.
async fn bare(args: &ManyArgs, etcd: &Etcd, connections: u32, time: Duration, bytes: usize) -> Fallible<Row> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(etcd.endpoints(), None).await?);
    }
    let every = args.ttl / 5;
    let used = (processor_time(etcd.process(0).pid()), processor_time(std::process::id()));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (number, client) in (0..args.clusters).zip(clients.iter().cycle()) {
        let key = format!("bare/{connections}/{number}");
        let first = every * number / args.clusters;
        let client = client.clone();
        tasks.spawn(async move {
            sleep(first).await;
            write_again_and_again(client, &key, vec![b'x'; bytes.max(1)], every, begun + time).await
        });
    }
    let (mut latency, mut failed) = (Vec::new(), 0);
    while let Some(ended) = tasks.join_next().await {
        let (times, failures) = ended?;
        latency.extend(times);
        failed += failures;
    }
    let time = begun.elapsed();
    Ok(Row {
        what: format!("etcd's client alone, connections: {connections}"),
        time,
        latency: Figures::of(latency),
        failed,
        lost: "-".into(),
        etcd: Some(processor_time(etcd.process(0).pid()) - used.0),
        own: Some(processor_time(std::process::id()) - used.1),
        notes: String::new(),
        record_bytes: bytes,
    })
}

/// Writes one key, guarded by its last version; gives how long each write took, and how many failed.
async fn write_again_and_again(
    mut client: Client,
    key: &str,
    value: Vec<u8>,
    every: Duration,
    until: Instant,
) -> Written {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut times, mut failed, mut version) = (Vec::new(), 0, 0);
    while Instant::now() < until {
        ticks.tick().await;
        let guard = Compare::mod_revision(key, CompareOp::Equal, version);
        let txn = Txn::new().when([guard]).and_then([TxnOp::put(key, value.clone(), None)]);
        let begun = Instant::now();
        match client.txn(txn).await {
            Ok(answer) if answer.succeeded() => {
                version = answer.header().map_or(0, |header| header.revision());
            }
            Ok(_) | Err(_) => failed += 1,
        }
        times.push(begun.elapsed());
    }
    (times, failed)
}

fn print(args: &ManyArgs, rows: &[Row]) {
    println!("{} clusters on one etcd, ttl {:?}, {:.0} s", args.clusters, args.ttl, rows[0].time.as_secs_f64());
    println!();
    let heading = [
        "who writes",
        "writes/s",
        "p50",
        "p99",
        "max",
        "failed",
        "leaderships lost",
        "etcd, of a core",
        "own, of a core",
    ];
    let mut table = vec![heading.map(str::to_owned).to_vec()];
    let share = |used: Option<Duration>, row: &Row| {
        let percent = |used: Duration| format!("{:.0} %", 100.0 * used.as_secs_f64() / row.time.as_secs_f64());
        used.map_or("-".into(), percent)
    };
    for row in rows {
        table.push(vec![
            row.what.clone(),
            format!("{:.0}", row.latency.count() as f64 / row.time.as_secs_f64()),
            millis(row.latency.median()),
            millis(row.latency.quantile(0.99)),
            millis(row.latency.max()),
            row.failed.to_string(),
            row.lost.clone(),
            share(row.etcd, row),
            share(row.own, row),
        ]);
    }
    print_table(&table);
    for row in &rows[1..] {
        let by = |share: f64| {
            ratio(rows[0].latency.quantile(share).as_secs_f64(), row.latency.quantile(share).as_secs_f64())
        };
        println!("clusters by {}: p50 {}, p99 {}", row.what, by(0.5), by(0.99));
    }
    println!("{}; leader record of {} bytes\n", rows[0].notes, rows[0].record_bytes);
}
