//! The status of the files: asked for beside everything else, told to who asks, and nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::memory::MemoryFilestore;
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::driver::HaHandle;
use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{FilestoreStatus, FilestoreSync};
use odoo_ha_core::term::Term;

use super::node::{Member, block_on, eventually, renewals_go_on};
use super::world::{Gate, Store};

fn failure(handle: &HaHandle) -> String {
    handle.filestore().and_then(|report| report.status.err()).unwrap_or_default()
}

#[test]
fn how_far_the_copy_is_is_told_and_outlasts_a_silence() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let files = MemoryFilestore::new();
    let whole = FilestoreStatus { missing: 3, complete_ms_ago: Some(40) };
    files.set_status(whole);
    let handle = member.spawn_leader(member.builder().filestore(Arc::new(files.clone())));
    eventually("it is told", || handle.filestore().is_some_and(|report| report.status == Ok(whole)));
    let report = handle.filestore().unwrap();
    assert_eq!(report.complete, Some(report.asked.before(Duration::from_millis(40))));
    files.set_silent(true);
    eventually("the silence is told", || !failure(&handle).is_empty());
    let later = handle.filestore().unwrap();
    assert!(later.asked > report.asked && later.complete >= report.complete);
    files.set_silent(false);
    eventually("it is told again", || handle.filestore().is_some_and(|report| report.status == Ok(whole)));
    block_on(handle.shutdown(true)).unwrap();
    assert!(handle.filestore().is_some(), "the last answer stays");
    assert!(Member::new("b", &store).builder().build().unwrap().spawn().unwrap().filestore().is_none());
}

/// Only its status blocks its thread, or panics.
#[derive(Debug, Default)]
struct Blocked {
    gate: Gate,
    panics: bool,
}

#[async_trait]
impl FilestoreSync for Blocked {
    async fn lead(&self, _: Term, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn follow(&self, _: Term, _: &MemberId, _: Option<&Endpoint>, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn rest(&self, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    async fn status(&self, _: Duration) -> Result<FilestoreStatus, Error> {
        self.gate.pass();
        assert!(!self.panics, "a bug of the filestore");
        Ok(FilestoreStatus::default())
    }
}

#[test]
fn a_status_that_blocks_its_thread_holds_up_neither_renewals_nor_the_leaving() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let files = Arc::new(Blocked::default());
    files.gate.close();
    let handle = member.spawn_leader(member.builder().filestore(files.clone()));
    eventually("it is blocked", || files.gate.waiting() == 1);
    eventually("that is told", || failure(&handle).contains("did not say how far it is within 2s"));
    renewals_go_on(&handle, &store, 40);
    assert_eq!(files.gate.waiting(), 1, "nobody queues behind it");
    // It is told to rest on the way, on another thread.
    block_on(handle.shutdown(true)).unwrap();
    files.gate.open();
    eventually("its threads let go", || Arc::strong_count(&files) == 1);
}

#[test]
fn a_status_that_panics_is_told() {
    let store = Store::new();
    let member = Member::new("a", &store);
    let files = Arc::new(Blocked { panics: true, ..Blocked::default() });
    let handle = member.spawn_leader(member.builder().filestore(files));
    eventually("it is told", || failure(&handle).contains("a bug of the filestore"));
    renewals_go_on(&handle, &store, 20);
    block_on(handle.shutdown(true)).unwrap();
}
