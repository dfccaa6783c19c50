//! The demo from beginning to end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::args::DemoArgs;
use super::clock;
use super::cluster::Cluster;
use super::console::{Console, Tone, Who};
use super::control::Said;
use super::host::{self, Postgres, User};
use super::node::Node;
use super::outcome::{self, Course, Outcome};
use super::probe;
use super::processes::Reaper;
use super::record::{AgentFace, Recorder};
use super::report::{self, Report};
use super::scenario::Scenario;
use super::session::Session;
use super::story::{self, Repeats};
use super::trouble::Trouble;
use super::work_dir::WorkDir;
use super::writer::{self, Writer};

/// How long the first statements may take.
const CREATE_DEADLINE: Duration = Duration::from_secs(10);

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every limit held.
    Held,
    /// At least one was missed.
    Missed,
    /// Somebody pressed Ctrl-C before the end.
    Interrupted,
}

/// What agents said that ended the demo.
type Failure = Arc<Mutex<Option<Trouble>>>;

/// Runs the demo. Whatever happens, everything it started is stopped when this returns.
///
/// # Errors
///
/// What kept it from running, and what to do about it.
pub(crate) async fn run(args: &DemoArgs) -> Result<Ending, Trouble> {
    let began = clock::now();
    let console = Console::new(began, args.no_color);
    let postgres = Postgres::find(args.pg_bin.as_deref())?;
    let user = User::for_postgres()?;
    let ports = host::free_ports()?;
    let report_file = report_file(args.report.as_deref())?;
    let work_dir = WorkDir::make(args.work_dir.as_deref(), user)?;
    let mut signals = Signals::new()?;
    // From here on whatever was begun is undone below.
    let ended = async {
        let reaper = Reaper::start().map_err(|source| {
            Trouble::new(format!("This system does not let the demo look after its processes: {source}."))
        })?;
        let recorder = Recorder::default();
        let (lines, said) = unbounded_channel();
        let mut cluster = Cluster::new(args, &postgres, &work_dir, ports, &reaper, recorder.clone(), &lines)?;
        args.dcs.check(cluster.name()).await?;
        introduce(&console, args, &postgres, &work_dir, user, &cluster);
        let failure = Failure::default();
        let listening = tokio::spawn(listen(said, recorder.clone(), console.clone(), failure.clone()));
        let mut demo = Demo {
            args,
            console: &console,
            cluster: &mut cluster,
            recorder,
            failure,
            postgres: &postgres,
            began,
            verdict: Ending::Interrupted,
        };
        let played = tokio::select! {
            played = demo.play(&report_file) => Some(played),
            () = signals.next() => None,
        };
        // Ctrl-C after the table ends a cluster that was left running; before it, it interrupts.
        let ended = played.unwrap_or(Ok(())).map(|()| demo.verdict);
        take_down(args, &console, &cluster, &mut signals, &ended).await;
        listening.abort();
        if let Some(command) = args.dcs.leftovers(cluster.name()) {
            console.line(&format!("  The cluster's records are left in the store; to remove them: {command}"));
        }
        ended
    }
    .await;
    discard_if_empty(&report_file);
    clear_away(args, &console, &work_dir)?;
    ended
}

/// Everything that the acts of the demo share.
struct Demo<'a> {
    args: &'a DemoArgs,
    console: &'a Console,
    cluster: &'a mut Cluster,
    recorder: Recorder,
    failure: Failure,
    postgres: &'a Postgres,
    began: Duration,
    verdict: Ending,
}

