//! An address on an interface while its host stands still, is told otherwise, or has other addresses.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use odoo_ha_backends::linux_address::LinuxAddressConfig;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{AddressState, FloatingIp};
use odoo_ha_core::term::Term;
use odoo_ha_tests::lab::{Host, Network, in_world};

use super::linux_address::{OnHost, TIME, run};

/// How often a holder must be heard in the host's own traffic.
const TRIES: usize = 200;

fn config(address: &str) -> LinuxAddressConfig {
    LinuxAddressConfig::new(address, "eth0").unwrap()
}

/// Attaches, and stands still while it asks for the second time, until `until` returns.
async fn attach_standing_still(
    host: &Host,
    address: &str,
    timeout: Duration,
    until: impl FnOnce() + Send + 'static,
) -> (Arc<OnHost>, Result<(), Error>) {
    let on_host = OnHost::new(host, config(address).probe_wait(Duration::from_millis(400))).unwrap();
    let address = Arc::clone(&on_host.address);
    let attached = on_host.there(async move {
        let stand_still = async {
            // Into the second half of the wait. On a busy machine it may be another moment: nothing may be taken from any of them.
            tokio::time::sleep(Duration::from_millis(300)).await;
            until();
        };
        tokio::join!(address.attach(Term(1), timeout), stand_still).0
    });
    let attached = attached.await;
    (on_host, attached)
}

#[test]
fn one_that_stood_still_beyond_its_time_takes_nothing() {
    let body = || run(stood_still_beyond_its_time());
    in_world("linux_address_mishaps::one_that_stood_still_beyond_its_time_takes_nothing", body);
}

async fn stood_still_beyond_its_time() {
    let network = Network::new();
    let host = network.host("one");
    for address in ["10.77.0.99/24", "fd77::99/64"] {
        let timeout = Duration::from_millis(600);
        let begun = Instant::now();
        // The thread stands for a frozen process, longer than the call may take: that is no wait for anything.
        let still = move || std::thread::sleep((timeout * 2).saturating_sub(begun.elapsed()));
        let (on_host, attached) = attach_standing_still(&host, address, timeout, still).await;
        let late = attached.unwrap_err();
        assert!(late.to_string().contains("not done in time"), "{late}");
        assert_eq!(on_host.look(TIME).await.unwrap(), AddressState::NotHere);
    }
}

#[test]
fn one_that_stood_still_hears_who_took_it_meanwhile() {
    let body = || run(stood_still_while_another_took_it());
    in_world("linux_address_mishaps::one_that_stood_still_hears_who_took_it_meanwhile", body);
}

async fn stood_still_while_another_took_it() {
    let network = Network::new();
    let (host, other) = (network.host("one"), network.host("other"));
    for address in ["10.77.0.99/24", "fd77::99/64"] {
        let (stands, standing) = tokio::sync::oneshot::channel();
        let (go, goes) = std::sync::mpsc::channel();
        let still = move || {
            stands.send(()).unwrap();
            goes.recv().unwrap();
        };
        let next = OnHost::new(&other, config(address)).unwrap();
        let meanwhile = async {
            standing.await.unwrap();
            let taken = next.attach(Term(2), TIME).await;
            go.send(()).unwrap();
            taken
        };
        let ((on_host, attached), taken) = tokio::join!(attach_standing_still(&host, address, TIME, still), meanwhile);
        taken.unwrap();
        let refused = attached.unwrap_err();
        assert!(refused.kind() == ErrorKind::NotReady && refused.to_string().contains("another host has"), "{refused}");
        assert_eq!(on_host.look(TIME).await.unwrap(), AddressState::NotHere);
        assert_eq!(next.look(TIME).await.unwrap(), AddressState::Here);
    }
}

#[test]
fn one_that_is_detached_while_it_is_attached_stays_detached() {
    let body = || run(detached_while_attached());
    in_world("linux_address_mishaps::one_that_is_detached_while_it_is_attached_stays_detached", body);
}

