//! Members that ask one another, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::failsafe::{Question, Reply};
use odoo_ha_core::roles::{Asked, Peers};
use tokio::sync::{mpsc, oneshot};

use super::switch::{Switch, lock};

/// Most questions that nobody has taken yet; one more is not heard.
const KEPT: usize = 16;

/// A member's way to the others of this process. A clone is the same member.
#[derive(Clone, Debug)]
pub struct MemoryPeers {
    address: String,
    all: Arc<Mutex<BTreeMap<String, Door>>>,
    questions: Arc<tokio::sync::Mutex<mpsc::Receiver<Asked>>>,
    switch: Arc<Switch>,
}

/// Where a member is asked.
#[derive(Clone, Debug)]
struct Door {
    questions: mpsc::Sender<Asked>,
    switch: Arc<Switch>,
}

impl MemoryPeers {
    /// A member that is alone so far.
    #[must_use]
    pub fn new() -> Self {
        Self::among(Arc::default())
    }

    /// Another member that can ask this one and its like, and be asked by them.
    #[must_use]
    pub fn another_member(&self) -> Self {
        Self::among(Arc::clone(&self.all))
    }

    /// Cuts this member off from the others, or connects it again: what it asks and what it is asked is not answered.
    pub fn set_silent(&self, silent: bool) {
        self.switch.set_silent(silent);
    }

    fn among(all: Arc<Mutex<BTreeMap<String, Door>>>) -> Self {
        let (sender, receiver) = mpsc::channel(KEPT);
        let switch = Arc::<Switch>::default();
        let address = {
            let mut all = lock(&all);
            let address = format!("memory:{}", all.len());
            all.insert(address.clone(), Door { questions: sender, switch: Arc::clone(&switch) });
            address
        };
        Self { address, all, questions: Arc::new(tokio::sync::Mutex::new(receiver)), switch }
    }
}

impl Default for MemoryPeers {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Peers for MemoryPeers {
    fn address(&self) -> String {
        self.address.clone()
    }

    async fn ask(&self, at: &str, question: &Question, timeout: Duration) -> Result<Reply, Error> {
        let unheard = || Error::new(ErrorKind::Unavailable, "the member did not answer");
        self.switch.answer(timeout, ErrorKind::Unavailable, "the other member").await?;
        let door = lock(&self.all).get(at).cloned().ok_or_else(unheard)?;
        door.switch.answer(timeout, ErrorKind::Unavailable, "the other member").await?;
        let (answer, answered) = oneshot::channel();
        // Nobody hears the reply when the asker has gone.
        let asked = Asked::new(question.clone(), move |reply| _ = answer.send(reply));
        door.questions.try_send(asked).map_err(|_| unheard())?;
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(unheard()),
        }
    }

    async fn next(&self) -> Result<Asked, Error> {
        let asked = self.questions.lock().await.recv().await;
        asked.ok_or_else(|| Error::new(ErrorKind::Unavailable, "all members are gone"))
    }
}
