//! The guard's own process: one loop that waits for the agent's words and for the deadline.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::Discriminant;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

use super::acting::{Acting, Commands};
use super::begin::{detach, listen, lock, prefer_to_run};
use super::clock::{self, Alarm};
use super::family::Family;
use super::journal::{Journal, Remembered};
use super::lease::Lease;
use super::peer::Peer;
use super::proc::{Held, Identity, own_pid};
use super::protocol::{Arm, Firing, GuardState, GuardStatus, Hello, Refusal, Reply, Request, VERSION};
use super::stop::{Instance, Stop};
use super::{files, rights};

/// Says to the starter that the socket is there.
pub(super) const READY: &str = "ready";
/// Says to the starter that another guard lives.
pub(super) const BUSY: &str = "busy";

/// How long a guard that nobody armed and nobody talks to stays.
const LINGER: Duration = Duration::from_secs(10);

/// One agent needs one; a restarted one and an operator's look are beside it. More are turned away.
const MOST_PEERS: usize = 16;

/// How long the guard waits for the disk before it says that it has acted.
const REMEMBER_LIMIT: Duration = Duration::from_secs(1);

/// Between two looks at an instance that is being stopped.
const STEP: Duration = Duration::from_millis(4);

/// Runs the guard with the arguments after the flag; the exit code of the process.
pub(super) fn run(mut arguments: impl Iterator<Item = OsString>) -> i32 {
    let (Some(data_dir), Some(runtime_dir), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        eprintln!("the guard is started by the agent, with a data and a runtime directory");
        return 2;
    };
    match Guard::start(PathBuf::from(data_dir), PathBuf::from(runtime_dir)) {
        Ok(Some(guard)) => match guard.serve() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("the guard failed: {error}");
                1
            }
        },
        Ok(None) => {
            println!("{BUSY}");
            0
        }
        Err(error) => {
            println!("{error}");
            eprintln!("the guard cannot start: {error}");
            1
        }
    }
}

/// What the agent said when it armed.
struct Orders {
    arm: Arm,
    agent: Option<Rc<Held>>,
}

struct Guard {
    data_dir: PathBuf,
    runtime_dir: PathBuf,
    /// Held until the process ends.
    _lock: File,
    listener: UnixListener,
    alarm: Alarm,
    journal: Journal,
    peers: Vec<Peer>,
    lease: Lease,
    orders: Option<Orders>,
    acting: Option<Acting>,
    /// The ticket for what was done, and since when the disk is waited for.
    remembering: Option<(u64, Moment)>,
    boot_id: String,
    last: Option<Firing>,
    /// Whom and why, the last time.
    refused: Option<(i32, Discriminant<Refusal>)>,
    idle_since: Moment,
}

