//! What etcd itself offers: a key that hangs on a lease. One contender holds it, the others wait for its deletion and then take it.
//!
//! Written as etcd's own election does it, without its fairness: one lease a contender, kept alive three times a ttl; a member that does not
//! answer within half a second is left for the next one.

use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, ConnectOptions, EventType, LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn, TxnOp,
    WatchOptions, WatchStream,
};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Fallible;
use super::args::NativeArgs;
use super::contender::Word;

/// Longest wait for an answer of one member.
const PATIENCE: Duration = Duration::from_millis(500);

/// Before the next member is asked.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs it, until the process is killed.
pub(super) async fn run(args: &NativeArgs) -> Fallible {
    let mut contender = Contender { args, lease: None, leads: false };
    for endpoint in args.endpoints.iter().cycle() {
        if let Err(error) = contender.at(endpoint).await {
            eprintln!("{endpoint}: {error}");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

struct Contender<'a> {
    args: &'a NativeArgs,
    lease: Option<i64>,
    leads: bool,
}

impl Contender<'_> {
    /// Contends at one member, until that fails or the lease is lost.
    async fn at(&mut self, endpoint: &str) -> Fallible {
        let options = ConnectOptions::new().with_connect_timeout(PATIENCE).with_require_leader(true);
        let mut client = timeout(PATIENCE, Client::connect([endpoint], Some(options))).await??;
        let lease = match self.lease {
            Some(lease) => lease,
            None => {
                let seconds = self.args.ttl.as_secs().try_into()?;
                timeout(PATIENCE, client.lease_grant(seconds, None)).await??.id()
            }
        };
        self.lease = Some(lease);
        let (mut keeper, mut kept) = timeout(PATIENCE, client.lease_keep_alive(lease)).await??;
        self.keep(&mut keeper, &mut kept).await?;
        let mut watch = self.contend(&mut client, lease).await?;
        let mut ticks = interval(self.args.ttl / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.keep(&mut keeper, &mut kept).await?,
                message = watch.message() => {
                    let message = message?.ok_or("the watch ended")?;
                    if message.canceled() {
                        return Err("the watch was cancelled".into());
                    }
                    if message.events().iter().any(|event| event.event_type() == EventType::Delete) {
                        watch = self.contend(&mut client, lease).await?;
                    }
                }
            }
        }
    }

    async fn keep(&mut self, keeper: &mut LeaseKeeper, kept: &mut LeaseKeepAliveStream) -> Fallible {
        timeout(PATIENCE, keeper.keep_alive()).await??;
        let answer = timeout(PATIENCE, kept.message()).await??.ok_or("the lease's stream ended")?;
        if answer.ttl() > 0 {
            return Ok(());
        }
        self.lease = None;
        if std::mem::take(&mut self.leads) {
            Word::Leads(false).say();
        }
        Err("the lease is lost".into())
    }

    /// Takes the key if nobody has it; gives a watch for its end.
    async fn contend(&mut self, client: &mut Client, lease: i64) -> Fallible<WatchStream> {
        let (key, name) = (self.args.key.as_str(), self.args.name.as_str());
        let free = Compare::create_revision(key, CompareOp::Equal, 0);
        let put = TxnOp::put(key, name, Some(PutOptions::new().with_lease(lease)));
        let txn = Txn::new().when([free]).and_then([put]).or_else([TxnOp::get(key, None)]);
        let answer = timeout(PATIENCE, client.txn(txn)).await??;
        let ours = answer.op_responses().into_iter().any(|response| match response {
            etcd_client::TxnOpResponse::Get(found) => found.kvs().iter().any(|kv| kv.lease() == lease),
            _ => false,
        });
        let leads = answer.succeeded() || ours;
        if leads != self.leads {
            self.leads = leads;
            Word::Leads(leads).say();
        }
        Word::Whole(true).say();
        let next = answer.header().map_or(0, |header| header.revision() + 1);
        let options = WatchOptions::new().with_start_revision(next);
        Ok(timeout(PATIENCE, client.watch(key, Some(options))).await??)
    }
}
