//! One node of ours, as a process of its own: the whole driver with a real store, and all else in memory.

use std::sync::Arc;
use std::time::Duration;

use odoo_ha_backends::consul::ConsulConfig;
use odoo_ha_backends::etcd::EtcdConfig;
use odoo_ha_backends::memory::{MemoryFilestore, MemoryFloatingIp, MemoryNetwork, MemoryServices, MemoryWatchdog};
use odoo_ha_core::database::Endpoint;
use odoo_ha_core::driver::{HaNode, Streamed};
use odoo_ha_core::event::EventKind;
use odoo_ha_core::machine::{StateName, Status};
use odoo_ha_core::member::{ClusterId, MemberId};
use odoo_ha_core::policy::{Policy, SyncMode, Timing};
use odoo_ha_core::roles::{Dcs, FloatingIpCapabilities};

use super::Fallible;
use super::args::{NodeArgs, Which};
use super::contender::Word;
use super::shared_database::SharedDatabase;

/// Runs it, until the process is killed.
pub(super) async fn run(args: &NodeArgs) -> Fallible {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let (cluster, member) = (ClusterId::new(&*args.cluster)?, MemberId::new(&*args.member)?);
    let dcs: Arc<dyn Dcs> = match args.store {
        Which::Etcd | Which::Both => {
            let mut config = EtcdConfig::new(cluster.clone(), &args.endpoints);
            config.silence = args.silence.unwrap_or(config.silence);
            Arc::new(config.build()?)
        }
        Which::Consul => Arc::new(ConsulConfig::new(args.endpoints.clone(), cluster.clone()).build()?),
    };
    let (timing, policy) = settings(args);
    let handle = HaNode::builder()
        .cluster(cluster)
        .endpoint(Endpoint { host: args.member.clone(), port: 5432 })
        .dcs(dcs)
        .database(Arc::new(SharedDatabase::new(&args.directory, member.clone())))
        .address(Arc::new(address()))
        .services(Arc::new(MemoryServices::new()))
        .filestore(Arc::new(MemoryFilestore::new()))
        .watchdog(Arc::new(MemoryWatchdog::new(Duration::from_millis(200).min(timing.stop_budget))))
        .timing(timing)
        .policy(policy)
        .state_dir(args.directory.join(format!("{member}-state")))
        .member(member)
        .build()?
        .spawn()?;
    let (mut pictures, mut events) = (handle.status_changes(), handle.events());
    let mut known = (false, false);
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Streamed::Event(event)) => tell(&event.kind),
                Some(Streamed::Missed(_)) => {}
                None => return Err("the node has ended".into()),
            },
            picture = pictures.next() => {
                let Some(status) = picture else { return Err("the node has ended".into()) };
                let seen = (status.state == StateName::Leading, is_whole(&status, args));
                if seen.0 != known.0 {
                    Word::Leads(seen.0).say();
                }
                if seen.1 != known.1 {
                    Word::Whole(seen.1).say();
                }
                known = seen;
            }
        }
    }
}

fn settings(args: &NodeArgs) -> (Timing, Policy) {
    let (mut timing, mut policy) = (Timing::with_ttl(args.ttl), Policy::default());
    policy.sync_mode = SyncMode::Asynchronous;
    if args.synchronous {
        policy.sync_mode = SyncMode::Synchronous;
        timing.suspicion = (timing.renew_interval * 2).max(Timing::MIN_SUSPICION);
    }
    (timing, policy)
}

/// An address as a cloud's is. Each process has its own; the databases are what the members share.
fn address() -> MemoryFloatingIp {
    MemoryNetwork::new(FloatingIpCapabilities::none().fences_by_term(true).moves_authoritatively(true)).node()
}

fn tell(kind: &EventKind) {
    let step = match kind {
        EventKind::StateChanged { to, .. } => to.clone(),
        EventKind::LeaderElected { .. } => "elected".into(),
        EventKind::Serving => "serving".into(),
        EventKind::LeadershipGivenUp { reason } => format!("gave up: {reason}"),
        EventKind::Trouble { what } => format!("trouble: {what}"),
        _ => return,
    };
    Word::Step(step.replace('\n', " ")).say();
}

/// Whether nothing is missing, as far as this member sees.
fn is_whole(status: &Status, args: &NodeArgs) -> bool {
    let Some(database) = &status.database else { return false };
    match status.state {
        StateName::Following => database.streaming,
        StateName::Leading => args.members.iter().filter(|name| **name != args.member).all(|name| {
            let Ok(member) = MemberId::new(&**name) else { return false };
            let streams = database.standbys.get(&member).is_some_and(|standby| standby.streaming);
            let counts = status.sync_record.as_ref().is_some_and(|sync| sync.names.contains_key(&member));
            streams && status.members.contains_key(&member) && (counts || !args.synchronous)
        }),
        _ => false,
    }
}
