//! Shortcuts that a review would catch: a file too long for a head, a test switched off, work left undone, a lint
//! silenced without a reason.

use super::code::{code_only, lines_with};
use super::repo;

/// Lines of one Rust file. About 500 fit a head; what is above this is two things in one file.
const LONGEST_FILE: usize = 800;

/// What no Rust code contains, and what stands in its place.
const FORBIDDEN: &[(&str, &str)] = &[
    ("#[ignore", "a test that cannot run says so in its output and why"),
    ("todo!(", "what is not there yet is an issue"),
    ("unimplemented!(", "what is not there yet is an issue"),
    ("#[allow(", "#[expect(..., reason = \"...\")]"),
    ("#![allow(", "#![expect(..., reason = \"...\")]"),
];

#[test]
fn no_rust_file_takes_a_shortcut() {
    let mut complaints = Vec::new();
    for file in repo::rust_files("") {
        complaints.extend(check(&file.text).into_iter().map(|complaint| format!("{}:{complaint}", file.path)));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn a_shortcut_is_seen() {
    for (text, _) in FORBIDDEN {
        assert_eq!(check(&format!("fn a() {{}}\n    {text} ")).len(), 1, "{text}");
    }
    assert_eq!(check("#[ignore = \"slow\"]\n#[test]").len(), 1);
    assert_eq!(check(&"\n".repeat(LONGEST_FILE + 1)).len(), 1);
    assert_eq!(check(&"// todo!() is not for #[ignore]\n".repeat(LONGEST_FILE)), Vec::<String>::new());
}

fn check(source: &str) -> Vec<String> {
    let code = code_only(source);
    let mut complaints = Vec::new();
    for (text, instead) in FORBIDDEN {
        for line in lines_with(&code, text) {
            complaints.push(format!("{line}: {text}…; instead: {instead}"));
        }
    }
    let lines = source.lines().count();
    if lines > LONGEST_FILE {
        complaints.push(format!("{lines}: {lines} lines, at most {LONGEST_FILE}"));
    }
    complaints
}
