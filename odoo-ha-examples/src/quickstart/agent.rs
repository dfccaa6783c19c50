//! One node: an embedding of the library in a process of its own.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::guard::GuardConfig;
use odoo_ha_backends::listener::{ListenerConfig, Target};
use odoo_ha_backends::log::LogNotifier;
use odoo_ha_backends::postgres::PostgresConfig;
use odoo_ha_backends::probe_postgres::{PostgresProbe, PostgresProbeConfig};
use odoo_ha_core::database::{DatabaseState, Endpoint};
use odoo_ha_core::driver::{HaHandle, HaNode, Streamed};
use odoo_ha_core::error::Error;
use odoo_ha_core::machine::Status;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::policy::{Policy, ProbeSettings, Timing};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::clock;
use super::control::{self, Answer, NodeStatus, Question, Said};
use super::node_config::NodeConfig;
use super::trouble::Trouble;

/// The guard begins to act this long before leadership ends, at most; a short ttl leaves it less.
const GUARD_ACTS_BEFORE: Duration = Duration::from_millis(600);
/// And no less than this.
const GUARD_NEEDS: Duration = Duration::from_millis(300);

/// How long leaving may take when the demo is gone.
const LEAVE_DEADLINE: Duration = Duration::from_secs(20);

/// Runs the node of this configuration until it is told to leave, or the demo is gone.
pub(crate) fn main(config: &Path) -> ExitCode {
    // Standard error is the node's log file.
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let ended = NodeConfig::read(config).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| Trouble::new(format!("No thread can be started: {source}.")))?;
        runtime.block_on(run(&config))
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            say(&Said::Failed { why: trouble.to_string() });
            ExitCode::from(2)
        }
    }
}

async fn run(config: &NodeConfig) -> Result<(), Trouble> {
    let node = build(config)?.spawn()?;
    let mut events = node.events();
    let control = bind(config)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(|source| Trouble::new(source.to_string()))?;
    let mut demo_is_gone = end_of_stdin();
    say(&Said::Ready);
    loop {
        tokio::select! {
            next = events.next() => match next {
                Some(Streamed::Event(event)) => say(&Said::Happened { at: clock::now(), event }),
                Some(Streamed::Missed(count)) => tracing::warn!(count, "events were missed"),
                // The node has ended, and all was said.
                None => return Ok(()),
            },
            asked = control.accept() => if let Ok((stream, _)) = asked {
                tokio::spawn(answer(stream, node.clone()));
            },
            _ = terminated.recv() => leave(&node),
            _ = &mut demo_is_gone => {
                leave(&node);
                // Resolves once only.
                demo_is_gone = oneshot::channel().1;
            }
        }
    }
}

/// Puts the node together. This is all there is to embedding the library.
fn build(config: &NodeConfig) -> Result<HaNode, Error> {
    let endpoint = Endpoint { host: "127.0.0.1".into(), port: config.port };
    let timing = Timing::with_ttl(config.ttl);
    let mut policy = Policy::default();
    policy.sync_mode = config.sync_mode;
    let database = PostgresConfig::new(config.member.clone(), config.data_dir(), endpoint.clone())
        .bin_dir(&config.pg_bin)
        .socket_dir(config.socket_dir())
        .build()?;
    let store = config.store.connect(config.cluster.clone(), &config.store_file)?;
    let probe = PostgresProbe::new(PostgresProbeConfig::new(config.socket_dir().to_string_lossy(), config.port))?;
    let listen = SocketAddr::from(([127, 0, 0, 1], config.address_port));
    let address =
        ListenerConfig::new(listen, Target::Tcp(endpoint.to_string())).fence_file(config.fence_file()).build()?;
    let guard = GuardConfig::new(config.data_dir())
        .runtime_dir(config.guard_dir())
        .acts_before(GUARD_ACTS_BEFORE.min((timing.stop_budget * 3 / 5).max(GUARD_NEEDS)));
    HaNode::builder()
        .cluster(config.cluster.clone())
        .member(config.member.clone())
        .founders(config.founders.iter().cloned())
        .endpoint(endpoint)
        .dcs(store)
        .database(Arc::new(database))
        .address(Arc::new(address))
        .watchdog(Arc::new(guard.build()?))
        .probe(Arc::new(probe), ProbeSettings::default())
        .notifier(Arc::new(LogNotifier::new()))
        .timing(timing)
        .policy(policy)
        .state_dir(config.state_dir())
        .build()
}

/// Begins to leave; the end of the events tells when it has left.
fn leave(node: &HaHandle) {
    let node = node.clone();
    tokio::spawn(async move {
        match tokio::time::timeout(LEAVE_DEADLINE, node.shutdown(true)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("{}", error.chain()),
            Err(_) => {
                tracing::error!("it could not be left in good order within {LEAVE_DEADLINE:?}");
                node.kill();
            }
        }
    });
}

fn bind(config: &NodeConfig) -> Result<UnixListener, Trouble> {
    let path = config.control_socket();
    let bound = match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(source),
        // An agent that was killed left its socket behind.
        _ => UnixListener::bind(&path),
    };
    bound.map_err(|source| Trouble::new(format!("{} cannot be opened: {source}.", path.display())))
}

async fn answer(mut stream: UnixStream, node: HaHandle) {
    let Ok(question) = control::read_line::<Question>(&mut stream).await else { return };
    let outcome =
        |done: Result<(), Error>| done.map_or_else(|error| Answer::Refused(error.to_string()), |()| Answer::Done);
    let answer = match question {
        Question::Status => Answer::Status(picture(&node.status())),
        Question::Switchover { to } => match MemberId::new(to) {
            Ok(target) => outcome(node.switchover(Some(target)).await),
            Err(error) => Answer::Refused(error.to_string()),
        },
        Question::Pause => outcome(node.pause().await),
        Question::Resume => outcome(node.resume().await),
        Question::Shutdown => {
            leave(&node);
            Answer::Done
        }
    };
    if let Ok(line) = control::line(&answer) {
        let _nobody_waits = stream.write_all(&line).await;
    }
}

/// What the demo wants to know of a status.
fn picture(status: &Status) -> NodeStatus {
    let database = status.database.as_ref().map_or("unknown", |database| match database.state {
        DatabaseState::Absent => "absent",
        DatabaseState::StoppedCleanly => "stopped",
        DatabaseState::Crashed => "crashed",
        DatabaseState::Starting => "starting",
        DatabaseState::Primary => "primary",
        DatabaseState::Standby if database.streaming => "standby, streaming",
        DatabaseState::Standby => "standby",
        DatabaseState::Unresponsive => "unresponsive",
    });
    let synchronous = status.members.keys().filter(|member| status.synchronous.names(member));
    NodeStatus {
        state: status.state.as_str().to_owned(),
        term: status.term.0,
        leader: status.leader.as_ref().map(ToString::to_string),
        database: database.to_owned(),
        synchronous: synchronous.map(ToString::to_string).collect(),
        address_here: status.address_here,
        paused: status.paused,
        refusal: status.refusal.clone(),
    }
}

/// Resolves when nobody holds the other end of standard input any more: the demo was killed.
fn end_of_stdin() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let _whatever_it_was = std::io::copy(&mut std::io::stdin().take(u64::MAX), &mut std::io::sink());
        let _leaving_already = ended.send(());
    });
    end
}

/// Says a line, in one write: lines of two threads never mix, and what SIGKILL cuts off is no line.
fn say(said: &Said) {
    if let Ok(line) = control::line(said) {
        let mut out = std::io::stdout().lock();
        let _demo_is_gone = out.write_all(&line).and_then(|()| out.flush());
    }
}
