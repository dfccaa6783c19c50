//! The role: [`LinuxAddress`].

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{AddressState, FloatingIp, FloatingIpCapabilities};
use odoo_ha_core::term::Term;
use odoo_ha_core::time::Moment;

use super::client::{Interface, Wire, is_there};
use super::config::{ANNOUNCE_STEP, LinuxAddressConfig};
use super::error::refused;
use super::{frames, sysctl};
use crate::common::clock;
use crate::common::fence::Fence;

/// Longest wait for another process that is just passing the fence.
const FENCE_PATIENCE: Duration = Duration::from_millis(500);

/// How often the network is asked within the wait for an answer: a first frame may be lost while a switch learns the port.
const QUESTIONS: u32 = 2;

/// Between two looks for an answer where none has come: one takes less. tokio watches no socket of this kind.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How many frames are heard after the wait for an answer. Whoever stood still meanwhile finds what came in the queue, and it holds no more;
/// who is behind after so many is being flooded.
const MOST_BEHIND: u32 = 16_384;

/// The kernel adds an address within the system call that asks for it, so a call that was dropped has done so or never will. What is left
/// is a thread that the kernel holds up within it.
const LONGEST_IN_FLIGHT: Duration = Duration::from_millis(100);

/// An address on an interface of this host, see the [module](super).
///
/// Its calls need a tokio runtime with time enabled, and may be dropped at any time: nothing goes on afterwards. They act in the
/// network namespace of the thread that polls them.
#[derive(Debug)]
pub struct LinuxAddress {
    config: LinuxAddressConfig,
    /// Locked for as long as something is done to the interface, which does not wait: an attach and a detach on two threads see each other.
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// When it was announced last; `None` unless this process attached it.
    announced: Option<Instant>,
    /// How many detaches have begun.
    detaches: u64,
}

/// What a call may do, and until when.
#[derive(Clone, Copy, Debug)]
struct Leave {
    /// By the clock that counts suspension, as tokio's does not.
    until: Moment,
    /// No detach had begun but these.
    detaches: u64,
}

impl LinuxAddress {
    pub(super) fn new(config: LinuxAddressConfig) -> Self {
        Self { config, memory: Mutex::default() }
    }

    /// What it was built of.
    pub fn config(&self) -> &LinuxAddressConfig {
        &self.config
    }

    async fn attach_now(&self, term: Term, leave: Leave) -> Result<(), Error> {
        // Held to the end: an older term must not get in between.
        let _fence = self.pass(term).await?;
        let LinuxAddressConfig { address, prefix, ref interface, .. } = self.config;
        let found = self.interface()?;
        if !found.is_up {
            let what = format!("linux-address: the interface {interface} is down");
            return Err(Error::new(ErrorKind::Unavailable, what).hint("set it up: `ip link set … up`"));
        }
        let wire = found.mac.map(|_| Wire::open(frames::protocol(address), &found)).transpose();
        let wire = wire.map_err(|error| refused(format!("linux-address: {interface} cannot be listened to"), error))?;
        if found.prefixes.is_empty() {
            if let Some(wire) = &wire {
                self.ask_for_holder(wire, &found).await?;
            }
            self.spare_others(&[prefix]);
            self.add(&found, leave)?;
            tracing::debug!(%address, interface, %term, "address added");
        }
        let Some(wire) = &wire else { return self.may_act(leave).map(drop) };
        for number in 0..self.config.announcements {
            if number > 0 {
                tokio::time::sleep(ANNOUNCE_STEP).await;
            }
            let mut memory = self.may_act(leave)?;
            self.announce(wire, &found)?;
            // From the first one on, so that a call that is dropped now leaves an address that is announced.
            memory.announced = Some(Instant::now());
        }
        Ok(())
    }

    fn leave(&self, timeout: Duration) -> Leave {
        Leave { until: clock::now() + timeout, detaches: self.memory().detaches }
    }

