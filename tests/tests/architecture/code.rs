//! Reads Rust source just well enough to see which names it uses: a lexer that hides comments and literals, and a
//! reader of paths that understands `use` groups.

/// A path as written in the source, from its root on: `crate::{a, b::c}` gives two.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CodePath {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What follows the root; `*` for a glob, `as …` for a root that is given another name.
    pub(crate) segments: Vec<String>,
}

impl CodePath {
    /// The first segment after the root.
    pub(crate) fn first(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }
}

/// The source with comments, strings and character literals blanked out; lines stay where they were.
pub(crate) fn code_only(source: &str) -> String {
    let source: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < source.len() {
        if let Some(end) = end_of_hidden(&source, at) {
            code.extend(source[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            code.push(source[at]);
            at += 1;
        }
    }
    code
}

/// The lines, counted from 1, on which `text` stands; a word only where it is not part of a longer one.
pub(crate) fn lines_with(code: &str, text: &str) -> Vec<usize> {
    let whole_start = text.starts_with(is_word);
    let whole_end = text.ends_with(is_word);
    let stands = |at: usize| {
        let before = code[..at].chars().next_back();
        let after = code[at + text.len()..].chars().next();
        !(whole_start && before.is_some_and(is_word) || whole_end && after.is_some_and(is_word))
    };
    code.match_indices(text).filter(|&(at, _)| stands(at)).map(|(at, _)| line_of(code, at)).collect()
}

/// Every path that begins with `root`, which is one segment such as `crate` or `std`.
pub(crate) fn paths(code: &str, root: &str) -> Vec<CodePath> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].trim_end();
        // `a::root` is somebody else's; `::root` is ours.
        let inner = before.strip_suffix("::").is_some_and(|outer| outer.ends_with(|c| is_word(c) || c == '>'));
        let rest = &code[at + root.len()..];
        if inner || code[..at].ends_with(is_word) || rest.starts_with(is_word) {
            continue;
        }
        let line = line_of(code, at);
        let rest = rest.trim_start();
        if let Some(tree) = rest.strip_prefix("::") {
            read_tree(tree, line, &[], &mut found);
        } else if let Some(name) = rest.strip_prefix("as ") {
            let name = name.trim_start().chars().take_while(|&c| is_word(c)).collect::<String>();
            found.push(CodePath { line, segments: vec![format!("as {name}")] });
        }
    }
    found
}

/// Reads one path or group; gives back what follows it.
fn read_tree<'a>(text: &'a str, line: usize, prefix: &[String], found: &mut Vec<CodePath>) -> &'a str {
    let text = text.trim_start();
    let with = |segment: &str| [prefix, &[segment.to_owned()]].concat();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if rest.is_empty() {
                return rest;
            }
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let left = rest.len();
            rest = read_tree(rest, line, prefix, found);
            // `a as b` leaves `as b`; what is no path at all ends the group.
            rest = rest.trim_start_matches(|c| c != ',' && c != '}');
            if rest.len() == left {
                return rest;
            }
        }
    }
    if let Some(rest) = text.strip_prefix('*') {
        found.push(CodePath { line, segments: with("*") });
        return rest;
    }
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        // `::<T>` after a path: the path ends here.
        found.push(CodePath { line, segments: prefix.to_vec() });
        return rest;
    }
    match rest.trim_start().strip_prefix("::") {
        Some(deeper) => read_tree(deeper, line, &with(name), found),
        None => {
            found.push(CodePath { line, segments: with(name) });
            rest
        }
    }
}

/// Where the comment or literal that begins at `at` ends; `None` if none begins there.
fn end_of_hidden(source: &[char], at: usize) -> Option<usize> {
    let next = |offset: usize| source.get(at + offset).copied();
    match source[at] {
        '/' if next(1) == Some('/') => Some(find(source, at, |c| c == '\n')),
        '/' if next(1) == Some('*') => Some(end_of_block_comment(source, at)),
        '"' => Some(end_of_quoted(source, at, '"')),
        'r' if begins_literal(source, at) => end_of_raw_string(source, at),
        // A lifetime has no closing quote; a character has one after the next, or begins with a backslash.
        '\'' if next(1) == Some('\\') || next(2) == Some('\'') => Some(end_of_quoted(source, at, '\'')),
        _ => None,
    }
}

fn find(source: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..source.len()).find(|&at| wanted(source[at])).unwrap_or(source.len())
}

fn end_of_block_comment(source: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < source.len() {
        match source[at..].get(..2) {
            Some(['/', '*']) => depth += 1,
            Some(['*', '/']) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    source.len()
}

fn end_of_quoted(source: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < source.len() && source[at] != quote {
        at += if source[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(source.len())
}

/// Whether the `r` at `at` can begin `r"…"`: nothing before it, or the `b` or `c` of `br"…"`.
fn begins_literal(source: &[char], at: usize) -> bool {
    let before = |offset: usize| at.checked_sub(offset).is_some_and(|at| is_word(source[at]));
    !before(1) || matches!(source[at - 1], 'b' | 'c') && !before(2)
}

fn end_of_raw_string(source: &[char], start: usize) -> Option<usize> {
    let quote = find(source, start + 1, |c| c != '#');
    if source.get(quote) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(vec!['#'; quote - start - 1]).collect();
    let end = (quote + 1..source.len()).find(|&at| source[at..].starts_with(&closing));
    Some(end.map_or(source.len(), |at| at + closing.len()))
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(code: &str, root: &str) -> Vec<String> {
        paths(code, root).into_iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_are_hidden_and_code_is_not() {
        let hidden = [
            "// tokio",
            "/* a /* tokio */ b */",
            "\"tokio \\\" tokio\"",
            "r#\"tokio \" tokio\"#",
            "br\"tokio\"",
            "/* tokio",
        ];
        for source in hidden {
            assert_eq!(lines_with(&code_only(source), "tokio"), Vec::<usize>::new(), "{source}");
        }
        let shown = ["'\"'; tokio", "fn f<'a>(x: &'a str) { tokio }", "'\\''; tokio", "r#type; tokio", "// x\ntokio"];
        for source in shown {
            assert_eq!(lines_with(&code_only(source), "tokio").len(), 1, "{source}");
        }
    }

    #[test]
    fn words_are_found_whole_and_by_line() {
        assert_eq!(lines_with("operand\nrand::random()\nstrand rand", "rand"), [2, 3]);
        assert_eq!(lines_with("a\n#[ignore]", "#[ignore"), [2]);
    }

    #[test]
    fn paths_are_read_through_groups_globs_and_new_names() {
        let code = "use std::{fmt, time::{Duration, Instant as I, self}, io::*};\nlet x = ::std::env::var::<T>(y);";
        let expected = ["fmt", "time::Duration", "time::Instant", "time::self", "io::*", "env::var"];
        assert_eq!(segments(code, "std"), expected);
        assert_eq!(segments("use crate as root;", "crate"), ["as root"]);
        assert_eq!(segments("pub(crate) fn f() { crate::a::B { x: 1 } }", "crate"), ["a::B"]);
        assert_eq!(segments("my::crate::a; xstd::y; std_z::w", "std"), Vec::<String>::new());
        assert_eq!(paths("\n\nuse crate::{\n a,\n b};", "crate").len(), 2);
        assert_eq!(segments("use crate::{a, b", "crate"), ["a", "b"], "an unfinished group ends");
    }
}
