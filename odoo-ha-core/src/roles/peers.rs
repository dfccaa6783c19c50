//! The way from member to member, beside the store.

use std::fmt;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Error;
use crate::failsafe::{Question, Reply};

/// How members ask one another what they cannot ask the store.
///
/// Whoever answers a [`Question`] with [`Reply::Accepted`] gives up its right to take over for a while, and whoever is accepted by all leads on without the
/// store. So an implementation must be certain of both sides: **only members of the cluster** can ask and answer (a shared secret, or
/// certificates), a reply belongs to the very question that was asked, and a reply that was not given is an error, never an acceptance.
#[async_trait]
pub trait Peers: Send + Sync + Debug {
    /// Where other members reach this one, in the form that [`ask`](Peers::ask) takes; it is published in the store. At most 255 bytes.
    fn address(&self) -> String;

    /// Asks the member that can be reached `at` what it said of itself.
    ///
    /// # Errors
    ///
    /// `Unavailable` when no answer came in time; `Denied` when one side does not prove to be a member; `Malformed`. Cancelling is
    /// harmless: the member may have accepted, and then holds still for nothing.
    async fn ask(&self, at: &str, question: &Question, timeout: Duration) -> Result<Reply, Error>;

    /// Waits for the next question that another member asks of this one. Cancel-safe: a question that a dropped call had received is given
    /// by the next one, or its asker hears that nobody answered.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from listening; it is called again a little later.
    async fn next(&self) -> Result<Asked, Error>;
}

/// A question that another member asked, and the way back.
pub struct Asked {
    /// What is asked.
    pub question: Question,
    answer: Box<dyn FnOnce(Reply) + Send>,
}

impl Asked {
    /// A question; `answer` sends the reply back and must not block. If it is dropped instead, the asker hears nothing.
    pub fn new(question: Question, answer: impl FnOnce(Reply) + Send + 'static) -> Self {
        Self { question, answer: Box::new(answer) }
    }

    /// Sends the reply.
    pub fn answer(self, reply: Reply) {
        (self.answer)(reply);
    }
}

impl Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("question", &self.question).finish_non_exhaustive()
    }
}
