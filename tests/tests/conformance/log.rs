//! The notifier that writes to the log.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::log::LogNotifier;
use odoo_ha_core::conformance::{self, NotifierBench};
use odoo_ha_core::event::{Event, EventKind};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::roles::Notifier;
use odoo_ha_core::term::Term;

use crate::timer;

/// Keeps what a subscriber writes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn subscriber(&self) -> impl tracing_subscriber::util::SubscriberInitExt + use<> {
        let written = self.clone();
        tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || written.clone()).finish()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl NotifierBench for Written {
    fn notifier(&self) -> Arc<dyn Notifier> {
        Arc::new(LogNotifier::new())
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        let id = |line: &str| Some(line.split_once(" id=")?.1.split(' ').next()?.to_owned());
        Some(self.text().lines().filter_map(id).collect())
    }
}

#[tokio::test]
async fn log_notifier_conforms() {
    use tracing_subscriber::util::SubscriberInitExt;
    let written = Written::default();
    let _installed = written.subscriber().set_default();
    let report = conformance::notifier(&written, &timer).await;
    println!("{report}");
    report.assert_passed();
}

#[tokio::test]
async fn severities_become_levels_and_fields_are_there() {
    use tracing_subscriber::util::SubscriberInitExt;
    let written = Written::default();
    let _installed = written.subscriber().set_default();
    let kinds = [EventKind::Serving, EventKind::DatabaseDied, EventKind::Refusal { why: "full".into() }];
    for (number, kind) in kinds.into_iter().enumerate() {
        let (cluster, member) = (ClusterId::new("shop").unwrap(), MemberId::new("node_a").unwrap());
        let event = Event::new(format!("id{number}"), cluster, member, Term(7), kind, "so it is".into());
        LogNotifier::new().notify(&event, Duration::from_secs(1)).await.unwrap();
    }
    let text = written.text();
    let lines: Vec<_> = text.lines().map(str::trim_start).collect();
    for (line, level) in lines.iter().zip(["INFO", "WARN", "ERROR"]) {
        assert!(line.starts_with(level), "{text}");
        for part in ["odoo_ha::event", "so it is", "cluster=shop", "member=node_a", "term=7", "event="] {
            assert!(line.contains(part), "{part} is missing: {text}");
        }
    }
    assert_eq!(lines.len(), 3);
}
