//! Filestores: in memory, and such that are broken on purpose. The one of `rsync` is held against the suite beside its own tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_backends::memory::MemoryFilestore;
use odoo_ha_core::conformance::{self, FilestoreBench, FilestoreNode};
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::error::Error;
use odoo_ha_core::member::MemberId;
use odoo_ha_core::roles::{FilestoreStatus, FilestoreSync};
use odoo_ha_core::term::Term;

use crate::timer;

fn endpoint(name: &str) -> Endpoint {
    Endpoint { host: name.into(), port: 1 }
}

struct InMemory;

struct MemoryNode(&'static str, MemoryFilestore);

#[async_trait]
impl FilestoreBench for InMemory {
    async fn nodes(&self) -> Result<[Arc<dyn FilestoreNode>; 2], Error> {
        Ok([Arc::new(MemoryNode("a", MemoryFilestore::new())), Arc::new(MemoryNode("b", MemoryFilestore::new()))])
    }
}

#[async_trait]
impl FilestoreNode for MemoryNode {
    fn filestore(&self) -> Arc<dyn FilestoreSync> {
        Arc::new(self.1.clone())
    }

    fn member(&self) -> (MemberId, Endpoint) {
        (MemberId::new(self.0).unwrap(), endpoint(self.0))
    }

    fn keeps_files(&self) -> bool {
        false
    }

    fn fences_by_term(&self) -> bool {
        true
    }

    async fn add(&self, content: &str) -> String {
        content.to_owned()
    }

    async fn read(&self, _name: &str) -> Option<String> {
        None
    }

    async fn remove(&self, _name: &str) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    CopiesNothing,
    CopiesHalf,
    Mirrors,
    LeadsAndPulls,
    RestsAndPulls,
    IgnoresTerms,
    AlwaysComplete,
    FollowsTheFirstForEver,
}

type Files = Arc<Mutex<BTreeMap<String, String>>>;

/// What the nodes of one check have, by name.
type Disks = Arc<BTreeMap<&'static str, Files>>;

/// A copy that is made whenever somebody looks.
#[derive(Debug)]
struct Made {
    name: &'static str,
    mistake: Mistake,
    disks: Disks,
    /// The highest term, and whose copy it is.
    state: Mutex<(Term, Option<String>, bool)>,
}

impl Made {
    fn pull(&self) {
        let (_, Some(leader), _) = self.state.lock().unwrap().clone() else { return };
        if self.mistake == Mistake::CopiesNothing || leader == self.name {
            return;
        }
        let theirs = self.disks[leader.as_str()].lock().unwrap().clone();
        let mut mine = self.disks[self.name].lock().unwrap();
        if self.mistake == Mistake::Mirrors {
            mine.clear();
        }
        for (name, content) in theirs {
            let half = self.mistake == Mistake::CopiesHalf;
            mine.insert(name, if half { content[..content.len() / 2].to_owned() } else { content });
        }
        self.state.lock().unwrap().2 = true;
    }

    fn become_copy(&self, term: Option<Term>, of: Option<&MemberId>) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap();
        if let Some(term) = term {
            if term < state.0 && self.mistake != Mistake::IgnoresTerms {
                return Err(Error::new(odoo_ha_core::error::ErrorKind::Fenced, "too old"));
            }
            state.0 = term;
        }
        if !(self.mistake == Mistake::FollowsTheFirstForEver && state.1.is_some() && of.is_some()) {
            state.1 = of.map(|member| member.as_str().to_owned());
        }
        Ok(())
    }
}

#[async_trait]
impl FilestoreSync for Made {
    async fn lead(&self, term: Term, _timeout: Duration) -> Result<(), Error> {
        if self.mistake == Mistake::LeadsAndPulls && self.state.lock().unwrap().1.is_some() {
            return Ok(());
        }
        if self.mistake == Mistake::FollowsTheFirstForEver {
            return Ok(());
        }
        self.become_copy(Some(term), None)
    }

