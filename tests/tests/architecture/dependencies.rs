//! What a feature may pull in: core without `driver` no runtime, a backend's feature no other backend's client.

use serde_json::Value;

use super::repo;

const BACKENDS: &str = "odoo-ha-backends";

/// Each feature of the backends crate with the client libraries that it may link. A new feature gets its row here:
/// a client that a row does not name must not come with it.
const CLIENTS: &[(&str, &[&str])] = &[
    ("command", &[]),
    ("consul", &["reqwest"]),
    ("etcd", &["etcd-client", "hickory-resolver"]),
    ("guard", &[]),
    ("linux-address", &["netlink-packet-core", "netlink-packet-route", "netlink-sys", "nix"]),
    ("linux-watchdog", &[]),
    ("listener", &[]),
    ("log", &[]),
    ("memory", &[]),
    ("peers-http", &[]),
    ("postgres", &["tokio-postgres", "postgres-protocol"]),
    ("probe-http", &["reqwest"]),
    ("probe-postgres", &["tokio-postgres", "postgres-protocol"]),
    ("probe-tcp", &[]),
    ("rsync", &[]),
    ("slack", &["reqwest"]),
    ("sqlite", &["rusqlite"]),
    ("systemd", &[]),
    ("webhook", &["reqwest"]),
];

/// Optional dependencies that are nobody's client, or stand under several of them: any feature may have them.
const SHARED: &[&str] = &[
    "base64",
    "futures-util",
    "getrandom",
    "hmac",
    "http-body-util",
    "hyper",
    "hyper-util",
    "rustix",
    "serde",
    "serde_json",
    "sha1",
    "sha2",
    "tokio",
    "tracing",
];

/// What a runtime is made of; the machine and the roles need none.
const RUNTIME: &[&str] = &["tokio", "async-std", "smol", "mio"];

#[test]
fn core_without_its_driver_links_no_runtime() {
    let linked = repo::linked("odoo-ha-core", "");
    assert!(linked.contains(&"serde".to_owned()), "the tree shows what is there: {linked:?}");
    assert_eq!(intruders(&linked, RUNTIME), Vec::<String>::new());
}

#[test]
fn core_with_its_driver_links_one_so_the_check_above_can_see_it() {
    assert_eq!(intruders(&repo::linked("odoo-ha-core", "driver"), &["tokio"]), ["tokio"]);
}

#[test]
fn a_feature_of_the_backends_links_only_its_own_client() {
    let mut complaints = Vec::new();
    for (feature, allowed) in CLIENTS {
        let foreign = foreign_clients(&repo::linked(BACKENDS, feature), allowed, CLIENTS);
        complaints.extend(foreign.into_iter().map(|client| format!("feature {feature} pulls {client}")));
    }
    let foreign = foreign_clients(&repo::linked(BACKENDS, ""), &[], CLIENTS);
    complaints.extend(foreign.into_iter().map(|client| format!("without a feature there is {client}")));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_table_names_every_feature_and_every_optional_dependency() {
    let complaints = table_gaps(&package(BACKENDS), CLIENTS, SHARED);
    assert!(complaints.is_empty(), "tests/tests/architecture/dependencies.rs and Cargo.toml differ: {complaints:#?}");
}

#[test]
fn a_foreign_client_is_seen() {
    let linked = ["odoo-ha-backends", "reqwest", "rusqlite", "tokio"].map(str::to_owned);
    assert_eq!(foreign_clients(&linked, &["rusqlite"], CLIENTS), ["reqwest"]);
    assert_eq!(intruders(&linked, RUNTIME), ["tokio"]);
}

#[test]
fn a_gap_in_the_table_is_seen() {
    let package = serde_json::json!({
        "features": { "default": ["etcd"], "etcd": [] },
        "dependencies": [{ "name": "etcd-client", "optional": true }, { "name": "tokio", "optional": true }],
    });
    let gaps = table_gaps(&package, &[("gone", &[])], &["tokio"]);
    assert_eq!(gaps.len(), 4, "{gaps:?}");
    for expected in ["feature etcd", "no feature gone", "etcd-client", "default"] {
        assert!(gaps.iter().any(|gap| gap.contains(expected)), "{expected} in {gaps:?}");
    }
}

fn package(name: &str) -> Value {
    repo::packages().into_iter().find(|package| package["name"] == name).unwrap_or_default()
}

fn intruders(linked: &[String], banned: &[&str]) -> Vec<String> {
    linked.iter().filter(|name| banned.contains(&name.as_str())).cloned().collect()
}

/// The clients among `linked` that some row of the table names and `allowed` does not.
fn foreign_clients(linked: &[String], allowed: &[&str], table: &[(&str, &[&str])]) -> Vec<String> {
    let foreign: Vec<&str> =
        table.iter().flat_map(|(_, clients)| *clients).copied().filter(|client| !allowed.contains(client)).collect();
    intruders(linked, &foreign)
}

/// Where the table and what `cargo metadata` says of the package differ.
fn table_gaps(package: &Value, table: &[(&str, &[&str])], shared: &[&str]) -> Vec<String> {
    let mut gaps = Vec::new();
    let features: Vec<&str> =
        package["features"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    for feature in features.iter().filter(|name| **name != "default") {
        if !table.iter().any(|(row, _)| row == feature) {
            gaps.push(format!("feature {feature} has no row"));
        }
    }
    for (row, _) in table.iter().filter(|(row, _)| !features.contains(row)) {
        gaps.push(format!("there is no feature {row}"));
    }
    if package["features"]["default"].as_array().is_some_and(|default| !default.is_empty()) {
        gaps.push("default features: a backend is asked for by name".to_owned());
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let name = dependency["name"].as_str().unwrap_or_default();
        let known = shared.contains(&name) || table.iter().any(|(_, clients)| clients.contains(&name));
        if dependency["optional"] == true && !known {
            gaps.push(format!("{name} is neither some feature's client nor shared"));
        }
    }
    gaps
}
