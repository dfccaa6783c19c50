//! How long leadership takes to move when the leading node is killed.
//!
//! Three contests for leadership run on one store side by side, of three processes each: a cluster of ours in asynchronous mode, one in
//! synchronous mode, and the store's own means. In every round the leader of each is killed at the same moment, and a database with its
//! node; the time ends when another process says that it leads.

use std::path::Path;
use std::time::Duration;

use etcd_client::Client;
use odoo_ha_core::member::MemberId;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::args::{Case, FailoverArgs, Which};
use super::consul::Consul;
use super::contender::{Contender, Word};
use super::etcd::Etcd;
use super::figures::{Figures, print_table, ratio, seconds};
use super::shared_database::SharedDatabase;
use super::{Fallible, clock};

const MEMBERS: [&str; 3] = ["node_a", "node_b", "node_c"];

/// Longest time until everything stands as before a round.
const SETTLE: Duration = Duration::from_secs(120);

/// Longest time until somebody leads again.
const MOVE: Duration = Duration::from_secs(120);

const STEP: Duration = Duration::from_millis(20);

/// What is added to the ttl: the limit with a healthy store, and with one that loses its leader.
const LIMITS: [(Case, Duration); 2] =
    [(Case::Healthy, Duration::from_millis(500)), (Case::Leader, Duration::from_secs(3))];

/// The steps of a member of ours that are told apart.
const STEPS: [&str; 6] = ["suspecting", "voting", "taking_over", "elected", "promoting", "serving"];

pub(super) async fn run(args: &FailoverArgs) -> Fallible {
    for store in [Which::Etcd, Which::Consul] {
        if args.store == store || args.store == Which::Both {
            measure(args, store).await?;
        }
    }
    Ok(())
}

async fn measure(args: &FailoverArgs, store: Which) -> Fallible {
    let servers = Servers::start(store).await?;
    let directory = tempfile::Builder::new().prefix("odoo-ha-bench-").tempdir()?;
    let mut contests = Contest::all(args, store, &servers, &directory)?;
    let mut without_writes = Vec::new();
    for (case, more) in LIMITS.into_iter().filter(|(case, _)| args.case == *case || args.case == Case::Both) {
        for round in 1..=args.rounds {
            for contest in &mut contests {
                contest.becomes_whole().await?;
            }
            // The moment is not to follow from the renewals.
            let interval = args.ttl.as_nanos() / 5;
            sleep(Duration::from_nanos(u64::try_from(clock::now().as_nanos() % interval)?)).await;
            let outage = kill_and_wait(&mut contests, &servers, case).await?;
            let times = contests.iter().filter_map(|contest| contest.moves.last().map(|moved| moved.time));
            let times: Vec<_> = times.chain(outage).map(seconds).collect();
            eprintln!("{} {}: round {round}: {}", servers.name(), in_words(case), times.join(", "));
            without_writes.extend(outage);
        }
        print(args, &servers, case, args.ttl + more, &contests, std::mem::take(&mut without_writes));
        contests.iter_mut().for_each(|contest| contest.moves.clear());
    }
    Ok(())
}

const fn in_words(case: Case) -> &'static str {
    match case {
        Case::Leader => "its leader killed too",
        Case::Healthy | Case::Both => "healthy",
    }
}

