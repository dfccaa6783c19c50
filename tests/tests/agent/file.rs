//! The file: what is refused, and what `--check` shows.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The small file of the documentation, with this at its end.
fn file(directory: &TempDir, more: &str) -> PathBuf {
    let reference = include_str!("../../../docs/reference/configuration.md");
    let example = reference.split("```").nth(1).and_then(|block| block.strip_prefix("toml\n")).unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, format!("{example}\n{more}")).unwrap();
    path
}

fn check(more: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_ha_agent"))
        .args(["--check", "--config"])
        .arg(file(&directory, more))
        .env("ODOO_HA_TEST_WORD", "hush, hush, hush")
        .output();
    program.unwrap()
}

#[test]
fn check_shows_every_default_and_no_secret() {
    let peers = "[peers]\nlisten = \"10.0.0.1:7400\"\nsecret = { env = \"ODOO_HA_TEST_WORD\" }\n";
    let units =
        ["nginx", "odoo"].map(|name| format!("[[services]]\nsystemd = {{ unit = \"{name}.service\" }}\n")).concat();
    let files = "[filestore.rsync]\npath = \"/var/lib/odoo\"\nsource = \"rsync://copy@{host}:873/odoo/\"\n\
        password = { env = \"ODOO_HA_TEST_WORD\" }\n";
    let output = check(&format!("{peers}\n[timing]\nttl = \"2s\"\n[watchdog.linux]\n{files}{units}"));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in [
        "ttl = \"2s\"",
        "renew_interval = \"400ms\"",
        "port = 5432",
        "timeout = \"1s\"",
        "systemctl = \"/usr/bin/systemctl\"",
        "wdctl = \"/usr/bin/wdctl\"",
        "rsync = \"/usr/bin/rsync\"",
        "interval = \"1s\"",
        "delete_sessions = false",
        "sync_mode = \"synchronous\"",
        "ODOO_HA_TEST_WORD",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    assert!(!shown.contains("hush"), "{shown}");
    // The guard stops what the agent started, the last one first.
    let (_, guard) = shown.split_once("stop_services").unwrap();
    let (odoo, nginx) = (guard.find("odoo.service").unwrap(), guard.find("nginx.service").unwrap());
    assert!(odoo < nginx && guard.contains("\"stop\""), "{shown}");
    // It is a configuration itself, with the same meaning.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.toml");
    std::fs::write(&path, &shown).unwrap();
    let again = Command::new(env!("CARGO_BIN_EXE_ha_agent"))
        .args(["--check", "--config"])
        .arg(&path)
        .env("ODOO_HA_TEST_WORD", "hush, hush, hush")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap(), shown);
}

