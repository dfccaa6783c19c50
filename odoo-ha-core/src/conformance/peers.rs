//! The suite for ways from member to member.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::{Checked, PATIENCE, QUIET, ShouldWork, Suite, describe, ends, ensure, ensure_error};
use super::report::{Finding, Report};
use super::timer::{BoxFuture, Timer, dropped_after, together, within};
use crate::error::{Error, ErrorKind};
use crate::failsafe::{Question, Reply};
use crate::member::{ClusterId, MAX_NAME_BYTES, MemberId};
use crate::roles::{Asked, Peers};
use crate::term::{Mark, Term};

const ADDRESS: &str = "Where other members reach this one, in the form that `ask` takes. At most 255 bytes.";
const ASKS: &str = "Asks the member that can be reached `at` what it said of itself.";
const BELONGS: &str = "A reply belongs to the very question that was asked.";
const NO_REPLY: &str = "A reply that was not given is an error, never an acceptance.";
const SILENT: &str = "`Unavailable` when no answer came in time.";
const DENIED: &str = "`Denied` when one side does not prove to be a member.";
const CANCEL: &str = "Cancelling is harmless: the member may have accepted, and then holds still for nothing.";
const NEXT: &str = "Cancel-safe: a question that a dropped call had received is given by the next one, or its asker hears that nobody answered.";
const ONCE: &str = "Waits for the next question that another member asks of this one.";

/// The time that is given to asks that are in vain.
const SHORT: Duration = Duration::from_millis(200);

/// Two members that can ask each other.
pub type PeersPair = (Arc<dyn Peers>, Arc<dyn Peers>);

/// Members that can ask one another, and places where nobody answers.
#[async_trait]
pub trait PeersBench: Send + Sync {
    /// Two members of one cluster that nobody else asks; new ones for every call.
    ///
    /// # Errors
    ///
    /// Whatever keeps them from being made; the check that wanted them fails.
    async fn pair(&self) -> Result<PeersPair, Error>;

    /// An address of the right form where nobody listens.
    async fn nobody(&self) -> String;

    /// An address where something takes questions and never answers, as a frozen member does; `None` where the technology knows no such state,
    /// which skips its check.
    async fn hanging(&self) -> Option<String> {
        None
    }

    /// Somebody who speaks as members do and is none: it lacks the secret, or the certificate. `None` where that cannot be, which skips
    /// its check.
    async fn stranger(&self) -> Option<Arc<dyn Peers>> {
        None
    }
}

/// Holds a way from member to member against the contract of [`Peers`]. The questions are of a made-up cluster named `conformance`. Cancelling is harmless.
pub async fn peers(bench: &dyn PeersBench, timer: &dyn Timer) -> Report {
    let mut suite = Suite::new("Peers", timer);
    let lab = Lab { bench, timer, asked: AtomicU64::new(0) };
    suite.check("its_address_is_short_and_can_be_asked", Box::pin(lab.its_address())).await;
    suite.check("a_question_arrives_as_it_was_asked", Box::pin(lab.a_question_arrives())).await;
    suite.check("a_reply_comes_back_as_it_was_given", Box::pin(lab.a_reply_comes_back())).await;
    suite.check("replies_are_not_swapped", Box::pin(lab.replies_are_not_swapped())).await;
    suite.check("members_ask_each_other_at_once", Box::pin(lab.each_other())).await;
    suite.check("a_question_arrives_once", Box::pin(lab.a_question_arrives_once())).await;
    suite.check("a_dropped_question_is_no_reply", Box::pin(lab.a_dropped_question())).await;
    suite.check("a_question_without_answer_costs_its_time", Box::pin(lab.a_question_without_answer())).await;
    suite.check("nobody_there_is_unavailable", Box::pin(lab.nobody_there())).await;
    suite.check("what_is_no_address_is_an_error", Box::pin(lab.no_address())).await;
    match bench.hanging().await {
        Some(at) => suite.check("a_frozen_member_costs_its_time", Box::pin(lab.frozen(at))).await,
        None => suite.skip("a_frozen_member_costs_its_time", "nothing that hangs was handed in"),
    }
    match bench.stranger().await {
        Some(stranger) => suite.check("a_stranger_is_denied", Box::pin(lab.stranger(stranger))).await,
        None => suite.skip("a_stranger_is_denied", "no stranger was handed in"),
    }
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(lab.no_time_at_all())).await;
    suite.check("a_dropped_ask_is_harmless", Box::pin(lab.dropped_asks())).await;
    suite.check("a_dropped_next_loses_nothing_for_good", Box::pin(lab.dropped_next())).await;
    suite.finish()
}

