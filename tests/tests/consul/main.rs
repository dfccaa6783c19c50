//! The Consul store on real Consul 1.8: its role's suite, servers that die, freeze, are cut off or forget, rights, TLS, limits, and what
//! hostile answers come to.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a broken set-up is a failed test"
)]

mod answers;
mod cluster;
mod conformance;
mod endpoints;
mod faults;
mod foreign;
mod hostile;
mod limits;
mod linearizable;
mod rights;
mod server;
mod tls;
mod versions;
mod watching;

use std::collections::BTreeMap;
use std::time::Duration;

use odoo_ha_backends::consul::{ConsulConfig, ConsulDcs};
use odoo_ha_core::conformance::BoxFuture;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::member::ClusterId;
use odoo_ha_core::roles::{Dcs, DcsWatch, WatchEvent};
use odoo_ha_core::store::{Commit, Entry, Guard, Key, Version};

/// Generous: nothing here is a matter of speed.
const TIME: Duration = Duration::from_secs(30);

fn timer(time: Duration) -> BoxFuture<'static, ()> {
    Box::pin(tokio::time::sleep(time))
}

fn shop() -> ClusterId {
    ClusterId::new("shop").unwrap()
}

/// A client of the cluster `shop` at these endpoints.
fn client(endpoints: &[String]) -> ConsulDcs {
    ConsulConfig::new(endpoints, shop()).build().unwrap()
}

fn write(guards: Vec<Guard>, value: &[u8]) -> Commit {
    Commit { guards, writes: BTreeMap::from([(Key::leader(), value.to_vec())]) }
}

/// Writes the leader record unguarded; gives its version.
async fn put(store: &dyn Dcs, value: &[u8]) -> Version {
    store.commit(&write(Vec::new(), value), TIME).await.unwrap().versions[&Key::leader()]
}

async fn leader(store: &dyn Dcs) -> Option<Entry> {
    store.read(TIME).await.unwrap().entries.remove(&Key::leader())
}

/// The kind and the whole text of a failure.
fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorKind, String) {
    let error = result.unwrap_err();
    (error.kind(), error.chain())
}

async fn next(watch: &mut dyn DcsWatch) -> Result<WatchEvent, Error> {
    tokio::time::timeout(TIME, watch.next()).await.expect("the watch tells something in time")
}

/// Waits until the watch has shown the leader record with this value.
async fn shown(watch: &mut dyn DcsWatch, value: &[u8]) {
    loop {
        let WatchEvent::Changed { changes, .. } = next(watch).await.unwrap() else { panic!("a gap") };
        let is_it = |entry: &Entry| entry.value == value;
        if changes.iter().any(|change| change.key == Key::leader() && change.entry.as_ref().is_some_and(is_it)) {
            return;
        }
    }
}
