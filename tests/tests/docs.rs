//! The documentation says what the code says: generated parts are equal to what generates them, examples are the examples, links and
//! references lead somewhere, every rule of the protocol has its row.
//!
//! With `ODOO_HA_WRITE_DOCS=1` the generated parts are written instead of compared.

#![expect(clippy::panic, reason = "a check that cannot read the repository has to fail loudly")]

use std::path::{Path, PathBuf};
use std::{env, fs};

use odoo_ha_core::machine;

/// The directory that holds the workspace's `Cargo.toml`.
fn root() -> PathBuf {
    // Asked at run time first: two checkouts may share one target directory, and so one compiled test.
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&here).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README.md, CHANGELOG.md and all below `docs`, from the root.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for directory in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        pages.extend(names.filter(|name| name.ends_with(".md")).map(|name| format!("{directory}/{name}")));
    }
    pages.sort();
    pages
}

/// What stands between `<!-- name:begin -->` and `<!-- name:end -->`.
fn between<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<!-- {name}:begin -->\n"))?;
    Some(rest.split_once(&format!("<!-- {name}:end -->"))?.0)
}

/// Compares a generated part with the page, or writes it there.
fn hold(page: &str, name: &str, wanted: &str) {
    let text = read(page);
    let Some(found) = between(&text, name) else { panic!("{page} has no part {name}") };
    if found == wanted {
        return;
    }
    assert!(
        env::var_os("ODOO_HA_WRITE_DOCS").is_some(),
        "{page}: the part {name} is not what the code says. To write it:\n\
         ODOO_HA_WRITE_DOCS=1 cargo test -p odoo-ha-tests --test docs\n\nwanted:\n{wanted}"
    );
    let begin = format!("<!-- {name}:begin -->\n");
    let new = text.replace(&format!("{begin}{found}"), &format!("{begin}{wanted}"));
    // Renamed into place: other tests read the page meanwhile.
    let (beside, page) = (root().join(format!("{page}.new")), root().join(page));
    let written = fs::write(&beside, new).and_then(|()| fs::rename(&beside, &page));
    written.unwrap_or_else(|error| panic!("{}: {error}", page.display()));
}

#[test]
fn states_and_transitions_are_the_machine_s() {
    let wanted = format!("```mermaid\n{}```\n\n{}", machine::diagram(), machine::table());
    hold("docs/protocol.md", "transitions", &wanted);
}

#[test]
fn the_mutants_are_those_that_are_tried() {
    hold("docs/testing.md", "mutants", &odoo_ha_tests::mutants::table());
}

#[test]
fn the_embedding_in_the_readme_is_the_example() {
    let example = read("odoo-ha-examples/examples/embedding.rs");
    hold("README.md", "embedding", &format!("```rust\n{example}```\n"));
}

#[test]
fn every_program_of_the_examples_can_be_its_guard() {
    let mut found = 0;
    for directory in ["odoo-ha-examples/src/bin", "odoo-ha-examples/examples"] {
        let entries = fs::read_dir(root().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
        for entry in entries.flatten() {
            let page = format!("{directory}/{}", entry.file_name().to_string_lossy());
            // It asks and wishes, and runs no node.
            if page.ends_with("/odoo-hactl.rs") {
                continue;
            }
            found += 1;
            let text = read(&page);
            let main = text.split_once("fn main()").and_then(|(_, rest)| rest.split_once("{\n"));
            let first = main.and_then(|(_, body)| body.lines().find(|line| !line.trim_start().starts_with("//")));
            let is_it = first.is_some_and(|line| line.contains("guard::run_if_guard();"));
            assert!(is_it, "{page}: main does not begin with guard::run_if_guard()");
        }
    }
    assert!(found >= 3, "{found}");
}

#[test]
fn every_link_within_the_repository_leads_somewhere() {
    let mut complaints = Vec::new();
    for page in pages() {
        let directory = Path::new(&page).parent().map(Path::to_path_buf).unwrap_or_default();
        for target in links(&read(&page)) {
            if !root().join(&directory).join(&target).exists() {
                complaints.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The relative targets of Markdown links, without anchors, outside code.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                targets.push(target.to_owned());
            }
        }
    }
    targets
}

#[test]
fn every_command_of_the_documentation_is_a_target() {
    let makefile = read("Makefile");
    let mut complaints = Vec::new();
    let mut found = 0;
    for page in pages() {
        for target in made(&read(&page)) {
            found += 1;
            if !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))) {
                complaints.push(format!("{page}: make {target}"));
            }
        }
    }
    assert!(found > 0 && complaints.is_empty(), "{found}, {complaints:#?}");
    for command in ["make demo", "make test"] {
        assert!(read("README.md").contains(command), "README.md does not name {command}");
    }
}

