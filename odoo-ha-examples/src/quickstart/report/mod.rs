//! The run as one file that needs nothing else: a timeline, the table, and every event.

mod lanes;
mod page;
mod svg;

use std::path::Path;
use std::time::Duration;

use super::outcome::Outcome;
use super::record::Record;
use super::trouble::Trouble;

/// What the file is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) record: &'a Record,
    pub(crate) outcomes: &'a [Outcome],
    /// When the demo began; all times in the file count from here.
    pub(crate) began: Duration,
    /// When the last write was.
    pub(crate) until: Duration,
    pub(crate) postgres: &'a str,
    pub(crate) ttl: Duration,
    /// The replication mode as an adjective.
    pub(crate) sync: &'a str,
}

impl Report<'_> {
    /// Seconds since the demo began, as read on the time axis.
    fn since(&self, moment: Duration) -> f64 {
        moment.saturating_sub(self.began).as_secs_f64()
    }
}

/// Writes the file: the picture alone when it is called `.svg`, else a page.
pub(crate) fn write(report: &Report<'_>, file: &Path) -> Result<(), Trouble> {
    let alone = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    let text = if alone { svg::standalone(report) } else { page::render(report) };
    std::fs::write(file, text).map_err(|source| {
        Trouble::new(format!("The report {} cannot be written: {source}.", file.display()))
            .advice("Name another file with --report.")
    })
}

/// The text with what has a meaning in XML and HTML written out; what XML cannot hold is left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use odoo_ha_core::event::{Event, EventKind};
    use odoo_ha_core::member::{ClusterId, MemberId};
    use odoo_ha_core::policy::SyncMode;
    use odoo_ha_core::term::Term;

    use super::super::node::Node;
    use super::super::outcome::tests::example;
    use super::super::record::{AgentFace, Face};
    use super::*;

    fn rendered(render: impl Fn(&Report<'_>) -> String) -> String {
        let (mut record, course) = example();
        let ms = Duration::from_millis;
        record.node_mut(Node::A).database =
            vec![(ms(0), Face::Primary), (ms(1005), Face::Down), (ms(2500), Face::Standby)];
        record.node_mut(Node::A).agent = vec![(ms(0), AgentFace::Running), (ms(1100), AgentFace::Frozen)];
        record.node_mut(Node::B).database = vec![(ms(0), Face::Standby), (ms(1390), Face::Primary)];
        let event = Event::new(
            "1".into(),
            ClusterId::new("demo").expect("valid"),
            MemberId::new("node_b").expect("valid"),
            Term(2),
            EventKind::Serving,
            "<script>\"it\" & serves".into(),
        );
        record.events.push((ms(1395), Node::B, event));
        let present = record.writes.iter().map(|write| write.id).collect::<BTreeSet<_>>();
        let outcomes = [Outcome::of(course, &record, &present, ms(5000), SyncMode::Synchronous)];
        render(&Report {
            record: &record,
            outcomes: &outcomes,
            began: ms(0),
            until: ms(4000),
            postgres: "15.6",
            ttl: ms(5000),
            sync: "synchronous",
        })
    }

    /// Every element that is opened is closed, in order.
    fn assert_well_formed(text: &str) {
        let mut open = Vec::new();
        for part in text.split('<').skip(1) {
            let (tag, _) = part.split_once('>').expect("a tag ends");
            let name: String = tag.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "in <{tag}>");
            } else if !tag.ends_with('/') && !["!DOCTYPE", "meta"].iter().any(|void| tag.starts_with(void)) {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<String>::new());
    }

    #[test]
    fn page_and_picture_are_well_formed_and_need_nothing_else() {
        for text in [rendered(page::render), rendered(svg::standalone)] {
            assert_well_formed(&text);
            for outside in ["src=", "href=", "url(http", "@import", "<script"] {
                assert!(!text.contains(outside), "{outside}");
            }
            assert!(text.contains("prefers-color-scheme: dark"));
        }
    }

    #[test]
    fn the_picture_shows_states_gap_fault_and_events() {
        let text = rendered(svg::standalone);
        for shown in [
            "node_a: accepts writes, 0.00 s to 1.00 s",
            "node_a: down",
            "node_a: agent frozen",
            "node_b: follows",
            "no write was acknowledged for 0.40 s",
            "database killed",
            "&lt;script&gt;&quot;it&quot; &amp; serves",
        ] {
            assert!(text.contains(shown), "{shown}");
        }
    }

    #[test]
    fn the_page_has_a_row_for_each_fault_with_its_verdict() {
        let text = rendered(page::render);
        assert_eq!(text.matches("<tr class=\"row").count(), 1);
        assert!(text.contains("0.40 s") && text.contains(">ok<") && text.contains("PostgreSQL 15.6"));
    }

    #[test]
    fn an_empty_run_is_a_page_too() {
        let record = Record::default();
        let second = Duration::from_secs(1);
        let report = Report {
            record: &record,
            outcomes: &[],
            began: second,
            until: second,
            postgres: "15.6",
            ttl: second,
            sync: "synchronous",
        };
        assert_well_formed(&page::render(&report));
        assert!(!page::render(&report).contains("NaN"));
    }
}
