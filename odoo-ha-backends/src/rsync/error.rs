//! What the end of `rsync` means.

use odoo_ha_core::error::{Error, ErrorKind};

use crate::common::program::Ended;

/// Longest text of the other side that is shown.
const LONGEST: usize = 300;

/// `rsync(1)`, "Exit values".
const VANISHED: i32 = 24;

/// Whether a pass brought what there was. Files that vanish while it runs are what a live tree is like.
pub(super) fn judge(ended: &Ended) -> Result<(), Error> {
    let Some(code) = ended.code else {
        return Err(Error::new(ErrorKind::Unavailable, "rsync: a signal ended it"));
    };
    let said = said(&ended.errors);
    let failed = |kind, what: &str, hint: &str| {
        Err(Error::new(kind, format!("rsync: {what} (exit code {code}): {said}")).hint(hint))
    };
    match code {
        0 | VANISHED => Ok(()),
        5 if said.contains("auth failed") => failed(
            ErrorKind::Denied,
            "the daemon does not let this node in",
            "the password, the user in source, and auth users and secrets file of the leader's rsyncd.conf must fit",
        ),
        5 => failed(
            ErrorKind::Unavailable,
            "the daemon does not begin",
            "module and hosts allow of the leader's rsyncd.conf must fit source",
        ),
        1..=4 => failed(ErrorKind::Misconfigured, "it cannot do that", "rsync 3.1 or later must be on both nodes"),
        11 => {
            failed(ErrorKind::Disk, "a file cannot be written", "is there room, and may the owner of path write there?")
        }
        23 => failed(
            ErrorKind::Unavailable,
            "some files did not come",
            "may the daemon's or ssh's user read all of them, may the owner of path write all of them, and does no link lead out of path?",
        ),
        30 | 35 => failed(ErrorKind::Unavailable, "the leader was silent for too long", "is its host overloaded?"),
        255 => failed(ErrorKind::Unavailable, "ssh does not reach the leader", "try it by hand as the owner of path"),
        _ => failed(
            ErrorKind::Unavailable,
            "it did not come through",
            "does rsync answer on the leader, and may this node reach it?",
        ),
    }
}

/// The line that says most, as one line: it comes from another machine.
fn said(errors: &str) -> String {
    let mut lines = errors.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.clone().next();
    let line = lines.find(|line| line.starts_with("@ERROR")).or(first).unwrap_or("it says nothing");
    line.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, errors: &str) -> Result<(), Error> {
        judge(&Ended { code, output: String::new(), errors: errors.to_owned() })
    }

    #[test]
    fn exit_codes_have_their_meaning() {
        assert!(ended(Some(0), "").is_ok() && ended(Some(24), "file has vanished").is_ok());
        for (code, errors, kind) in [
            (Some(5), "@ERROR: auth failed on module odoo\nrsync error: x (code 5)", ErrorKind::Denied),
            (Some(5), "@ERROR: Unknown module 'odoo'", ErrorKind::Unavailable),
            (Some(1), "", ErrorKind::Misconfigured),
            (Some(10), "failed to connect", ErrorKind::Unavailable),
            (Some(11), "", ErrorKind::Disk),
            (Some(23), "", ErrorKind::Unavailable),
            (Some(30), "", ErrorKind::Unavailable),
            (Some(255), "", ErrorKind::Unavailable),
            (None, "", ErrorKind::Unavailable),
        ] {
            assert_eq!(ended(code, errors).expect_err("it failed").kind(), kind, "{code:?}");
        }
    }

    #[test]
    fn what_the_other_side_says_is_one_short_line() {
        let error =
            ended(Some(5), &format!("\n@ERROR: a\u{1b}[31m\u{7}{}\n", "b".repeat(5000))).expect_err("it failed");
        assert!(error.what().len() < 400 && !error.what().contains(char::is_control), "{error}");
    }
}
