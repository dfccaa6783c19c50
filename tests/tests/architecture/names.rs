//! What no file may name: a registry's host, or a path of the machine that it was written on. Everything here is built
//! from registries by package name, wherever those are, and a path of one machine means nothing on the next.

use super::repo;

/// Files that tools write and people do not: cargo's own list of sources.
const GENERATED: &[&str] = &["Cargo.lock"];

/// Put together here, so that this file does not name them either.
fn forbidden_hosts() -> Vec<String> {
    let hosts = [
        ("crates", "io"),
        ("deb.debian", "org"),
        ("security.debian", "org"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
    ];
    hosts.iter().map(|(name, domain)| format!("{name}.{domain}")).collect()
}

fn machine_path() -> String {
    ["", "work", ""].join("/")
}

#[test]
fn no_file_names_a_registry_or_this_machine() {
    let mut complaints = Vec::new();
    for file in repo::text_files().iter().filter(|file| !GENERATED.contains(&file.path.as_str())) {
        complaints.extend(check(&file.text).into_iter().map(|complaint| format!("{}:{complaint}", file.path)));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn a_registry_or_a_path_of_this_machine_is_seen() {
    for host in forbidden_hosts() {
        assert_eq!(check(&format!("a\nsee https://{}/x", host.to_uppercase())).len(), 1, "{host}");
    }
    let path = machine_path();
    for offender in [format!("{path}main"), format!("cd \"{path}target\""), format!("x={path}")] {
        assert_eq!(check(&offender).len(), 1, "{offender}");
    }
    let fine = format!("/home/me{path}x ./{}framework/ /workspace/", &path[1..]);
    assert_eq!(check(&fine), Vec::<String>::new());
}

fn check(text: &str) -> Vec<String> {
    let hosts = forbidden_hosts();
    let machine_path = machine_path();
    let mut complaints = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let host = hosts.iter().find(|host| lower.contains(host.as_str()));
        complaints.extend(host.map(|host| format!("{}: names {host}", index + 1)));
        // Only where a path begins: a longer one may well go through a directory of that name.
        let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~}*".contains(c));
        if line.match_indices(&machine_path).any(|(at, _)| begins(at)) {
            complaints.push(format!("{}: names a path of this machine", index + 1));
        }
    }
    complaints
}
