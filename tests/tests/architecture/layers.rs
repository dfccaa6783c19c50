//! Who may import whom: vocabulary, machine, roles, driver and conformance in core; one backend a folder.

use super::code::{CodePath, code_only, lines_with, paths};
use super::repo::{self, TextFile};

const CORE: &str = "odoo-ha-core/src/";
const BACKENDS: &str = "odoo-ha-backends/src/";

/// The module of the backends crate that every backend may import.
const SHARED_BACKEND: &str = "common";

/// A layer of core: the modules of the crate that it may not import, and the words that its code may not contain.
struct Layer {
    modules: &'static [&'static str],
    words: &'static [&'static str],
}

/// Everything in core that is in no other layer: the words that all of them speak.
const VOCABULARY: Layer = Layer {
    modules: &["machine", "roles", "driver", "conformance"],
    words: &["tokio", "async_trait", "tracing", "rustix"],
};

/// Pure: handed the time, reproducible from a seed, so no clock, no chance, no order that changes from run to run.
const MACHINE: Layer = Layer {
    modules: &["roles", "driver", "conformance"],
    words: &["tokio", "async", "await", "async_trait", "rustix", "rand", "HashMap", "HashSet", "SystemTime"],
};

const ROLES: Layer = Layer { modules: &["machine", "driver", "conformance"], words: &["tokio", "rustix"] };

const CONFORMANCE: Layer = Layer { modules: &["machine", "driver"], words: &[] };

/// The one place where actions are performed; what it may not do is checked from the other side.
const DRIVER: Layer = Layer { modules: &["conformance"], words: &[] };

/// What the machine may not take from the standard library; `std::time::Duration` is only a number.
const NOT_FOR_MACHINE: &[&str] = &["env", "fs", "io", "net", "process", "thread", "time"];

