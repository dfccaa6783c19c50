//! The probe of a real PostgreSQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use odoo_ha_backends::Secret;
use odoo_ha_backends::probe_postgres::{PostgresProbe, PostgresProbeConfig};
use odoo_ha_core::conformance;
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::roles::{HealthProbe, Verdict};
use tokio::net::TcpListener;

use crate::timer;

const TIME: Duration = Duration::from_secs(10);

/// Where PostgreSQL's programs are: `$ODOO_HA_PG_BIN`, or where Debian puts them.
fn programs() -> Option<PathBuf> {
    let asked = std::env::var_os("ODOO_HA_PG_BIN").map(PathBuf::from);
    let usual = ["17", "16", "15"].map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    asked.into_iter().chain(usual).find(|directory| directory.join("initdb").exists())
}

/// A PostgreSQL of its own, reached by a Unix socket; stopped when it is dropped.
struct Server {
    programs: PathBuf,
    directory: tempfile::TempDir,
}

impl Server {
    fn start(programs: PathBuf, superuser_password: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Self { programs, directory };
        let password = server.path("password");
        std::fs::write(&password, superuser_password).unwrap();
        if rustix::process::geteuid().is_root() {
            // PostgreSQL refuses to run as root.
            let given = Command::new("chown").args(["-R", "postgres"]).arg(server.directory.path()).status().unwrap();
            assert!(given.success());
        }
        let (data, log) = (server.path("data"), server.path("log"));
        let words = ["-U", "postgres", "-A", "scram-sha-256", "--no-sync", "--pwfile"];
        server.run("initdb", &[&["-D", text(&data)], &words[..], &[text(&password)]].concat());
        let options = format!("-c listen_addresses='' -c unix_socket_directories='{}'", text(server.directory.path()));
        server.run("pg_ctl", &["-D", text(&data), "-l", text(&log), "-o", &options, "-w", "start"]);
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let done =
            command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let status = done.stderr(Stdio::inherit()).status().unwrap();
        assert!(status.success(), "{command:?}");
    }

    fn config(&self) -> PostgresProbeConfig {
        PostgresProbeConfig::new(text(self.directory.path()), 5432).password(Secret::new("a secret"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", text(&self.path("data")), "-m", "immediate", "-w", "stop"]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn check(config: PostgresProbeConfig) -> Result<Verdict, odoo_ha_core::error::Error> {
    PostgresProbe::new(config).unwrap().check(TIME).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_probe_conforms_and_holds_the_database_to_writing() {
    let Some(programs) = programs() else {
        println!("SKIPPED: no PostgreSQL (set ODOO_HA_PG_BIN to the directory of its programs)");
        return;
    };
    let server = Server::start(programs, "a secret");
    // Accepts and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging =
        PostgresProbe::new(PostgresProbeConfig::new("127.0.0.1", silent.local_addr().unwrap().port())).unwrap();
    let healthy = PostgresProbe::new(server.config()).unwrap();
    let mut elsewhere = server.config();
    elsewhere.port = 5433;
    let unhealthy = PostgresProbe::new(elsewhere).unwrap();
    let report = conformance::health_probe(&healthy, &unhealthy, Some(&hanging), &timer).await;
    println!("{report}");
    report.assert_passed();

    let wrong = check(server.config().password(Secret::new("another"))).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Misconfigured);
    assert!(!wrong.chain().contains("another"), "{}", wrong.chain());
    assert_eq!(check(server.config().database("nowhere")).await.unwrap_err().kind(), ErrorKind::Misconfigured);

    let psql = |statement: &str| {
        let host = text(server.directory.path()).to_owned();
        let status = Command::new(server.programs.join("psql"))
            .env("PGPASSWORD", "a secret")
            .args(["-X", "-q", "-h", &host, "-U", "postgres", "-d", "postgres", "-c", statement])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{statement}");
    };
    // A standby that is waited for and does not exist holds every commit but the probe's.
    psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    psql("SELECT pg_reload_conf()");
    assert_eq!(check(server.config()).await.unwrap(), Verdict::Healthy);
    psql("SET synchronous_commit = local; CREATE ROLE plain LOGIN PASSWORD 'plain'");
    let plain = server.config().user("plain").password(Secret::new("plain"));
    assert_eq!(check(plain).await.unwrap(), Verdict::Healthy);

    psql("ALTER SYSTEM SET default_transaction_read_only = on");
    psql("SELECT pg_reload_conf()");
    let deadline = std::time::Instant::now() + TIME;
    // A reload reaches new sessions soon, not at once.
    loop {
        match check(server.config()).await.unwrap() {
            Verdict::Unhealthy(text) if text.contains("read-only") => break,
            other => assert!(std::time::Instant::now() < deadline, "{other:?}"),
        }
    }
    println!("PostgreSQL probe: healthy, waiting for nobody, read-only, wrong password: as they should be");
}
