//! The role: [`LinuxAddress`].

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{AddressState, FloatingIp, FloatingIpCapabilities};
use odoo_ha_core::term::Term;

use super::client::{Interface, Wire, is_there};
use super::config::LinuxAddressConfig;
use super::error::refused;
use super::frames;
use crate::common::fence::Fence;

/// Longest wait for another process that is just passing the fence.
const FENCE_PATIENCE: Duration = Duration::from_millis(500);

/// How often the network is asked within the wait for an answer: a first frame may be lost while a switch learns the port.
const QUESTIONS: u32 = 2;

/// Between two announcements of one attach.
const ANNOUNCE_STEP: Duration = Duration::from_millis(20);

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
    /// When it was announced last; `None` unless this process attached it.
    announced: Mutex<Option<Instant>>,
}

impl LinuxAddress {
    pub(super) fn new(config: LinuxAddressConfig) -> Self {
        Self { config, announced: Mutex::default() }
    }

    /// What it was built of.
    pub fn config(&self) -> &LinuxAddressConfig {
        &self.config
    }

    async fn attach_now(&self, term: Term) -> Result<(), Error> {
        // Held to the end: an older term must not get in between.
        let _fence = self.pass(term).await?;
        let LinuxAddressConfig { address, prefix, ref interface, .. } = self.config;
        let found = self.interface()?;
        if !found.is_up {
            let what = format!("linux-address: the interface {interface} is down");
            return Err(Error::new(ErrorKind::Unavailable, what).hint("set it up: `ip link set … up`"));
        }
        let wire = found.mac.map(|_| Wire::open(frames::protocol(address))).transpose();
        let wire = wire.map_err(|error| refused(format!("linux-address: {interface} cannot be listened to"), error))?;
        if found.prefixes.is_empty() {
            if let Some(wire) = &wire {
                self.ask_for_holder(wire, &found).await?;
            }
            found.add(address, prefix).map_err(|error| {
                refused(format!("linux-address: {address}/{prefix} cannot be added to {interface}"), error)
            })?;
            tracing::debug!(%address, interface, %term, "address added");
        }
        let Some(wire) = &wire else { return Ok(()) };
        for number in 0..self.config.announcements {
            if number > 0 {
                tokio::time::sleep(ANNOUNCE_STEP).await;
            }
            self.announce(wire, &found)?;
            // From the first one on, so that a call that is dropped now leaves an address that is announced.
            self.remember(Some(Instant::now()));
        }
        Ok(())
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
            let claimed = async {
                loop {
                    let frame = wire.receive(found).await?;
                    if frames::claims(&frame, mac, address) {
                        return Ok(());
                    }
                    // A flood of other frames must not outlast the wait.
                    tokio::task::yield_now().await;
                }
            };
            match tokio::time::timeout(probe_wait / QUESTIONS, claimed).await {
                Err(_) => {}
                Ok(Err(error)) => return Err(failed(error)),
                Ok(Ok(())) => {
                    let what = format!("linux-address: another host has {address}");
                    return Err(Error::new(ErrorKind::NotReady, what).hint(format!(
                        "if it is a node whose agent and guard are both gone, remove it there: `ip address delete {address}/{} dev …`",
                        self.config.prefix
                    )));
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
    fn announce_again(&self, found: &Interface) {
        let last = *self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        if found.mac.is_none() || last.is_none_or(|last| last.elapsed() < self.config.announce_interval) {
            return;
        }
        let wire = Wire::open(frames::protocol(self.config.address));
        let wire = wire.map_err(|error| refused("linux-address: the network cannot be told", error));
        match wire.and_then(|wire| self.announce(&wire, found)) {
            Ok(()) => self.remember(Some(Instant::now())),
            Err(error) => tracing::warn!("{}", error.chain()),
        }
    }

    fn detach_now(&self) -> Result<(), Error> {
        // First: what is not to be here must not be announced, whatever becomes of the rest.
        self.remember(None);
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

    fn remember(&self, announced: Option<Instant>) {
        *self.announced.lock().unwrap_or_else(PoisonError::into_inner) = announced;
    }

    fn late(&self, kind: ErrorKind) -> Error {
        let what = format!("linux-address: {} was not done in time on {}", self.config.address, self.config.interface);
        Error::new(kind, what)
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
        FloatingIpCapabilities::none().longest_in_flight(LONGEST_IN_FLIGHT)
    }

    async fn attach(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        let attached = tokio::time::timeout(timeout, self.attach_now(term)).await;
        attached.unwrap_or_else(|_| Err(self.late(ErrorKind::Unknown)))
    }

    async fn detach(&self, _timeout: Duration) -> Result<(), Error> {
        // Nothing in it waits.
        self.detach_now()
    }

    async fn look(&self, _timeout: Duration) -> Result<AddressState, Error> {
        let found = match self.interface() {
            Ok(found) => found,
            Err(_) if !is_there(&self.config.interface) => return Ok(AddressState::NotHere),
            Err(error) => return Err(error),
        };
        if found.prefixes.is_empty() || !found.is_up {
            return Ok(AddressState::NotHere);
        }
        self.announce_again(&found);
        Ok(AddressState::Here)
    }
}
