//! Mutants: the library with one rule of the protocol broken on purpose. They show that what looks for broken rules finds them.
//!
//! Each mutant is data: which rule, what it changes where, and what catches it ([`Mutant`]); [`all`] is the list. `workbench.rs` makes one
//! program of a copy of the sources with every mutant in it behind a switch, `trial.rs` runs it with one of them switched on. The program
//! `mutants` does both for all (`make mutants`), and fails when one survives.
//!
//! Nothing here changes the sources themselves.

mod acting;
mod beginnings;
mod belief;
mod driver;
mod quorums;
mod standbys;
mod takeover;
mod trial;
mod unknown;
mod votes;
mod workbench;

pub use trial::{Finding, Trial};
pub use workbench::{Programs, Workbench};

/// The library with one rule broken.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What it does wrong, in a few words.
    pub name: &'static str,
    /// The rules of the protocol that it breaks.
    pub rules: &'static [u32],
    /// What it does wrong, in a sentence.
    pub breaks: &'static str,
    /// What is changed.
    pub edits: &'static [Edit],
    /// What must catch it.
    pub caught: Catch,
}

/// One changed place.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// The file, from the root of the repository.
    pub file: &'static str,
    /// What stands there: the expression or the statements that are changed, between what comes before and after them. All three together
    /// occur exactly once in the file.
    pub find: [&'static str; 3],
    /// What stands there instead.
    pub put: &'static str,
}

const fn edit(file: &'static str, find: [&'static str; 3], put: &'static str) -> Edit {
    Edit { file, find, put }
}

/// What must catch a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catch {
    /// The simulator.
    Seeds {
        /// In this profile,
        profile: &'static str,
        /// with one of the seeds from 1 to this,
        seeds: u64,
        /// by one of these invariants.
        by: &'static [&'static str],
    },
    /// A situation, by its full name.
    Situation(&'static str),
    /// A test of the core's own, by its full name.
    Core(&'static str),
}

impl Mutant {
    /// The numbers of the rules, for a person.
    pub fn rules(&self) -> String {
        self.rules.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// The list as a table of Markdown.
pub fn table() -> String {
    let (mut by_seeds, mut by_situation, mut by_core) = (0, 0, 0);
    for mutant in all() {
        match mutant.caught {
            Catch::Seeds { .. } => by_seeds += 1,
            Catch::Situation(_) => by_situation += 1,
            Catch::Core(_) => by_core += 1,
        }
    }
    let mut table = format!(
        "There are {}: {by_seeds} are caught by an invariant, {by_situation} by a situation, {by_core} by a test of the core.\n\n",
        all().len()
    );
    table.push_str("| mutant | rule | what it does wrong | caught by |\n|---|---|---|---|\n");
    for mutant in all() {
        let caught = match mutant.caught {
            Catch::Seeds { profile, seeds, by } => format!("{} within {seeds} seeds of `{profile}`", by.join(", or ")),
            Catch::Situation(name) => format!("situation `{name}`"),
            Catch::Core(name) => format!("test `{name}`"),
        };
        table.push_str(&format!("| `{}` | {} | {} | {caught} |\n", mutant.name, mutant.rules(), mutant.breaks));
    }
    table
}

/// All mutants.
pub fn all() -> Vec<&'static Mutant> {
    [
        belief::MUTANTS,
        votes::MUTANTS,
        takeover::MUTANTS,
        quorums::MUTANTS,
        standbys::MUTANTS,
        unknown::MUTANTS,
        acting::MUTANTS,
        beginnings::MUTANTS,
        driver::MUTANTS,
    ]
    .into_iter()
    .flatten()
    .collect()
}
