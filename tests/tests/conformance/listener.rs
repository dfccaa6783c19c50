//! The listener: an address of one machine, held by one process at most.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use odoo_ha_backends::listener::{ListenerConfig, Target};
use odoo_ha_core::conformance::{self, Report};
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::FloatingIp;

use crate::timer;

/// An address of the machine that nobody has.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn node(listen: SocketAddr, service: SocketAddr, fence: Option<&Path>) -> Result<Arc<dyn FloatingIp>, Error> {
    let config = ListenerConfig::new(listen, Target::Tcp(service.to_string()));
    let config = fence.map_or(config.clone(), |fence| config.fence_file(fence));
    Ok(Arc::new(config.build()?))
}

async fn report(fenced: bool) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let pairs = AtomicUsize::new(0);
    let bench = || {
        let fence = directory.path().join(format!("fence_{}", pairs.fetch_add(1, Ordering::Relaxed)));
        let fence = fenced.then_some(fence.as_path());
        // Nobody serves there, which is no matter of who holds the address.
        let (listen, service) = (free_address(), free_address());
        Ok((node(listen, service, fence)?, node(listen, service, fence)?))
    };
    let report = conformance::floating_ip(&bench, &timer).await;
    println!("fence file {fenced}: {report}");
    report.assert_passed();
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_conforms_without_a_fence_file() {
    let report = report(false).await;
    let skipped: Vec<_> = report.skips().map(|(name, _)| name).collect();
    assert_eq!(skipped, ["attaching_takes_it_from_the_other", "an_older_term_is_fenced"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listener_conforms_with_a_fence_file() {
    let report = report(true).await;
    let skipped: Vec<_> = report.skips().map(|(name, _)| name).collect();
    assert_eq!(skipped, ["attaching_takes_it_from_the_other"]);
}