    /// To be asked right before anything is done to the interface, and kept until it is done: whoever stood still since the last look, or was
    /// overtaken by a detach, has no right left.
    fn may_act(&self, leave: Leave) -> Result<MutexGuard<'_, Memory>, Error> {
        let memory = self.memory();
        if memory.detaches != leave.detaches {
            let LinuxAddressConfig { address, interface, .. } = &self.config;
            let what = format!("linux-address: {address} was detached from {interface} while it was being attached");
            return Err(Error::new(ErrorKind::NotReady, what));
        }
        if clock::now() >= leave.until {
            return Err(self.late());
        }
        Ok(memory)
    }

    fn add(&self, found: &Interface, leave: Leave) -> Result<(), Error> {
        let LinuxAddressConfig { address, prefix, ref interface, .. } = self.config;
        let _memory = self.may_act(leave)?;
        found.add(address, prefix).map_err(|error| {
            let what = format!("linux-address: {address}/{prefix} cannot be added to {interface}");
            if address.is_ipv6() && sysctl::has_no_ipv6(interface) {
                let hint = format!(
                    "IPv6 is switched off there: sysctl net.ipv6.conf.{interface}.disable_ipv6=0, or choose an IPv4 address"
                );
                return Error::new(ErrorKind::Misconfigured, what).hint(hint).caused_by(error);
            }
            refused(what, error)
        })
    }

    /// Removing the address, by whoever does it, is to leave the host's other addresses alone.
    fn spare_others(&self, prefixes: &[u8]) {
        let LinuxAddressConfig { address, interface, .. } = &self.config;
        // The kernel knows first and later addresses of a network in IPv4 alone, and one that is its own network has no others.
        if address.is_ipv6() || prefixes.iter().all(|prefix| *prefix == 32) {
            return;
        }
        match sysctl::keep_others(interface) {
            Ok(false) => {}
            Ok(true) => tracing::info!(interface, "promote_secondaries is on from now on"),
            Err(error) => tracing::warn!(
                interface,
                %error,
                "when {address} is removed, the kernel may remove other addresses of its network: set net.ipv4.conf.{interface}.promote_secondaries=1, \
                 or configure the address without a prefix"
            ),
        }
    }

    /// Passes the fence, if there is one.
    async fn pass(&self, term: Term) -> Result<Option<Fence>, Error> {
        let Some(file) = self.config.fence_file.clone() else { return Ok(None) };
        let passing = move || Fence::pass("linux-address", &file, term, FENCE_PATIENCE);
        let passed = tokio::task::spawn_blocking(passing).await;
        let passed = passed.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "linux-address: the fence file could not be asked").caused_by(error)
        })?;
        passed.map(Some)
    }

    fn interface(&self) -> Result<Interface, Error> {
        Interface::find(&self.config.interface, self.config.address)
    }

    /// Asks the network who has the address; `NotReady` when somebody does.
    async fn ask_for_holder(&self, wire: &Wire, found: &Interface) -> Result<(), Error> {
        let LinuxAddressConfig { address, ref interface, probe_wait, .. } = self.config;
        let Some(mac) = found.mac else { return Ok(()) };
        let failed =
            |error| refused(format!("linux-address: the network of {interface} cannot be asked for {address}"), error);
        for _ in 0..QUESTIONS {
            wire.send(found, &frames::question(mac, address)).map_err(failed)?;
            let end = Instant::now() + probe_wait / QUESTIONS;
            let mut behind = 0;
            loop {
                // The clock first: what came while this process stood still is heard before the wait counts as over.
                let is_over = Instant::now() >= end;
                let heard = wire.receive(found).map_err(failed)?;
                if heard.as_ref().is_some_and(|frame| frames::claims(frame, mac, address)) {
                    let what = format!("linux-address: another host has {address}");
                    return Err(Error::new(ErrorKind::NotReady, what).hint(format!(
                        "if it is a node whose agent and guard are both gone, remove it there: `ip address delete {address}/{} dev …`",
                        self.config.prefix
                    )));
                }
                match heard {
                    None if is_over => break,
                    None => tokio::time::sleep(LOOK_AGAIN).await,
                    Some(_) => {
                        behind += u32::from(is_over);
                        if behind > MOST_BEHIND {
                            break;
                        }
                        // A flood must not outlast the caller's time.
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
        Ok(())
    }

    fn announce(&self, wire: &Wire, found: &Interface) -> Result<(), Error> {
        let Some(mac) = found.mac else { return Ok(()) };
        for frame in frames::announcements(mac, self.config.address) {
            wire.send(found, &frame).map_err(|error| {
                let LinuxAddressConfig { address, interface, .. } = &self.config;
                refused(format!("linux-address: {address} cannot be announced on {interface}"), error)
            })?;
        }
        Ok(())
    }

    /// Announces it again, if this process attached it and the last time is long enough ago. A failure is told by the log alone: what
    /// was asked is where the address is.
    fn announce_again(&self, found: &Interface, leave: Leave) {
        let Ok(mut memory) = self.may_act(leave) else { return };
        let is_early = |last: Instant| last.elapsed() < self.config.announce_interval;
        if found.mac.is_none() || memory.announced.is_none_or(is_early) {
            return;
        }
        let wire = Wire::open(frames::protocol(self.config.address), found);
        let wire = wire.map_err(|error| refused("linux-address: the network cannot be told", error));
        match wire.and_then(|wire| self.announce(&wire, found)) {
            Ok(()) => memory.announced = Some(Instant::now()),
            Err(error) => tracing::warn!("{}", error.chain()),
        }
    }

    fn detach_now(&self) -> Result<(), Error> {
        let mut memory = self.memory();
        // First: what is not to be here must not be announced, nor added by a call under way, whatever becomes of the rest.
        memory.announced = None;
        memory.detaches += 1;
        let LinuxAddressConfig { address, ref interface, .. } = self.config;
        let found = match self.interface() {
            Ok(found) => found,
            // The address went with its interface.
            Err(error) if !is_there(interface) => {
                tracing::debug!("nothing to remove: {}", error.chain());
                return Ok(());
            }
            Err(error) => return Err(unknown(error)),
        };
        self.spare_others(&found.prefixes);
        for prefix in &found.prefixes {
            found.remove(address, *prefix).map_err(|error| {
                unknown(refused(format!("linux-address: {address}/{prefix} cannot be removed from {interface}"), error))
            })?;
            tracing::debug!(%address, interface, "address removed");
        }
        // What the kernel did not know by that prefix is still there.
        match self.interface() {
            Ok(left) if !left.prefixes.is_empty() => {
                let what = format!("linux-address: {address} is on {interface} in a form that cannot be removed");
                Err(unknown(Error::new(ErrorKind::Unavailable, what).hint("see `ip address`, and remove it by hand")))
            }
            _ => Ok(()),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It may be here.
    fn late(&self) -> Error {
        let what = format!("linux-address: {} was not done in time on {}", self.config.address, self.config.interface);
        Error::new(ErrorKind::Unknown, what)
    }
}

/// It may still be here.
fn unknown(error: Error) -> Error {
    Error::new(ErrorKind::Unknown, "linux-address: the address may still be here").caused_by(error)
}

#[async_trait]
impl FloatingIp for LinuxAddress {
    fn capabilities(&self) -> FloatingIpCapabilities {
        // Not even with a fence file: other hosts have files of their own.
        FloatingIpCapabilities::none().longest_in_flight(LONGEST_IN_FLIGHT).attach_takes(self.config.attach_takes())
    }

    async fn attach(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        let leave = self.leave(timeout);
        let attached = tokio::time::timeout(timeout, self.attach_now(term, leave)).await;
        attached.unwrap_or_else(|_| Err(self.late()))
    }

    async fn detach(&self, _timeout: Duration) -> Result<(), Error> {
        // Nothing in it waits, except for the kernel, and that no deadline would end.
        self.detach_now()
    }

    async fn look(&self, timeout: Duration) -> Result<AddressState, Error> {
        let leave = self.leave(timeout);
        let found = match self.interface() {
            Ok(found) => found,
            Err(_) if !is_there(&self.config.interface) => return Ok(AddressState::NotHere),
            Err(error) => return Err(error),
        };
        if found.prefixes.is_empty() || !found.is_up {
            return Ok(AddressState::NotHere);
        }
        self.announce_again(&found, leave);
        Ok(AddressState::Here)
    }
}
