//! A copy of the sources with every mutant in it behind a switch, and the programs made of it.
//!
//! All mutants are compiled at once: `expression` becomes `if this mutant is on { its expression } else { expression }`. One build instead
//! of one for each mutant; what runs is exactly what a copy with that one change would run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use serde_json::Value;

use super::{Edit, Mutant};

/// The variable that switches a mutant on in the programs.
pub(super) const SWITCH: &str = "ODOO_HA_MUTANT";

/// What the build needs of the repository.
const SOURCES: &[&str] = &["Cargo.toml", "Cargo.lock", "odoo-ha-core", "odoo-ha-backends", "odoo-ha-examples", "tests"];

/// Where the switch is.
const CORE: &str = "odoo-ha-core/src/lib.rs";

/// The switch itself.
const SWITCHES: &str = r#"
/// Which rule is broken on purpose.
pub(crate) mod mutant {
    use std::sync::OnceLock;

    static ON: OnceLock<Option<String>> = OnceLock::new();

    /// Whether this mutant is the one that is switched on.
    pub(crate) fn is(name: &str) -> bool {
        ON.get_or_init(|| std::env::var("ODOO_HA_MUTANT").ok()).as_deref() == Some(name)
    }
}
"#;

/// The programs that look for broken rules, made of the copy.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Runs seeds.
    pub simulate: PathBuf,
    /// The situations.
    pub situations: PathBuf,
    /// The core's own tests.
    pub core: PathBuf,
    /// Where they are run.
    pub directory: PathBuf,
}

/// Where the copy is made and built.
#[derive(Clone, Debug)]
pub struct Workbench {
    root: PathBuf,
    copy: PathBuf,
    build: PathBuf,
}

/// One place in one file that mutants change.
struct Place<'a> {
    start: usize,
    end: usize,
    puts: Vec<(&'a str, &'a str)>,
}

impl Workbench {
    /// A workbench beside the build of this program; `root` is the repository.
    pub fn new(root: &Path) -> Self {
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let bench = target.join("mutants");
        Self { root: root.to_owned(), copy: bench.join("copy"), build: bench.join("build") }
    }

    /// Copies the sources, puts all of these mutants into the copy, and builds it.
    ///
    /// # Errors
    ///
    /// A mutant does not apply any more, two of them overlap, or the copy does not build. The text says which.
    pub fn make(&self, mutants: &[&Mutant]) -> Result<Programs, String> {
        let mut wanted = Vec::new();
        for source in SOURCES {
            self.copy_of(Path::new(source), mutants, &mut wanted)
                .map_err(|error| format!("{source} cannot be copied: {error}"))??;
        }
        wanted.sort();
        remove_others(&self.copy, &wanted).map_err(|error| format!("the copy is not clean: {error}"))?;
        Ok(Programs {
            simulate: self
                .program("simulate", &["build", "--package", "odoo-ha-tests", "--no-default-features"])
                .unwrap_or_default(),
            situations: self.program(
                "situations",
                &["test", "--no-run", "--package", "odoo-ha-tests", "--no-default-features", "--test", "situations"],
            )?,
            core: self.program("odoo_ha_core", &["test", "--no-run", "--package", "odoo-ha-core", "--lib"])?,
            directory: self.copy.join("tests"),
        })
    }

    /// Copies a file or a directory. What has not changed is left alone, so that it is not built again.
    fn copy_of(&self, path: &Path, mutants: &[&Mutant], wanted: &mut Vec<PathBuf>) -> io::Result<Result<(), String>> {
        let from = self.root.join(path);
        if from.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&from)?.flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            for name in names.into_iter().filter(|name| name != "target") {
                if let Err(why) = self.copy_of(&path.join(name), mutants, wanted)? {
                    return Ok(Err(why));
                }
            }
            return Ok(Ok(()));
        }
        let mut content = fs::read(&from)?;
        if path.extension().is_some_and(|extension| extension == "rs") {
            let text = String::from_utf8_lossy(&content).into_owned();
            match with_mutants(&path.to_string_lossy(), &text, mutants) {
                Ok(text) => content = text.into_bytes(),
                Err(why) => return Ok(Err(why)),
            }
        }
        let to = self.copy.join(path);
        wanted.push(to.clone());
        if fs::read(&to).is_ok_and(|old| old == content) {
            return Ok(Ok(()));
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(to, content).map(Ok)
    }

    /// Builds, and returns where the program of this name is.
    fn program(&self, name: &str, arguments: &[&str]) -> Result<PathBuf, String> {
        let mut arguments = arguments.to_vec();
        if arguments[0] == "build" {
            arguments.extend(["--bin", name]);
        }
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(program)
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.build)
            // Braces that nobody needs, and what a mutant no longer uses.
            .env("RUSTFLAGS", "-A warnings")
            .args(&arguments)
            .args(["--release", "--locked", "--message-format", "json-render-diagnostics"])
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| format!("cargo does not start: {error}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("the mutants do not build; `crate::mutant::is` in these lines says which:\n{text}"));
        }
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == name)
            .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
            .next_back()
            .ok_or_else(|| format!("cargo says nothing of the program {name}"))
    }
}

