//! The log. A subscriber of `tracing` is the embedder's code and may block (a full pipe): it runs on a lane of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tracing::level_filters::LevelFilter;

use crate::event::{Event, Severity};
use crate::machine::{Action, Input};
use crate::member::{ClusterId, MemberId};
use crate::term::Term;

use super::lanes::Lane;
use super::perform::verb;

/// Lines that wait to be written. At the finest level a member writes some hundred a second: this is some seconds.
const QUEUE: usize = 1024;

/// One line.
#[derive(Debug)]
pub(super) enum Line {
    /// What happened.
    Event(Event),
    /// What is done.
    Action { term: Term, action: Box<Action> },
    /// What the machine was told.
    Input { term: Term, input: Box<Input> },
    /// Trouble of the driver's own helpers, on which nothing hangs.
    Trouble { what: String },
    /// A bug or worse.
    Broken { what: String },
}

impl Line {
    const fn level(&self) -> LevelFilter {
        match self {
            Self::Event(event) => match event.severity() {
                Severity::Info => LevelFilter::INFO,
                Severity::Warning => LevelFilter::WARN,
                Severity::Error => LevelFilter::ERROR,
            },
            Self::Action { .. } => LevelFilter::DEBUG,
            Self::Input { .. } => LevelFilter::TRACE,
            Self::Trouble { .. } => LevelFilter::WARN,
            Self::Broken { .. } => LevelFilter::ERROR,
        }
    }
}

/// Takes lines without ever waiting; what does not fit is counted, and the count is written.
#[derive(Clone, Debug)]
pub(super) struct Log {
    lines: mpsc::Sender<Line>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// A log that is written on this lane until all its clones are dropped.
    pub(super) fn start(lane: &Lane, cluster: ClusterId, member: MemberId) -> Self {
        let (lines, mut queue) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        // The lane lives until the last line is written.
        let own_lane = lane.clone();
        lane.spawn(async move {
            let _own_lane = own_lane;
            while let Some(line) = queue.recv().await {
                let lines_lost = counted.swap(0, Ordering::Relaxed);
                if lines_lost > 0 {
                    tracing::warn!(target: "odoo_ha", %cluster, %member, lines_lost, "the log was too slow");
                }
                write(&cluster, &member, line);
            }
        });
        Self { lines, lost }
    }

    /// Writes the line that `line` makes, if anybody wants lines of this level.
    pub(super) fn at(&self, level: LevelFilter, line: impl FnOnce() -> Line) {
        if level <= LevelFilter::current() {
            self.line(line());
        }
    }

    /// Writes the line.
    pub(super) fn line(&self, line: Line) {
        if line.level() <= LevelFilter::current() && self.lines.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(cluster: &ClusterId, member: &MemberId, line: Line) {
    match line {
        Line::Event(event) => {
            let (severity, Event { id, term, kind, sentence, .. }) = (event.severity(), event);
            match severity {
                Severity::Info => {
                    tracing::info!(target: "odoo_ha", %cluster, %member, term = term.0, id, ?kind, "{sentence}");
                }
                Severity::Warning => {
                    tracing::warn!(target: "odoo_ha", %cluster, %member, term = term.0, id, ?kind, "{sentence}");
                }
                Severity::Error => {
                    tracing::error!(target: "odoo_ha", %cluster, %member, term = term.0, id, ?kind, "{sentence}");
                }
            }
        }
        Line::Action { term, action } => {
            tracing::debug!(
                target: "odoo_ha", %cluster, %member, term = term.0, call = action.id.0, timeout = ?action.timeout,
                not_after = ?action.not_after, "{}", verb(&action.order)
            );
        }
        Line::Input { term, input } => {
            tracing::trace!(target: "odoo_ha", %cluster, %member, term = term.0, ?input, "told");
        }
        Line::Trouble { what } => tracing::warn!(target: "odoo_ha", %cluster, %member, "{what}"),
        Line::Broken { what } => tracing::error!(target: "odoo_ha", %cluster, %member, "{what}"),
    }
}
