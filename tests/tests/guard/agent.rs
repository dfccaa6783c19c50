//! The agent's process, told what to do.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::PATIENCE;
use crate::postgres::Instance;

/// A process that arms and feeds; killed when it goes out of scope.
pub(crate) struct Agent {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Agent {
    /// An agent that the guard kills, in a group of its own.
    pub(crate) fn start(instance: &Instance) -> Self {
        Self::start_with(instance, &["kill"])
    }

    pub(crate) fn start_with(instance: &Instance, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_guard_agent")), instance, arguments)
    }

    /// One that is root, without these rights (`capabilities(7)`, in small letters without `CAP_`).
    pub(crate) fn start_without(instance: &Instance, rights: &[&str]) -> Self {
        let taken: Vec<String> = rights.iter().map(|right| format!("-{right}")).collect();
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", &taken.join(","), "--inh-caps", &taken.join(",")]);
        command.arg(env!("CARGO_BIN_EXE_guard_agent"));
        Self::spawn(command, instance, &["kill"])
    }

    fn spawn(mut command: Command, instance: &Instance, arguments: &[&str]) -> Self {
        let mut child = command
            .arg(instance.data_dir())
            .arg(instance.runtime_dir())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the agent starts");
        let input = child.stdin.take().expect("it is piped");
        let reader = BufReader::new(child.stdout.take().expect("it is piped"));
        let (lines, output) = mpsc::channel();
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, input, output }
    }

    pub(crate) fn ask(&mut self, what: &str) -> String {
        writeln!(self.input, "{what}").expect("the agent listens");
        self.next_line()
    }

    pub(crate) fn must(&mut self, what: &str) {
        assert_eq!(self.ask(what), "ok", "{what}");
    }

    /// Whatever it says next.
    pub(crate) fn next_line(&self) -> String {
        self.output.recv_timeout(PATIENCE).expect("the agent answers")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the agent lives");
    }

    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).expect("the agent's group lives");
    }

    /// Waits for its end; the signal that ended it.
    pub(crate) fn ended_by(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;

        crate::wait_until("the agent has ended", || self.child.try_wait().expect("it is ours").is_some());
        self.child.wait().expect("it has ended").signal()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
