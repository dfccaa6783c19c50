//! Design 2.6: nothing slow stands between the clock and the renewal.

use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::Secret;
use odoo_ha_backends::slack::SlackConfig;
use odoo_ha_backends::webhook::WebhookConfig;
use odoo_ha_core::machine::StateName;
use odoo_ha_core::policy::ProbeSettings;

use odoo_ha_tests::receiver::{Manner, Receiver};

use super::node::{Member, eventually, renewals_go_on, until};
use super::world::{Gate, Helper, Store};

/// More renewals than fit into one `ttl`, at 50 ms each: without them leadership would have ended.
const MANY: u64 = 150;

/// Renewals within which the memo is written at least twice.
const TWO_MEMOS: u64 = 40;

/// Opens the gate when the test ends, however it ends: a blocked thread would keep the process.
struct Closed(Gate);

impl Closed {
    fn now(gate: &Gate) -> Self {
        gate.close();
        Self(gate.clone())
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[test]
fn a_blocked_address_notifier_probe_and_filestore_delay_no_renewal() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let (notifier, probe, files, services) =
        (Arc::<Helper>::default(), Arc::<Helper>::default(), Arc::<Helper>::default(), Arc::<Helper>::default());
    *probe.healthy.lock().unwrap() = true;
    let settings = ProbeSettings::with(|settings| {
        settings.interval = Duration::from_millis(50);
        settings.timeout = Duration::from_millis(50);
    });
    let _files = Closed::now(&files.gate);
    let builder = member
        .builder()
        .notifier(notifier.clone())
        .probe(probe.clone(), settings)
        .filestore(files.clone())
        .services(services.clone());
    let handle = member.spawn_leader(builder);
    let _gates = [&notifier.gate, &probe.gate, &member.address.look_gate].map(Closed::now);
    // Something to tell the notifier.
    member.database.die();
    eventually("all of them are blocked", || {
        [&notifier.gate, &probe.gate, &files.gate, &member.address.look_gate].iter().all(|gate| gate.waiting() > 0)
    });
    renewals_go_on(&handle, &store, MANY);
    // A probe that does not answer is unhealthy, even if its thread is blocked.
    until(&handle, "the penalty is published", |status| status.members.values().any(|member| member.penalty > 0));
    handle.kill();
}

#[test]
fn a_webhook_that_nobody_answers_delays_no_renewal_and_no_leadership() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let receiver = runtime.block_on(Receiver::start(Manner::SaysNothing));
    let url = || Secret::new(receiver.url());
    let builder = member
        .builder()
        .notifier(Arc::new(WebhookConfig::new(url()).build().unwrap()))
        .notifier(Arc::new(SlackConfig::new(url()).build().unwrap()));
    let handle = member.spawn_leader(builder);
    eventually("both wait for an answer", || receiver.posted().len() >= 2);
    renewals_go_on(&handle, &store, MANY);
    handle.kill();
}

#[test]
fn a_database_that_blocks_its_threads_delays_no_renewal_and_can_still_be_stopped() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let _slots = Closed::now(&member.database.slots_gate);
    let handle = member.spawn_leader(member.builder());
    // A second member makes the leader keep a slot, which blocks.
    let second = Member::new("b", &store);
    let follower = second.spawn();
    eventually("the order blocks", || member.database.slots_gate.waiting() > 0);
    renewals_go_on(&handle, &store, MANY);
    follower.kill();
    super::node::block_on(follower.ended());
    super::node::block_on(handle.shutdown(true)).unwrap();
    assert!(!member.database.state().runs());
    assert!(!*member.address.here.lock().unwrap());
}

#[test]
fn a_status_that_blocks_its_thread_delays_no_renewal() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let handle = member.spawn_leader(member.builder());
    let _status = Closed::now(&member.database.status_gate);
    eventually("it blocks", || member.database.status_gate.waiting() > 0);
    let begun = store.renewals();
    eventually("renewals go on", || store.renewals() >= begun + MANY);
    assert_eq!(handle.status().state, StateName::Leading);
    handle.kill();
}

#[test]
fn a_disk_that_blocks_delays_no_renewal() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let handle = member.spawn_leader(member.builder());
    let pipe = member.disk.path().join("state").join("memo.json.new");
    let is_pipe = || std::fs::symlink_metadata(&pipe).is_ok_and(|found| found.file_type().is_fifo());
    // Opening a pipe that nobody reads blocks, as a dying disk does. A write that was under way renames the pipe over
    // the memo, and is not blocked: the pipe is there to stay once a next write had to open it.
    loop {
        let _ = std::fs::remove_file(&pipe);
        if rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).is_ok() {
            renewals_go_on(&handle, &store, TWO_MEMOS);
            if is_pipe() {
                break;
            }
        }
    }
    renewals_go_on(&handle, &store, MANY);
    let memo = std::fs::read_to_string(member.disk.path().join("state").join("memo.json")).unwrap();
    renewals_go_on(&handle, &store, TWO_MEMOS);
    let later = std::fs::read_to_string(member.disk.path().join("state").join("memo.json")).unwrap();
    assert_eq!(memo, later, "the disk was not blocked: this test shows nothing");
    handle.kill();
    // Reading it lets the blocked thread go.
    drop(std::fs::File::options().read(true).write(true).open(&pipe));
}

#[test]
fn a_blocked_executor_of_the_embedder_delays_no_renewal() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (handle, renewed) = runtime.block_on(async {
        let handle = member.spawn_leader(member.builder());
        let mut changes = handle.status_changes();
        let waiting = tokio::spawn(async move { changes.next().await });
        // On the executor's only thread, which runs nothing else meanwhile.
        renewals_go_on(&handle, &store, MANY);
        (handle, waiting)
    });
    drop(renewed);
    handle.kill();
}

#[test]
fn a_panicking_database_ends_nothing() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let handle = member.spawn_leader(member.builder());
    *member.database.panics.lock().unwrap() = true;
    let begun = store.renewals();
    eventually("renewals go on", || store.renewals() >= begun + 20);
    *member.database.panics.lock().unwrap() = false;
    until(&handle, "it serves", |status| status.state == StateName::Leading && status.address_here);
    handle.kill();
}
