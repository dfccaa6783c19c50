//! What an answer means, and what a missing one does.

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::store::Commit;

use super::client::Answer;
use super::wire::{failures, malformed};

/// What came of one try at one endpoint.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was done; the answer says what.
    Done(Answer),
    /// A guard did not hold, so nothing was written.
    Lost(Error),
    /// Token or certificate were refused; nothing was written. Others may be taken.
    Refused(Error),
    /// Certainly not done here; another endpoint may do it.
    Elsewhere(Error),
    /// Certainly not done, and no endpoint will.
    Never(Error),
    /// It may have been done, or may be later. `slow` says that only time ran out.
    Perhaps { error: Error, slow: bool },
}

/// What Consul says of writes that it has certainly not begun. Everything else that it answers with 500 may have happened.
/// The first is what a server says that knows of no leader, the second what one says that is none any more before it has
/// taken the write.
const NOT_BEGUN: &[&str] = &["No cluster leader", "node is not the leader"];

/// Consul's words for missing rights; in a transaction they come with the status of a guard that does not hold.
const NO_RIGHTS: &str = "Permission denied";

/// Longest part of an answer that is repeated in an error, in characters.
const SHOWN: usize = 300;

/// What an answer to a listing means.
pub(super) fn judge_listing(answer: Answer) -> Verdict {
    match answer.status {
        // Since 1.11 Consul says when it left out keys for missing rights. Before, see `ConsulDcs`.
        200 | 404 if answer.filtered => Verdict::Refused(
            Error::new(ErrorKind::Denied, format!("{} left out keys of the store", answer.from))
                .hint("the token needs key_prefix write on the whole prefix of the cluster"),
        ),
        200 => Verdict::Done(answer),
        // A prefix with nothing below; only Consul tells the index with it.
        404 if answer.index.is_some() => Verdict::Done(answer),
        _ => judge_other(answer),
    }
}

/// What an answer to a transaction means; `commit` is what was to be done, or nothing for a mere look.
pub(super) fn judge_transaction(answer: Answer, commit: Option<&Commit>) -> Verdict {
    match answer.status {
        200 => Verdict::Done(answer),
        409 => judge_conflict(&answer, commit),
        413 => Verdict::Never(
            Error::new(
                ErrorKind::Unavailable,
                format!("{} takes no commit as large as this: {}", answer.from, said(&answer)),
            )
            .hint("nothing was written; the library's own records are far smaller"),
        ),
        _ => judge_other(answer),
    }
}

fn judge_conflict(answer: &Answer, commit: Option<&Commit>) -> Verdict {
    let failures = match failures(&answer.body) {
        Ok(failures) if !failures.is_empty() => failures,
        // Whatever says "conflict" in another language than Consul's is not Consul.
        _ => return unknown(answer),
    };
    if let Some(failure) = failures.iter().find(|failure| failure.what.contains(NO_RIGHTS)) {
        return Verdict::Refused(denied(answer, &failure.what));
    }
    let Some(commit) = commit else {
        return Verdict::Lost(Error::new(ErrorKind::Conflict, "a key that was missing is there"));
    };
    // Only a check fails because of what others did; why a write itself would fail is not known.
    let lost: Option<Vec<&str>> =
        failures.iter().map(|failure| Some(commit.guards.get(failure.op_index)?.key().as_str())).collect();
    match lost {
        Some(keys) => {
            let what = format!("{} changed by somebody else", keys.join(", "));
            Verdict::Lost(Error::new(ErrorKind::Conflict, what))
        }
        None => unknown(answer),
    }
}

fn judge_other(answer: Answer) -> Verdict {
    let unavailable = |answer: &Answer| {
        let what = format!("{} cannot serve now: {}", answer.from, said(answer));
        Error::new(ErrorKind::Unavailable, what).hint("look at the state of the store's servers")
    };
    match answer.status {
        401 | 403 => Verdict::Refused(denied(&answer, &said(&answer))),
        // Not understood, so not done, and asking others the same is no use. Loud: a person must change something.
        400 | 405 => Verdict::Never(
            Error::new(ErrorKind::Denied, format!("{} refuses the request: {}", answer.from, said(&answer)))
                .hint("look at the endpoint's http or https, the data center and the namespace"),
        ),
        // Too many connections or requests: turned away before anything was looked at.
        429 => Verdict::Elsewhere(unavailable(&answer)),
        500 if NOT_BEGUN.iter().any(|text| said(&answer).contains(text)) => Verdict::Elsewhere(unavailable(&answer)),
        500..=599 => Verdict::Perhaps { error: unavailable(&answer), slow: false },
        _ => unknown(&answer),
    }
}

/// Nothing that this knows Consul to say.
fn unknown(answer: &Answer) -> Verdict {
    let what = format!("{} answers as no Consul does: status {}, {}", answer.from, answer.status, said(answer));
    Verdict::Perhaps { error: malformed(what), slow: false }
}

