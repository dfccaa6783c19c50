//! The suite for filestores.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, PATIENCE, QUIET, ShouldWork, Suite, ends, ensure, ensure_error};
use super::report::{Finding, Report};
use super::timer::{Timer, dropped_after, within};
use crate::database::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::member::MemberId;
use crate::roles::FilestoreSync;
use crate::term::Term;

const COPIES: &str = "Becomes a copy of the leader's files. Returns once it has begun; the copying goes on behind.";
const ADDS: &str = "Only the leader's side takes new files from users; copies add eagerly and delete late.";
const LEADS: &str = "Becomes the side that users write to.";
const RESTS: &str = "Neither leads nor follows. Idempotent.";
const FENCED: &str = "An implementation that can remember the highest term it saw refuses an older one as `Fenced`.";
const TELLS: &str = "Milliseconds since this copy was last known complete; `None` if never.";

/// Between two looks at what must come.
const STEP: Duration = Duration::from_millis(5);

/// Makes nodes that keep Odoo's files by the kind under test.
#[async_trait]
pub trait FilestoreBench: Send + Sync {
    /// Two nodes, each of which can be the leader of the other. Both rest, and neither has files, nor has seen a term.
    ///
    /// # Errors
    ///
    /// Any: the check fails with it.
    async fn nodes(&self) -> Result<[Arc<dyn FilestoreNode>; 2], Error>;
}

/// A node, its files, and the hands and eyes of its users.
#[async_trait]
pub trait FilestoreNode: Send + Sync {
    /// What keeps the files.
    fn filestore(&self) -> Arc<dyn FilestoreSync>;

    /// The node, as the others are told whom to follow.
    fn member(&self) -> (MemberId, Endpoint);

    /// Whether it keeps files at all; an implementation for tests may only remember its role.
    fn keeps_files(&self) -> bool;

    /// Whether an older term than one that it saw is refused.
    fn fences_by_term(&self) -> bool;

    /// A user adds a file with this content, which no other has. Returns what it is called, the same on every node.
    async fn add(&self, content: &str) -> String;

    /// The content of the file that is called so; `None` when it is not there. Never a part of it.
    async fn read(&self, name: &str) -> Option<String>;

    /// Takes the file away from this node.
    async fn remove(&self, name: &str);
}

/// Holds a filestore against the contract of [`FilestoreSync`]. Every check has nodes of its own.
pub async fn filestore(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("FilestoreSync", timer);
    let (keeps_files, fences) = match bench.nodes().await {
        Ok([node, _]) => (node.keeps_files(), node.fences_by_term()),
        Err(_) => (true, true),
    };
    suite.check("a_role_can_be_taken_again", Box::pin(again(bench))).await;
    suite.check("a_new_copy_was_never_complete", Box::pin(never_complete(bench))).await;
    let copying: [(&'static str, super::timer::BoxFuture<'_, Checked>); 5] = [
        ("files_of_the_leader_arrive", Box::pin(arrive(bench, timer))),
        ("what_vanishes_at_the_leader_is_kept", Box::pin(kept(bench, timer))),
        ("a_leader_takes_nothing_from_others", Box::pin(leads(bench, timer))),
        ("one_that_rests_takes_nothing", Box::pin(rests(bench, timer))),
        ("a_new_leader_is_followed", Box::pin(new_leader(bench, timer))),
    ];
    for (name, check) in copying {
        if keeps_files {
            suite.check(name, check).await;
        } else {
            suite.skip(name, "it keeps no files");
        }
    }
    suite.check("dropped_calls_leave_it_usable", Box::pin(dropped(bench))).await;
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time(bench, timer))).await;
    if fences {
        suite.check("an_older_term_is_refused", Box::pin(older_term(bench))).await;
    } else {
        suite.skip("an_older_term_is_refused", "it remembers no terms");
    }
    suite.finish()
}

/// The first leads, and the second follows.
struct Pair {
    leader: Arc<dyn FilestoreNode>,
    copy: Arc<dyn FilestoreNode>,
}

impl Pair {
    async fn new(bench: &dyn FilestoreBench) -> Result<Self, Finding> {
        let [leader, copy] = bench.nodes().await.should_work("making nodes")?;
        Ok(Self { leader, copy })
    }

    async fn following(bench: &dyn FilestoreBench) -> Result<Self, Finding> {
        let pair = Self::new(bench).await?;
        pair.leader.filestore().lead(Term(1), PATIENCE).await.should_work("leading")?;
        follow(pair.copy.as_ref(), Term(1), pair.leader.as_ref()).await.should_work("following")?;
        Ok(pair)
    }

