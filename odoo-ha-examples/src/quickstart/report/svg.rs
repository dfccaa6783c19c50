//! The timeline as an SVG picture.

use super::lanes::{self, Scale};
use super::{Report, escape};
use crate::quickstart::clock;

/// Where what is, from top to bottom.
pub(super) mod layout {
    pub(in super::super) const LEFT: f64 = 118.0;
    pub(in super::super) const RIGHT: f64 = 28.0;
    pub(in super::super) const TOP: f64 = 58.0;
    pub(in super::super) const LANES: [f64; 2] = [66.0, 126.0];
    pub(in super::super) const LANE: f64 = 34.0;
    pub(in super::super) const AGENT: f64 = 5.0;
    pub(in super::super) const WRITES: f64 = 188.0;
    pub(in super::super) const WRITES_HEIGHT: f64 = 72.0;
    pub(in super::super) const BOTTOM: f64 = WRITES + WRITES_HEIGHT;
    pub(in super::super) const GAP_LABELS: f64 = BOTTOM + 17.0;
    pub(in super::super) const AXIS: f64 = BOTTOM + 28.0;
    pub(in super::super) const HEIGHT: f64 = AXIS + 26.0;
}

/// The colors, light and dark, and how the parts look.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #23262b; --soft: #70757d; --line: #dedbd3; --panel: #ffffff;
  --a: #0f8b8d; --b: #7b5ea7; --wait: #e0a020; --down: #c8553d; --ice: #5aa9e6; --bad: #d1382a; --good: #2e7d4f; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e6e4df; --soft: #969ba3; --line: #33373e; --panel: #1d2025;
  --a: #3fc1c0; --b: #b094e0; --wait: #e8b84a; --down: #e07a5f; --ice: #7cc0f2; --bad: #f0705f; --good: #68c08c; } }
svg.timeline { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; display: block; }
.timeline text { fill: var(--ink); } .timeline .soft { fill: var(--soft); font-size: 11px; }
.timeline .grid { stroke: var(--line); stroke-width: 1; } .timeline .bed { fill: var(--line); opacity: .45; }
.timeline .a { fill: var(--a); } .timeline .b { fill: var(--b); }
.timeline .standby { opacity: .28; } .timeline .wait { fill: var(--wait); } .timeline .down { fill: var(--down); opacity: .8; }
.timeline .frozen { fill: var(--ice); } .timeline .gone { fill: var(--down); } .timeline .runs { fill: var(--soft); opacity: .35; }
.timeline .gap { fill: var(--bad); opacity: .13; } .timeline .brace { stroke: var(--bad); stroke-width: 1.5; fill: none; }
.timeline .gaptext { fill: var(--bad); font-weight: 600; font-size: 11px; text-anchor: middle; }
.timeline .fault { stroke: var(--ink); stroke-width: 1.2; stroke-dasharray: 3 3; } .timeline .badge { fill: var(--ink); }
.timeline .badgetext { fill: var(--paper); font-weight: 700; font-size: 11px; text-anchor: middle; }
.timeline .name { font-weight: 600; } .timeline .event { fill: var(--ink); stroke: var(--panel); stroke-width: 1; }
.timeline .event:hover { r: 5px; } .timeline rect:hover { filter: brightness(1.12); }
.timeline .lanetext { fill: var(--paper); font-size: 11px; font-weight: 600; pointer-events: none; }
";

/// The picture for a page that has [`STYLE`] already.
pub(super) fn inline(report: &Report<'_>) -> String {
    let scale = Scale::of(report);
    let (width, height) = (scale.width(), layout::HEIGHT);
    let mut text = format!(
        "<svg class=\"timeline\" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"What both nodes and the client did over time\">\n"
    );
    axis(&mut text, &scale);
    gaps(&mut text, report, &scale);
    lanes::nodes(&mut text, report, &scale);
    lanes::writes(&mut text, report, &scale);
    faults(&mut text, report, &scale);
    lanes::events(&mut text, report, &scale);
    text.push_str("</svg>\n");
    text
}

/// The picture as a file of its own.
pub(super) fn standalone(report: &Report<'_>) -> String {
    let picture = inline(report);
    let paper = "svg.timeline { background: var(--paper); }";
    match picture.split_once('\n') {
        Some((opening, rest)) => format!("{opening}\n<style>\n{STYLE}{paper}\n</style>\n{rest}"),
        None => picture,
    }
}

fn axis(text: &mut String, scale: &Scale) {
    let mut second = 0.0;
    while second <= scale.seconds {
        let x = scale.x(second);
        let (top, bottom, label) = (layout::TOP, layout::AXIS, layout::AXIS + 15.0);
        text.push_str(&format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"soft\" x=\"{x:.1}\" y=\"{label}\" text-anchor=\"middle\">{second:.0} s</text>\n"
        ));
        second += scale.tick();
    }
}

fn gaps(text: &mut String, report: &Report<'_>, scale: &Scale) {
    for outcome in report.outcomes {
        let (from, to) = (report.since(outcome.gap.from), report.since(outcome.gap.to));
        let (x, width) = (scale.x(from), ((to - from) * scale.per_second).max(1.5));
        let length = clock::seconds(outcome.gap.length());
        let (top, height) = (layout::TOP, layout::BOTTOM - layout::TOP + 4.0);
        let (middle, y, end, brace) = (x + width / 2.0, layout::GAP_LABELS + 3.0, x + width, layout::BOTTOM + 5.0);
        text.push_str(&format!(
            "<g><title>no write was acknowledged for {length} ({from:.2} s to {to:.2} s)</title>\
             <rect class=\"gap\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>\
             <path class=\"brace\" d=\"M{x:.1} {brace}H{end:.1}\"/>\
             <text class=\"gaptext\" x=\"{middle:.1}\" y=\"{y}\">{length}</text></g>\n"
        ));
    }
}

fn faults(text: &mut String, report: &Report<'_>, scale: &Scale) {
    for (index, outcome) in report.outcomes.iter().enumerate() {
        let number = index + 1;
        let at = report.since(outcome.course.injected);
        let x = scale.x(at);
        // Labels of neighbours stand in different rows.
        let y = if index % 2 == 0 { 16.0 } else { 38.0 };
        let (line, baseline, beside, bottom) = (y + 9.0, y + 4.0, x + 14.0, layout::BOTTOM);
        let label = escape(outcome.course.fault.label());
        let node = outcome.course.node.name();
        text.push_str(&format!(
            "<g><title>{number}: {label} on {node} at {at:.2} s</title>\
             <line class=\"fault\" x1=\"{x:.1}\" y1=\"{line}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <circle class=\"badge\" cx=\"{x:.1}\" cy=\"{y}\" r=\"9\"/>\
             <text class=\"badgetext\" x=\"{x:.1}\" y=\"{baseline}\">{number}</text>\
             <text x=\"{beside:.1}\" y=\"{baseline}\">{label}</text></g>\n"
        ));
    }
}