fn denied(answer: &Answer, what: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("{} refuses: {what}", answer.from))
        .hint("the token needs key_prefix write on the whole prefix of the cluster")
}

/// What the answer says, in one line and not too long.
fn said(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let mut line: String = text.trim().chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.is_empty() {
        line = format!("status {} without a word", answer.status);
    }
    line
}

/// A commit that may have happened.
pub(super) fn perhaps(error: Error) -> Error {
    Error::new(ErrorKind::Unknown, "a commit was sent to the store and may have happened").caused_by(error)
}

/// A commit that was not even sent, as the look before it was not answered.
pub(super) fn not_sent(error: Error) -> Error {
    Error::new(ErrorKind::Unavailable, "a commit was not sent to the store, which does not answer").caused_by(error)
}

/// A failed look at the store, with one of the kinds that a look may have.
pub(super) fn nothing_seen(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::Malformed => error,
        _ => Error::new(ErrorKind::Unavailable, "the store could not be read").caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use odoo_ha_core::store::{Guard, Key};

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { from: "http://there".into(), status, index: None, filtered: false, body: body.into() }
    }

    fn commit() -> Commit {
        Commit { guards: vec![Guard::Absent(Key::leader())], writes: BTreeMap::from([(Key::leader(), Vec::new())]) }
    }

    /// The verdict as a word, and the kind of its error.
    fn told(verdict: &Verdict) -> (&'static str, Option<ErrorKind>) {
        match verdict {
            Verdict::Done(_) => ("done", None),
            Verdict::Lost(error) => ("lost", Some(error.kind())),
            Verdict::Refused(error) => ("refused", Some(error.kind())),
            Verdict::Elsewhere(error) => ("elsewhere", Some(error.kind())),
            Verdict::Never(error) => ("never", Some(error.kind())),
            Verdict::Perhaps { error, .. } => ("perhaps", Some(error.kind())),
        }
    }

    /// What newer Consuls and others between say; what 1.8 says is asked of a real one in the tests.
    #[test]
    fn answers_to_commits_have_their_meanings() {
        let cases = [
            (200, "{}", ("done", None)),
            (
                409,
                r#"{"Errors":[{"OpIndex":0,"What":"Permission denied: token with AccessorID 'x' lacks permission 'key:write'"}]}"#,
                ("refused", Some(ErrorKind::Denied)),
            ),
            (409, r#"{"Errors":[{"OpIndex":0,"What":"whatever"}]}"#, ("lost", Some(ErrorKind::Conflict))),
            (409, r#"{"Errors":[{"OpIndex":1,"What":"a write failed"}]}"#, ("perhaps", Some(ErrorKind::Malformed))),
            (
                409,
                r#"{"Errors":[{"OpIndex":0,"What":"x"},{"OpIndex":9,"What":"y"}]}"#,
                ("perhaps", Some(ErrorKind::Malformed)),
            ),
            (409, r#"{"Errors":[]}"#, ("perhaps", Some(ErrorKind::Malformed))),
            (409, "Conflict", ("perhaps", Some(ErrorKind::Malformed))),
            (302, "", ("perhaps", Some(ErrorKind::Malformed))),
            (404, "404 page not found", ("perhaps", Some(ErrorKind::Malformed))),
            (429, "Your IP is issuing too many concurrent connections", ("elsewhere", Some(ErrorKind::Unavailable))),
            (500, "rpc error making call: No cluster leader", ("elsewhere", Some(ErrorKind::Unavailable))),
            (500, "leadership lost while committing log", ("perhaps", Some(ErrorKind::Unavailable))),
            (500, "rpc error making call: EOF", ("perhaps", Some(ErrorKind::Unavailable))),
            (502, "Bad Gateway", ("perhaps", Some(ErrorKind::Unavailable))),
            (503, "", ("perhaps", Some(ErrorKind::Unavailable))),
        ];
        for (status, body, expected) in cases {
            assert_eq!(told(&judge_transaction(answer(status, body), Some(&commit()))), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_empty_listing_is_believed_only_from_consul() {
        assert_eq!(told(&judge_listing(answer(404, ""))).0, "perhaps");
        assert_eq!(told(&judge_listing(Answer { index: Some(7), ..answer(404, "") })).0, "done");
        let filtered = Answer { index: Some(7), filtered: true, ..answer(200, "[]") };
        assert_eq!(told(&judge_listing(filtered)), ("refused", Some(ErrorKind::Denied)));
    }

    #[test]
    fn what_others_say_is_cut_and_kept_on_one_line() {
        let verdict = judge_listing(answer(500, &format!("a\n\u{1b}[31m{}", "x".repeat(100_000))));
        let Verdict::Perhaps { error, .. } = verdict else { panic!("{verdict:?}") };
        assert!(error.to_string().len() < 500 && !error.to_string().contains(char::is_control), "{error}");
    }
}
