//! Waiting, without a runtime of its own.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

/// A future on the heap that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sleeps on the runtime that the tested implementation runs on.
///
/// A closure will do: `|time| Box::pin(tokio::time::sleep(time))`, boxed as [`BoxFuture`].
pub trait Timer: Send + Sync {
    /// Ends after this time. Real time: a paused test clock would end waits that the implementation needs.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

impl<F: Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync> Timer for F {
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        self(time)
    }
}

/// The output of `work`, or `None` when `limit` passes before; `work` is dropped then.
pub(crate) async fn within<T>(timer: &dyn Timer, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut sleep = timer.sleep(limit);
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        sleep.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Runs all of them at once and gives their outputs in the same order.
pub(crate) async fn together<T: Send>(work: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut work: Vec<_> = work.into_iter().map(|future| (Some(future), None)).collect();
    poll_fn(|context| {
        let mut all_done = true;
        for (future, output) in &mut work {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    Poll::Ready(done) => (*future, *output) = (None, Some(done)),
                    Poll::Pending => all_done = false,
                }
            }
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    work.into_iter().filter_map(|(_, output)| output).collect()
}

/// Polls `work` once, or until it yielded `polls` times, and drops it, as a driver does that has lost its patience.
/// Gives the output when it was ready by then.
pub(crate) async fn dropped_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls.max(1);
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        left -= 1;
        if left == 0 { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// Lets others run once: a loop over calls that are ready at once would keep them from it for ever.
pub(crate) async fn breathe() {
    let mut breathed = false;
    poll_fn(|context| {
        if std::mem::replace(&mut breathed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
