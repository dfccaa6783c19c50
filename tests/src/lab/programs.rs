//! The programs that a lab runs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::stores::tool;

/// Where they are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `odoo-ha-agent`.
    pub agent: PathBuf,
    /// `odoo-hactl`.
    pub hactl: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
}

impl Programs {
    /// Those that cargo has built beside this program.
    ///
    /// # Panics
    ///
    /// When they are not there.
    pub fn beside() -> Self {
        let own = std::env::current_exe().expect("it is running");
        let find = |name: &str| {
            let places = own.ancestors().skip(1).take(2).map(|directory| directory.join(name));
            let found = places.into_iter().find(|path| path.is_file());
            found.unwrap_or_else(|| panic!("{name} is not beside {}: build it first", own.display()))
        };
        Self { agent: find("ha_agent"), hactl: find("ha_ctl"), etcd: tool("etcd-3.5", "etcd") }
    }
}

/// Runs a program to its end; what it printed.
///
/// # Panics
///
/// When it fails.
pub(super) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
