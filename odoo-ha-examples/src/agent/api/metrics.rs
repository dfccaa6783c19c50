//! The status as Prometheus reads it (text format 0.0.4).

use std::fmt::{Display, Write};

use odoo_ha_core::machine::StateName;

use super::routes::Node;

/// Lines of metrics. Names of members and clusters need no escaping: they are lower-case letters, digits and `_`.
struct Page {
    text: String,
    labels: String,
}

impl Page {
    fn metric(&mut self, kind: &str, name: &str, help: &str, values: &[(String, &dyn Display)]) {
        // Writing to a String cannot fail.
        _ = writeln!(self.text, "# HELP odoo_ha_{name} {help}\n# TYPE odoo_ha_{name} {kind}");
        for (label, value) in values {
            let comma = if label.is_empty() { "" } else { "," };
            _ = writeln!(self.text, "odoo_ha_{name}{{{}{comma}{label}}} {value}", self.labels);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: &dyn Display) {
        self.metric("gauge", name, help, &[(String::new(), value)]);
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) {
        self.gauge(name, help, &u8::from(value));
    }
}

/// The whole page.
pub(super) fn text(node: &Node<'_>) -> String {
    let status = node.status;
    let labels = format!("cluster=\"{}\",member=\"{}\"", status.cluster, status.member);
    let mut page = Page { text: String::new(), labels };
    page.flag("up", "1 while the agent runs its node.", node.runs());
    let states = StateName::ALL.map(|state| (format!("state=\"{}\"", state.as_str()), u8::from(state == status.state)));
    let states = states.each_ref().map(|(label, value)| (label.clone(), value as &dyn Display));
    page.metric("gauge", "state", "1 for what the node is doing.", &states);
    page.flag("leader", "1 while this node leads and that is certain.", node.leads());
    page.flag("primary", "1 while users may write here.", node.is_primary());
    page.flag("address", "1 while the address is here.", status.address_here);
    page.flag("paused", "1 while automatic failover is suspended.", status.paused);
    page.flag("refusal", "1 while something stands in the way that a person must see to.", status.refusal.is_some());
    let belief = node.belief_left_s();
    let belief = if belief.is_finite() { format!("{belief:.3}") } else { "+Inf".to_owned() };
    page.gauge("belief_seconds", "How much longer leadership is certain; 0 without it.", &belief);
    page.gauge("term", "The term in force.", &status.term.0);
    page.gauge("timeline", "The timeline of the present reign.", &status.timeline.0);
    page.gauge("members", "Members that have a record.", &status.members.len());
    let named = status.sync_record.as_ref().map_or(0, |record| record.names.len());
    page.gauge("synchronous_standbys", "Standbys that commits wait for.", &named);
    if let Some(database) = &status.database {
        let state = serde_json::to_value(database.state).unwrap_or_default();
        let state = format!("state=\"{}\"", state.as_str().unwrap_or("unknown"));
        page.metric("gauge", "database_state", "1 for what the database is doing.", &[(state, &1)]);
        page.gauge("lsn_bytes", "The end of this node's log.", &database.lsn.0);
        page.flag("streaming", "1 while this node streams from its upstream.", database.streaming);
        let standbys: Vec<_> = database
            .standbys
            .iter()
            .map(|(member, standby)| (format!("standby=\"{member}\""), database.lsn.bytes_since(standby.flushed)))
            .collect();
        let standbys: Vec<_> = standbys.iter().map(|(label, lag)| (label.clone(), lag as &dyn Display)).collect();
        page.metric("gauge", "standby_lag_bytes", "Log that a standby of this node has not flushed.", &standbys);
    }
    if let Some(lag) = node.lag() {
        page.gauge("lag_bytes", "Log that the leader is known to have and this node has not replayed.", &lag);
    }
    if let Some(files) = node.files {
        let age = files.complete.map(|complete| format!("{:.3}", node.now.since(complete).as_secs_f64()));
        let age = age.unwrap_or_else(|| "+Inf".to_owned());
        page.gauge(
            "filestore_complete_seconds",
            "Since the copy of the files was last known complete; +Inf: never.",
            &age,
        );
        page.flag("filestore_failing", "1 while the filestore cannot say how far it is.", files.status.is_err());
        if let Ok(status) = &files.status {
            page.gauge("filestore_missing", "Files known to be missing in the copy.", &status.missing);
        }
    }
    let counts = node.tally.counts();
    let counts: Vec<_> =
        counts.iter().map(|(name, count)| (format!("event=\"{name}\""), count as &dyn Display)).collect();
    page.metric("counter", "events_total", "Events since the agent started.", &counts);
    page.text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use odoo_ha_core::database::Endpoint;
    use odoo_ha_core::driver::FilestoreReport;
    use odoo_ha_core::machine::{Config, Machine, Memo};
    use odoo_ha_core::member::{ClusterId, MemberId};
    use odoo_ha_core::roles::FilestoreStatus;
    use odoo_ha_core::time::Moment;

    use super::super::picture;
    use super::super::tally::Tally;
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    /// Both pages at 100 s; `X` stands for the labels.
    fn shown(files: Option<&FilestoreReport>) -> (String, serde_json::Value) {
        let (cluster, member) = (ClusterId::new("shop").expect("a name"), MemberId::new("a").expect("a name"));
        let config = Config::new(cluster, member, Endpoint { host: "a".to_owned(), port: 5432 });
        let status = Machine::new(config, Memo::default(), 1, at(100)).status();
        let page = text(&Node { status: &status, files, tally: &Tally::default(), now: at(100) });
        let page = page.replace("cluster=\"shop\",member=\"a\"", "X");
        (page, picture::of(&status, files, at(100))["filestore"].take())
    }

    #[test]
    fn how_far_the_copy_of_the_files_is_is_shown_as_it_was_said() {
        let status = Ok(FilestoreStatus { missing: 3, complete_ms_ago: Some(2_000) });
        let (page, picture) = shown(Some(&FilestoreReport { asked: at(96), status, complete: Some(at(94)) }));
        for line in ["complete_seconds{X} 6.000", "missing{X} 3", "failing{X} 0"] {
            assert!(page.contains(&format!("\nodoo_ha_filestore_{line}\n")), "{page}");
        }
        let wanted = serde_json::json!({
            "asked_ms_ago": 4_000, "complete_ms_ago": 6_000, "missing": 3, "failure": null,
        });
        assert_eq!(picture, wanted);
    }

    #[test]
    fn a_filestore_that_fails_says_nothing_that_it_does_not_know() {
        let failed =
            |complete| FilestoreReport { asked: at(100), status: Err("the leader is away".to_owned()), complete };
        let (page, picture) = shown(Some(&failed(None)));
        assert!(page.contains("\nodoo_ha_filestore_complete_seconds{X} +Inf\n"), "{page}");
        assert!(page.contains("\nodoo_ha_filestore_failing{X} 1\n") && !page.contains("filestore_missing"), "{page}");
        assert_eq!((picture["failure"].as_str(), picture["missing"].is_null()), (Some("the leader is away"), true));
        // How long the copy is not complete goes on growing.
        let (page, _) = shown(Some(&failed(Some(at(10)))));
        assert!(page.contains("\nodoo_ha_filestore_complete_seconds{X} 90.000\n"), "{page}");
        // Without a filestore there is nothing.
        let (page, picture) = shown(None);
        assert!(picture.is_null() && !page.contains("filestore"), "{page}");
    }
}