impl Guard {
    /// Becomes a process that nothing ties to the agent; `None` when another guard has this directory.
    fn start(data_dir: PathBuf, runtime_dir: PathBuf) -> io::Result<Option<Self>> {
        detach()?;
        let Some(lock) = lock(&files::lock(&runtime_dir))? else { return Ok(None) };
        // Without it an older reign might be heard; with nothing armed yet, the loud way is the safe one.
        let remembered = Remembered::read(&runtime_dir).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", files::state(&runtime_dir).display()))
        })?;
        let listener = listen(&files::socket(&runtime_dir))?;
        let journal = Journal::start(runtime_dir.clone())?;
        let guard = Self {
            data_dir,
            runtime_dir,
            _lock: lock,
            listener,
            alarm: Alarm::new()?,
            journal,
            peers: Vec::new(),
            lease: Lease::remembering(remembered.newest, remembered.acted),
            orders: None,
            acting: None,
            remembering: None,
            boot_id: remembered.boot_id,
            last: remembered.last,
            refused: None,
            idle_since: clock::now(),
        };
        prefer_to_run();
        println!("{READY}");
        io::stdout().flush()?;
        // The starter sees the end of its pipe, and nothing is ever written into a full one.
        rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        guard.journal.say(format!("guard {} stands by for {}", std::process::id(), guard.data_dir.display()));
        Ok(Some(guard))
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            let now = clock::now();
            if self.lease.is_due(now) {
                self.act(now);
            }
            self.go_on_acting(now);
            if self.is_idle() {
                if now.since(self.idle_since) >= LINGER {
                    break;
                }
            } else {
                self.idle_since = now;
            }
            self.wait(now)?;
        }
        // First the socket, then (with the process) the lock: whoever starts the next guard finds either both or none.
        _ = fs::remove_file(files::socket(&self.runtime_dir));
        self.journal.say("nobody needs the guard any more");
        self.journal.close();
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.lease.leave().is_none() && self.acting.is_none() && self.peers.is_empty()
    }

    /// Sleeps until somebody says something or it is time, then answers what was said, unless it is time to act.
    fn wait(&mut self, now: Moment) -> io::Result<()> {
        let wake = if self.acting.is_some() {
            Some(now + STEP)
        } else if self.is_idle() {
            Some(self.idle_since + LINGER)
        } else {
            self.lease.acts_at()
        };
        self.alarm.set(wake)?;
        let mut watched = vec![PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.alarm, PollFlags::IN)];
        watched.extend(self.peers.iter().map(|peer| PollFd::new(peer.stream(), PollFlags::IN)));
        match poll(&mut watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let woken: Vec<bool> = watched.iter().map(|watched| !watched.revents().is_empty()).collect();
        drop(watched);
        for index in (0..self.peers.len()).rev() {
            if woken.get(index + 2).copied().unwrap_or(false) && !self.hear(index) {
                self.peers.swap_remove(index);
            }
        }
        if woken.first().copied().unwrap_or(false) {
            self.accept();
        }
        Ok(())
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        if self.peers.len() >= MOST_PEERS {
            return;
        }
        let hello = Hello { version: VERSION, pid: own_pid(), data_dir: self.data_dir.to_string_lossy().into_owned() };
        match Peer::welcome(stream, &hello) {
            Ok(peer) => self.peers.push(peer),
            Err(error) => self.journal.say(format!("turned somebody away: {error}")),
        }
    }

    /// Answers everything that one peer has said; `false` when it is to be let go.
    fn hear(&mut self, index: usize) -> bool {
        let Some(peer) = self.peers.get_mut(index) else { return false };
        let Ok((lines, goes_on)) = peer.read() else { return false };
        let pid = peer.pid();
        for line in lines {
            let reply = match serde_json::from_slice(&line) {
                Ok(request) => self.answer(pid, request),
                Err(_) => Reply::Refused(Refusal::Malformed),
            };
            self.say_refusal(pid, &reply);
            let Some(peer) = self.peers.get_mut(index) else { return false };
            if peer.write(&reply).is_err() {
                return false;
            }
        }
        goes_on
    }

    /// Says a refusal once: an agent that did not understand it would fill the log.
    fn say_refusal(&mut self, pid: i32, reply: &Reply) {
        let Reply::Refused(refusal) = reply else { return };
        let refused = Some((pid, std::mem::discriminant(refusal)));
        if self.refused != refused {
            self.refused = refused;
            self.journal.say(format!("refused process {pid}: {refusal:?}"));
        }
    }

    fn answer(&mut self, pid: i32, request: Request) -> Reply {
        // Read anew for each: what arrives after the moment to act is refused, however long the loop was held up.
        let now = clock::now();
        let result = match request {
            Request::Status => return Reply::Status(self.status()),
            _ if self.acting.is_some() => Err(Refusal::Acting),
            Request::Arm(arm) => self.arm(now, pid, arm),
            Request::Feed(leave) => {
                if self.orders.as_ref().is_some_and(|orders| orders.is_by(pid)) {
                    self.lease.feed(now, leave)
                } else {
                    // Somebody else's: refused for its age if it is old, else it has to arm first.
                    self.lease.clone().feed(now, leave).and(Err(Refusal::Unarmed))
                }
            }
            Request::Disarm { incarnation } => self.lease.disarm(now, incarnation),
        };
        match result {
            Ok(()) => Reply::Done,
            Err(refusal) => Reply::Refused(refusal),
        }
    }

    fn arm(&mut self, now: Moment, pid: i32, arm: Arm) -> Result<(), Refusal> {
        let agent = match Held::open(Identity { pid, started: arm.agent_started }) {
            Ok(held) => Some(Rc::new(held)),
            Err(_) if arm.kill_agent => return Err(Refusal::Unidentified),
            Err(_) => None,
        };
        if let Err(why) = rights::check(&self.instance(&arm), pid) {
            return Err(Refusal::Powerless { why });
        }
        self.lease.arm(now, arm.leave, Duration::from_millis(arm.acts_before_ms))?;
        self.journal.say(format!(
            "armed by process {pid}, incarnation {}, term {}, until {:?}",
            arm.leave.incarnation, arm.leave.term, arm.leave.deadline
        ));
        self.orders = Some(Orders { arm, agent });
        self.remember();
        Ok(())
    }

    fn instance(&self, arm: &Arm) -> Instance {
        Instance { data_dir: PathBuf::from(&arm.data_dir), also_called: self.data_dir.clone(), owner: arm.owner }
    }

    /// Time is up.
    fn act(&mut self, now: Moment) {
        let (Some(leave), Some(orders)) = (self.lease.act(), self.orders.as_ref()) else { return };
        let mut firing = Firing {
            incarnation: leave.incarnation,
            term: leave.term,
            deadline: leave.deadline.unwrap_or(now),
            began: now,
            ended: None,
            agent_killed: false,
            drop_address: None,
            stop_services: None,
            asked: 0,
            killed: 0,
            out_of_reach: 0,
            unseen: 0,
        };
        let mut spared = BTreeSet::from([own_pid()]);
        let mut family = None;
        if let Some(agent) = &orders.agent {
            if orders.arm.kill_agent {
                // Before it is killed: afterwards nobody knows whose children these were.
                family = Family::of(agent.id.pid).ok();
                firing.agent_killed = agent.signal(Signal::KILL).unwrap_or(false);
            } else {
                spared.insert(agent.id.pid);
            }
        }
        let stop = Stop::new(self.instance(&orders.arm), spared, family);
        let commands =
            Commands { drop_address: orders.arm.drop_address.clone(), stop_services: orders.arm.stop_services.clone() };
        self.acting = Some(Acting::begin(firing, stop, commands));
        // Now already, should this guard be killed in the middle of it.
        self.remember();
    }

    fn go_on_acting(&mut self, now: Moment) {
        let Some(acting) = &mut self.acting else { return };
        let step = acting.step(now);
        if let Some(obstacle) = acting.obstacle() {
            self.journal.say(obstacle);
        }
        match step {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                self.journal.say(format!("could not look at the processes: {error}"));
                return;
            }
        }
        let (ticket, since) = match self.remembering {
            Some(remembering) => remembering,
            None => {
                let firing = acting.firing().clone();
                self.journal.say(format!("acted: {firing:?}"));
                self.last = Some(firing);
                *self.remembering.insert((self.remember(), now))
            }
        };
        // A guard that said it has acted, and is then started again, must not have forgotten it. A hung disk is not waited for.
        if self.journal.is_through(ticket) || now.since(since) >= REMEMBER_LIMIT {
            self.acting = None;
            self.orders = None;
            self.remembering = None;
        }
    }

    fn remember(&self) -> u64 {
        self.journal.remember(Remembered {
            boot_id: self.boot_id.clone(),
            newest: self.lease.newest(),
            acted: self.lease.acted(),
            last: self.last.clone(),
        })
    }

    fn status(&self) -> GuardStatus {
        let leave = self.lease.leave();
        let acted = self.lease.acted();
        let newest = self.lease.newest();
        let state = if self.acting.is_some() {
            GuardState::Acting
        } else if leave.is_some() {
            GuardState::Armed
        } else if acted.is_some() && acted == newest {
            GuardState::Acted
        } else {
            GuardState::Idle
        };
        GuardStatus {
            pid: own_pid(),
            state,
            incarnation: newest.map(|reign| reign.incarnation),
            term: leave.map(|leave| leave.term).or(acted.map(|reign| reign.term)),
            deadline: leave.and_then(|leave| leave.deadline),
            last: self.acting.as_ref().map(|acting| acting.firing().clone()).or_else(|| self.last.clone()),
        }
    }
}

impl Orders {
    fn is_by(&self, pid: i32) -> bool {
        self.agent.as_ref().is_none_or(|agent| agent.id.pid == pid)
    }
}