impl Demo<'_> {
    async fn play(&mut self, report_file: &Path) -> Result<(), Trouble> {
        let failure = self.failure.clone();
        let failed = move || failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut load = JoinSet::new();
        for node in Node::BOTH {
            load.spawn(probe::run(node, self.cluster.node(node).config.clone(), self.recorder.clone()));
        }
        let mut scenario =
            Scenario { cluster: self.cluster, recorder: self.recorder.clone(), console: self.console.clone() };
        let leader = scenario.begin(failed).await?;
        self.create_tables(leader).await?;
        let writer = Writer { address_port: self.cluster.address_port, ports: self.cluster.ports() };
        load.spawn(writer.run(self.recorder.clone()));
        let text =
            format!("a client writes through 127.0.0.1:{}, one write after the other", self.cluster.address_port);
        self.console.say(Who::Demo, Tone::Good, &text);
        let courses = self.play_faults().await?;
        let (outcomes, until) = self.settle(courses, &mut load).await?;
        let held = self.conclude(&outcomes, until, report_file)?;
        self.verdict = if held { Ending::Held } else { Ending::Missed };
        if self.args.keep {
            self.keep().await?;
        }
        Ok(())
    }

    async fn create_tables(&self, leader: Node) -> Result<(), Trouble> {
        let failed =
            |why: String| Trouble::new(format!("The tables could not be created on {}: {why}.", leader.name()));
        let session = Session::beside(&self.cluster.node(leader).config, CREATE_DEADLINE)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let statements = format!("{}; {}", writer::create(), probe::CREATE);
        match tokio::time::timeout(CREATE_DEADLINE, session.run(&statements)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("it did not answer".into())),
        }
    }

    async fn play_faults(&mut self) -> Result<Vec<Course>, Trouble> {
        let mut courses: Vec<Course> = Vec::new();
        let mut from = clock::now();
        for round in 1..=self.args.rounds {
            for fault in &self.args.faults {
                let mut scenario =
                    Scenario { cluster: self.cluster, recorder: self.recorder.clone(), console: self.console.clone() };
                let course = scenario.inflict(*fault, round, from).await?;
                from = course.span.to;
                let stuck = course.missing.is_some();
                courses.push(course);
                if stuck {
                    self.console.say(Who::Demo, Tone::Bad, "the faults that were to follow are left out");
                    return Ok(courses);
                }
            }
        }
        Ok(courses)
    }

    /// Lets the client write a little longer, stops it, and compares what it was told with what is there.
    async fn settle(
        &mut self,
        mut courses: Vec<Course>,
        load: &mut JoinSet<()>,
    ) -> Result<(Vec<Outcome>, Duration), Trouble> {
        sleep(Duration::from_millis(500)).await;
        load.shutdown().await;
        let until = clock::now();
        if let Some(last) = courses.last_mut() {
            last.span.to = until;
        }
        let serving = match self.cluster.leader().await {
            Some(leader) => Some(leader),
            None => self.recorder.last_ack().and_then(|ack| ack.by),
        };
        let present: BTreeSet<i64> = match serving {
            Some(node) => self.cluster.written(node).await?,
            None => BTreeSet::new(),
        };
        let record = self.recorder.lock().clone();
        let outcomes = courses
            .into_iter()
            .map(|course| Outcome::of(course, &record, &present, self.args.ttl, self.cluster.mode))
            .collect();
        Ok((outcomes, until))
    }

    /// Says what came of it, in a table and in a picture.
    fn conclude(&self, outcomes: &[Outcome], until: Duration, report_file: &Path) -> Result<bool, Trouble> {
        let console = self.console;
        console.line("");
        for (number, line) in outcome::table(outcomes).iter().enumerate() {
            let verdict = number.checked_sub(1).and_then(|row| outcomes.get(row));
            let line = match verdict {
                None => console.strong(line),
                Some(outcome) if outcome.missed().is_empty() => line
                    .strip_suffix("ok")
                    .map_or(line.clone(), |cells| format!("{cells}{}", console.tint("ok", Tone::Good))),
                Some(_) => console.tint(line, Tone::Bad),
            };
            console.line(&format!("  {line}"));
        }
        console.line("");
        for outcome in outcomes {
            for missed in outcome.missed() {
                let text = format!("  MISSED  {}: {missed}", outcome.course.fault.label());
                console.line(&console.tint(&text, Tone::Bad));
            }
        }
        let record = self.recorder.lock().clone();
        let acknowledged: usize = outcomes.iter().map(|outcome| outcome.acknowledged).sum();
        let lost: usize = outcomes.iter().map(|outcome| outcome.lost).sum();
        let unknown = record.writes.iter().filter(|write| write.acked.is_none()).count();
        console.line(&format!(
            "  {acknowledged} writes were acknowledged, {lost} of them are lost; of {unknown} the client never learned."
        ));
        let report = Report {
            record: &record,
            outcomes,
            began: self.began,
            until,
            postgres: &self.postgres.version,
            ttl: self.args.ttl,
            sync: self.args.sync.word(),
        };
        report::write(&report, report_file)?;
        console.line(&format!("  The timeline as a picture: {}", report_file.display()));
        Ok(outcomes.iter().all(|outcome| outcome.missed().is_empty()))
    }

    /// Leaves the cluster running until somebody presses Ctrl-C; agents that end are started again.
    async fn keep(&mut self) -> Result<(), Trouble> {
        let dir = self.cluster.node(Node::A).config.dir.parent().unwrap_or(Path::new("/")).display().to_string();
        let program = std::env::current_exe().map_or_else(|_| "quickstart".into(), |path| path.display().to_string());
        self.console.line("");
        for line in [
            "The cluster is left running. To play with it:".to_owned(),
            format!("  psql -h 127.0.0.1 -p {} -U postgres postgres", self.cluster.address_port),
            format!("  {program} status {dir}"),
            format!("  {program} switchover {dir}"),
            format!("  logs: {dir}/node_a/agent.log, {dir}/node_b/agent.log"),
            "Ctrl-C stops it and cleans up.".to_owned(),
        ] {
            self.console.line(&format!("  {line}"));
        }
        self.console.line("");
        loop {
            for node in Node::BOTH {
                if let Some(how) = self.cluster.node(node).how_ended() {
                    sleep(Duration::from_secs(1)).await;
                    let text = format!("the agent of {} ended ({how}); it is started again", node.name());
                    self.console.say(Who::Demo, Tone::Warning, &text);
                    self.cluster.start(node)?;
                }
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Tells and writes down what the agents say.
async fn listen(mut said: UnboundedReceiver<(Node, Said)>, recorder: Recorder, console: Console, failure: Failure) {
    let mut repeats = Repeats::default();
    while let Some((node, said)) = said.recv().await {
        match said {
            Said::Ready => {
                super::record::push_if_new(&mut recorder.lock().node_mut(node).agent, clock::now(), AgentFace::Running)
            }
            Said::Happened { at, event } => {
                if !repeats.is_news(at, node, &event.sentence) {
                    continue;
                }
                if let Some(tone) = story::tone_of(&event) {
                    console.say_at(at, Who::Node(node), tone, &event.sentence);
                }
                recorder.lock().events.push((at, node, event));
            }
            Said::Failed { why } => {
                let trouble = Trouble::new(format!("{} cannot run: {why}", node.name()));
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(trouble);
            }
        }
    }
}

fn introduce(
    console: &Console,
    args: &DemoArgs,
    postgres: &Postgres,
    work_dir: &WorkDir,
    user: Option<User>,
    cluster: &Cluster,
) {
    let as_whom = user.map_or("", |_| " as user postgres");
    console.line(&console.strong("odoo-ha: a failover on one machine"));
    for line in [
        format!("PostgreSQL {} from {}{as_whom}", postgres.version, postgres.bin_dir.display()),
        format!("two nodes, {} replication, ttl {}", args.sync.word(), clock::seconds(args.ttl)),
        format!("they agree on who leads by {}", args.dcs),
        format!(
            "one address for clients, 127.0.0.1:{}; everything lies in {}",
            cluster.address_port,
            work_dir.path().display()
        ),
    ] {
        console.line(&format!("  {line}"));
    }
    console.line("");
}

async fn take_down(
    args: &DemoArgs,
    console: &Console,
    cluster: &Cluster,
    signals: &mut Signals,
    ended: &Result<Ending, Trouble>,
) {
    console.waited();
    // Data that are thrown away need no good order, and who pressed Ctrl-C does not want to wait.
    let in_good_order = matches!(ended, Ok(Ending::Held | Ending::Missed)) || args.keep_files;
    if in_good_order {
        let since = clock::now();
        tokio::select! {
            () = cluster.leave() => {
                let text = format!("both nodes left in good order after {}", clock::seconds(clock::now().saturating_sub(since)));
                console.say(Who::Demo, Tone::Plain, &text);
            }
            () = signals.next() => {}
        }
    }
    cluster.kill().await;
}

fn clear_away(args: &DemoArgs, console: &Console, work_dir: &WorkDir) -> Result<(), Trouble> {
    if args.keep_files {
        console.line(&format!("  Data and logs are in {}", work_dir.path().display()));
        return Ok(());
    }
    work_dir.remove()
}

/// Where the picture goes; whether it can be written there is known before anything is started.
fn report_file(given: Option<&Path>) -> Result<PathBuf, Trouble> {
    let can_write = |path: &Path| std::fs::OpenOptions::new().append(true).create(true).open(path).map(drop);
    let Some(given) = given else {
        let path = std::env::temp_dir().join("odoo-ha-quickstart.html");
        // The file of another user stays his.
        let own = format!("odoo-ha-quickstart-{}.html", rustix::process::geteuid().as_raw());
        return Ok(if can_write(&path).is_ok() { path } else { std::env::temp_dir().join(own) });
    };
    let path = std::path::absolute(given).unwrap_or_else(|_| given.to_path_buf());
    match can_write(&path) {
        Ok(()) => Ok(path),
        Err(source) => Err(Trouble::new(format!("The report {} cannot be written: {source}.", path.display()))
            .advice("Name another file with --report.")),
    }
}

/// Takes the file away that was made to see whether it can be.
fn discard_if_empty(report_file: &Path) {
    if report_file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        let _another_is_faster = std::fs::remove_file(report_file);
    }
}

/// What ends the demo from outside.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self, Trouble> {
        let on = |kind| signal(kind).map_err(|source| Trouble::new(format!("Signals cannot be received: {source}.")));
        Ok(Self([on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
