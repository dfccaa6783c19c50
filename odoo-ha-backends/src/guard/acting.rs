//! One time that the guard acts: the address and the services first, then the database.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::process::{Pid, Signal, kill_process_group};

use super::protocol::Firing;
use super::stop::Stop;

/// How long the database waits for the commands that drop the address and stop the services: they are first, but not at the database's cost.
pub(super) const HEAD_START: Duration = Duration::from_millis(150);

/// How long such a command may run at all; then it is killed, with all that it has started.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// Between two looks at a running command.
const COMMAND_STEP: Duration = Duration::from_millis(5);

/// Makes the node harmless, step by step.
pub(super) struct Acting {
    firing: Firing,
    stop: Stop,
    drop_address: Option<Receiver<String>>,
    stop_services: Option<Receiver<String>>,
    /// Whether it has been told what stands in the way.
    told: bool,
}

/// What is run besides stopping the database: programs with their arguments.
pub(super) struct Commands {
    pub(super) drop_address: Option<Vec<String>>,
    pub(super) stop_services: Option<Vec<String>>,
}

impl Acting {
    /// The agent is dead already, if it was to be killed.
    pub(super) fn begin(firing: Firing, stop: Stop, commands: Commands) -> Self {
        let drop_address = commands.drop_address.map(|command| run("drop-address", command));
        let stop_services = commands.stop_services.map(|command| run("stop-services", command));
        Self { firing, stop, drop_address, stop_services, told: false }
    }

    pub(super) fn firing(&self) -> &Firing {
        &self.firing
    }

    /// What stands in the way of an end, for the log; once.
    pub(super) fn obstacle(&mut self) -> Option<String> {
        let Firing { unseen, out_of_reach, .. } = self.firing;
        if self.told || (unseen == 0 && out_of_reach == 0) {
            return None;
        }
        self.told = true;
        Some(format!(
            "the database may still run: {unseen} processes may be its and cannot be looked at, {out_of_reach} may not be signalled"
        ))
    }

    /// Goes on; `true` when no process of the instance is left and the commands have ended.
    pub(super) fn step(&mut self, now: Moment) -> io::Result<bool> {
        take_end(&mut self.drop_address, &mut self.firing.drop_address);
        take_end(&mut self.stop_services, &mut self.firing.stop_services);
        let run = self.drop_address.is_some() || self.stop_services.is_some();
        if run && now.since(self.firing.began) < HEAD_START {
            return Ok(false);
        }
        if self.firing.ended.is_none() {
            self.firing.ended = self.stop.step(now)?;
            (self.firing.asked, self.firing.killed, self.firing.out_of_reach) = self.stop.counts();
            self.firing.unseen = self.stop.unseen();
        }
        Ok(self.firing.ended.is_some() && !run)
    }
}

/// Notes how a command ended, if it has.
fn take_end(command: &mut Option<Receiver<String>>, outcome: &mut Option<String>) {
    let ended = match command.as_ref().map(Receiver::try_recv) {
        None | Some(Err(TryRecvError::Empty)) => return,
        Some(Ok(ended)) => ended,
        Some(Err(TryRecvError::Disconnected)) => "could not be run".to_owned(),
    };
    *command = None;
    *outcome = Some(ended);
}

/// Runs a command in a thread: starting a program reads from a disk, and that may hang.
fn run(what: &str, command: Vec<String>) -> Receiver<String> {
    let (outcome, receiver) = mpsc::sync_channel(1);
    // When no thread can be had, the sender is dropped and the receiver sees that.
    _ = thread::Builder::new().name(what.to_owned()).spawn(move || _ = outcome.send(run_to_end(&command)));
    receiver
}

fn run_to_end(command: &[String]) -> String {
    let Some((program, arguments)) = command.split_first() else { return "is empty".to_owned() };
    let mut prepared = Command::new(program);
    prepared.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own, by which all of it is found.
    let mut child = match prepared.process_group(0).spawn() {
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
                kill_all(&mut child);
                return format!("was killed after {} s", COMMAND_LIMIT.as_secs());
            }
            Err(error) => return format!("was lost: {error}"),
        }
    }
}

/// Kills a command with what it has started: that would act later, when this node or another may have the address again.
fn kill_all(child: &mut Child) {
    // It has not been waited for, so the number is still its own. Gone by themselves meanwhile, or gone soon.
    _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    _ = child.kill();
    _ = child.wait();
}
