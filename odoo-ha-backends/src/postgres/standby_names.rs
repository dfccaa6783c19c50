//! `synchronous_standby_names` as text: written in exactly two forms, and nothing else is understood (protocol rule 19).

use std::collections::BTreeSet;

use odoo_ha_core::database::SynchronousStandbys;
use odoo_ha_core::member::MemberId;

/// The setting's text. Names that `before` does not have come first: then the priority of each that was there changes, which
/// shows when its WAL sender has taken the new value (protocol rule 20).
pub(super) fn render(standbys: &SynchronousStandbys, before: &[MemberId]) -> String {
    let list = |names: &BTreeSet<MemberId>| {
        let new = names.iter().filter(|name| !before.contains(name));
        let old = before.iter().filter(|name| names.contains(*name));
        new.chain(old).map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    };
    match standbys {
        SynchronousStandbys::Nobody => String::new(),
        SynchronousStandbys::AllOf(names) => format!("FIRST {} ({})", names.len(), list(names)),
        SynchronousStandbys::AnyOf { k, names } => format!("ANY {k} ({})", list(names)),
    }
}

/// What the setting's text means, with the names in their order; `None` when the agent did not write it.
pub(super) fn parse(text: &str) -> Option<(SynchronousStandbys, Vec<MemberId>)> {
    let text = text.trim();
    if text.is_empty() {
        return Some((SynchronousStandbys::Nobody, Vec::new()));
    }
    let (method, rest) = text.split_once(' ')?;
    let (count, rest) = rest.trim_start().split_once('(')?;
    let count: u32 = count.trim().parse().ok()?;
    let list = rest.trim_end().strip_suffix(')')?;
    let order: Vec<MemberId> = list
        .split(',')
        .map(|name| MemberId::new(name.trim().strip_prefix('"')?.strip_suffix('"')?).ok())
        .collect::<Option<_>>()?;
    let names: BTreeSet<MemberId> = order.iter().cloned().collect();
    if names.len() != order.len() || count == 0 || count as usize > names.len() {
        return None;
    }
    match method {
        "FIRST" if count as usize == names.len() => Some((SynchronousStandbys::AllOf(names), order)),
        "ANY" => Some((SynchronousStandbys::AnyOf { k: count, names }, order)),
        _ => None,
    }
}

/// The names in their order; none when the text is foreign.
pub(super) fn names(text: &str) -> Vec<MemberId> {
    parse(text).map(|(_, order)| order).unwrap_or_default()
}

/// The priority that a walsender of this name has once it has taken the setting; 0: it does not count.
pub(super) fn priority(text: &str, name: Option<&MemberId>) -> u32 {
    let (Some((standbys, order)), Some(name)) = (parse(text), name) else { return 0 };
    let Some(place) = order.iter().position(|other| other == name) else {
        return 0;
    };
    match standbys {
        SynchronousStandbys::Nobody => 0,
        SynchronousStandbys::AllOf(_) => u32::try_from(place + 1).unwrap_or(u32::MAX),
        SynchronousStandbys::AnyOf { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> BTreeSet<MemberId> {
        list.iter().map(|name| MemberId::new(*name).expect("a valid name")).collect()
    }

    #[test]
    fn what_is_written_is_understood() {
        for standbys in [
            SynchronousStandbys::Nobody,
            SynchronousStandbys::AllOf(names(&["a", "b"])),
            SynchronousStandbys::AnyOf { k: 1, names: names(&["a", "b", "c"]) },
        ] {
            let text = render(&standbys, &[]);
            assert_eq!(parse(&text).map(|(parsed, _)| parsed), Some(standbys), "{text}");
        }
    }

    #[test]
    fn what_others_wrote_is_foreign() {
        for text in ["*", "a", "FIRST 1 (\"a\", \"b\")", "ANY 3 (\"a\")", "2 (a, b)", "FIRST 1 (*)"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_new_name_changes_every_priority() {
        let before = render(&SynchronousStandbys::AllOf(names(&["a", "c"])), &[]);
        let after = render(&SynchronousStandbys::AllOf(names(&["a", "b", "c"])), &super::names(&before));
        assert_eq!(after, "FIRST 3 (\"b\", \"a\", \"c\")");
        for name in names(&["a", "b", "c"]) {
            assert_ne!(priority(&before, Some(&name)), priority(&after, Some(&name)));
        }
    }
}