/// The text of a file with all mutants that change it.
fn with_mutants(file: &str, text: &str, mutants: &[&Mutant]) -> Result<String, String> {
    let mut places: Vec<Place<'_>> = Vec::new();
    for mutant in mutants {
        for edit in mutant.edits.iter().filter(|edit| edit.file == file) {
            let (start, end) = find(text, edit).map_err(|why| format!("mutant {} {why}", mutant.name))?;
            match places.iter_mut().find(|place| place.start == start && place.end == end) {
                Some(place) => place.puts.push((mutant.name, edit.put)),
                None => places.push(Place { start, end, puts: vec![(mutant.name, edit.put)] }),
            }
        }
    }
    // What contains comes before what it contains.
    places.sort_by_key(|place| (place.start, std::cmp::Reverse(place.end)));
    let mut made = switched(text, 0, text.len(), &places)?;
    if file == CORE {
        made.push_str(SWITCHES);
    }
    Ok(made)
}

/// Where an edit applies.
fn find(text: &str, edit: &Edit) -> Result<(usize, usize), String> {
    let [before, original, after] = edit.find;
    let whole = edit.find.concat();
    let mut found = text.match_indices(&whole).map(|(at, _)| at);
    match (found.next(), found.next()) {
        (Some(at), None) => Ok((at + before.len(), at + before.len() + original.len())),
        (None, _) => Err(format!("no longer applies: {} has no\n{whole}", edit.file)),
        (Some(_), Some(_)) => Err(format!("no longer applies: {} has more than one\n{after}{whole}", edit.file)),
    }
}

/// The text from `start` to `end`, with the switches of these places, which lie within it and are sorted.
fn switched(text: &str, start: usize, end: usize, places: &[Place<'_>]) -> Result<String, String> {
    let mut made = String::new();
    let mut at = start;
    let mut rest = places;
    while let Some((place, after)) = rest.split_first() {
        let inner = after.iter().take_while(|inner| inner.start < place.end).count();
        if place.end > end || after[..inner].iter().any(|inner| inner.end > place.end) {
            let names: Vec<&str> = rest[..=inner].iter().flat_map(|place| &place.puts).map(|put| put.0).collect();
            return Err(format!("mutants {} overlap: change the same place or apart", names.join(", ")));
        }
        made.push_str(&text[at..place.start]);
        made.push_str("{ ");
        for (name, put) in &place.puts {
            let _ = write!(made, "if crate::mutant::is({name:?}) {{ {put} }} else ");
        }
        let _ = write!(made, "{{ {} }} }}", switched(text, place.start, place.end, &after[..inner])?);
        at = place.end;
        rest = &after[inner..];
    }
    made.push_str(&text[at..end]);
    Ok(made)
}

/// Removes what an earlier copy had and this one has not.
fn remove_others(directory: &Path, wanted: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if wanted.binary_search(&path).is_err() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::Catch;

    const ONE: Mutant = Mutant {
        name: "one",
        rules: &[],
        breaks: "",
        edits: &[Edit { file: "a.rs", find: ["if ", "a && b", " {"], put: "a" }],
        caught: Catch::Situation("none"),
    };
    const TWO: Mutant =
        Mutant { name: "two", edits: &[Edit { file: "a.rs", find: ["&& ", "b", " {"], put: "c" }], ..ONE };
    const THREE: Mutant =
        Mutant { name: "three", edits: &[Edit { file: "a.rs", find: ["", "if a", " &&"], put: "" }], ..ONE };

    #[test]
    fn mutants_of_one_place_lie_in_each_other() {
        let made = with_mutants("a.rs", "if a && b {}", &[&TWO, &ONE]).unwrap();
        assert_eq!(
            made,
            "if { if crate::mutant::is(\"one\") { a } else { a && { if crate::mutant::is(\"two\") { c } else { b } } } } {}"
        );
        assert_eq!(with_mutants("b.rs", "if a && b {}", &[&ONE]).unwrap(), "if a && b {}");
    }

    #[test]
    fn what_does_not_apply_is_said() {
        assert!(with_mutants("a.rs", "if b {}", &[&ONE]).unwrap_err().contains("mutant one no longer applies"));
        assert!(with_mutants("a.rs", "if a && b {} if a && b {}", &[&ONE]).unwrap_err().contains("more than one"));
        assert!(with_mutants("a.rs", "if a && b {}", &[&ONE, &THREE]).unwrap_err().contains("overlap"));
    }

    #[test]
    fn every_mutant_applies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut broken = Vec::new();
        for mutant in crate::mutants::all() {
            assert!(!mutant.edits.is_empty() && !mutant.breaks.is_empty(), "{}", mutant.name);
            for edit in mutant.edits {
                let text = fs::read_to_string(root.join(edit.file)).unwrap();
                broken.extend(with_mutants(edit.file, &text, &[mutant]).err());
            }
        }
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}
