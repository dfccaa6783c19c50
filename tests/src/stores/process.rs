//! One process of a store.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// A server that ends with its value, and with the test program, however that ends.
#[derive(Debug)]
pub struct StoreProcess {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl StoreProcess {
    /// Starts it. What it prints goes to `NAME.log` in the directory.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = impl Into<String>>,
        log_directory: &Path,
    ) -> Self {
        let process = Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            log: log_directory.join(format!("{name}.log")),
            child: Mutex::new(None),
        };
        process.restart();
        process
    }

    /// Its process id; 0 while it does not run.
    pub fn pid(&self) -> u32 {
        self.child().as_ref().map_or(0, Child::id)
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Whether it was started, was not killed by [`kill`](Self::kill), and has ended all the same.
    pub fn has_ended_unasked(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// Ends it at once (SIGKILL), frozen or not, and waits for its end.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it with the same arguments, after killing it if it runs.
    pub fn restart(&self) {
        self.kill();
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("the log can be written");
        // The kernel kills it when the thread that started it ends; that thread is the program's own, see `keeper`.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program).args(&self.arguments);
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a file handle can be copied")).stdout(log);
        let child = spawn(command);
        *self.child() = Some(child.unwrap_or_else(|error| panic!("{} does not start: {error}", self.name)));
    }

    /// Stops its clock (SIGSTOP): it holds its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// The end of what it printed, for a failed test's message.
    pub fn log(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        format!("{}: {}", self.name, lines[lines.len().saturating_sub(15)..].join("\n"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("it runs");
        kill_process(pid, signal).expect("it is ours");
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StoreProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts it from the one thread that lives as long as this program: a test's own thread ends with its test, and the kernel
/// would take that for the parent's death.
fn spawn(command: Command) -> io::Result<Child> {
    static KEEPER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, taken) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in taken {
                // Nobody waits any more when this fails.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let (answer, started) = channel();
    let sent = keeper.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer));
    sent.expect("the keeper lives as long as the program");
    started.recv().expect("the keeper answers")
}