/// What follows `make` in code: `` `make demo` `` or a line of its own, with or without a prompt.
fn made(text: &str) -> Vec<String> {
    let in_line = text.split('`').skip(1).step_by(2);
    let own_line = text.lines().map(|line| line.trim_start_matches("$ "));
    let commands = in_line.chain(own_line).filter_map(|code| code.strip_prefix("make "));
    let name = |command: &str| {
        let is_part = |c: char| c.is_ascii_lowercase();
        command.split(|c| !is_part(c)).next().unwrap_or_default().to_owned()
    };
    commands.map(name).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_rule_has_one_row() {
    let text = read("docs/protocol.md");
    let Some(rows) = between(&text, "rules") else { panic!("docs/protocol.md has no part rules") };
    let mut numbers = Vec::new();
    for row in rows.lines().skip(2) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 4, "{row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        numbers.extend(cells[0].parse::<u32>());
    }
    assert_eq!(numbers, (1..=42).collect::<Vec<_>>());
}

#[test]
fn every_invariant_has_its_place_in_the_safety_argument() {
    let (text, directory) = (read("docs/safety.md"), root().join("tests/src/sim/invariants"));
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "mod")
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<&String> = names.iter().filter(|name| !text.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/safety.md says nothing of {missing:?}");
}

#[test]
fn every_reference_to_code_leads_somewhere() {
    let mut complaints = Vec::new();
    let mut found = 0;
    for page in pages() {
        for (file, name) in references(&read(&page)) {
            found += 1;
            let code = fs::read_to_string(root().join(&file)).unwrap_or_default();
            let is_there =
                ["fn", "const", "struct", "enum"].iter().any(|kind| defines(&code, &format!("{kind} {name}")));
            if !is_there {
                complaints.push(format!("{page}: {file} has no {name}"));
            }
        }
    }
    assert!(found > 100 && complaints.is_empty(), "{found}, {complaints:#?}");
}

fn defines(code: &str, what: &str) -> bool {
    let ends = |at: usize| !code[at + what.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(what).any(|(at, _)| ends(at))
}

/// `` `core/machine/reign.rs::belief_ends` `` and its like: the file, and what it is said to have.
fn references(text: &str) -> Vec<(String, String)> {
    let bases = [("core/", "odoo-ha-core/src/"), ("backends/", "odoo-ha-backends/src/"), ("tests/", "tests/tests/")];
    let in_code = text.split('`').filter(|code| code.contains(".rs::"));
    let one = |code: &str| {
        let (file, name) = code.split_once("::")?;
        let (short, long) = bases.iter().find(|(short, _)| file.starts_with(short))?;
        Some((file.replacen(short, long, 1), name.to_owned()))
    };
    in_code.filter_map(one).collect()
}

#[test]
fn what_is_looked_for_is_found() {
    assert_eq!(links("a [b](c.md#d) [e](https://f/g)\n```\n[h](i)\n```\n[j](../k)"), ["c.md", "../k"]);
    assert_eq!(made("run `make demo DEMO_ARGS=x`\n$ make test\nto make it `cargo`"), ["demo", "test"]);
    assert_eq!(
        references("see `core/machine/reign.rs::belief_ends`, `odd.rs::x`"),
        [("odoo-ha-core/src/machine/reign.rs".to_owned(), "belief_ends".to_owned())]
    );
    assert!(defines("pub fn order(", "fn order") && !defines("pub fn orders(", "fn order"));
    assert_eq!(between("<!-- a:begin -->\nb\n<!-- a:end -->", "a"), Some("b\n"));
}
