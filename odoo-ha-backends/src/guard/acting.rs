//! One time that the guard acts: the address first, then the database.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use odoo_ha_core::time::Moment;

use super::proc::Identity;
use super::protocol::Firing;
use super::stop::Stop;

/// How long the database waits for the command that drops the address: address first, but not at the database's cost.
pub(super) const HEAD_START: Duration = Duration::from_millis(150);

/// How long that command may run at all; then it is killed.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks at a running command.
const COMMAND_STEP: Duration = Duration::from_millis(5);

/// Makes the node harmless, step by step.
pub(super) struct Acting {
    firing: Firing,
    stop: Stop,
    command: Option<Receiver<String>>,
}

impl Acting {
    /// The agent is dead already, if it was to be killed.
    pub(super) fn begin(
        firing: Firing,
        data_dir: PathBuf,
        spared: BTreeSet<i32>,
        family: BTreeSet<Identity>,
        drop_address: Option<Vec<String>>,
    ) -> Self {
        let command = drop_address.map(run);
        Self { firing, stop: Stop::new(data_dir, spared, family), command }
    }

    pub(super) fn firing(&self) -> &Firing {
        &self.firing
    }

    /// Goes on; `true` when no process of the instance is left and the command has ended.
    pub(super) fn step(&mut self, now: Moment) -> io::Result<bool> {
        if let Some(command) = &self.command {
            match command.try_recv() {
                Ok(outcome) => self.command_ended(outcome),
                Err(TryRecvError::Disconnected) => self.command_ended("could not be run".to_owned()),
                Err(TryRecvError::Empty) if now.since(self.firing.began) < HEAD_START => return Ok(false),
                Err(TryRecvError::Empty) => {}
            }
        }
        if self.firing.ended.is_none() {
            self.firing.ended = self.stop.step(now)?;
            (self.firing.asked, self.firing.killed, self.firing.out_of_reach) = self.stop.counts();
        }
        Ok(self.firing.ended.is_some() && self.command.is_none())
    }

    fn command_ended(&mut self, outcome: String) {
        self.command = None;
        self.firing.drop_address = Some(outcome);
    }
}

/// Runs a command in a thread: starting a program reads from a disk, and that may hang.
fn run(command: Vec<String>) -> Receiver<String> {
    let (outcome, receiver) = mpsc::sync_channel(1);
    // When no thread can be had, the sender is dropped and the receiver sees that.
    _ = thread::Builder::new().name("drop-address".to_owned()).spawn(move || _ = outcome.send(run_to_end(&command)));
    receiver
}

fn run_to_end(command: &[String]) -> String {
    let Some((program, arguments)) = command.split_first() else { return "is empty".to_owned() };
    let started =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return format!("did not start: {error}"),
    };
    let mut waited = Duration::ZERO;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.to_string(),
            Ok(None) if waited < COMMAND_LIMIT => {
                thread::sleep(COMMAND_STEP);
                waited += COMMAND_STEP;
            }
            Ok(None) => {
                // Killed and reaped, or gone by itself meanwhile.
                _ = child.kill();
                _ = child.wait();
                return format!("was killed after {} s", COMMAND_LIMIT.as_secs());
            }
            Err(error) => return format!("was lost: {error}"),
        }
    }
}
