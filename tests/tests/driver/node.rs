//! A member to test with, and how tests wait.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use odoo_ha_core::database::Endpoint;
use odoo_ha_core::driver::{HaHandle, HaNode, HaNodeBuilder};
use odoo_ha_core::machine::{StateName, Status};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::Timing;
use tempfile::TempDir;

use super::world::{Address, Client, Database, Store};

/// No test waits for longer; what it waits for comes within a second or two, unless something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// What survives an agent.
pub(crate) struct Member {
    pub(crate) name: MemberId,
    pub(crate) database: Arc<Database>,
    pub(crate) address: Arc<Address>,
    pub(crate) client: Arc<Client>,
    pub(crate) disk: TempDir,
}

impl Member {
    pub(crate) fn new(name: &'static str, store: &Arc<Store>) -> Self {
        Self {
            name: MemberId::new(name).unwrap(),
            database: Database::absent(name),
            address: Arc::default(),
            client: Arc::new(Client(store.clone())),
            disk: tempfile::tempdir().unwrap(),
        }
    }

    /// Renews often, with seconds to spare: a busy machine must not look like a blocked driver.
    pub(crate) fn builder(&self) -> HaNodeBuilder {
        let mut timing = Timing::with_ttl(Duration::from_secs(6));
        timing.renew_interval = Duration::from_millis(50);
        timing.observe_interval = Duration::from_millis(100);
        HaNode::builder()
            .cluster(ClusterId::new("shop").unwrap())
            .member(self.name.clone())
            .endpoint(Endpoint { host: "127.0.0.1".into(), port: 5432 })
            .dcs(self.client.clone())
            .database(self.database.clone())
            .address(self.address.clone())
            .state_dir(self.disk.path().join("state"))
            .timing(timing)
    }

    pub(crate) fn spawn(&self) -> HaHandle {
        self.builder().build().unwrap().spawn().unwrap()
    }

    /// Spawned, and leads.
    pub(crate) fn spawn_leader(&self, builder: HaNodeBuilder) -> HaHandle {
        let handle = builder.build().unwrap().spawn().unwrap();
        until(&handle, "it serves", |status| status.state == StateName::Leading && status.address_here);
        handle
    }
}

/// Waits until the condition holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until the status is so; prints the last one if it never is.
pub(crate) fn until(handle: &HaHandle, what: &str, holds: impl Fn(&Status) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = handle.status();
        if holds(&status) {
            return;
        }
        assert!(Instant::now() < end, "waited in vain: {what}; {status:#?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until so many more renewals have been committed, by the same leader in the same term, which leads all the while.
pub(crate) fn renewals_go_on(handle: &HaHandle, store: &Store, renewals: u64) {
    let (term, begun) = (handle.status().term, store.renewals());
    eventually("renewals go on", || {
        let status = handle.status();
        assert_eq!((status.state, status.term), (StateName::Leading, term), "{:?}", status.refusal);
        store.renewals() >= begun + renewals
    });
}

/// Runs a future on an executor that is not tokio's.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, end) = (pin!(future), Instant::now() + PATIENCE);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain for a future");
        thread::park_timeout(Duration::from_secs(1));
    }
}
