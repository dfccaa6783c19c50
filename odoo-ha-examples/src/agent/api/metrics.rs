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
    let counts = node.tally.counts();
    let counts: Vec<_> =
        counts.iter().map(|(name, count)| (format!("event=\"{name}\""), count as &dyn Display)).collect();
    page.metric("counter", "events_total", "Events since the agent started.", &counts);
    page.text
}
