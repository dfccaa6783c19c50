//! The unit for systemd: what it must say, what it may not, and that systemd understands it. It is not run here, since process 1 is another one:
//! `tests/systemd/try-unit` runs it, by hand.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const UNIT: &str = include_str!("../../../odoo-ha-examples/packaging/odoo-ha-agent.service");

/// Section, key and value of every line.
fn entries() -> Vec<(&'static str, &'static str, &'static str)> {
    let (mut section, mut entries) = ("", Vec::new());
    for line in UNIT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else {
            let (key, value) = line.split_once('=').unwrap();
            entries.push((section, key, value));
        }
    }
    entries
}

fn value(key: &str) -> &'static str {
    let mut found = entries().into_iter().filter(|(_, name, _)| *name == key).map(|(_, _, value)| value);
    let value = found.next().unwrap_or_else(|| panic!("{key} is missing"));
    assert!(found.next().is_none(), "{key} stands there twice");
    value
}

#[test]
fn the_database_and_the_guard_outlive_the_agent() {
    assert_eq!((value("Type"), value("KillMode"), value("OOMPolicy")), ("notify", "process", "continue"));
    assert_eq!((value("Restart"), value("StartLimitIntervalSec")), ("always", "0"));
    assert!(value("LimitMEMLOCK") == "infinity" && value("TasksMax") == "infinity");
}

/// An agent that starts anew finds a running database only in its own mount namespace (`systemd.exec(5)`: these make one).
#[test]
fn nothing_makes_a_mount_namespace() {
    let makers = [
        "Protect",
        "Private",
        "Inaccessible",
        "ReadWrite",
        "ReadOnly",
        "Bind",
        "Temporary",
        "Mount",
        "Root",
        "Dynamic",
        "ExecPaths",
        "NoExecPaths",
        "ProcSubset",
        "LoadCredential",
    ];
    for (_, key, _) in entries() {
        assert!(!makers.iter().any(|maker| key.starts_with(maker)), "{key} makes a namespace");
    }
}

#[test]
fn it_starts_a_program_of_this_workspace_with_the_file_of_the_documentation() {
    let words: Vec<&str> = value("ExecStart").split(' ').collect();
    let ["/usr/bin/odoo-ha-agent", "--config", file] = words.as_slice() else { panic!("{words:?}") };
    assert!(include_str!("../../../odoo-ha-examples/Cargo.toml").contains("name = \"odoo-ha-agent\""));
    let reference = include_str!("../../../docs/reference/configuration.md");
    assert!(reference.contains(file) && reference.contains("odoo-ha-agent.service"));
    let directory = format!("/etc/{}/", value("ConfigurationDirectory"));
    assert!(file.starts_with(&directory));
    let state = format!("/var/lib/{}/", value("StateDirectory"));
    assert!(
        reference.contains(&format!("state_dir = \"{state}")) && reference.contains(&format!("data_dir = \"{state}"))
    );
}

#[test]
fn every_right_is_explained() {
    let named = value("CapabilityBoundingSet").split(' ').map(|right| right.strip_prefix("CAP_").unwrap());
    let comments: String = UNIT.lines().filter(|line| line.starts_with('#')).collect();
    for right in named {
        assert!(comments.contains(right), "nothing says what {right} is for");
    }
    assert_eq!(value("NoNewPrivileges"), "yes");
}

#[test]
fn systemd_understands_it() {
    let Some(analyze) =
        Command::new("systemd-analyze").arg("--version").output().ok().filter(|version| version.status.success())
    else {
        println!("SKIPPED: systemd-analyze is not installed (.ci/setup installs it)");
        return;
    };
    println!("{}", String::from_utf8_lossy(&analyze.stdout).lines().next().unwrap_or_default());
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let file = folder.path().join("odoo-ha-agent.service");
    // It looks whether the program is there.
    std::fs::write(&file, UNIT.replace("/usr/bin/odoo-ha-agent", env!("CARGO_BIN_EXE_ha_agent"))).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("odoo-ha-agent.service"), "{said}");
    // And it sees what is wrong.
    std::fs::write(&file, UNIT.replace("KillMode=process", "KillMode=processes")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("kill mode"));
}
