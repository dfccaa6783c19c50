//! What is drawn along the time axis: both nodes, the client's writes, the events.

use std::collections::BTreeMap;

use super::svg::layout;
use super::{Report, escape};
use crate::quickstart::node::Node;
use crate::quickstart::record::{AgentFace, Face, Since};

/// Narrowest and widest second, in pixels.
const PER_SECOND: std::ops::RangeInclusive<f64> = 14.0..=90.0;

/// How wide the picture is when neither end of that range says otherwise.
const WIDTH: f64 = 1180.0;

/// Writes are counted in steps of this many milliseconds.
const STEP_MS: u128 = 100;

/// From seconds to pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) seconds: f64,
    pub(super) per_second: f64,
}

impl Scale {
    pub(super) fn of(report: &Report<'_>) -> Self {
        let seconds = report.since(report.until).max(1.0);
        let room = WIDTH - layout::LEFT - layout::RIGHT;
        Self { seconds, per_second: (room / seconds).clamp(*PER_SECOND.start(), *PER_SECOND.end()) }
    }

    pub(super) fn x(&self, second: f64) -> f64 {
        layout::LEFT + second * self.per_second
    }

    pub(super) fn width(&self) -> f64 {
        self.x(self.seconds) + layout::RIGHT
    }

    /// Seconds between two lines of the grid: the first round number that leaves room for its label.
    pub(super) fn tick(&self) -> f64 {
        [1.0, 2.0, 5.0, 10.0].into_iter().find(|tick| tick * self.per_second >= 44.0).unwrap_or(10.0)
    }
}

const fn class(node: Node) -> &'static str {
    match node {
        Node::A => "a",
        Node::B => "b",
    }
}

/// Both lanes: what the database does, and below it what the agent does.
pub(super) fn nodes(text: &mut String, report: &Report<'_>, scale: &Scale) {
    for node in Node::BOTH {
        let y = layout::LANES[node.index()];
        let (name, middle) = (node.name(), y + layout::LANE / 2.0 + 4.0);
        let (x, width) = (scale.x(0.0), scale.seconds * scale.per_second);
        text.push_str(&format!(
            "<text class=\"name\" x=\"12\" y=\"{middle}\">{name}</text>\
             <rect class=\"bed\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" rx=\"3\"/>\n",
            layout::LANE
        ));
        let record = report.record.node(node);
        spans(report, &record.database, |from, to, face| {
            let (class, what) = match face {
                Face::Primary => (class(node).to_owned(), "accepts writes"),
                Face::Standby => (format!("{} standby", class(node)), "follows"),
                Face::Waiting => ("wait".to_owned(), "took a write and does not answer"),
                Face::Down => ("down".to_owned(), "down"),
            };
            bar(text, scale, (from, to), (y, layout::LANE), &class, &format!("{name}: {what}"));
            if face == Face::Primary && (to - from) * scale.per_second > 60.0 {
                let x = scale.x(from) + 8.0;
                text.push_str(&format!("<text class=\"lanetext\" x=\"{x:.1}\" y=\"{middle}\">primary</text>\n"));
            }
        });
        spans(report, &record.agent, |from, to, face| {
            let (class, what) = match face {
                AgentFace::Running => ("runs", "agent runs"),
                AgentFace::Frozen => ("frozen", "agent frozen"),
                AgentFace::Gone => ("gone", "agent gone"),
            };
            let y = y + layout::LANE + 2.0;
            bar(text, scale, (from, to), (y, layout::AGENT), class, &format!("{name}: {what}"));
        });
    }
}

/// How many writes were acknowledged, in the color of the node whose database took them.
pub(super) fn writes(text: &mut String, report: &Report<'_>, scale: &Scale) {
    let mut counts: BTreeMap<(u128, Option<Node>), u32> = BTreeMap::new();
    for write in &report.record.writes {
        if let Some(at) = write.acked {
            let step = at.saturating_sub(report.began).as_millis() / STEP_MS;
            *counts.entry((step, write.by)).or_default() += 1;
        }
    }
    let most = counts.values().copied().max().unwrap_or(1).max(1);
    let (label, unit) = (layout::WRITES + 16.0, layout::WRITES + 32.0);
    let per_second = u128::from(most) * 1000 / STEP_MS;
    text.push_str(&format!(
        "<text class=\"name\" x=\"12\" y=\"{label}\">writes</text>\
         <text class=\"soft\" x=\"12\" y=\"{unit}\">up to {per_second} / s</text>\n"
    ));
    for ((step, node), count) in counts {
        let height = layout::WRITES_HEIGHT * f64::from(count) / f64::from(most);
        let step = u32::try_from(step * STEP_MS).unwrap_or(u32::MAX);
        let from = f64::from(step) / 1000.0;
        let width = scale.per_second * 0.1;
        let (x, y) = (scale.x(from), layout::BOTTOM - height);
        let (class, by) = node.map_or(("runs", "an unknown node"), |node| (class(node), node.name()));
        text.push_str(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.2}\" height=\"{height:.1}\">\
             <title>{count} writes acknowledged by {by} within 0.1 s, at {from:.1} s</title></rect>\n",
            (width * 0.86).max(0.8)
        ));
    }
}

/// A dot on the node's lane for everything that it told.
pub(super) fn events(text: &mut String, report: &Report<'_>, scale: &Scale) {
    for (at, node, event) in &report.record.events {
        if *at > report.until || crate::quickstart::story::tone_of(event).is_none() {
            continue;
        }
        let second = report.since(*at);
        let (x, y) = (scale.x(second), layout::LANES[node.index()]);
        let sentence = escape(&event.sentence);
        text.push_str(&format!(
            "<circle class=\"event\" cx=\"{x:.1}\" cy=\"{y}\" r=\"3.2\">\
             <title>{second:.2} s {}: {sentence}</title></circle>\n",
            node.name()
        ));
    }
}

/// Calls `draw` with the seconds from which and to which each thing was so.
fn spans<T: Copy>(report: &Report<'_>, list: &[Since<T>], mut draw: impl FnMut(f64, f64, T)) {
    let ends = list.iter().skip(1).map(|(at, _)| *at).chain(std::iter::once(report.until));
    for ((at, what), end) in list.iter().zip(ends) {
        if *at < end {
            draw(report.since(*at), report.since(end.min(report.until)), *what);
        }
    }
}

fn bar(text: &mut String, scale: &Scale, (from, to): (f64, f64), (y, height): (f64, f64), class: &str, what: &str) {
    let (x, width) = (scale.x(from), ((to - from) * scale.per_second).max(1.0));
    let what = escape(what);
    text.push_str(&format!(
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\">\
         <title>{what}, {from:.2} s to {to:.2} s</title></rect>\n"
    ));
}