async fn detached_while_attached() {
    let network = Network::new();
    let host = network.host("one");
    // As soon as it asks; or when it is here, between two of its announcements.
    for once_here in [false, true] {
        let on_host = OnHost::new(&host, config("10.77.0.99/24").announcements(20)).unwrap();
        let address = Arc::clone(&on_host.address);
        let attached = on_host.there(async move {
            let detach = async {
                while once_here && address.look(TIME).await? == AddressState::NotHere {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                address.detach(TIME).await
            };
            let (attached, detached) = tokio::join!(address.attach(Term(1), TIME), detach);
            detached.unwrap();
            attached
        });
        let overtaken = attached.await.unwrap_err();
        assert!(
            overtaken.kind() == ErrorKind::NotReady && overtaken.to_string().contains("was detached"),
            "{overtaken}"
        );
        assert_eq!(on_host.look(TIME).await.unwrap(), AddressState::NotHere);
        // It is wanted again.
        on_host.attach(Term(1), TIME).await.unwrap();
        on_host.detach(TIME).await.unwrap();
    }
}

/// Writes a setting of the kernel in the host's network.
fn set(host: &Host, setting: &'static str, value: &'static str) {
    let path = format!("/proc/sys/net/{setting}");
    host.thread(move || std::fs::write(path, value).unwrap()).join().unwrap();
}

fn ip(arguments: &str) -> String {
    let done = Command::new("ip").args(["-n", "one"]).args(arguments.split(' ')).output().unwrap();
    assert!(done.status.success(), "{arguments}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_hosts_other_addresses_stay_when_it_goes() {
    let body = || run(others_stay());
    in_world("linux_address_mishaps::the_hosts_other_addresses_stay_when_it_goes", body);
}

async fn others_stay() {
    let network = Network::new();
    let host = network.host("one");
    let config = config("10.78.0.9/24");
    let address = OnHost::new(&host, config.clone()).unwrap();
    // Who puts it there, who takes it away.
    for (attached, detached) in [(true, true), (true, false), (false, true)] {
        // As a kernel is that nobody told otherwise.
        set(&host, "ipv4/conf/all/promote_secondaries", "0");
        set(&host, "ipv4/conf/eth0/promote_secondaries", "0");
        if attached {
            address.attach(Term(1), TIME).await.unwrap();
        } else {
            ip("address add 10.78.0.9/24 dev eth0");
        }
        ip("address add 10.78.0.5/24 dev eth0");
        assert!(
            ip("-4 -o address show").lines().any(|line| line.contains("10.78.0.5/24") && line.contains("secondary"))
        );
        if detached {
            address.detach(TIME).await.unwrap();
        } else {
            let [enter, namespace] = host.enter();
            let dropped = Command::new(enter).arg(namespace).args(config.drop_command().unwrap()).status();
            assert!(dropped.unwrap().success());
        }
        assert!(!host.has("10.78.0.9") && host.has("10.78.0.5"), "{}", ip("address show"));
        ip("address delete 10.78.0.5/24 dev eth0");
    }
}

#[test]
fn where_ipv6_is_switched_off_that_is_said() {
    let body = || run(no_ipv6());
    in_world("linux_address_mishaps::where_ipv6_is_switched_off_that_is_said", body);
}

async fn no_ipv6() {
    let network = Network::new();
    let host = network.host("one");
    set(&host, "ipv6/conf/eth0/disable_ipv6", "1");
    let off = OnHost::new(&host, config("fd77::99/64")).unwrap().attach(Term(1), TIME).await.unwrap_err();
    assert_eq!(off.kind(), ErrorKind::Misconfigured, "{off}");
    assert!(off.to_string().contains("sysctl net.ipv6.conf.eth0.disable_ipv6=0"), "{off}");
}

#[test]
fn a_holder_is_heard_in_the_hosts_own_traffic() {
    let body = || run(own_traffic());
    in_world("linux_address_mishaps::a_holder_is_heard_in_the_hosts_own_traffic", body);
}

async fn own_traffic() {
    let network = Network::new();
    let (host, other) = (network.host("one"), network.host("other"));
    let holder = OnHost::new(&other, config("fd77::99/64")).unwrap();
    holder.attach(Term(1), TIME).await.unwrap();
    let ends = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&ends);
    // A base backup over ::1, say.
    let traffic = host.thread(move || {
        let [from, to] = [0, 1].map(|_| std::net::UdpSocket::bind("[::1]:0").unwrap());
        let (to, bytes) = (to.local_addr().unwrap(), vec![0; 60_000]);
        while !ended.load(Ordering::Relaxed) {
            // What does not fit is dropped, as it is meant to be.
            let _ = from.send_to(&bytes, to);
        }
    });
    let address = OnHost::new(&host, config("fd77::99/64").probe_wait(Duration::from_millis(200))).unwrap();
    let mut heard = Vec::new();
    // Each is over as soon as the holder is heard. Twenty did not always show it where the socket heard all that the host says to itself.
    for _ in 0..TRIES {
        heard.push(address.attach(Term(2), TIME).await.map_err(|error| error.kind()));
        address.detach(TIME).await.unwrap();
    }
    ends.store(true, Ordering::Relaxed);
    traffic.join().unwrap();
    assert_eq!(heard, vec![Err(ErrorKind::NotReady); TRIES]);
}
