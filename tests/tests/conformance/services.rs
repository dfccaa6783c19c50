//! Services: in memory, programs, units of systemd by a program that behaves like `systemctl`, and a manager that is broken on purpose.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::command::CommandService;
use odoo_ha_backends::memory::MemoryServices;
use odoo_ha_backends::systemd::SystemdUnit;
use odoo_ha_backends::{Service, Services};
use odoo_ha_core::conformance::{self, ServicesBench, ServicesWorld};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::roles::{ServiceManager, ServiceState};
use odoo_ha_core::term::Term;
use tempfile::TempDir;

use crate::timer;

const TIME: Duration = Duration::from_secs(20);

/// Behaves as `systemctl` does where it is asked by the backend; a unit is a process (`sleep`), a file with its number, a line in `history`.
const SYSTEMCTL: &str = r#"#!/bin/sh
here=${0%/*}
while [ "${1#--}" != "$1" ]; do shift; done
verb=$1; shift
while [ "${1#--}" != "$1" ] && [ "$1" != -- ]; do shift; done
[ "$1" = -- ] || exit 1
unit=$2
[ -e "$here/denied" ] && { echo "Access denied" >&2; exit 4; }
pid=$(cat "$here/$unit.pid" 2>/dev/null)
# A zombie is what nobody has waited for yet.
runs() { [ -n "$pid" ] && [ -e "/proc/$pid/stat" ] && ! grep -q ') Z ' "/proc/$pid/stat" 2>/dev/null; }
# What runs goes on when its file is removed.
load=loaded; [ -e "$here/$unit.unit" ] || load=not-found
[ "$load" = loaded ] || [ "$verb" = show ] || runs || { echo "Unit $unit not found." >&2; exit 5; }
case $verb in
show) [ -e "$here/blind" ] && { rm "$here/blind"; exit 1; }
    echo "LoadState=$load"; if runs; then echo ActiveState=active; else echo ActiveState=inactive; fi ;;
start) runs && exit 0
    setsid sleep 300 >/dev/null 2>&1 </dev/null &
    echo $! >"$here/$unit.pid"; echo "start $unit" >>"$here/history" ;;
stop) [ -e "$here/$unit.stubborn" ] && sleep 1000
    [ -e "$here/$unit.deaf" ] && exit 0
    runs || exit 0
    kill "$pid"; while runs; do sleep 0.01; done; echo "stop $unit" >>"$here/history" ;;
kill) runs || exit 1
    kill -9 "$pid" ;;
*) exit 1 ;;
esac
"#;

/// Units, or what looks like them.
struct Units {
    folder: TempDir,
    names: Vec<&'static str>,
    manager: Arc<dyn ServiceManager>,
}

fn tool(folder: &Path) -> PathBuf {
    let path = folder.join("systemctl");
    std::fs::write(&path, SYSTEMCTL).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

fn service(tool: &Path, kind: &str, name: &str) -> Arc<dyn Service> {
    if kind == "systemd" {
        return Arc::new(SystemdUnit::new(name).unwrap().systemctl(tool).unwrap());
    }
    let order = |verb: &str| shell(format!("exec {} {verb} -- {name}", tool.display()));
    let status = shell(format!(
        "seen=$({} show -- {name}) || exit 4; [ \"${{seen%=active}}\" != \"$seen\" ] || exit 3",
        tool.display()
    ));
    let service = CommandService::new(name, order("start"), order("stop"), status).unwrap();
    Arc::new(service.kill(order("kill")).unwrap())
}

impl Units {
    /// Of systemd, of programs that use the same tool, or of both.
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tool = tool(folder.path());
        let names = vec!["nginx.service", "odoo.service", "odoo-cron.service"];
        let services = names.iter().enumerate().map(|(place, name)| {
            std::fs::write(folder.path().join(format!("{name}.unit")), "").unwrap();
            let kind = if kind == "both" && place == 1 { "systemd" } else { kind };
            service(&tool, kind, name)
        });
        let manager = Arc::new(Services::new(services.collect()).unwrap());
        Self { folder, names, manager }
    }

    fn service(&self, kind: &str, name: &str) -> Arc<dyn Service> {
        service(&self.folder.path().join("systemctl"), kind, name)
    }

    fn has(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").unwrap();
    }

    fn pid(&self, name: &str) -> Option<i32> {
        std::fs::read_to_string(self.folder.path().join(format!("{name}.pid"))).ok()?.trim().parse().ok()
    }

    fn runs(&self, name: &str) -> bool {
        let stat = self.pid(name).and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        stat.is_some_and(|stat| !stat.contains(") Z "))
    }

    fn kill(&self, name: &str) {
        if let Some(pid) = self.pid(name).filter(|_| self.runs(name)) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        for name in &self.names {
            self.kill(name);
        }
    }
}

#[async_trait]
impl ServicesWorld for Units {
    fn manager(&self) -> Arc<dyn ServiceManager> {
        Arc::clone(&self.manager)
    }

    fn count(&self) -> usize {
        self.names.len()
    }

    async fn running(&self) -> Vec<usize> {
        (0..self.names.len()).filter(|place| self.runs(self.names[*place])).collect()
    }

    async fn history(&self) -> Option<Vec<(usize, bool)>> {
        let text = std::fs::read_to_string(self.folder.path().join("history")).unwrap_or_default();
        let event = |line: &str| {
            let (verb, name) = line.split_once(' ').unwrap();
            (self.names.iter().position(|unit| *unit == name).unwrap(), verb == "start")
        };
        Some(text.lines().map(event).collect())
    }

    async fn crash(&self, place: usize) -> bool {
        self.kill(self.names[place]);
        while self.runs(self.names[place]) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    fn fences_by_term(&self) -> bool {
        true
    }
}

struct OfKind(&'static str);

#[async_trait]
impl ServicesBench for OfKind {
    async fn services(&self) -> Result<Arc<dyn ServicesWorld>, Error> {
        Ok(Arc::new(Units::new(self.0)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_conform_as_units_as_programs_and_as_both() {
    for kind in ["systemd", "command", "both"] {
        let report = conformance::services(&OfKind(kind), &timer).await;
        println!("{kind}: {report}");
        report.assert_passed();
        assert_eq!(report.skips().count(), 0);
    }
}

struct Memory(Arc<MemoryServices>, Arc<dyn ServiceManager>);

#[async_trait]
impl ServicesWorld for Memory {
    fn manager(&self) -> Arc<dyn ServiceManager> {
        Arc::clone(&self.1)
    }

    fn count(&self) -> usize {
        1
    }

    async fn running(&self) -> Vec<usize> {
        if self.0.status(TIME).await.unwrap() == ServiceState::Running { vec![0] } else { Vec::new() }
    }

    async fn crash(&self, _place: usize) -> bool {
        self.0.set_state(ServiceState::Stopped);
        true
    }

    fn fences_by_term(&self) -> bool {
        true
    }
}

/// Services in memory, behind a manager with a mistake or without.
struct InMemory(Option<Mistake>);

#[async_trait]
impl ServicesBench for InMemory {
    async fn services(&self) -> Result<Arc<dyn ServicesWorld>, Error> {
        let services = Arc::new(MemoryServices::new());
        let manager: Arc<dyn ServiceManager> = match self.0 {
            None => services.clone(),
            Some(mistake) => Arc::new(Broken { services: services.clone(), mistake }),
        };
        Ok(Arc::new(Memory(services, manager)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    StopsNothing,
    StartsNothing,
    SaysRunning,
    IgnoresTerms,
    LeavesStoppedAfterRestart,
}

#[derive(Debug)]
struct Broken {
    services: Arc<MemoryServices>,
    mistake: Mistake,
}

impl Broken {
    fn term(&self, term: Term) -> Term {
        if self.mistake == Mistake::IgnoresTerms { Term(9) } else { term }
    }
}

#[async_trait]
impl ServiceManager for Broken {
    async fn start(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        if self.mistake == Mistake::StartsNothing {
            return Ok(());
        }
        self.services.start(self.term(term), timeout).await
    }

    async fn stop(&self, timeout: Duration) -> Result<(), Error> {
        if self.mistake == Mistake::StopsNothing {
            return Ok(());
        }
        self.services.stop(timeout).await
    }

    async fn restart(&self, term: Term, timeout: Duration) -> Result<(), Error> {
        self.services.restart(self.term(term), timeout).await?;
        if self.mistake == Mistake::LeavesStoppedAfterRestart {
            self.services.stop(timeout).await?;
        }
        Ok(())
    }

    async fn status(&self, timeout: Duration) -> Result<ServiceState, Error> {
        if self.mistake == Mistake::SaysRunning {
            return Ok(ServiceState::Running);
        }
        self.services.status(timeout).await
    }
}

#[tokio::test]
async fn memory_services_conform_and_broken_ones_are_caught() {
    conformance::services(&InMemory(None), &timer).await.assert_passed();
    let cases = [
        (Mistake::StopsNothing, "what_is_stopped_does_not"),
        (Mistake::StartsNothing, "what_is_started_runs"),
        (Mistake::SaysRunning, "a_crashed_one_is_seen_and_started_again"),
        (Mistake::IgnoresTerms, "an_older_term_is_refused"),
        (Mistake::LeavesStoppedAfterRestart, "a_restart_leaves_all_running"),
    ];
    for (mistake, check) in cases {
        let report = conformance::services(&InMemory(Some(mistake)), &timer).await;
        assert!(report.failures().any(|(name, _)| name == check), "{mistake:?} is not seen by {check}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_stop_is_killed_and_keeps_no_other_running() {
    for kind in ["systemd", "command"] {
        let units = Units::new(kind);
        units.manager().start(Term(1), TIME).await.unwrap();
        units.has("odoo.service.stubborn");
        let began = std::time::Instant::now();
        units.manager().stop(Duration::from_secs(4)).await.unwrap();
        assert_eq!(units.running().await, Vec::<usize>::new());
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_systemctl_says_becomes_an_error_that_says_what_to_do() {
    let units = Units::new("systemd");
    units.manager().start(Term(1), TIME).await.unwrap();
    // Without rights, nothing is known; and a stop that is not known to have stopped all is none.
    units.has("denied");
    let error = units.manager().stop(Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(error.chain().contains("Access denied"), "{}", error.chain());
    let error = units.manager().start(Term(1), TIME).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("polkit"), "{error}");
    assert_eq!(units.manager().status(TIME).await.unwrap_err().kind(), ErrorKind::Unavailable);
    // A unit that is not there is the operator's to mend.
    let folder = tempfile::tempdir().unwrap();
    let missing = SystemdUnit::new("odoo.service").unwrap().systemctl(tool(folder.path())).unwrap();
    let manager = Services::new(vec![Arc::new(missing)]).unwrap();
    for error in [manager.start(Term(1), TIME).await.unwrap_err(), manager.status(TIME).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        let said = error.to_string();
        assert!(said.contains("there is no") && said.contains("odoo.service"), "{said}");
        assert!(said.contains("daemon-reload"), "{said}");
    }
}

/// Else its node could never give up, hand over or leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_is_not_there_counts_as_stopped_unless_it_runs() {
    let units = Units::new("systemd");
    units.manager().start(Term(1), TIME).await.unwrap();
    let remove = |name: &str| std::fs::remove_file(units.folder.path().join(format!("{name}.unit"))).unwrap();
    // One that runs when its file goes, as in an upgrade, is seen and stopped; one that is killed then is gone.
    remove("odoo.service");
    assert_eq!(units.manager().status(TIME).await.unwrap(), ServiceState::Running);
    remove("nginx.service");
    units.kill("nginx.service");
    units.manager().stop(TIME).await.unwrap();
    assert_eq!(units.running().await, Vec::<usize>::new());
    units.manager().stop(TIME).await.unwrap();
    let error = units.manager().start(Term(2), TIME).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert_eq!(units.manager().restart(Term(2), TIME).await.unwrap_err().kind(), ErrorKind::Misconfigured);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_fails_keeps_nothing_running() {
    // Says that it stopped and runs on, or does not stop: it is killed, whatever the look in between, or after, says.
    for (kind, way) in [("systemd", "deaf"), ("systemd", "stubborn"), ("command", "deaf"), ("command", "stubborn")] {
        let units = Units::new(kind);
        units.manager().start(Term(1), TIME).await.unwrap();
        units.has(&format!("odoo.service.{way}"));
        units.has("nginx.service.deaf");
        units.has("odoo-cron.service.deaf");
        for name in &units.names {
            units.has("blind");
            let manager = Services::new(vec![units.service(kind, name)]).unwrap();
            manager
                .stop(Duration::from_secs(4))
                .await
                .unwrap_or_else(|error| panic!("{kind} {way} {name}: {}", error.chain()));
        }
        assert_eq!(units.running().await, Vec::<usize>::new(), "{kind} {way}");
    }
}

fn shell(script: String) -> [String; 3] {
    ["/bin/sh".to_owned(), "-c".to_owned(), script]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_which_nothing_is_known_is_stopped_all_the_same() {
    for status in ["exit 4", "sleep 1000"] {
        let folder = tempfile::tempdir().unwrap();
        let stopped = folder.path().join("stopped");
        let stop = shell(format!("touch {}", stopped.display()));
        let service = CommandService::new("odoo", shell("exit 0".to_owned()), stop, shell(status.to_owned())).unwrap();
        let services = Services::new(vec![Arc::new(service)]).unwrap();
        let error = services.stop(Duration::from_secs(4)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
        assert!(stopped.exists(), "{status}");
    }
}

/// A node that gives up must not come up with its services seconds later.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_start_of_a_slow_service() {
    let folder = tempfile::tempdir().unwrap();
    let [begun, up] = ["begun", "up"].map(|name| folder.path().join(name));
    let start = shell(format!("touch {}; sleep 3; touch {}", begun.display(), up.display()));
    let stop = shell(format!("rm -f {}", up.display()));
    let status = shell(format!("[ -e {} ] || exit 3", up.display()));
    let service = CommandService::new("odoo", start, stop, status).unwrap();
    let services = Arc::new(Services::new(vec![Arc::new(service)]).unwrap());
    let starting = {
        let services = Arc::clone(&services);
        tokio::spawn(async move { services.start(Term(1), TIME).await })
    };
    odoo_ha_tests::stores::eventually("its start is under way", TIME, async || begun.exists().then_some(())).await;
    services.stop(TIME).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), starting).await.expect("the start ends with it");
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::Unknown);
    // Longer than the rest of what it would have taken.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert!(!up.exists());
}