    async fn end(&self) -> Checked {
        for node in [&self.leader, &self.copy] {
            node.filestore().rest(PATIENCE).await.should_work("resting")?;
        }
        Ok(())
    }
}

async fn follow(node: &dyn FilestoreNode, term: Term, leader: &dyn FilestoreNode) -> Result<(), Error> {
    let (member, endpoint) = leader.member();
    node.filestore().follow(term, &member, Some(&endpoint), PATIENCE).await
}

/// The file comes, whole.
async fn comes(
    node: &dyn FilestoreNode,
    name: &str,
    content: &str,
    timer: &dyn Timer,
    contract: &'static str,
) -> Checked {
    let coming = async {
        loop {
            if let Some(found) = node.read(name).await {
                return found;
            }
            timer.sleep(STEP).await;
        }
    };
    let expected = format!("{name} is there within {PATIENCE:?}, and is {content:?}");
    match within(timer, PATIENCE, coming).await {
        Some(found) => ensure(found == content, contract, &expected, found),
        None => {
            let status = node.filestore().status(PATIENCE).await;
            Err(Finding::new(contract, expected, format!("it is not; status: {}", super::bench::describe(&status))))
        }
    }
}

/// The file does not come.
async fn stays_away(node: &dyn FilestoreNode, name: &str, timer: &dyn Timer, contract: &'static str) -> Checked {
    let coming = async {
        while node.read(name).await.is_none() {
            timer.sleep(STEP).await;
        }
    };
    let came = within(timer, QUIET, coming).await.is_some();
    ensure(!came, contract, &format!("{name} does not come"), "it came")
}

async fn again(bench: &dyn FilestoreBench) -> Checked {
    let Pair { leader, copy } = Pair::new(bench).await?;
    for _ in 0..2 {
        leader.filestore().lead(Term(1), PATIENCE).await.should_work("leading")?;
        leader.filestore().lead(Term(1), PATIENCE).await.should_work("leading again")?;
        follow(copy.as_ref(), Term(1), leader.as_ref()).await.should_work("following")?;
        follow(copy.as_ref(), Term(1), leader.as_ref()).await.should_work("following again")?;
        for node in [&leader, &copy] {
            node.filestore().rest(PATIENCE).await.should_work("resting")?;
            node.filestore().rest(PATIENCE).await.should_work("resting again")?;
        }
    }
    Ok(())
}

async fn never_complete(bench: &dyn FilestoreBench) -> Checked {
    let Pair { copy, .. } = Pair::new(bench).await?;
    let status = copy.filestore().status(PATIENCE).await.should_work("looking")?;
    ensure(status.complete_ms_ago.is_none(), TELLS, "one that never followed was never complete", status)
}

