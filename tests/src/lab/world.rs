//! Namespaces of a test's own.

use std::ffi::OsString;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};

/// Tells the second run that it is in its own world.
const MARK: &str = "ODOO_HA_TEST_LAB";

/// What runs first in the new namespaces. The shell stays as process 1 and buries what loses its parent, as an init does: a zombie would look
/// like a living process. Names of network namespaces, locks and the lab's files lie on a file system of the world's own.
const BEGIN: &str = r#"mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/lab && ip link set lo up || exit 97
"$@" & wait $!"#;

/// So many labs at a time: they are sensitive to processors that are not there.
const MOST_AT_A_TIME: usize = 2;

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// Runs `body` in network, process and mount namespaces of its own. It needs root: for anybody else it says that it was skipped.
///
/// `test` is the name of the calling test within its program: it is run a second time.
///
/// # Panics
///
/// When the second run fails, or ran no test.
pub fn in_world(test: &str, body: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED {test}: namespaces take root");
        return;
    }
    let _turn = Turn::wait();
    let program = std::env::current_exe().expect("it is running");
    let output = unshared([program.into(), "--exact".into(), test.into(), "--nocapture".into()]).output();
    let output = output.expect("unshare runs (package util-linux)");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    // A name that is not the test's would run none, and pass.
    assert!(output.status.success() && said.contains("1 passed"), "{test} in its own world: {}", output.status);
}

/// The same for a whole program: `None` when this is the run inside, else the exit code of that run.
pub fn program_in_world() -> Option<i32> {
    if std::env::var_os(MARK).is_some() {
        return None;
    }
    assert!(rustix::process::geteuid().is_root(), "namespaces take root");
    let program = std::env::current_exe().expect("it is running");
    let command = std::iter::once(OsString::from(program)).chain(std::env::args_os().skip(1));
    let status = unshared(command).status().expect("unshare runs (package util-linux)");
    Some(status.code().unwrap_or(1))
}

fn unshared(command: impl IntoIterator<Item = OsString>) -> Command {
    let mut unshare = Command::new("setpriv");
    // The world ends with unshare, and that with the thread that waits for it.
    unshare.args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    unshare.args(["--mount-proc", "sh", "-c", BEGIN, "sh"]).args(command).env(MARK, "1");
    // What a login has on its path, a test's environment may lack.
    let path = std::env::var("PATH").unwrap_or_default();
    unshare.env("PATH", format!("{path}:/usr/sbin:/sbin:/usr/bin:/bin"));
    unshare
}

/// One of the places for labs.
struct Turn;

impl Turn {
    fn wait() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let running = ENDED.wait_while(running, |running| *running >= MOST_AT_A_TIME);
        *running.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}