/// One round; gives how long the store took no write, where it lost its leader.
async fn kill_and_wait(contests: &mut [Contest], servers: &Servers, case: Case) -> Fallible<Option<Duration>> {
    let store_leader = if case == Case::Leader { Some(servers.leader().await?) } else { None };
    let mut killed = Vec::new();
    for contest in contests.iter_mut() {
        killed.push(contest.kill_leader()?);
    }
    let outage = store_leader.map(|leader| {
        let begun = std::time::Instant::now();
        servers.kill(leader);
        let others = servers.endpoints().into_iter().enumerate().filter(|(number, _)| *number != leader);
        let others: Vec<_> = others.map(|(_, endpoint)| endpoint).collect();
        let is_etcd = matches!(servers, Servers::Etcd(_));
        // Beside the contests, which it waits for nothing of.
        tokio::spawn(async move {
            while !takes_a_write(is_etcd, &others).await {
                sleep(STEP).await;
            }
            begun.elapsed()
        })
    });
    for (contest, (victim, at)) in contests.iter_mut().zip(&killed) {
        contest.has_moved(*victim, *at).await?;
    }
    let outage = match outage {
        Some(outage) => Some(outage.await?),
        None => None,
    };
    if let Some(leader) = store_leader {
        servers.restart(leader);
        servers.serves().await?;
    }
    for (contest, (victim, _)) in contests.iter_mut().zip(&killed) {
        contest.contenders[*victim].ended().await?;
        contest.contenders[*victim].restart()?;
    }
    Ok(outage)
}

