//! What several backends share.

#[cfg(any(feature = "guard", feature = "linux-address", feature = "linux-watchdog", feature = "rsync"))]
pub(crate) mod clock;
#[cfg(any(feature = "linux-address", feature = "listener", feature = "rsync"))]
pub(crate) mod fence;
#[cfg(any(feature = "webhook", feature = "slack"))]
pub(crate) mod post;
#[cfg(any(feature = "linux-watchdog", feature = "systemd", feature = "command", feature = "rsync"))]
pub(crate) mod program;
#[cfg(any(
    feature = "consul",
    feature = "etcd",
    feature = "peers-http",
    feature = "postgres",
    feature = "probe-postgres",
    feature = "rsync",
    feature = "webhook",
    feature = "slack"
))]
pub(crate) mod secret;
#[cfg(any(feature = "systemd", feature = "command"))]
pub(crate) mod services;
