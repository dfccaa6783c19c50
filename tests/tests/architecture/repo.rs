//! Reads the repository: its files, and what cargo says of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// One file of the repository that is text.
pub(crate) struct TextFile {
    /// Its path from the repository's root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The directory that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Asked at run time first: two checkouts may share one target directory, and so one compiled test.
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&here).join("..")
}

/// Every text file of the repository, sorted by path; neither git's own files nor build output.
pub(crate) fn text_files() -> Vec<TextFile> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        files.iter().any(|file| file.path == "Cargo.toml") && files.iter().any(|file| file.path.ends_with(".rs")),
        "the repository was not found at {}",
        root().display()
    );
    files
}

/// The Rust files below `directory`, given from the root.
pub(crate) fn rust_files(directory: &str) -> Vec<TextFile> {
    let below = format!("{directory}/");
    let mut files = text_files();
    files.retain(|file| file.path.ends_with(".rs") && (directory.is_empty() || file.path.starts_with(&below)));
    files
}

/// What `cargo metadata` says of the workspace's own packages, each as JSON.
pub(crate) fn packages() -> Vec<Value> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).unwrap_or_default();
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    assert!(!packages.is_empty(), "cargo metadata showed no package: {text:.200}");
    packages
}

/// The name of every package that a build of `package` with exactly these features links, itself included.
pub(crate) fn linked(package: &str, features: &str) -> Vec<String> {
    let format = ["--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let mut arguments = vec!["tree", "--package", package, "--no-default-features", "--features", features];
    arguments.extend(format);
    package_names(&cargo(&arguments))
}

/// The names in the output of `cargo tree --prefix none --format {p}`, sorted, each once.
fn package_names(tree: &str) -> Vec<String> {
    let mut names: Vec<String> = tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

fn cargo(arguments: &[&str]) -> String {
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(program).current_dir(root()).args(arguments).args(["--offline", "--locked"]).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(output) => panic!("cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("cargo {arguments:?} did not start: {error}"),
    }
}

fn collect(directory: &Path, prefix: &str, files: &mut Vec<TextFile>) {
    // A file that goes while we look is somebody's temporary one; links are not followed, they could lead outside.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !matches!(name.as_str(), ".git" | "target") {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if kind.is_file()
            && name != ".git"
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push(TextFile { path, text });
        }
    }
}

#[test]
fn tree_output_is_read_by_name() {
    let tree = "odoo-ha-core v0.1.0 (/somewhere)\nserde v1.0.0\n\nserde v1.0.0 (*)\n";
    assert_eq!(package_names(tree), ["odoo-ha-core", "serde"]);
}

#[test]
fn files_are_found_by_their_path_from_the_root() {
    let paths: Vec<String> = rust_files("tests/tests/architecture").into_iter().map(|file| file.path).collect();
    assert!(paths.contains(&"tests/tests/architecture/repo.rs".to_owned()), "{paths:?}");
    assert!(!text_files().iter().any(|file| file.path.starts_with(".git/") || file.path.starts_with("target/")));
}
