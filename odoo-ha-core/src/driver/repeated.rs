//! A call that is made again and again on a lane of its own, one at a time.

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::calls::panic_text;
use super::lanes::Lane;

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It is not over by its deadline, or one before it still blocks its thread.
    Silent,
    /// It panicked, or its thread was shut down, in words.
    Broken(String),
}

/// The lane, and the call that was given up and still blocks it.
#[derive(Debug)]
pub(super) struct Repeated<'a, T> {
    lane: &'a Lane,
    blocked: Option<JoinHandle<T>>,
}

impl<'a, T: Send + 'static> Repeated<'a, T> {
    pub(super) const fn on(lane: &'a Lane) -> Self {
        Self { lane, blocked: None }
    }

    /// Makes the call, and drops it at its deadline.
    pub(super) async fn call(
        &mut self,
        call: impl Future<Output = T> + Send + 'static,
        deadline: Instant,
    ) -> Result<T, NoAnswer> {
        // One that was dropped and has not ended blocks its thread: another would only wait behind it.
        if let Some(before) = &mut self.blocked
            && timeout_at(deadline, before).await.is_err()
        {
            return Err(NoAnswer::Silent);
        }
        self.blocked = None;
        let mut running = self.lane.spawn(call);
        match timeout_at(deadline, &mut running).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(NoAnswer::Broken(match error.try_into_panic() {
                Ok(panic) => format!("it panicked: {}", panic_text(&*panic)),
                Err(_) => "its thread was shut down".to_owned(),
            })),
            Err(_) => {
                running.abort();
                self.blocked = Some(running);
                Err(NoAnswer::Silent)
            }
        }
    }
}
