//! The table of transitions: every state is reached and left, and every row is a sentence.

use std::collections::BTreeSet;

use odoo_ha_core::machine::{StateName, TRANSITIONS};

#[test]
fn every_state_has_a_way_in_and_a_way_out() {
    let from: BTreeSet<StateName> = TRANSITIONS.iter().map(|row| row.from).collect();
    let to: BTreeSet<StateName> = TRANSITIONS.iter().map(|row| row.to).collect();
    for state in StateName::ALL {
        assert!(state == StateName::Joining || to.contains(&state), "nothing leads to {state}");
        assert!(state == StateName::Stopped || from.contains(&state), "nothing leads out of {state}");
    }
}

#[test]
fn every_row_is_one_and_says_why() {
    let rows: BTreeSet<_> = TRANSITIONS.iter().map(|row| (row.from, row.to, row.cause)).collect();
    assert_eq!(rows.len(), TRANSITIONS.len(), "a row stands twice");
    assert!(TRANSITIONS.iter().all(|row| row.sentence.len() > 15 && !row.sentence.ends_with('.')));
}