struct Lab<'a> {
    bench: &'a dyn PeersBench,
    timer: &'a dyn Timer,
    asked: AtomicU64,
}

impl Lab<'_> {
    /// Two members, of whom the second can be asked by the first: it may take a moment until it listens.
    async fn pair(&self) -> Result<PeersPair, Finding> {
        let (a, b) = self.bench.pair().await.should_work("making two members")?;
        let tries = async {
            loop {
                let last = self.ask(&a, &b, SHORT * 5).await;
                if last.is_ok() {
                    return;
                }
                self.timer.sleep(SHORT / 20).await;
            }
        };
        let met = within(self.timer, PATIENCE, self.beside(tries, &b, accept)).await;
        met.ok_or_else(|| Finding::new(ASKS, format!("a reply within {PATIENCE:?}"), "there was none"))?;
        Ok((a, b))
    }

    /// The output of `work`, while this member answers whatever it is asked.
    async fn beside<T>(&self, work: impl Future<Output = T>, member: &Arc<dyn Peers>, answer: impl Fn(Asked)) -> T {
        first(work, self.answering(member, answer)).await
    }

    async fn answering(&self, member: &Arc<dyn Peers>, answer: impl Fn(Asked)) -> Infallible {
        loop {
            match member.next().await {
                Ok(asked) => answer(asked),
                // What keeps it from listening shows in what is asked.
                Err(_) => self.timer.sleep(SHORT / 20).await,
            }
        }
    }

    /// Another question each time.
    fn question(&self) -> Result<Question, Finding> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(Question {
            cluster: ClusterId::new("conformance").should_work("naming a cluster")?,
            from: MemberId::new("node_a").should_work("naming a member")?,
            to: MemberId::new("node_b").should_work("naming a member")?,
            mark: Mark { term: Term(7), sequence: 70 },
            ttl_ms: 5_000,
            round: (1, number),
        })
    }

    async fn ask(&self, asker: &Arc<dyn Peers>, asked: &Arc<dyn Peers>, timeout: Duration) -> Result<Reply, Error> {
        self.ask_at(asker, &asked.address(), timeout).await
    }

    async fn ask_at(&self, asker: &Arc<dyn Peers>, at: &str, timeout: Duration) -> Result<Reply, Error> {
        let question = self.question().map_err(|finding| Error::new(ErrorKind::Malformed, finding.seen))?;
        asker.ask(at, &question, timeout).await
    }

    async fn should_be_accepted(&self, a: &Arc<dyn Peers>, b: &Arc<dyn Peers>) -> Checked {
        let seen = self.beside(self.ask(a, b, PATIENCE), b, accept).await;
        ensure(matches!(seen, Ok(Reply::Accepted)), ASKS, "Accepted", describe(&seen))
    }

    async fn its_address(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let (of_a, of_b) = (a.address(), b.address());
        let fine = |text: &String| !text.is_empty() && text.len() <= 255;
        ensure(
            fine(&of_a) && fine(&of_b) && of_a != of_b,
            ADDRESS,
            "1 to 255 bytes, another for each",
            (&of_a, &of_b),
        )?;
        self.should_be_accepted(&a, &b).await?;
        self.should_be_accepted(&b, &a).await?;
        let later = (a.address(), b.address());
        ensure(later == (of_a, of_b), ADDRESS, "the same after it was asked", later)
    }

    async fn a_question_arrives(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let (short, long) = ("x".to_owned(), "z".repeat(MAX_NAME_BYTES));
        for (name, number) in [(&short, 0), (&long, u64::MAX), (&long, 1 << 53 | 1)] {
            let asked = Question {
                cluster: ClusterId::new(name.clone()).should_work("naming a cluster")?,
                from: MemberId::new(name.clone()).should_work("naming a member")?,
                to: MemberId::new(name.clone()).should_work("naming a member")?,
                mark: Mark { term: Term(number), sequence: number },
                ttl_ms: number,
                round: (number, number),
            };
            let same = |arrived: Asked| {
                let what = format!("{:?}", arrived.question);
                let reply = if arrived.question == asked { Reply::Accepted } else { Reply::Refused(what) };
                arrived.answer(reply);
            };
            let seen = self.beside(a.ask(&b.address(), &asked, PATIENCE), &b, same).await;
            ensure(matches!(seen, Ok(Reply::Accepted)), ASKS, &format!("{asked:?} arrives"), describe(&seen))?;
        }
        Ok(())
    }

    async fn a_reply_comes_back(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let texts = [
            "",
            "term 8 is newer than 7",
            "\"quotes\", \\ and {braces}",
            "two\nlines\t\u{1}",
            "größer 大",
            &"x".repeat(500),
        ];
        for text in texts {
            let refuse = |asked: Asked| asked.answer(Reply::Refused(text.to_owned()));
            let seen = self.beside(self.ask(&a, &b, PATIENCE), &b, refuse).await;
            let kept = matches!(&seen, Ok(Reply::Refused(why)) if why == text);
            ensure(kept, "It may not, and why.", &format!("Refused({text:?})"), describe(&seen))?;
        }
        self.should_be_accepted(&a, &b).await
    }

    async fn replies_are_not_swapped(&self) -> Checked {
        const AT_ONCE: usize = 8;
        let (a, b) = self.pair().await?;
        for _ in 0..3 {
            let mut asks: Vec<BoxFuture<'_, Checked>> = Vec::new();
            for _ in 0..AT_ONCE {
                let (question, at, asker) = (self.question()?, b.address(), Arc::clone(&a));
                asks.push(Box::pin(async move {
                    let seen = asker.ask(&at, &question, PATIENCE).await;
                    let own = matches!(&seen, Ok(Reply::Refused(why)) if *why == format!("{:?}", question.round));
                    ensure(own, BELONGS, &format!("the reply to {:?}", question.round), describe(&seen))
                }));
            }
            // All wait before the first is answered, and the last is answered first.
            let waiting = Mutex::new(Vec::new());
            let collect = |asked: Asked| {
                let Ok(mut waiting) = waiting.lock() else { return };
                waiting.push(asked);
                if waiting.len() == AT_ONCE {
                    for asked in waiting.drain(..).rev() {
                        let name = format!("{:?}", asked.question.round);
                        asked.answer(Reply::Refused(name));
                    }
                }
            };
            self.beside(together(asks), &b, collect).await.into_iter().collect::<Checked>()?;
        }
        Ok(())
    }

    async fn each_other(&self) -> Checked {
        let (a, b) = self.pair().await?;
        self.should_be_accepted(&b, &a).await?;
        let both = async {
            let mut asks: Vec<BoxFuture<'_, _>> = Vec::new();
            for _ in 0..4 {
                asks.push(Box::pin(self.ask(&a, &b, PATIENCE)));
                asks.push(Box::pin(self.ask(&b, &a, PATIENCE)));
            }
            together(asks).await
        };
        let answers = self.beside(self.beside(both, &a, accept), &b, accept).await;
        let fine = answers.iter().all(|seen| matches!(seen, Ok(Reply::Accepted)));
        ensure(fine, "Methods may be called concurrently.", "Accepted eight times", answers)
    }

    async fn a_question_arrives_once(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let arrived = AtomicU64::new(0);
        let count = |asked: Asked| {
            arrived.fetch_add(1, Ordering::Relaxed);
            accept(asked);
        };
        let look = async {
            self.ask(&a, &b, PATIENCE).await.should_work("asking")?;
            self.timer.sleep(QUIET).await;
            Ok::<_, Finding>(())
        };
        self.beside(look, &b, count).await?;
        let arrived = arrived.load(Ordering::Relaxed);
        ensure(arrived == 1, ONCE, "one question of one ask", arrived)
    }

    async fn a_dropped_question(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let ask = ends(self.timer, "asking", SHORT, self.ask(&a, &b, SHORT));
        let seen = self.beside(ask, &b, drop).await?;
        ensure_error(&seen, &[ErrorKind::Unavailable], NO_REPLY, "a question that is dropped")?;
        self.should_be_accepted(&a, &b).await
    }

    async fn a_question_without_answer(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let kept = Mutex::new(Vec::new());
        let keep = |asked: Asked| {
            if let Ok(mut kept) = kept.lock() {
                kept.push(asked);
            }
        };
        let ask = ends(self.timer, "asking", SHORT, self.ask(&a, &b, SHORT));
        let seen = self.beside(ask, &b, keep).await?;
        ensure_error(&seen, &[ErrorKind::Unavailable], SILENT, "a question that is not answered")?;
        // Too late: nobody hears it, and it harms nothing.
        if let Ok(kept) = kept.into_inner() {
            kept.into_iter().for_each(accept);
        }
        self.should_be_accepted(&a, &b).await
    }

    async fn nobody_there(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let nobody = self.bench.nobody().await;
        let seen = ends(self.timer, "asking nobody", SHORT, self.ask_at(&a, &nobody, SHORT)).await?;
        ensure_error(&seen, &[ErrorKind::Unavailable], SILENT, "asking where nobody listens")?;
        self.should_be_accepted(&a, &b).await
    }

    async fn no_address(&self) -> Checked {
        let (a, b) = self.pair().await?;
        for at in ["", " ", "no address", "http://", "\r\n\0", &"x".repeat(300)] {
            let seen = ends(self.timer, "asking nowhere", SHORT, self.ask_at(&a, at, SHORT)).await?;
            let kinds = [ErrorKind::Malformed, ErrorKind::Unavailable];
            ensure_error(&seen, &kinds, NO_REPLY, &format!("asking at {at:?}"))?;
        }
        self.should_be_accepted(&a, &b).await
    }

    async fn frozen(&self, at: String) -> Checked {
        let (a, b) = self.pair().await?;
        for limit in [SHORT / 4, SHORT] {
            let seen = ends(self.timer, "asking what hangs", limit, self.ask_at(&a, &at, limit)).await?;
            ensure_error(&seen, &[ErrorKind::Unavailable], SILENT, "asking what hangs")?;
        }
        self.should_be_accepted(&a, &b).await
    }

    async fn stranger(&self, stranger: Arc<dyn Peers>) -> Checked {
        let (a, b) = self.pair().await?;
        let heard = AtomicU64::new(0);
        let count = |asked: Asked| {
            heard.fetch_add(1, Ordering::Relaxed);
            accept(asked);
        };
        let seen = self.beside(self.ask(&stranger, &b, PATIENCE), &b, count).await;
        ensure_error(&seen, &[ErrorKind::Denied], DENIED, "a question of a stranger")?;
        let tries = async {
            loop {
                // Until it listens.
                let seen = self.ask(&a, &stranger, PATIENCE).await;
                if !seen.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable) {
                    return seen;
                }
                self.timer.sleep(SHORT / 20).await;
            }
        };
        let seen = within(self.timer, PATIENCE, self.beside(tries, &stranger, count)).await;
        let seen = seen.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "the stranger never listened")));
        ensure_error(&seen, &[ErrorKind::Denied], DENIED, "asking a stranger")?;
        let heard = heard.load(Ordering::Relaxed);
        ensure(heard == 0, DENIED, "no question across the border arrives", heard)?;
        self.should_be_accepted(&a, &b).await
    }

    async fn no_time_at_all(&self) -> Checked {
        let (a, b) = self.pair().await?;
        let none = Duration::ZERO;
        let ask = ends(self.timer, "asking", none, self.ask(&a, &b, none));
        let seen = self.beside(ask, &b, accept).await?;
        let fine = matches!(&seen, Ok(Reply::Accepted)) || seen.is_err();
        ensure(fine, SILENT, "the true reply, or an error", describe(&seen))?;
        self.should_be_accepted(&a, &b).await
    }

    async fn dropped_asks(&self) -> Checked {
        let (a, b) = self.pair().await?;
        for polls in 1..8 {
            let ask = dropped_after(polls, self.ask(&a, &b, PATIENCE));
            self.beside(within(self.timer, SHORT / 4, ask), &b, accept).await;
            let accepted = self.should_be_accepted(&a, &b).await;
            accepted.map_err(|finding| Finding { contract: CANCEL, ..finding })?;
        }
        Ok(())
    }

    async fn dropped_next(&self) -> Checked {
        let (a, b) = self.pair().await?;
        for polls in 1..8 {
            let patience = SHORT * 5;
            let asking = self.ask(&a, &b, patience);
            let answering = async {
                // Dropped before, while and after the question comes in.
                let received = within(self.timer, SHORT / 10, dropped_after(polls, b.next())).await;
                if let Some(Some(Ok(asked))) = received {
                    accept(asked);
                }
                self.answering(&b, accept).await
            };
            let seen = ends(self.timer, "asking", patience, first(asking, answering)).await?;
            let heard = matches!(&seen, Ok(Reply::Accepted))
                || seen.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable);
            ensure(heard, NEXT, "Accepted, or Unavailable", describe(&seen))?;
            let accepted = self.should_be_accepted(&a, &b).await;
            accepted.map_err(|finding| Finding { contract: NEXT, ..finding })?;
        }
        Ok(())
    }
}

/// The output of `work`, while `endless` runs beside it.
async fn first<T>(work: impl Future<Output = T>, endless: impl Future<Output = Infallible>) -> T {
    let (mut work, mut endless) = (pin!(work), pin!(endless));
    poll_fn(|context| {
        // First, so that a member listens before it is asked.
        let Poll::Pending = endless.as_mut().poll(context);
        work.as_mut().poll(context)
    })
    .await
}

fn accept(asked: Asked) {
    asked.answer(Reply::Accepted);
}
