//! What several backends share.

#[cfg(any(feature = "guard", feature = "linux-watchdog"))]
pub(crate) mod clock;
#[cfg(any(feature = "linux-address", feature = "listener"))]
pub(crate) mod fence;
#[cfg(any(feature = "webhook", feature = "slack"))]
pub(crate) mod post;
#[cfg(any(feature = "linux-watchdog", feature = "systemd", feature = "command"))]
pub(crate) mod program;
#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "peers-http",
    feature = "postgres",
    feature = "probe-postgres",
    feature = "webhook",
    feature = "slack"
))]
pub(crate) mod secret;
#[cfg(any(feature = "systemd", feature = "command"))]
pub(crate) mod services;
