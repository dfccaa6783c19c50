//! Members by DNS SRV: the only place that knows `hickory_resolver`.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use odoo_ha_core::error::{Error, ErrorKind};

use super::config::EtcdConfig;
use super::error::Cause;
use super::target::Target;

/// Most members that are taken from one answer.
const MOST: usize = 32;

/// The members that the domain's records name, the most wanted first. Cancelling it is harmless; it ends when DNS has answered, or does
/// not after some seconds.
///
/// # Errors
///
/// `Unavailable` when DNS does not answer or names no member.
pub(super) async fn discover(domain: &str, config: &EtcdConfig) -> Result<Vec<Target>, Error> {
    let tls = config.tls.is_some();
    // Fully qualified: the machine's own search domains have no say in it.
    let name = format!("_etcd-client{}._tcp.{}.", if tls { "-ssl" } else { "" }, domain.trim_end_matches('.'));
    let failed = |cause: String| {
        Error::new(ErrorKind::Unavailable, format!("DNS names no member of etcd at {name}"))
            .hint("look at the domain's SRV records and at the DNS server")
            .caused_by(Cause(cause))
    };
    let resolver = resolver(config).map_err(&failed)?;
    let answer = resolver.srv_lookup(name.clone()).await.map_err(|error| failed(error.to_string()))?;
    let mut records: Vec<_> = answer
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(record) => Some(record.clone()),
            _ => None,
        })
        .collect();
    // RFC 2782: the lowest priority first; among equals the heavier. All are tried, so weights need no dice.
    records.sort_by_key(|record| (record.priority, u16::MAX - record.weight));
    let host =
        |record: &hickory_resolver::proto::rr::rdata::SRV| record.target.to_utf8().trim_end_matches('.').to_owned();
    let mut targets = Vec::new();
    for record in records.iter().take(MOST) {
        let scheme = if tls { "https" } else { "http" };
        let target = Target::parse(&format!("{scheme}://{}:{}", host(record), record.port))?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    if targets.is_empty() { Err(failed("the answer holds no SRV record".into())) } else { Ok(targets) }
}

fn resolver(config: &EtcdConfig) -> Result<TokioResolver, String> {
    let mut builder = match config.name_server {
        None => TokioResolver::builder_tokio().map_err(|error| error.to_string())?,
        Some(server) => {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            let servers = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        }
    };
    // Each look is to see what is there now.
    builder.options_mut().cache_size = 0;
    builder.build().map_err(|error| error.to_string())
}
