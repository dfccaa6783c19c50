//! The page around the picture: what was run, what came of it, and every event.

use super::{Report, escape, svg};
use crate::quickstart::clock;
use crate::quickstart::outcome::{HEADS, Outcome, limit_cells};

const STYLE: &str = "\
body { margin: 0 auto; max-width: 1260px; padding: 32px 24px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif; }
h1 { font-size: 26px; margin: 0; letter-spacing: -.01em; } h2 { font-size: 17px; margin: 36px 0 10px; }
p { margin: 6px 0; } .soft { color: var(--soft); } .panel { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; }
.scroll { overflow-x: auto; padding: 14px 6px; margin-top: 20px; }
.verdict { display: inline-block; padding: 3px 12px; border-radius: 99px; font-weight: 600; color: var(--paper); }
.verdict.good { background: var(--good); } .verdict.bad { background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 12px 4px; color: var(--soft); font-size: 13px; }
.legend i { display: inline-block; width: 14px; height: 12px; border-radius: 2px; margin-right: 6px; vertical-align: -1px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 14px; text-align: right; border-top: 1px solid var(--line); } tr:first-child th { border-top: 0; }
th { font-weight: 600; color: var(--soft); font-size: 13px; } th:nth-child(2), td:nth-child(2) { text-align: left; }
td.ok { color: var(--good); font-weight: 600; } td.missed { color: var(--bad); font-weight: 600; } small { color: var(--soft); }
details { margin-top: 28px; } summary { cursor: pointer; font-weight: 600; } .log { max-height: 480px; overflow: auto; padding: 12px 16px; margin-top: 10px;
  font: 12.5px/1.6 ui-monospace, 'SF Mono', Consolas, monospace; white-space: pre-wrap; }
.node_a { color: var(--a); } .node_b { color: var(--b); }
";

/// The whole page.
pub(super) fn render(report: &Report<'_>) -> String {
    let missed = report.outcomes.iter().filter(|outcome| !outcome.missed().is_empty()).count();
    let (class, verdict) = match (report.outcomes.len(), missed) {
        (0, _) => ("good", "nothing was done to it".to_owned()),
        (_, 0) => ("good", "every limit held".to_owned()),
        (all, missed) => ("bad", format!("{missed} of {all} missed a limit")),
    };
    let acknowledged: usize = report.outcomes.iter().map(|outcome| outcome.acknowledged).sum();
    let lost: usize = report.outcomes.iter().map(|outcome| outcome.lost).sum();
    let (postgres, ttl, sync) = (escape(report.postgres), clock::seconds(report.ttl), report.sync);
    let (page, picture) = (format!("{}{STYLE}", svg::STYLE), svg::inline(report));
    let (legend, table, log) = (legend(), table(report.outcomes), log(report));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>odoo-ha: a failover on one machine</title>\n<style>\n{page}</style>\n</head>\n<body>\n\
         <h1>A failover on one machine</h1>\n\
         <p class=\"soft\">Two nodes with PostgreSQL {postgres}, {sync} replication, ttl {ttl}. A client writes through the one \
         address, one write after the other.</p>\n\
         <p><span class=\"verdict {class}\">{verdict}</span> &#160; {acknowledged} writes acknowledged, {lost} of them lost</p>\n\
         <div class=\"panel scroll\">\n{picture}</div>\n{legend}<h2>What it cost</h2>\n{table}\
         <p class=\"soft\"><small>Longest gap: between two acknowledged writes. Lost: acknowledged and not in the database in the end. \
         Two writers: how long both databases accepted writes at the same time, as seen from beside each. Rejoin: from when \
         the cluster could be whole again (the agent was started again or thawed, or the client was served) until the other node streamed.\
         </small></p>\n{log}</body>\n</html>\n"
    )
}

fn legend() -> String {
    let entries = [
        ("background: var(--a)", "node_a accepts writes"),
        ("background: var(--b)", "node_b accepts writes"),
        ("background: var(--a); opacity: .35", "follows"),
        ("background: var(--wait)", "took a write and does not answer"),
        ("background: var(--down)", "down (thin: agent gone)"),
        ("background: var(--ice); height: 5px", "agent frozen"),
        ("background: var(--bad); opacity: .25", "no write acknowledged"),
    ];
    let spans = entries.map(|(style, what)| format!("<span><i style=\"{style}\"></i>{what}</span>"));
    format!("<div class=\"legend\">{}</div>\n", spans.concat())
}

fn table(outcomes: &[Outcome]) -> String {
    let heads = HEADS.map(|head| format!("<th>{head}</th>")).concat();
    let rows = outcomes.iter().enumerate().map(|(index, outcome)| {
        let cells = outcome.cells().into_iter().zip(limit_cells(outcome.limits)).map(|(cell, limit)| {
            let limit =
                if limit.starts_with('<') { format!(" <small>{}</small>", escape(&limit)) } else { String::new() };
            format!("<td>{}{limit}</td>", escape(&cell))
        });
        let missed = outcome.missed();
        let class = if missed.is_empty() { "ok" } else { "missed" };
        let (number, cells, why) = (index + 1, cells.collect::<String>(), escape(&missed.join("; ")));
        let verdict = outcome.verdict();
        format!("<tr class=\"row\"><td>{number}</td>{cells}<td class=\"{class}\" title=\"{why}\">{verdict}</td></tr>\n")
    });
    let rows: String = rows.collect();
    format!("<div class=\"panel\"><table>\n<tr><th></th>{heads}<th></th></tr>\n{rows}</table></div>\n")
}

fn log(report: &Report<'_>) -> String {
    let mut events: Vec<_> = report.record.events.iter().collect();
    events.sort_by_key(|(at, _, _)| *at);
    let lines: String = events
        .iter()
        .map(|(at, node, event)| {
            let (second, name, sentence) = (report.since(*at), node.name(), escape(&event.sentence));
            format!("{second:8.3}  <b class=\"{name}\">{name}</b>  {sentence}\n")
        })
        .collect();
    let count = events.len();
    format!("<details><summary>All {count} events</summary><div class=\"panel log\">{lines}</div></details>\n")
}
