//! What can be set about an address of this host.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use odoo_ha_core::error::{Error, ErrorKind};

use super::address::LinuxAddress;

/// Longest name of an interface in bytes, the final zero not counted (`IFNAMSIZ`, `netdevice(7)`).
const LONGEST_INTERFACE: usize = 15;

/// More would be a flood.
const MOST_ANNOUNCEMENTS: u32 = 20;

/// Shortest and longest wait for an answer of the address's holder: a host on the same network answers within a millisecond, and every wait
/// is part of a failover.
const PROBE_WAIT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// Shortest time between two announcements while the address is held.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

/// Between two announcements of one attach.
pub(super) const ANNOUNCE_STEP: Duration = Duration::from_millis(20);

/// What an attach takes beyond its waits, late timers included.
const BEYOND_WAITS: Duration = Duration::from_millis(50);

/// Where distributions have the program `ip` (package iproute2).
const IP_PROGRAMS: [&str; 4] = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];

/// How a [`LinuxAddress`] is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinuxAddressConfig {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits are the network: 1 to 32, or to 128 for IPv6.
    pub prefix: u8,
    /// The interface of this host that gets it. It need not exist yet.
    pub interface: String,
    /// How often it is announced when it is attached, 1 to 20. Default: 3.
    pub announcements: u32,
    /// How often it is announced while it is held, from 100 ms; not more often than it is looked at. Default: 1 s.
    pub announce_interval: Duration,
    /// How long a holder may take to answer before the address is taken for free, 20 ms to 2 s; so long that an attach
    /// ([`attach_takes`](Self::attach_takes)) fits the time that it has ([`Timing::attach_timeout`](odoo_ha_core::policy::Timing::attach_timeout)).
    /// Default: 100 ms.
    pub probe_wait: Duration,
    /// Remembers the highest term that attached it on this host, absolute, on a local disk. Beside it a file with `.lock` appended is
    /// made. Default: none, and then no term is remembered.
    pub fence_file: Option<PathBuf>,
}

