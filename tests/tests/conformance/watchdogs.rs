//! Watchdogs: in memory, the guard, the kernel's by a file that behaves like it, two of them as one, and some that are broken on purpose.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::guard::{GuardConfig, GuardState, GuardWatchdog, now};
use odoo_ha_backends::linux_watchdog::LinuxWatchdogConfig;
use odoo_ha_backends::memory::MemoryWatchdog;
use odoo_ha_core::conformance::{self, WatchdogBench, WatchdogNode};
use odoo_ha_core::driver::WatchdogPair;
use odoo_ha_core::error::Error;
use odoo_ha_core::roles::{Feed, Watchdog};
use odoo_ha_core::time::Moment;
use odoo_ha_tests::fake_watchdog::FakeWatchdog;
use tempfile::TempDir;

use crate::timer;

const TIME: Duration = Duration::from_secs(10);

/// A watchdog in memory that is handed the real time.
struct Remembered {
    dog: MemoryWatchdog,
    handed: Arc<dyn Watchdog>,
    acted: Arc<Mutex<Option<Moment>>>,
    clock: tokio::task::JoinHandle<()>,
}

impl Remembered {
    fn new(broken: impl Fn(MemoryWatchdog) -> Arc<dyn Watchdog>) -> Self {
        let dog = MemoryWatchdog::new(Duration::from_millis(200));
        let acted: Arc<Mutex<Option<Moment>>> = Arc::default();
        let (timed, told) = (dog.clone(), Arc::clone(&acted));
        let clock = tokio::spawn(async move {
            loop {
                if timed.handle_time(now()).is_some() {
                    told.lock().unwrap().get_or_insert(now());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Self { handed: broken(dog.clone()), dog, acted, clock }
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

#[async_trait]
impl WatchdogNode for Remembered {
    fn watchdog(&self) -> Arc<dyn Watchdog> {
        Arc::clone(&self.handed)
    }

    async fn another_start(&self) -> Option<Arc<dyn Watchdog>> {
        Some(Arc::clone(&self.handed))
    }

    fn now(&self) -> Moment {
        now()
    }

    async fn harmless_at(&self) -> Option<Moment> {
        *self.acted.lock().unwrap()
    }

    async fn break_it(&self) -> bool {
        self.dog.die();
        true
    }
}

/// Nodes of one kind.
struct Nodes<F>(F);

#[async_trait]
impl<N: WatchdogNode + 'static, F: Fn() -> N + Send + Sync> WatchdogBench for Nodes<F> {
    async fn node(&self) -> Result<Arc<dyn WatchdogNode>, Error> {
        Ok(Arc::new((self.0)()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_watchdog_conforms() {
    let report = conformance::watchdog(&Nodes(|| Remembered::new(|dog| Arc::new(dog))), &timer).await;
    println!("{report}");
    report.assert_passed();
}

/// The kernel's, by a made-up device.
struct Kernel {
    device: FakeWatchdog,
    dog: Arc<dyn Watchdog>,
}

impl Kernel {
    fn new() -> Self {
        let device = FakeWatchdog::new(60, now);
        let config = LinuxWatchdogConfig::new()
            .device(device.device())
            .sysfs_dir(device.sysfs_dir())
            .wdctl(Some(device.wdctl()))
            .timeout(Duration::from_secs(1))
            .acts_before(Duration::from_millis(200));
        Self { device, dog: Arc::new(config.build().unwrap()) }
    }
}

#[async_trait]
impl WatchdogNode for Kernel {
    fn watchdog(&self) -> Arc<dyn Watchdog> {
        Arc::clone(&self.dog)
    }

    fn now(&self) -> Moment {
        now()
    }

    async fn harmless_at(&self) -> Option<Moment> {
        self.device.seen().reset
    }

    async fn break_it(&self) -> bool {
        self.device.break_it();
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kernel_watchdog_conforms_by_a_file_that_behaves_like_a_device() {
    let report = conformance::watchdog(&Nodes(Kernel::new), &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 1, "the device can be open once only");
}

/// The guard, of a data directory that holds nothing.
struct Guarded {
    folder: TempDir,
    dog: Arc<GuardWatchdog>,
}

impl Guarded {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("odoo-ha-").tempdir_in("/tmp").unwrap();
        let data: PathBuf = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let dog = Arc::new(Self::dog(&folder));
        Self { folder, dog }
    }

    fn dog(folder: &TempDir) -> GuardWatchdog {
        let config = GuardConfig::new(folder.path().join("data")).program(env!("CARGO_BIN_EXE_guard_agent"));
        config.kill_agent(false).build().unwrap()
    }
}

#[async_trait]
impl WatchdogNode for Guarded {
    fn watchdog(&self) -> Arc<dyn Watchdog> {
        self.dog.clone()
    }

    async fn another_start(&self) -> Option<Arc<dyn Watchdog>> {
        Some(Arc::new(Self::dog(&self.folder)))
    }

    fn now(&self) -> Moment {
        now()
    }

    async fn harmless_at(&self) -> Option<Moment> {
        let status = self.dog.status(TIME).await.unwrap()?;
        status.last.filter(|_| status.state != GuardState::Acting)?.ended
    }

    async fn break_it(&self) -> bool {
        let status = self.dog.status(TIME).await.unwrap().unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(status.pid).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        true
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // One that nobody needs ends by itself, but not before its folder has gone.
        if let Ok(text) = std::fs::read_to_string("/proc/self/stat") {
            let own = text.split(' ').next().unwrap_or_default().to_owned();
            let folder = self.folder.path().display().to_string();
            for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
                let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
                if pid.to_string() != own && line.contains("--odoo-ha-guard") && line.contains(&folder) {
                    let pid = rustix::process::Pid::from_raw(pid).unwrap();
                    _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guard_conforms() {
    let report = conformance::watchdog(&Nodes(Guarded::new), &timer).await;
    println!("{report}");
    report.assert_passed();
}

/// Two as one: one of them breaks, and whoever acts first makes the node harmless.
struct Two {
    first: Remembered,
    second: Kernel,
    dog: Arc<dyn Watchdog>,
    first_breaks: bool,
}

impl Two {
    fn new(first_breaks: bool) -> Self {
        let (first, second) = (Remembered::new(|dog| Arc::new(dog)), Kernel::new());
        let dog = Arc::new(WatchdogPair::new(first.watchdog(), second.watchdog()));
        Self { first, second, dog, first_breaks }
    }
}

#[async_trait]
impl WatchdogNode for Two {
    fn watchdog(&self) -> Arc<dyn Watchdog> {
        Arc::clone(&self.dog)
    }

    fn now(&self) -> Moment {
        now()
    }

    async fn harmless_at(&self) -> Option<Moment> {
        let acted = [self.first.harmless_at().await, self.second.harmless_at().await];
        // Both must have acted in the end, or one of them was not fed with what the other was.
        if acted.iter().all(Option::is_some) { acted.into_iter().flatten().max() } else { None }
    }

    async fn break_it(&self) -> bool {
        if self.first_breaks { self.first.break_it().await } else { self.second.break_it().await }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_watchdogs_conforms() {
    // Each of the two breaks once.
    let (one, two) = (Nodes(|| Two::new(true)), Nodes(|| Two::new(false)));
    let (one, two) = tokio::join!(conformance::watchdog(&one, &timer), conformance::watchdog(&two, &timer));
    for report in [one, two] {
        println!("{report}");
        report.assert_passed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pair_that_cannot_be_armed_none_is() {
    let (first, second) = (Remembered::new(|dog| Arc::new(dog)), Kernel::new());
    second.device.says("nowayout", "1");
    let pair = WatchdogPair::new(first.watchdog(), second.watchdog());
    let feed = Feed { incarnation: 1, term: odoo_ha_core::term::Term(1), deadline: Some(now() + TIME) };
    let refused = pair.arm(feed, TIME).await.unwrap_err();
    assert!(refused.to_string().contains("nowayout=0"), "{refused}");
    assert_eq!(first.dog.armed(), None);
    assert_eq!(pair.acts_before(), Duration::from_millis(200));
}

/// A leader that serves is not left without any because one of two breaks.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_pair_that_was_armed_one_that_breaks_leaves_the_other_on_guard() {
    let (first, second) = (Remembered::new(|dog| Arc::new(dog)), Kernel::new());
    let pair = WatchdogPair::new(first.watchdog(), second.watchdog());
    let feed = || Feed { incarnation: 1, term: odoo_ha_core::term::Term(1), deadline: Some(now() + TIME) };
    pair.arm(feed(), TIME).await.unwrap();
    second.device.says("nowayout", "1");
    assert!(second.break_it().await);
    tokio::time::timeout(TIME, pair.lost()).await.expect("it is told");
    let again = pair.arm(feed(), TIME).await.unwrap_err();
    assert_eq!(again.kind(), odoo_ha_core::error::ErrorKind::Unknown, "{again}");
    assert!(first.dog.armed().is_some());
    let _ = pair.disarm(TIME).await;
    assert_eq!(first.dog.armed(), None);
}

/// A watchdog with one mistake.
#[derive(Debug)]
struct Broken {
    dog: MemoryWatchdog,
    mistake: Mistake,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    /// It adds to what it is told.
    GoesPastDeadlines,
    /// It keeps the deadline that it was armed with.
    IgnoresFeeds,
    /// It stays armed.
    IgnoresDisarm,
    /// It takes an end for none.
    ForgetsTheEnd,
    /// It does not look at terms.
    IgnoresTerms,
    /// It never tells.
    LosesInSilence,
}

#[async_trait]
impl Watchdog for Broken {
    fn acts_before(&self) -> Duration {
        self.dog.acts_before()
    }

    async fn arm(&self, mut feed: Feed, timeout: Duration) -> Result<(), Error> {
        match self.mistake {
            Mistake::GoesPastDeadlines => feed.deadline = feed.deadline.map(|at| at + Duration::from_millis(400)),
            Mistake::IgnoresTerms => feed.term = odoo_ha_core::term::Term(7),
            _ => {}
        }
        self.dog.arm(feed, timeout).await
    }

    async fn feed(&self, mut feed: Feed, timeout: Duration) -> Result<(), Error> {
        match self.mistake {
            Mistake::IgnoresFeeds => return Ok(()),
            Mistake::GoesPastDeadlines => feed.deadline = feed.deadline.map(|at| at + Duration::from_millis(400)),
            Mistake::ForgetsTheEnd if self.dog.armed().is_some_and(|armed| armed.deadline.is_none()) => return Ok(()),
            Mistake::IgnoresTerms => feed.term = odoo_ha_core::term::Term(7),
            _ => {}
        }
        self.dog.feed(feed, timeout).await
    }

    async fn disarm(&self, timeout: Duration) -> Result<(), Error> {
        if self.mistake == Mistake::IgnoresDisarm {
            return Ok(());
        }
        self.dog.disarm(timeout).await
    }

    async fn lost(&self) {
        if self.mistake == Mistake::LosesInSilence {
            std::future::pending::<()>().await;
        }
        self.dog.lost().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_watchdogs_are_caught() {
    let cases = [
        (Mistake::GoesPastDeadlines, "unfed_it_acts_before_the_deadline"),
        (Mistake::IgnoresFeeds, "fed_it_leaves_the_node_alone"),
        (Mistake::IgnoresDisarm, "disarmed_it_does_not_act"),
        (Mistake::ForgetsTheEnd, "without_an_end_it_waits"),
        (Mistake::IgnoresTerms, "an_older_term_is_refused"),
        (Mistake::LosesInSilence, "a_lost_one_is_told"),
    ];
    let trials = cases.map(|(mistake, check)| {
        tokio::spawn(async move {
            let broken = move |dog| Arc::new(Broken { dog, mistake }) as Arc<dyn Watchdog>;
            let report = conformance::watchdog(&Nodes(move || Remembered::new(broken)), &timer).await;
            assert!(report.failures().any(|(name, _)| name == check), "{mistake:?} is not seen by {check}: {report}");
        })
    });
    for trial in trials {
        trial.await.unwrap();
    }
}
