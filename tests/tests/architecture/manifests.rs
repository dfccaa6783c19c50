//! What every crate's `Cargo.toml` has to say: the workspace's lints, version of Rust and dependencies, nothing of its own.

use std::fs;

use super::manifest::{entries, has};
use super::repo;

#[test]
fn the_workspace_forbids_unsafe_code() {
    let complaints = check_workspace(&read("Cargo.toml"));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn every_crate_takes_lints_version_and_dependencies_from_the_workspace() {
    let mut complaints = Vec::new();
    for member in members() {
        let path = format!("{member}/Cargo.toml");
        complaints.extend(check_member(&read(&path)).into_iter().map(|complaint| format!("{path}: {complaint}")));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn cargo_sees_the_version_of_rust_and_the_licence_of_every_crate() {
    for package in repo::packages() {
        for field in ["rust_version", "license", "description"] {
            assert!(package[field].is_string(), "{}: no {field}", package["name"]);
        }
    }
}

#[test]
fn a_workspace_without_its_lints_is_seen() {
    let fine = "[workspace.package]\nrust-version = \"1.95\"\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
    assert_eq!(check_workspace(fine), Vec::<String>::new());
    assert_eq!(check_workspace(&fine.replace("forbid", "deny")).len(), 1);
    assert_eq!(check_workspace(&fine.replace("rust-version", "#")).len(), 1);
}

#[test]
fn a_crate_of_its_own_mind_is_seen() {
    let fine = "[package]\nrust-version.workspace = true\nlicense.workspace = true\n[dependencies]\na.workspace = true\n\
        b = { workspace = true, features = [\"c\"] }\n[lints]\nworkspace = true\n";
    assert_eq!(check_member(fine), Vec::<String>::new());
    let offenders = [
        ("a.workspace = true", "a = \"1\""),
        ("a.workspace = true", "a = { path = \"../a\", version = \"1\" }"),
        ("[dependencies]", "[target.'cfg(unix)'.dev-dependencies]\nd = \"*\"\n[dependencies]"),
        ("[lints]", "[dependencies.e]\nversion = \"1\"\n[lints]"),
        ("[lints]", "[lints.rust]"),
        ("rust-version.workspace = true", "rust-version = \"1.60\""),
        ("license.workspace = true", "license = \"GPL-3.0-only\""),
    ];
    for (from, to) in offenders {
        assert_eq!(check_member(&fine.replace(from, to)).len(), 1, "{to}");
    }
}

fn read(path: &str) -> String {
    match fs::read_to_string(repo::root().join(path)) {
        Ok(text) => text,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// The directories of the workspace's crates, from its root.
fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let list = entries(&manifest).into_iter().find(|entry| entry.table == "workspace" && entry.key == "members");
    let value = list.map(|entry| entry.value).unwrap_or_default();
    let members: Vec<String> = value.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(members.len(), repo::packages().len(), "cargo finds as many crates as {members:?} names");
    members
}

fn check_workspace(manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    if !has(manifest, "workspace.lints.rust", "unsafe_code", "\"forbid\"") {
        complaints.push("[workspace.lints.rust] does not say unsafe_code = \"forbid\"".to_owned());
    }
    if !entries(manifest).iter().any(|entry| entry.table == "workspace.package" && entry.key == "rust-version") {
        complaints.push("[workspace.package] has no rust-version".to_owned());
    }
    complaints
}

fn check_member(manifest: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let required = [("lints", "workspace"), ("package", "rust-version.workspace"), ("package", "license.workspace")];
    for (table, key) in required {
        if !has(manifest, table, key, "true") {
            complaints.push(format!("[{table}] does not say {key} = true"));
        }
    }
    for entry in entries(manifest) {
        let own_table = entry.table.contains("dependencies.");
        let a_dependency = own_table || entry.table.ends_with("dependencies");
        let shared = entry.key.ends_with(".workspace") || entry.value.replace(' ', "").contains("workspace=true");
        // A dependency in a table of its own says `workspace = true` there, or never: one a line is asked for.
        if own_table || a_dependency && !shared {
            complaints
                .push(format!("line {}: {} in [{}] is not `workspace = true`", entry.line, entry.key, entry.table));
        }
    }
    complaints
}