impl LinuxAddressConfig {
    /// `10.0.0.9/24` on `eth0`, say; without a prefix the address stands for itself alone.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when the address is none.
    pub fn new(address: &str, interface: impl Into<String>) -> Result<Self, Error> {
        let no_address = || {
            wrong(format!("linux-address: address is not ADDRESS/PREFIX: {address}")).hint("for instance 10.0.0.9/24")
        };
        let (ip, prefix) = address.split_once('/').map_or((address, None), |(ip, prefix)| (ip, Some(prefix)));
        let ip: IpAddr = ip.parse().map_err(|_| no_address())?;
        let bits = bits(ip);
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| no_address())?;
        Ok(Self {
            address: ip,
            prefix,
            interface: interface.into(),
            announcements: 3,
            announce_interval: Duration::from_secs(1),
            probe_wait: Duration::from_millis(100),
            fence_file: None,
        })
    }

    /// With other [`announcements`](Self::announcements).
    #[must_use]
    pub fn announcements(mut self, announcements: u32) -> Self {
        self.announcements = announcements;
        self
    }

    /// With another [`announce_interval`](Self::announce_interval).
    #[must_use]
    pub fn announce_interval(mut self, announce_interval: Duration) -> Self {
        self.announce_interval = announce_interval;
        self
    }

    /// With another [`probe_wait`](Self::probe_wait).
    #[must_use]
    pub fn probe_wait(mut self, probe_wait: Duration) -> Self {
        self.probe_wait = probe_wait;
        self
    }

    /// With a [`fence_file`](Self::fence_file).
    #[must_use]
    pub fn fence_file(mut self, fence_file: impl Into<PathBuf>) -> Self {
        self.fence_file = Some(fence_file.into());
        self
    }

    /// How long an attach takes where nobody has the address: `probe_wait`, its announcements, and 50 ms.
    pub fn attach_takes(&self) -> Duration {
        self.probe_wait + ANNOUNCE_STEP * self.announcements.saturating_sub(1) + BEYOND_WAITS
    }

    /// The address, as yet untouched.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key and its bounds.
    pub fn build(self) -> Result<LinuxAddress, Error> {
        self.check()?;
        Ok(LinuxAddress::new(self))
    }

    /// Whether it can work; looks at nothing outside.
    ///
    /// # Errors
    ///
    /// `Misconfigured`, naming the key and its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let Self { address, prefix, interface, announcements, announce_interval, probe_wait, fence_file } = self;
        let most = bits(*address);
        if *prefix == 0 || *prefix > most {
            return Err(wrong(format!(
                "linux-address: address {address} has the prefix {prefix}, not one of 1 to {most}"
            )));
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(wrong(format!("linux-address: {address} is no address that a host can be reached at")));
        }
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
        if interface.is_empty() || interface.len() > LONGEST_INTERFACE || !interface.chars().all(plain) {
            return Err(wrong(format!("linux-address: interface is no interface's name: {interface:?}"))
                .hint("see the output of `ip link`"));
        }
        if *announcements == 0 || *announcements > MOST_ANNOUNCEMENTS {
            return Err(wrong(format!(
                "linux-address: announcements is {announcements}, not between 1 and {MOST_ANNOUNCEMENTS}"
            )));
        }
        if *announce_interval < LEAST_INTERVAL {
            return Err(wrong(format!("linux-address: announce_interval is {announce_interval:?}, below 100ms")));
        }
        if *probe_wait < PROBE_WAIT.0 || *probe_wait > PROBE_WAIT.1 {
            return Err(wrong(format!("linux-address: probe_wait is {probe_wait:?}, not between 20ms and 2s")));
        }
        match fence_file {
            Some(path) if !path.is_absolute() || path.file_name().is_none() => {
                Err(wrong(format!("linux-address: fence_file is not the absolute path of a file: {}", path.display())))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What a guard has to run when this program is dead or frozen: the program `ip` and its arguments, which remove the address from the
    /// interface. Looks where `ip` is.
    ///
    /// # Errors
    ///
    /// `Misconfigured` when this host has no `ip`.
    pub fn drop_command(&self) -> Result<Vec<String>, Error> {
        let found = IP_PROGRAMS.into_iter().find(|program| Path::new(program).is_file());
        let program = found.ok_or_else(|| {
            wrong("linux-address: the program ip, with which the guard drops the address, is not there".to_owned())
                .hint("install iproute2, or say what drops it (guard.drop_address)")
        })?;
        let Self { address, interface, .. } = self;
        // With whatever prefix it is there, and no error when it is not.
        let exactly = format!("{address}/{}", bits(*address));
        let arguments = [program, "address", "flush", "dev", interface, "to", &exactly];
        Ok(arguments.map(str::to_owned).into())
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Misconfigured, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(address: &str) -> LinuxAddressConfig {
        LinuxAddressConfig::new(address, "eth0").expect("it is an address")
    }

    #[test]
    fn addresses_are_read_with_and_without_a_prefix() {
        assert_eq!(config("10.0.0.9/24").prefix, 24);
        assert_eq!(config("10.0.0.9").prefix, 32);
        assert_eq!(config("fd00::9").prefix, 128);
        for none in ["", "10.0.0", "10.0.0.9/", "10.0.0.9/x", "host/24", "10.0.0.9/24/1"] {
            let error = LinuxAddressConfig::new(none, "eth0").expect_err("it is none");
            assert!(error.to_string().contains("ADDRESS/PREFIX"), "{error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let fine = || config("10.0.0.9/24");
        assert!(fine().check().is_ok());
        assert!(config("fd00::9/64").check().is_ok());
        let wrong = [
            (config("10.0.0.9/33"), "1 to 32"),
            (config("10.0.0.9/0"), "1 to 32"),
            (config("fd00::9/129"), "1 to 128"),
            (config("127.0.0.1/8"), "can be reached"),
            (config("::/64"), "can be reached"),
            (config("224.0.0.1/4"), "can be reached"),
            (LinuxAddressConfig { interface: String::new(), ..fine() }, "interface"),
            (LinuxAddressConfig { interface: "a name of sixteen".into(), ..fine() }, "interface"),
            (LinuxAddressConfig { interface: "a b".into(), ..fine() }, "interface"),
            (fine().announcements(0), "between 1 and 20"),
            (fine().announcements(21), "between 1 and 20"),
            (fine().announce_interval(Duration::from_millis(99)), "below 100ms"),
            (fine().probe_wait(Duration::from_millis(19)), "20ms and 2s"),
            (fine().probe_wait(Duration::from_secs(3)), "20ms and 2s"),
            (fine().fence_file("fence"), "fence_file"),
        ];
        for (config, expected) in wrong {
            let error = config.build().expect_err("it is wrong");
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
