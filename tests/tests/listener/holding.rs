//! Who holds the address.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use odoo_ha_backends::listener::{ListenerConfig, Target};
use odoo_ha_core::roles::{AddressState, FloatingIp};
use odoo_ha_core::term::Term;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::holder::Holder;
use crate::{PATIENCE, free_address, wait_until};

/// Nobody serves there.
fn nowhere() -> SocketAddr {
    free_address()
}

#[test]
fn two_processes_never_hold_it_both() {
    let listen = free_address();
    let mut holders = [Holder::start(listen, nowhere(), None), Holder::start(listen, nowhere(), None)];
    for round in 0..50 {
        for holder in &mut holders {
            holder.say("attach 1");
        }
        let said: Vec<String> = holders.iter_mut().map(Holder::hear).collect();
        let holding = said.iter().filter(|said| *said == "ok").count();
        assert_eq!(holding, 1, "round {round}: {said:?}");
        assert!(said.iter().any(|said| said.starts_with("not ready")), "round {round}: {said:?}");
        let looks: Vec<String> = holders.iter_mut().map(|holder| holder.ask("look")).collect();
        for (said, look) in said.iter().zip(&looks) {
            assert_eq!(look, if said == "ok" { "Here" } else { "NotHere" });
        }
        for holder in &mut holders {
            assert_eq!(holder.ask("detach"), "ok");
            assert_eq!(holder.ask("look"), "NotHere");
        }
    }
}

#[test]
fn attaching_what_is_attached_is_ok() {
    let mut holder = Holder::start(free_address(), nowhere(), None);
    for what in ["detach", "attach 1", "attach 1", "attach 2", "detach", "detach", "attach 1"] {
        assert_eq!(holder.ask(what), "ok", "{what}");
    }
}

#[test]
fn holder_killed_and_the_address_is_free_at_once() {
    let service = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let listen = free_address();
    let mut first = Holder::start(listen, service.local_addr().expect("it is bound"), None);
    let mut second = Holder::start(listen, nowhere(), None);
    assert_eq!(first.ask("attach 1"), "ok");
    // An open connection leaves remains behind, which must not keep the address busy.
    let _client = TcpStream::connect(listen).expect("it listens");
    let _served = service.accept().expect("it is handed on");
    first.kill();
    let began = Instant::now();
    assert_eq!(second.ask("attach 1"), "ok");
    println!("holder killed: attached after {} µs", began.elapsed().as_micros());
}

#[test]
fn frozen_holder_keeps_it_until_it_is_killed() {
    let listen = free_address();
    let mut frozen = Holder::start(listen, nowhere(), None);
    let mut other = Holder::start(listen, nowhere(), None);
    assert_eq!(frozen.ask("attach 1"), "ok");
    frozen.signal(Signal::STOP);
    assert!(other.ask("attach 1").starts_with("not ready"));
    frozen.kill();
    assert_eq!(other.ask("attach 1"), "ok");
}

#[test]
fn older_term_is_refused_whoever_asks() {
    let directory = tempfile::tempdir().expect("there is room");
    let fence = directory.path().join("fence");
    let listen = free_address();
    let start = || Holder::start(listen, nowhere(), Some(&fence));
    let (mut old, mut new) = (start(), start());
    assert_eq!(old.ask("attach 5"), "ok");
    assert!(new.ask("attach 4").starts_with("fenced"));
    // The holder is in the way; but it learns that it is out, and then has closed what it had.
    assert!(new.ask("attach 6").starts_with("not ready"));
    assert_eq!(old.ask("look"), "Here");
    assert!(old.ask("attach 5").starts_with("fenced"));
    assert_eq!(old.ask("look"), "NotHere");
    assert_eq!(new.ask("attach 6"), "ok");
    assert!(old.ask("attach 5").starts_with("fenced"));
    assert_eq!(new.ask("detach"), "ok");
    assert!(old.ask("attach 5").starts_with("fenced"), "remembered with nobody there");
    new.kill();
    assert!(start().ask("attach 5").starts_with("fenced"), "remembered by a process that was not there");
    assert_eq!(start().ask("attach 6"), "ok");
}

#[test]
fn fence_that_cannot_be_read_refuses() {
    let directory = tempfile::tempdir().expect("there is room");
    let fence = directory.path().join("fence");
    std::fs::write(&fence, "six").expect("there is room");
    let mut holder = Holder::start(free_address(), nowhere(), Some(&fence));
    assert!(holder.ask("attach 7").starts_with("malformed"));
    assert_eq!(holder.ask("look"), "NotHere");
    let mut lost = Holder::start(free_address(), nowhere(), Some(&directory.path().join("no/such/fence")));
    assert!(lost.ask("attach 7").starts_with("misconfigured"));
}

#[test]
fn attach_that_was_dropped_does_not_happen_later() {
    let directory = tempfile::tempdir().expect("there is room");
    let fence = directory.path().join("fence");
    let listen = free_address();
    let target = Target::Tcp(nowhere().to_string());
    let address = ListenerConfig::new(listen, target).fence_file(&fence).build().expect("it is right");
    assert!(address.capabilities().fences_by_term && !address.capabilities().moves_authoritatively);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime is had");
    // Somebody else is passing the fence, slowly.
    let lock = File::create(directory.path().join("fence.lock")).expect("there is room");
    flock(&lock, FlockOperation::LockExclusive).expect("nobody has it");
    runtime.block_on(address.attach(Term(1), Duration::from_millis(50))).expect_err("the fence is locked");
    runtime.block_on(address.detach(PATIENCE)).expect("nothing is in the way");
    flock(&lock, FlockOperation::Unlock).expect("it is ours");
    wait_until("the dropped attach has passed the fence", || fence.exists());
    // It has passed and is called off: from now on only a new attach counts.
    wait_until("the next attach is let in", || {
        assert!(TcpListener::bind(listen).is_ok(), "the dropped attach does not listen");
        runtime.block_on(address.attach(Term(2), PATIENCE)).is_ok()
    });
    assert_eq!(runtime.block_on(address.look(PATIENCE)).expect("it answers"), AddressState::Here);
    drop(address);
    wait_until("the address that was dropped is detached", || TcpListener::bind(listen).is_ok());
}

#[test]
fn address_of_another_machine_is_a_mistake() {
    let mut holder = Holder::start(SocketAddr::from(([192, 0, 2, 1], 5000)), nowhere(), None);
    assert!(holder.ask("attach 1").starts_with("misconfigured"));
}