    async fn follow(
        &self,
        term: Term,
        leader: &MemberId,
        _endpoint: Option<&Endpoint>,
        _timeout: Duration,
    ) -> Result<(), Error> {
        self.become_copy(Some(term), Some(leader))
    }

    async fn rest(&self, _timeout: Duration) -> Result<(), Error> {
        if self.mistake == Mistake::RestsAndPulls { Ok(()) } else { self.become_copy(None, None) }
    }

    async fn status(&self, _timeout: Duration) -> Result<FilestoreStatus, Error> {
        self.pull();
        let complete = self.state.lock().unwrap().2 || self.mistake == Mistake::AlwaysComplete;
        Ok(FilestoreStatus { missing: 0, complete_ms_ago: complete.then_some(0) })
    }
}

struct MadeNode(Arc<Made>);

#[async_trait]
impl FilestoreNode for MadeNode {
    fn filestore(&self) -> Arc<dyn FilestoreSync> {
        Arc::clone(&self.0) as Arc<dyn FilestoreSync>
    }

    fn member(&self) -> (MemberId, Endpoint) {
        (MemberId::new(self.0.name).unwrap(), endpoint(self.0.name))
    }

    fn keeps_files(&self) -> bool {
        true
    }

    fn fences_by_term(&self) -> bool {
        true
    }

    async fn add(&self, content: &str) -> String {
        self.0.disks[self.0.name].lock().unwrap().insert(content.to_owned(), content.to_owned());
        content.to_owned()
    }

    async fn read(&self, name: &str) -> Option<String> {
        self.0.pull();
        self.0.disks[self.0.name].lock().unwrap().get(name).cloned()
    }

    async fn remove(&self, name: &str) {
        self.0.disks[self.0.name].lock().unwrap().remove(name);
    }
}

struct Workshop(Mistake);

#[async_trait]
impl FilestoreBench for Workshop {
    async fn nodes(&self) -> Result<[Arc<dyn FilestoreNode>; 2], Error> {
        let disks: Disks = Arc::new(["a", "b"].map(|name| (name, Files::default())).into());
        let node = |name| -> Arc<dyn FilestoreNode> {
            let state = Mutex::new((Term(0), None, false));
            Arc::new(MadeNode(Arc::new(Made { name, mistake: self.0, disks: Arc::clone(&disks), state })))
        };
        Ok([node("a"), node("b")])
    }
}

/// Waits in vain end sooner.
fn hasty(time: Duration) -> conformance::BoxFuture<'static, ()> {
    crate::hasty_timer(time)
}

#[tokio::test]
async fn memory_filestore_conforms_as_far_as_it_keeps_nothing() {
    let report = conformance::filestore(&InMemory, &timer).await;
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.skips().count(), 5, "{report}");
}

#[tokio::test]
async fn broken_filestores_are_caught() {
    conformance::filestore(&Workshop(Mistake::None), &hasty).await.assert_passed();
    let cases = [
        (Mistake::CopiesNothing, "files_of_the_leader_arrive"),
        (Mistake::CopiesHalf, "files_of_the_leader_arrive"),
        (Mistake::Mirrors, "what_vanishes_at_the_leader_is_kept"),
        (Mistake::LeadsAndPulls, "a_leader_takes_nothing_from_others"),
        (Mistake::RestsAndPulls, "one_that_rests_takes_nothing"),
        (Mistake::IgnoresTerms, "an_older_term_is_refused"),
        (Mistake::AlwaysComplete, "a_new_copy_was_never_complete"),
        (Mistake::FollowsTheFirstForEver, "a_leader_takes_nothing_from_others"),
    ];
    for (mistake, check) in cases {
        let report = conformance::filestore(&Workshop(mistake), &hasty).await;
        assert!(report.failures().any(|(name, _)| name == check), "{mistake:?} is not seen by {check}: {report}");
    }
}
