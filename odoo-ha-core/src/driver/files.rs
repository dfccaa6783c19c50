//! How far the copy of the files is: asked for at a calm rhythm, on a thread of its own, for people and monitoring. Nothing waits for it, and the
//! machine never hears of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::roles::{FilestoreStatus, FilestoreSync};
use crate::time::Moment;

use super::clock::Clock;
use super::lanes::Lane;
use super::repeated::{NoAnswer, Repeated};
use super::watches::Told;

/// From one question to the next: far below what anybody would be woken for, and no load for a filestore that must look at its disk.
const INTERVAL: Duration = Duration::from_secs(5);

/// What the filestore has for an answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How much longer it may take before it is dropped and told to be silent.
const GRACE: Duration = Duration::from_millis(50);

/// What a filestore last said of its copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilestoreReport {
    /// When it was asked, by the node's clock; it is asked every 5 s.
    pub asked: Moment,
    /// What it said, or why it could not say; it has 2 s.
    pub status: Result<FilestoreStatus, String>,
    /// When the copy was last known complete, by the node's clock, by this answer or by the last one that said it; `None` if it never was since the
    /// agent started.
    pub complete: Option<Moment>,
}

impl FilestoreReport {
    fn after(before: Option<&Self>, asked: Moment, status: Result<FilestoreStatus, String>) -> Self {
        let said = status.as_ref().ok().and_then(|status| status.complete_ms_ago);
        let complete = said.map(|ago| asked.before(Duration::from_millis(ago)));
        Self { asked, status, complete: complete.or_else(|| before?.complete) }
    }
}

/// Asks, and keeps the last answer.
#[derive(Debug)]
pub(super) struct FilesWatch {
    pub(super) filestore: Arc<dyn FilestoreSync>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) report: watch::Sender<Option<FilestoreReport>>,
}

impl FilesWatch {
    /// Asks on `lane`, supervised on `side`, until nobody listens to `told`: the node's end.
    pub(super) fn start(self, side: &Lane, lane: Lane, told: mpsc::Sender<Told>) {
        let own_lane = side.clone();
        side.spawn(async move {
            let _own_lane = own_lane;
            tokio::select! {
                biased;
                () = self.run(&lane) => {}
                () = told.closed() => {}
            }
        });
    }

    async fn run(&self, lane: &Lane) {
        let mut questions = Repeated::on(lane);
        loop {
            let (begun, asked) = (Instant::now(), self.clock.now());
            let filestore = self.filestore.clone();
            let answer = questions.call(async move { filestore.status(TIMEOUT).await }, begun + TIMEOUT + GRACE).await;
            let status = match answer {
                Ok(said) => said.map_err(|error| error.chain()),
                Err(NoAnswer::Broken(why)) => Err(format!("the filestore cannot say how far it is: {why}")),
                Err(NoAnswer::Silent) => Err(format!("the filestore did not say how far it is within {TIMEOUT:?}")),
            };
            self.report.send_modify(|report| *report = Some(FilestoreReport::after(report.as_ref(), asked, status)));
            sleep(INTERVAL.saturating_sub(begun.elapsed())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_does_not_hide_how_long_the_copy_is_not_complete() {
        let at = |seconds| Moment::from_origin(Duration::from_secs(seconds));
        let whole = Ok(FilestoreStatus { missing: 1, complete_ms_ago: Some(2000) });
        let first = FilestoreReport::after(None, at(10), Err("it is away".to_owned()));
        assert_eq!(first.complete, None);
        let second = FilestoreReport::after(Some(&first), at(15), whole);
        assert_eq!(second.complete, Some(at(13)));
        let third = FilestoreReport::after(Some(&second), at(20), Err("it is away".to_owned()));
        assert_eq!(third.complete, Some(at(13)));
        let never = FilestoreStatus { missing: 0, complete_ms_ago: None };
        assert_eq!(FilestoreReport::after(Some(&third), at(25), Ok(never)).complete, Some(at(13)));
    }
}
