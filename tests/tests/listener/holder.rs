//! A process that holds the address, told what to do.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Killed when it goes out of scope.
pub(crate) struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    pub(crate) fn start(listen: SocketAddr, target: SocketAddr, fence: Option<&Path>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_listener_holder"))
            .args([listen.to_string(), target.to_string()])
            .args(fence)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the holder starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, input, output }
    }

    pub(crate) fn ask(&mut self, what: &str) -> String {
        self.say(what);
        self.hear()
    }

    pub(crate) fn say(&mut self, what: &str) {
        writeln!(self.input, "{what}").expect("the holder listens");
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the holder speaks text");
        line.trim_end().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the holder lives");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the holder lives");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
