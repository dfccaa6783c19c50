//! Keeps one node's agent running, as systemd would, and lends a hand to the faults.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc::UnboundedSender;

use super::control::{self, Answer, NodeStatus, Question, Said};
use super::node::Node;
use super::node_config::NodeConfig;
use super::processes::{self, Reaper};
use super::trouble::Trouble;

/// How long an agent may take to answer a question about itself.
const STATUS_DEADLINE: Duration = Duration::from_millis(250);

/// How long it may take to do something.
const ORDER_DEADLINE: Duration = Duration::from_secs(40);

/// One node as the demo sees it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) node: Node,
    pub(crate) config: NodeConfig,
    reaper: Reaper,
    lines: UnboundedSender<(Node, Said)>,
    running: Option<Agent>,
}

#[derive(Debug)]
struct Agent {
    pid: i32,
    /// Held open: an agent whose demo is gone reads its end and leaves.
    _stdin: Option<ChildStdin>,
}

impl Supervisor {
    /// One that starts nothing yet. What its agents say goes to `lines`.
    pub(crate) fn new(node: Node, config: NodeConfig, reaper: Reaper, lines: UnboundedSender<(Node, Said)>) -> Self {
        Self { node, config, reaper, lines, running: None }
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) -> Result<(), Trouble> {
        let cannot = |source: std::io::Error| {
            Trouble::new(format!("The agent of {} cannot be started: {source}.", self.node.name()))
        };
        let program = std::env::current_exe().map_err(cannot)?;
        let log = OpenOptions::new().create(true).append(true).open(self.config.log()).map_err(cannot)?;
        let mut command = Command::new(program);
        command.arg("node").arg("--config").arg(self.config.file());
        // A group of its own: Ctrl-C goes to the demo, which then ends the nodes in good order.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::from(log)).process_group(0);
        let mut child = command.spawn().map_err(cannot)?;
        if let Some(stdout) = child.stdout.take() {
            let (node, lines) = (self.node, self.lines.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let Ok(line) = line else { break };
                    // A line cut off by SIGKILL is none.
                    if let Ok(said) = serde_json::from_str(&line) {
                        let _demo_is_over = lines.send((node, said));
                    }
                }
            });
        }
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        self.running = Some(Agent { pid, _stdin: child.stdin.take() });
        Ok(())
    }

    /// The agent's process while it runs.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.running.as_ref().map(|agent| agent.pid).filter(|pid| self.reaper.how_ended(*pid).is_none())
    }

    /// How the agent ended, when it was started and has ended.
    pub(crate) fn how_ended(&self) -> Option<String> {
        self.running.as_ref().and_then(|agent| self.reaper.how_ended(agent.pid))
    }

    /// Starts the agent again if it has ended.
    pub(crate) fn restart_if_ended(&mut self) -> Result<bool, Trouble> {
        if self.pid().is_some() {
            return Ok(false);
        }
        self.start()?;
        Ok(true)
    }

    /// Lets a stopped agent go on.
    pub(crate) fn thaw(&self) {
        if let Some(pid) = self.pid() {
            processes::signal(pid, Signal::CONT);
        }
    }

    /// Stops the agent in its tracks.
    pub(crate) fn freeze(&self) {
        if let Some(pid) = self.pid() {
            processes::signal(pid, Signal::STOP);
        }
    }

    /// Kills all of PostgreSQL, and says how many processes that were.
    pub(crate) fn kill_database(&self) -> usize {
        let data_dir = self.config.data_dir();
        processes::kill_together(|| processes::of_database(&data_dir)).len()
    }

    /// Kills the agent and all of PostgreSQL.
    pub(crate) fn kill_node(&self) -> usize {
        let data_dir = self.config.data_dir();
        let agent = self.running.as_ref().map(|agent| agent.pid);
        let both = || {
            let mut all = processes::of_database(&data_dir);
            all.extend(agent.filter(|pid| self.reaper.how_ended(*pid).is_none()));
            all
        };
        processes::kill_together(both).len()
    }

    /// What the node says of itself; `None` when it says nothing.
    pub(crate) async fn status(&self) -> Option<NodeStatus> {
        let pid = self.pid()?;
        if processes::is_stopped(pid) {
            return None;
        }
        match control::ask(&self.config.control_socket(), &Question::Status, STATUS_DEADLINE).await {
            Ok(Answer::Status(status)) => Some(status),
            Ok(_) | Err(_) => None,
        }
    }

    /// Asks for something to be done.
    pub(crate) async fn order(&self, question: &Question) -> Result<(), Trouble> {
        match control::ask(&self.config.control_socket(), question, ORDER_DEADLINE).await? {
            Answer::Done | Answer::Status(_) => Ok(()),
            Answer::Refused(why) => Err(Trouble::new(why)),
        }
    }
}