async fn arrive(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Checked {
    let pair = Pair::new(bench).await?;
    let before = pair.leader.add("before").await;
    pair.leader.filestore().lead(Term(1), PATIENCE).await.should_work("leading")?;
    follow(pair.copy.as_ref(), Term(1), pair.leader.as_ref()).await.should_work("following")?;
    comes(pair.copy.as_ref(), &before, "before", timer, COPIES).await?;
    let after = pair.leader.add("after").await;
    comes(pair.copy.as_ref(), &after, "after", timer, COPIES).await?;
    let complete = async {
        loop {
            match pair.copy.filestore().status(PATIENCE).await {
                Ok(status) if status.complete_ms_ago.is_some() && status.missing == 0 => return,
                Ok(_) | Err(_) => timer.sleep(STEP).await,
            }
        }
    };
    let told = within(timer, PATIENCE, complete).await;
    ensure(told.is_some(), TELLS, "a copy that has everything says so", told)?;
    pair.end().await
}

async fn kept(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Checked {
    let pair = Pair::following(bench).await?;
    let old = pair.leader.add("old").await;
    comes(pair.copy.as_ref(), &old, "old", timer, COPIES).await?;
    pair.leader.remove(&old).await;
    // What came after it was gone shows that the copy has seen that.
    for content in ["new", "newer"] {
        let new = pair.leader.add(content).await;
        comes(pair.copy.as_ref(), &new, content, timer, COPIES).await?;
    }
    let found = pair.copy.read(&old).await;
    ensure(found.as_deref() == Some("old"), ADDS, "what is gone at the leader is kept at the copy", found)?;
    pair.end().await
}

async fn leads(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Checked {
    let pair = Pair::following(bench).await?;
    let first = pair.leader.add("first").await;
    comes(pair.copy.as_ref(), &first, "first", timer, COPIES).await?;
    pair.copy.filestore().lead(Term(2), PATIENCE).await.should_work("leading in the place of the leader")?;
    let late = pair.leader.add("late").await;
    stays_away(pair.copy.as_ref(), &late, timer, LEADS).await?;
    pair.end().await
}

async fn rests(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Checked {
    let pair = Pair::following(bench).await?;
    let first = pair.leader.add("first").await;
    comes(pair.copy.as_ref(), &first, "first", timer, COPIES).await?;
    pair.copy.filestore().rest(PATIENCE).await.should_work("resting")?;
    let late = pair.leader.add("late").await;
    stays_away(pair.copy.as_ref(), &late, timer, RESTS).await?;
    follow(pair.copy.as_ref(), Term(1), pair.leader.as_ref()).await.should_work("following again")?;
    comes(pair.copy.as_ref(), &late, "late", timer, COPIES).await?;
    pair.end().await
}

async fn new_leader(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Checked {
    let pair = Pair::following(bench).await?;
    let first = pair.leader.add("first").await;
    comes(pair.copy.as_ref(), &first, "first", timer, COPIES).await?;
    let own = pair.leader.add("only the old leader has it").await;
    pair.copy.filestore().lead(Term(2), PATIENCE).await.should_work("leading")?;
    follow(pair.leader.as_ref(), Term(2), pair.copy.as_ref()).await.should_work("the old leader follows")?;
    let second = pair.copy.add("second").await;
    comes(pair.leader.as_ref(), &second, "second", timer, COPIES).await?;
    let found = pair.leader.read(&own).await;
    ensure(found.is_some(), ADDS, "what only the old leader has is kept there", found)?;
    pair.end().await
}

async fn dropped(bench: &dyn FilestoreBench) -> Checked {
    let Pair { leader, copy } = Pair::new(bench).await?;
    for polls in 1..4 {
        dropped_after(polls, follow(copy.as_ref(), Term(1), leader.as_ref())).await;
        dropped_after(polls, copy.filestore().rest(PATIENCE)).await;
        dropped_after(polls, copy.filestore().lead(Term(1), PATIENCE)).await;
        dropped_after(polls, copy.filestore().status(PATIENCE)).await;
    }
    copy.filestore().lead(Term(1), PATIENCE).await.should_work("leading after dropped calls")?;
    follow(copy.as_ref(), Term(1), leader.as_ref()).await.should_work("following after dropped calls")?;
    copy.filestore().rest(PATIENCE).await.should_work("resting after dropped calls")
}

async fn no_time(bench: &dyn FilestoreBench, timer: &dyn Timer) -> Checked {
    let Pair { leader, copy } = Pair::new(bench).await?;
    let (files, zero) = (copy.filestore(), Duration::ZERO);
    let (member, endpoint) = leader.member();
    let _ = ends(timer, "following", zero, files.follow(Term(1), &member, Some(&endpoint), zero)).await?;
    let _ = ends(timer, "leading", zero, files.lead(Term(1), zero)).await?;
    let _ = ends(timer, "looking", zero, files.status(zero)).await?;
    let _ = ends(timer, "resting", zero, files.rest(zero)).await?;
    files.lead(Term(1), PATIENCE).await.should_work("leading with time")?;
    files.rest(PATIENCE).await.should_work("resting with time")
}

async fn older_term(bench: &dyn FilestoreBench) -> Checked {
    let Pair { leader, copy } = Pair::new(bench).await?;
    let files = copy.filestore();
    files.lead(Term(5), PATIENCE).await.should_work("leading")?;
    files.rest(PATIENCE).await.should_work("resting")?;
    ensure_error(&files.lead(Term(4), PATIENCE).await, &[ErrorKind::Fenced], FENCED, "leading in an older term")?;
    let older = follow(copy.as_ref(), Term(4), leader.as_ref()).await;
    ensure_error(&older, &[ErrorKind::Fenced], FENCED, "following in an older term")?;
    files.lead(Term(5), PATIENCE).await.should_work("leading in the same term")?;
    follow(copy.as_ref(), Term(6), leader.as_ref()).await.should_work("following in a newer term")?;
    ensure_error(&files.lead(Term(5), PATIENCE).await, &[ErrorKind::Fenced], FENCED, "leading in the term before")?;
    files.rest(PATIENCE).await.should_work("resting")
}
