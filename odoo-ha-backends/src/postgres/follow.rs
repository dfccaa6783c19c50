//! Following: whether the data can follow as they are is decided by timeline history, and by the term beside the data.

use std::time::Duration;

use odoo_ha_core::database::{FollowOrder, Followed, FollowedBy};
use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::lsn::Timeline;
use odoo_ha_core::member::SystemId;

use super::client::Session;
use super::error::{malformed, misconfigured, not_ready};
use super::freeze::FrozenDatabase;
use super::history::{self, History};
use super::memory::Memory;
use super::start::As;
use super::{PostgresReplication, files};

/// Why the data cannot follow as they are.
#[derive(Debug)]
struct Divergence {
    why: String,
    /// `pg_rewind` would see it, too.
    rewindable: bool,
}

impl PostgresReplication {
    pub(super) async fn follow_upstream(&self, order: &FollowOrder, timeout: Duration) -> Result<Followed, Error> {
        let memory = self.recall().await?;
        memory.check_term(order.term)?;
        if order.reclone && !order.may_discard {
            return Err(Error::new(ErrorKind::Diverged, "cloning anew was ordered without leave to discard the data"));
        }
        let dir = self.config.data_dir.clone();
        let absent = files::blocking(move || files::is_empty_dir(&dir)).await?;
        if absent || memory.data_are_worthless() || order.reclone {
            return self.clone_from(order, memory).await;
        }
        self.check_data().await?;
        let system_id = self.control().await?.system_id;
        if system_id != order.system_id {
            return Err(misconfigured(format!(
                "the data in {} are of another cluster (system identifier {system_id}, not {})",
                self.data_dir().display(),
                order.system_id
            ))
            .hint("move them away, or order this member to be cloned anew"));
        }
        // Of the same reign: it was decided when this copy came to it.
        if memory.term == order.term && memory.data_id.is_some() && memory.reserved.is_none() {
            return match self.missing_log(order).await? {
                None => self.follow_as_it_is(order, memory).await,
                Some(why) if !order.may_discard => Err(Error::new(ErrorKind::Diverged, why)
                    .hint("allow the data to be discarded: they are cloned anew; to keep more log, raise max_slot_wal_keep_size")),
                Some(why) => {
                    tracing::warn!(member = %self.config.member, why, "the data cannot follow as they are");
                    self.clone_from(order, memory).await
                }
            };
        }
        self.phase("asking the upstream for its history");
        let upstream = self.upstream_session(order).await?;
        let their_history = upstream_history(&upstream, order.timeline).await?;
        self.save_unarchived(&their_history, false).await?;
        if self.is_behind().await? {
            // What it has was streamed in a reign that this one followed, or it is found out when it has replayed that. The receiver ends
            // before the reign is remembered, so that one that stays is tried again; and once more, should another have been started meanwhile.
            self.ensure_upstream_slot(&upstream).await?;
            self.end_receiver().await?;
            let followed = self.follow_as_it_is(order, memory).await?;
            self.end_receiver().await?;
            return Ok(followed);
        }
        let frozen = self.frozen(&memory, timeout / 2).await?;
        match divergence(&frozen, &their_history, &memory, order) {
            None => {
                self.ensure_upstream_slot(&upstream).await?;
                self.follow_as_it_is(order, memory).await
            }
            Some(divergence) if !order.may_discard => Err(Error::new(ErrorKind::Diverged, divergence.why)
                .hint("allow the data to be discarded, or look at them first")),
            Some(divergence) => {
                tracing::warn!(member = %self.config.member, why = divergence.why, "the data cannot follow as they are");
                if divergence.rewindable && self.control().await?.hints_logged {
                    self.rewind_or_clone(order, memory, &upstream, &their_history).await
                } else {
                    self.clone_from(order, memory).await
                }
            }
        }
    }

    /// Remembers the reign and sets the upstream: a running standby reads it, a stopped database is started with it.
    pub(super) async fn follow_as_it_is(&self, order: &FollowOrder, mut memory: Memory) -> Result<Followed, Error> {
        let data_id = self.identify(&mut memory).await?;
        if memory.term != order.term || memory.reserved.is_some() {
            (memory.term, memory.reserved) = (order.term, None);
            self.remember(&memory).await?;
        }
        let wanted = self.wanted().await?.following(Some(&order.upstream));
        let session = match self.postmaster() {
            Some(postmaster) => {
                self.phase("opening a session");
                if !self.session(&postmaster).await?.row("select pg_is_in_recovery()").await?.is_true(0) {
                    return Err(not_ready("the database runs as primary").hint("stop it first"));
                }
                self.apply(&postmaster, &wanted).await?
            }
            None => {
                self.free_slot_in_passing(order).await;
                let starting = self.launch(&wanted, As::Standby).await?;
                self.accepted(&starting).await?
            }
        };
        self.keep_slots_in(&session, &order.members).await?;
        Ok(Followed { by: FollowedBy::Nothing, data_id })
    }

    /// A session with the upstream, which is what the order says it is.
    pub(super) async fn upstream_session(&self, order: &FollowOrder) -> Result<Session, Error> {
        let session = self.access.upstream(&order.upstream.endpoint).await?;
        let row = session.row("select system_identifier from pg_control_system()").await?;
        let found = SystemId(row.parse(0)?);
        if found == order.system_id {
            return Ok(session);
        }
        Err(misconfigured(format!(
            "the database at {} is of another cluster (system identifier {found}, not {})",
            order.upstream.endpoint, order.system_id
        ))
        .hint("check the addresses in the configuration"))
    }
}

/// Whether the data are a prefix of the upstream's timeline.
fn divergence(frozen: &FrozenDatabase, theirs: &History, memory: &Memory, order: &FollowOrder) -> Option<Divergence> {
    let (timeline, end) = (frozen.timeline, frozen.lsn);
    if timeline == order.timeline {
        // A reign owns its timeline: the same number of another reign is another timeline (protocol rule 31).
        return (memory.term != order.term).then(|| Divergence {
            why: format!(
                "timeline {timeline} of these data is of term {}, the upstream's of term {}",
                memory.term, order.term
            ),
            rewindable: false,
        });
    }
    match theirs.left(timeline) {
        Some(left) if end <= left => None,
        Some(left) => Some(Divergence {
            why: format!("the data end at {end} on timeline {timeline}, which the cluster left at {left}"),
            rewindable: true,
        }),
        None => Some(Divergence {
            why: format!("timeline {timeline} of these data is not in the history of timeline {}", order.timeline),
            rewindable: true,
        }),
    }
}

/// The history of the reign's timeline, from the upstream that must have it.
pub(super) async fn upstream_history(upstream: &Session, timeline: Timeline) -> Result<History, Error> {
    if timeline <= Timeline(1) {
        return History::parse(timeline, "");
    }
    let file = format!("pg_wal/{}", history::file_name(timeline));
    if upstream.row(&format!("select (pg_stat_file('{file}', true)).size")).await?.get(0).is_none() {
        return Err(Error::new(ErrorKind::Unavailable, format!("the upstream is not on timeline {timeline} yet")));
    }
    let row = upstream.row(&format!("select convert_from(pg_read_binary_file('{file}'), 'UTF8')")).await?;
    let history = History::parse(timeline, row.text(0)?)?;
    if history.switch_lsn().0 == 0 {
        return Err(malformed(format!("the upstream's timeline {timeline} is a reserved number only")));
    }
    Ok(history)
}
