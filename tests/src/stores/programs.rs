//! Where `.ci/peers` has put the programs that Debian's own release lacks.

use std::env;
use std::path::PathBuf;

/// A program below `tools/DIRECTORY/usr/` of the target directory.
///
/// # Panics
///
/// When it is not there: a test that cannot run fails, and says what to do.
pub fn tool(directory: &str, program: &str) -> PathBuf {
    find_tool(directory, program).unwrap_or_else(|| panic!("{directory} is not there: run .ci/setup (make setup)"))
}

/// The same; `None` when it is not there.
pub fn find_tool(directory: &str, program: &str) -> Option<PathBuf> {
    let tree = find_tree(directory)?;
    ["bin", "sbin"].map(|bin| tree.join("usr").join(bin).join(program)).into_iter().find(|path| path.is_file())
}

/// `tools/DIRECTORY` of the target directory; `None` when it is not there.
pub fn find_tree(directory: &str) -> Option<PathBuf> {
    let place = PathBuf::from("tools").join(directory);
    let executable = env::current_exe().expect("it is running");
    // target/debug/deps/PROGRAM, or one deeper with a target triple.
    let targets =
        executable.ancestors().skip(1).map(PathBuf::from).chain(env::var_os("CARGO_TARGET_DIR").map(PathBuf::from));
    targets.map(|target| target.join(&place)).find(|path| path.is_dir())
}
