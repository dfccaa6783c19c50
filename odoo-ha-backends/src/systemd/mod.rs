//! The `systemd` backend: units as services of a node, started, stopped and asked through `systemctl(1)`.
//!
//! A unit that the agent starts must not be started by anybody else, or Odoo runs on two nodes after a reboot: `systemctl disable` it, and let
//! no other unit want it. systemd may restart it when it dies (`Restart=`); that is a matter of one node. When the agent stops it, it does not
//! come back.
//!
//! `start` waits for the unit's start as systemd does, so a unit of `Type=notify` or `forking` is better than one of `Type=simple`,
//! which counts as started before it listens. `stop` waits, too; what has not stopped in time is sent SIGKILL (`systemctl kill`).
//!
//! It is tested with a program that behaves like `systemctl`, and with systemd itself not at all: the machines that run the tests have another
//! process 1.

mod unit;

pub use self::unit::SystemdUnit;