/// Whether any of these members of the store does a plain write within half a second.
async fn takes_a_write(is_etcd: bool, endpoints: &[String]) -> bool {
    let patience = Duration::from_millis(500);
    let mut tries = JoinSet::new();
    for endpoint in endpoints.iter().cloned() {
        tries.spawn(async move {
            if is_etcd {
                let mut client = Client::connect([endpoint], None).await.ok()?;
                client.put("bench/probe", "", None).await.ok().map(|_| ())
            } else {
                let client = reqwest::Client::builder().no_proxy().build().ok()?;
                let answer = client.put(format!("{endpoint}/v1/kv/bench/probe")).send().await.ok()?;
                answer.status().is_success().then_some(())
            }
        });
    }
    let first = async {
        while let Some(ended) = tries.join_next().await {
            if let Ok(Some(())) = ended {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(patience, first).await.unwrap_or(false)
}

/// One leadership that was taken over.
#[derive(Debug)]
struct Move {
    time: Duration,
    /// When the winner came to each of [`STEPS`], where it did.
    steps: Vec<Option<Duration>>,
}

/// Processes of which one leads.
#[derive(Debug)]
struct Contest {
    what: &'static str,
    contenders: Vec<Contender>,
    databases: Vec<SharedDatabase>,
    moves: Vec<Move>,
}

impl Contest {
    fn all(args: &FailoverArgs, store: Which, servers: &Servers, directory: &TempDir) -> Fallible<Vec<Self>> {
        let native = if store == Which::Etcd { ("etcd's lease", "lease") } else { ("Consul's session", "session") };
        Ok(vec![
            Self::of_ours("asynchronous", args, store, servers, &directory.path().join("asynchronous"))?,
            Self::of_ours("synchronous", args, store, servers, &directory.path().join("synchronous"))?,
            Self::native(native, args, servers, directory.path())?,
        ])
    }

    fn of_ours(what: &'static str, args: &FailoverArgs, store: Which, servers: &Servers, at: &Path) -> Fallible<Self> {
        std::fs::create_dir(at)?;
        let mut contest = Self { what, contenders: Vec::new(), databases: Vec::new(), moves: Vec::new() };
        for name in MEMBERS {
            let arguments = node_arguments(&Member {
                cluster: what,
                member: name,
                members: &MEMBERS,
                store,
                endpoints: &servers.endpoints(),
                directory: at,
                ttl: args.ttl,
                synchronous: what == "synchronous",
                silence: None,
            });
            contest.contenders.push(Contender::start(name.to_owned(), arguments, at)?);
            contest.databases.push(SharedDatabase::new(at, MemberId::new(name)?));
        }
        Ok(contest)
    }

    fn native(
        (what, program): (&'static str, &str),
        args: &FailoverArgs,
        servers: &Servers,
        at: &Path,
    ) -> Fallible<Self> {
        let mut contest = Self { what, contenders: Vec::new(), databases: Vec::new(), moves: Vec::new() };
        for name in MEMBERS {
            let arguments = [
                program.to_owned(),
                format!("--endpoints={}", servers.endpoints().join(",")),
                "--key=bench/leader".to_owned(),
                format!("--name={name}"),
                format!("--ttl={}ms", args.ttl.as_millis()),
            ];
            contest.contenders.push(Contender::start(name.to_owned(), arguments.into(), at)?);
        }
        Ok(contest)
    }

    async fn becomes_whole(&mut self) -> Fallible {
        let limit = Instant::now() + SETTLE;
        loop {
            let leaders = self.contenders.iter().filter(|contender| contender.leads()).count();
            if leaders == 1 && self.contenders.iter().all(Contender::is_whole) {
                return Ok(());
            }
            if Instant::now() > limit {
                let words: Vec<_> = self.contenders.iter().map(Contender::last_words).collect();
                return Err(format!("{}: not whole within {SETTLE:?}\n{}", self.what, words.join("\n")).into());
            }
            sleep(STEP).await;
        }
    }

    /// Kills the leader, and its database with it; gives its number and the moment.
    fn kill_leader(&mut self) -> Fallible<(usize, Duration)> {
        let place = self.contenders.iter().position(Contender::leads);
        let place = place.ok_or_else(|| format!("{}: the leader went before it was killed", self.what))?;
        let at = self.contenders[place].kill()?;
        if let Some(database) = self.databases.get(place) {
            database.kill()?;
        }
        Ok((place, at))
    }

    /// Waits until another one says that it leads.
    async fn has_moved(&mut self, victim: usize, killed: Duration) -> Fallible {
        let limit = Instant::now() + MOVE;
        loop {
            let others = self.contenders.iter().enumerate().filter(|(place, _)| *place != victim);
            let said = others.map(|(_, contender)| contender.since(killed));
            let leads = said.filter_map(|said| {
                let at = said.iter().find(|(_, word)| *word == Word::Leads(true)).map(|(at, _)| *at)?;
                Some((at, said))
            });
            if let Some((at, said)) = leads.min_by_key(|(at, _)| *at) {
                let serves = said.iter().any(|(_, word)| *word == Word::Step("serving".into()));
                // What comes after leadership is waited for, but not for ever.
                if self.databases.is_empty() || serves || clock::now() > at + Duration::from_secs(5) {
                    let step = |name: &&str| {
                        let mut found = said.iter().filter(|(_, word)| *word == Word::Step((*name).to_owned()));
                        // Several candidacies: the last one won.
                        found.next_back().map(|(at, _)| at.saturating_sub(killed))
                    };
                    self.moves.push(Move { time: at - killed, steps: STEPS.iter().map(step).collect() });
                    return Ok(());
                }
            }
            if Instant::now() > limit {
                let words: Vec<_> = self.contenders.iter().map(Contender::last_words).collect();
                return Err(format!("{}: nobody leads within {MOVE:?}\n{}", self.what, words.join("\n")).into());
            }
            sleep(STEP).await;
        }
    }

    fn figures(&self) -> Figures {
        Figures::of(self.moves.iter().map(|moved| moved.time).collect())
    }
}

/// One member of ours, as a process.
pub(super) struct Member<'a> {
    pub(super) cluster: &'a str,
    pub(super) member: &'a str,
    pub(super) members: &'a [&'a str],
    pub(super) store: Which,
    pub(super) endpoints: &'a [String],
    pub(super) directory: &'a Path,
    pub(super) ttl: Duration,
    pub(super) synchronous: bool,
    /// Of a watch, where it is not the default.
    pub(super) silence: Option<Duration>,
}

/// The command line of one member.
pub(super) fn node_arguments(member: &Member<'_>) -> Vec<String> {
    let store = if member.store == Which::Consul { "consul" } else { "etcd" };
    let mut arguments = vec![
        "node".to_owned(),
        format!("--members={}", member.members.join(",")),
        format!("--member={}", member.member),
        format!("--cluster={}", member.cluster),
        format!("--store={store}"),
        format!("--endpoints={}", member.endpoints.join(",")),
        format!("--directory={}", member.directory.display()),
        format!("--ttl={}ms", member.ttl.as_millis()),
    ];
    arguments.extend(member.synchronous.then(|| "--synchronous".to_owned()));
    arguments.extend(member.silence.map(|silence| format!("--silence={}ms", silence.as_millis())));
    arguments
}

#[derive(Debug)]
enum Servers {
    Etcd(Etcd),
    Consul(Consul),
}

impl Servers {
    async fn start(store: Which) -> Fallible<Self> {
        match store {
            Which::Etcd | Which::Both => Ok(Self::Etcd(Etcd::start(3).await?)),
            Which::Consul => Ok(Self::Consul(Consul::start(3).await?)),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Consul(_) => "Consul",
        }
    }

    fn endpoints(&self) -> Vec<String> {
        match self {
            Self::Etcd(etcd) => etcd.endpoints(),
            Self::Consul(consul) => consul.endpoints(),
        }
    }

    async fn leader(&self) -> Fallible<usize> {
        match self {
            Self::Etcd(etcd) => etcd.leader().await,
            Self::Consul(consul) => consul.leader().await,
        }
    }

    async fn serves(&self) -> Fallible {
        match self {
            Self::Etcd(etcd) => etcd.serves().await,
            Self::Consul(consul) => consul.serves().await,
        }
    }

    fn kill(&self, number: usize) {
        match self {
            Self::Etcd(etcd) => etcd.process(number).kill(),
            Self::Consul(consul) => consul.process(number).kill(),
        }
    }

    fn restart(&self, number: usize) {
        match self {
            Self::Etcd(etcd) => etcd.process(number).restart(),
            Self::Consul(consul) => consul.process(number).restart(),
        }
    }
}

fn print(
    args: &FailoverArgs,
    servers: &Servers,
    case: Case,
    limit: Duration,
    contests: &[Contest],
    without_writes: Vec<Duration>,
) {
    println!(
        "Leader killed, {} {}, ttl {:?}, {} rounds; limit {}",
        servers.name(),
        in_words(case),
        args.ttl,
        args.rounds,
        seconds(limit)
    );
    println!();
    let native = contests.last().map(Contest::figures).unwrap_or_default();
    let mut rows = vec![
        ["what leads", "min", "median", "p95", "max", "within the limit", "median by the store's own"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for contest in contests {
        let figures = contest.figures();
        let within = contest.moves.iter().filter(|moved| moved.time <= limit).count();
        rows.push(vec![
            contest.what.to_owned(),
            seconds(figures.min()),
            seconds(figures.median()),
            seconds(figures.quantile(0.95)),
            seconds(figures.max()),
            format!("{within} of {}", figures.count()),
            ratio(figures.median().as_secs_f64(), native.median().as_secs_f64()),
        ]);
    }
    if !without_writes.is_empty() {
        let figures = Figures::of(without_writes);
        let times = [figures.min(), figures.median(), figures.quantile(0.95), figures.max()];
        let mut row = vec!["(the store takes a write again)".to_owned()];
        row.extend(times.map(seconds));
        row.extend(["-", "-"].map(str::to_owned));
        rows.push(row);
    }
    print_table(&rows);
    let mut heading = vec!["since the kill, median (max)".to_owned()];
    heading.extend(STEPS.map(str::to_owned));
    let mut rows = vec![heading];
    for contest in contests.iter().filter(|contest| !contest.databases.is_empty()) {
        let mut row = vec![contest.what.to_owned()];
        row.extend((0..STEPS.len()).map(|step| {
            let times = Figures::of(contest.moves.iter().filter_map(|moved| moved.steps[step]).collect());
            format!("{} ({})", seconds(times.median()), seconds(times.max()))
        }));
        rows.push(row);
    }
    print_table(&rows);
}