#[test]
fn core_keeps_its_layers() {
    let complaints: Vec<String> = repo::rust_files("odoo-ha-core/src").iter().flat_map(check_core).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn backends_do_not_know_each_other() {
    let files = repo::rust_files("odoo-ha-backends/src");
    let modules: Vec<String> =
        files.iter().filter_map(|file| place(&file.path, BACKENDS)).map(|(module, _)| module.to_owned()).collect();
    let complaints: Vec<String> = files.iter().flat_map(|file| check_backend(file, &modules)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn a_layer_that_reaches_up_is_seen() {
    let offenders = [
        ("term.rs", "use crate::machine::Machine;"),
        ("records.rs", "use crate::{term::Term, driver};"),
        ("policy/mod.rs", "fn f() { crate::roles::dcs() }"),
        ("time.rs", "use super::driver::Clock;"),
        ("error.rs", "use tokio::time;"),
        ("machine/mod.rs", "use tokio::sync::Mutex;"),
        ("machine/election.rs", "use std::time::{Duration, Instant};"),
        ("machine/election.rs", "let now = std::time::SystemTime::now();"),
        ("machine/election.rs", "use std::collections::HashMap;"),
        ("machine/election.rs", "use std::collections::{BTreeMap, HashSet};"),
        ("machine/election.rs", "pub async fn wait() {}"),
        ("machine/election.rs", "let n: u8 = rand::random();"),
        ("machine/election.rs", "use std::*;"),
        ("machine/election.rs", "use super::super::driver::Driver;"),
        ("roles/dcs.rs", "use crate::machine::Action;"),
        ("roles.rs", "use crate::driver::Driver;"),
        ("conformance/dcs.rs", "use crate::machine::Machine;"),
        ("driver/mod.rs", "use crate::conformance::dcs;"),
        ("term.rs", "use crate::*;"),
        ("term.rs", "use crate as core;"),
    ];
    for (path, text) in offenders {
        assert_eq!(check_core(&made_up(CORE, path, text)).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_layer_that_reaches_down_is_left_alone() {
    let fine = [
        ("machine/mod.rs", "//! Never tokio, HashMap or rand.\nuse std::time::Duration; use crate::time::Instant;"),
        ("machine/mod.rs", "mod tests { use super::*; }"),
        ("driver/mod.rs", "use crate::{machine, roles::Dcs}; use tokio::time::Instant;"),
        ("roles/mod.rs", "use async_trait::async_trait; use crate::term::Term;"),
        ("lib.rs", "pub mod machine; pub use crate::driver::Driver;"),
    ];
    for (path, text) in fine {
        assert_eq!(check_core(&made_up(CORE, path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_backend_that_reaches_out_is_seen() {
    let modules = ["common", "memory", "postgres", "sqlite"].map(str::to_owned);
    let offenders = [
        ("memory/mod.rs", "use crate::sqlite::Store;"),
        ("memory/dcs.rs", "use crate::{common::text, postgres};"),
        ("memory.rs", "use crate::SqliteDcs;"),
        ("memory/dcs.rs", "use super::super::sqlite::Store;"),
        ("memory/dcs.rs", "use odoo_ha_core::machine::Machine;"),
        ("memory/dcs.rs", "use odoo_ha_core::{roles::Dcs, driver::Driver};"),
        ("memory/dcs.rs", "use odoo_ha_core::*;"),
        ("common/mod.rs", "use crate::memory::Dcs;"),
    ];
    for (path, text) in offenders {
        assert_eq!(check_backend(&made_up(BACKENDS, path, text), &modules).len(), 1, "{path}: {text}");
    }
    let fine = "use crate::memory::Store; use crate::common::text; use odoo_ha_core::{roles::Dcs, term::Term};
        use super::Store; mod tests { use super::*; }";
    assert_eq!(check_backend(&made_up(BACKENDS, "memory/dcs.rs", fine), &modules), Vec::<String>::new());
}

fn made_up(crate_source: &str, path: &str, text: &str) -> TextFile {
    TextFile { path: format!("{crate_source}{path}"), text: text.to_owned() }
}

/// The module of the crate that a file belongs to (`machine` for `machine/election.rs`), and how many `super`s lead
/// from the file to the crate's root. `None` for the root itself.
fn place<'a>(path: &'a str, crate_source: &str) -> Option<(&'a str, usize)> {
    let inside = path.strip_prefix(crate_source)?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let module = inside.split('/').next()?;
    (inside != "lib").then(|| (module, inside.split('/').count()))
}

/// The paths of a file that start at the crate's root, whether by `crate::` or by `super::` often enough.
fn paths_from_crate_root(code: &str, depth: usize) -> Vec<CodePath> {
    let climbed = |mut path: CodePath| {
        let more = path.segments.iter().take_while(|segment| *segment == "super").count();
        path.segments.drain(..more);
        // A glob over an enclosing module is what an inline `mod tests` has.
        (more + 1 >= depth && path.first() != "*").then_some(path)
    };
    let mut found = paths(code, "crate");
    found.extend(paths(code, "super").into_iter().filter_map(climbed));
    found
}

fn check_core(file: &TextFile) -> Vec<String> {
    let Some((module, depth)) = place(&file.path, CORE) else {
        return Vec::new();
    };
    let layer = match module {
        "machine" => MACHINE,
        "roles" => ROLES,
        "driver" => DRIVER,
        "conformance" => CONFORMANCE,
        _ => VOCABULARY,
    };
    let code = code_only(&file.text);
    let mut complaints = Vec::new();
    for path in paths_from_crate_root(&code, depth) {
        let first = path.first();
        if layer.modules.contains(&first) || first == "*" || first.starts_with("as ") {
            complaints.push(format!("{}:{}: {module} imports {first} from the crate's root", file.path, path.line));
        }
    }
    for word in layer.words {
        for line in lines_with(&code, word) {
            complaints.push(format!("{}:{line}: {module} mentions {word}", file.path));
        }
    }
    if module == "machine" {
        let world = paths(&code, "std").into_iter().filter(|path| is_world(&path.segments));
        complaints
            .extend(world.map(|path| {
                format!("{}:{}: the machine uses std::{}", file.path, path.line, path.segments.join("::"))
            }));
    }
    one_a_line(complaints)
}

/// One line may break two rules (`std::time::SystemTime`): one complaint is enough to find it.
fn one_a_line(mut complaints: Vec<String>) -> Vec<String> {
    let place = |complaint: &String| complaint.split(": ").next().map(str::to_owned);
    complaints.sort_by_key(place);
    complaints.dedup_by_key(|complaint| place(complaint));
    complaints
}

/// Whether a path below `std` leads to the world outside: a clock, a file, a thread.
fn is_world(segments: &[String]) -> bool {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["time", "Duration", ..] => false,
        [first, ..] => NOT_FOR_MACHINE.contains(first) || *first == "*" || first.starts_with("as "),
        [] => false,
    }
}

/// `neighbours` are the modules of the backends crate.
fn check_backend(file: &TextFile, neighbours: &[String]) -> Vec<String> {
    let Some((module, depth)) = place(&file.path, BACKENDS) else {
        return Vec::new();
    };
    let code = code_only(&file.text);
    let mut complaints = Vec::new();
    for path in paths(&code, "crate") {
        // Strict: an item of the crate's root may be another backend's, re-exported.
        let first = path.first();
        if first != module && first != SHARED_BACKEND {
            complaints.push(format!("{}:{}: {module} imports crate::{first}", file.path, path.line));
        }
    }
    for path in paths_from_crate_root(&code, depth) {
        // An inline module spends one `super` on its own file, so only a neighbour's name tells.
        let first = path.first();
        if first != module && first != SHARED_BACKEND && neighbours.iter().any(|name| name == first) {
            complaints.push(format!("{}:{}: {module} reaches {first}", file.path, path.line));
        }
    }
    for path in paths(&code, "odoo_ha_core") {
        let first = path.first();
        if matches!(first, "machine" | "driver" | "*") || first.starts_with("as ") {
            complaints.push(format!("{}:{}: {module} imports odoo_ha_core::{first}", file.path, path.line));
        }
    }
    one_a_line(complaints)
}
