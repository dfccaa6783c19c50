//! What several backends share.

#[cfg(any(feature = "linux-address", feature = "listener"))]
pub(crate) mod fence;
#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "peers-http",
    feature = "postgres",
    feature = "probe-postgres"
))]
pub(crate) mod secret;