#[test]
fn an_address_of_the_host_is_dropped_by_the_guard() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("[address.listener]").unwrap();
    let linux = "[address.linux]\naddress = \"10.0.0.9/24\"\ninterface = \"eth0\"\n";
    for (more, command) in [
        ("", "address\", \"flush\", \"dev\", \"eth0\", \"to\", \"10.0.0.9/32\"]"),
        ("[guard]\ndrop_address = [\"/bin/mine\"]\n", "drop_address = [\"/bin/mine\"]"),
    ] {
        std::fs::write(&path, format!("{before}{linux}{more}")).unwrap();
        let program =
            Command::new(env!("CARGO_BIN_EXE_ha_agent")).args(["--check", "--config"]).arg(&path).output().unwrap();
        let shown = String::from_utf8(program.stdout).unwrap();
        assert!(shown.contains(command), "{command} is not in\n{shown}{}", String::from_utf8_lossy(&program.stderr));
    }
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    let cases = [
        ("[timing]\nttl = \"0.2s\"\n", "ttl"),
        ("[timing]\nttl = \"200ms\"\n", "not between 1s and 300s"),
        ("[timing]\ntll = \"5s\"\n", "unknown field `tll`"),
        ("[tming]\nttl = \"5s\"\n", "unknown field `tming`"),
        ("[policy]\nsync_mode = \"sometimes\"\n", "sometimes"),
        ("[policy]\nquorum = 0\n", "line 20 in [policy]: invalid value: integer `0`"),
        ("[[probes]]\n", "exactly one of postgres, tcp and http"),
        ("[[probes]]\ntcp = { host = \"a\", port = 1 }\nhttp = { url = \"http://a\" }\n", "exactly one"),
        ("[dcs.consul]\nendpoints = [\"http://127.0.0.1:8500\"]\n", " in [dcs.etcd]: wanted exactly 1 element"),
        (
            "[peers]\nlisten = \"10.0.0.1:7400\"\nsecret = { env = \"ODOO_HA_NO_SUCH_WORD\" }\n",
            "ODOO_HA_NO_SUCH_WORD is not set",
        ),
        ("[peers]\nlisten = \"10.0.0.1:7400\"\nsecret = \"hush, hush, hush\"\n", "say where the secret is"),
        ("[peers]\nlisten = \"10.0.0.1:7400\"\nsecret = { text = \"hush, hush, hush\" }\n", "say where the secret is"),
        ("[peers]\nlisten = \"10.0.0.1:7400\"\nsecret = \"hush, hush, hush\n", "line 21 in [peers]"),
        ("[watchdog.linux]\ntimeout = \"4s\"\n", "timeout + acts_before + clock_margin + renew_interval <= ttl"),
        ("[watchdog.linux]\ntimeout = \"1s\"\nacts_before = \"1600ms\"\n", "acts_before <= stop_budget does not hold"),
        ("[policy]\nrestarts = 5000\n", "above 1000"),
        ("[[probes]]\ninterval = \"1ms\"\ntcp = { host = \"a\", port = 1 }\n", "interval"),
        ("[api]\nlisten = \"10.0.0.1:8008\"\ntoken = 48151623\n", "say where the secret is"),
        ("[api]\nlisten = \"10.0.0.1:8008\"\ntoken = true\n", "say where the secret is"),
        ("[watchdog.linux]\ndevice = \"/dev/dog\"\n", "set sysfs_dir"),
        ("[timing]\nttl = \"1s\"\n[watchdog.linux]\n", "<= ttl does not hold: 1s"),
        ("[[services]]\n", "exactly one of systemd and command"),
        ("[[services]]\nsystemd = { unit = \"odoo\" }\n", "write it with its suffix"),
        (
            "[[services]]\nsystemd = { unit = \"odoo.service\" }\n[[services]]\nsystemd = { unit = \"odoo.service\" }\n",
            "two services are named",
        ),
        (
            "[[services]]\nsystemd = { unit = \"odoo.service\" }\n[[services]]\ncommand = { name = \"x\", start = [\"/x\"], stop = [\"/x\"], status = [\"/x\"] }\n",
            "say stop_services",
        ),
        ("[filestore]\n", "[filestore]"),
        ("[filestore.rsync]\npath = \"/x\"\nsource = \"rsync://10.0.0.2/odoo/\"\n", "does not name {host}"),
        (
            "[filestore.rsync]\npath = \"/x\"\nsource = \"rsync://copy:hush@{host}/odoo/\"\n",
            "a password does not belong there",
        ),
        ("[filestore.rsync]\npath = \"x\"\nsource = \"rsync://{host}/odoo/\"\n", "rsync: path is no absolute path: x"),
        (
            "[filestore.rsync]\npath = \"/x\"\nsource = \"odoo@{host}:/x/\"\npassword = { env = \"ODOO_HA_TEST_WORD\" }\n",
            "ssh takes none",
        ),
        (
            "[filestore.rsync]\npath = \"/x\"\nsource = \"rsync://{host}/odoo/\"\npassword = { env = \"ODOO_HA_NO_SUCH_WORD\" }\n",
            "ODOO_HA_NO_SUCH_WORD is not set",
        ),
        (
            "[filestore.rsync]\npath = \"/x\"\nsource = \"rsync://{host}/odoo/\"\npassword = \"hush\"\n",
            "say where the secret is",
        ),
        (
            "[filestore.rsync]\npath = \"/x\"\nsource = \"rsync://{host}/odoo/\"\ndelete = true\n",
            "unknown field `delete`",
        ),
        (
            "[filestore.rsync]\npath = \"/x\"\nsource = \"rsync://{host}/odoo/\"\ninterval = \"1ms\"\n",
            "interval is 1ms, not between",
        ),
        ("[[notify]]\n", "exactly one of webhook and slack"),
        ("[[notify]]\nslack = { url = \"hush\" }\n", "say where the secret is"),
        ("[[notify]]\nslack = { url = { env = \"ODOO_HA_TEST_WORD\" } }\n", "neither http:// nor https://"),
        ("[[notify]]\nleast = \"fatal\"\n", "fatal"),
        ("[api]\nlisten = \"everywhere\"\n", "line 20 in [api]"),
        ("[api]\nlisten = \"127.0.0.1:1\"\ntoken = { file = \"/nowhere/token\" }\n", "/nowhere/token"),
        ("[watchdog.windows]\n", "windows"),
        ("[postgres.parameters]\nprimary_conninfo = \"host=x\"\n", "setting \"primary_conninfo\" is the agent's own"),
        ("[postgres.parameters]\n\"work mem\" = \"1MB\"\n", "not the name of a setting"),
        ("[guard]\nruntime_dir = \"guard\"\n", "guard"),
    ];
    for (more, says) in cases {
        let output = check(more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{more}: {said}");
        assert!(said.contains(says) && !said.contains("hush"), "{more}: {says:?} is not in {said}");
    }
    let none = Command::new(env!("CARGO_BIN_EXE_ha_agent")).args(["--config", "/nowhere/node.toml"]).output().unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("/nowhere/node.toml cannot be read"));
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn an_address_that_takes_longer_than_it_may_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("[address.listener]").unwrap();
    for (more, ttl, says) in [
        ("probe_wait = \"1500ms\"", "5s", Some("<= ttl / 4 does not hold: 1.59s > 1.25s")),
        ("probe_wait = \"1500ms\"", "10s", None),
        ("announcements = 20", "2s", Some("<= ttl / 4 does not hold: 530ms > 500ms")),
        ("", "1s", None),
    ] {
        let linux = format!("[address.linux]\naddress = \"10.0.0.9/24\"\ninterface = \"eth0\"\n{more}\n");
        std::fs::write(&path, format!("{before}{linux}[timing]\nttl = \"{ttl}\"\n")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ha_agent")).args(["--check", "--config"]).arg(&path).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), says.is_none(), "{more}: {said}");
        let expected = says.unwrap_or_default();
        assert!(said.contains(expected) && (says.is_none() || said.contains("address.linux")), "{more}: {said}");
    }
}

/// The small file of the documentation with a line more in one of its sections.
fn check_with(section: &str, line: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(section), "{text}");
    std::fs::write(&path, text.replacen(section, &format!("{section}\n{line}"), 1)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_ha_agent")).args(["--check", "--config"]).arg(&path).output().unwrap()
}

#[test]
fn a_delayed_standby_never_leads_and_is_never_waited_for() {
    let shown = check_with("[postgres]", "recovery_min_apply_delay = \"1h\"");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in ["nofailover = true", "nosync = true", "recovery_min_apply_delay = \"1h\""] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    for wrong in ["10us", "25days", "0s"] {
        let refused = check_with("[postgres]", &format!("recovery_min_apply_delay = \"{wrong}\""));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("recovery_min_apply_delay"), "{wrong}: {said}");
    }
}

#[test]
fn a_node_does_not_stream_from_itself() {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(file(&directory, "")).unwrap();
    let member = text.lines().find_map(|line| line.strip_prefix("member = ")).unwrap();
    let refused = check_with("[cluster]", &format!("replicate_from = {member}"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("replicate_from names this node itself"), "{said}");
    assert!(check_with("[cluster]", "replicate_from = \"somebody\"").status.success());
}
