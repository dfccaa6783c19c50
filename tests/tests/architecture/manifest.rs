//! Reads a `Cargo.toml` by line: enough for this workspace's, which keep to one entry a line, lists excepted.

/// One `key = value` of a manifest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Counted from 1.
    pub(crate) line: usize,
    /// The table it stands in, without brackets.
    pub(crate) table: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The entries of a manifest, in order.
pub(crate) fn entries(manifest: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut table = String::new();
    let mut open_lists = 0;
    for (index, text) in manifest.lines().enumerate() {
        let text = text.trim();
        if open_lists > 0 {
            if let Some(entry) = entries.last_mut() {
                entry.value.push_str(text);
            }
            open_lists += depth(text);
        } else if text.starts_with('[') {
            table = text.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = text.split_once('=')
            && !text.starts_with('#')
        {
            open_lists = depth(value);
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            entries.push(Entry { line: index + 1, table: table.clone(), key, value });
        }
    }
    entries
}

/// Whether the manifest has exactly this entry.
pub(crate) fn has(manifest: &str, table: &str, key: &str, value: &str) -> bool {
    entries(manifest).iter().any(|entry| entry.table == table && entry.key == key && entry.value == value)
}

fn depth(text: &str) -> isize {
    text.chars().map(|c| isize::from(c == '[') - isize::from(c == ']')).sum()
}

#[test]
fn entries_are_read_with_their_table() {
    let manifest = "[package]\nname = \"a\"\n# old = 1\n[dependencies]\nb.workspace = true\nc = { features = [\n \"x\",\n] }\nd = 1\n";
    let entries = entries(manifest);
    let read: Vec<(usize, &str, &str)> =
        entries.iter().map(|entry| (entry.line, entry.table.as_str(), entry.key.as_str())).collect();
    let expected = [
        (2, "package", "name"),
        (5, "dependencies", "b.workspace"),
        (6, "dependencies", "c"),
        (9, "dependencies", "d"),
    ];
    assert_eq!(read, expected);
    assert!(has(manifest, "dependencies", "b.workspace", "true") && !has(manifest, "package", "d", "1"));
}
