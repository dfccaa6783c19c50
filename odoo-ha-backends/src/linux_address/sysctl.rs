//! What the kernel is set to for an interface (`ip-sysctl` in the kernel's documentation), in the network namespace of the thread that asks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const SETTINGS: &str = "/proc/sys/net";

/// Has the kernel keep the other IPv4 addresses of a network when the first of them is removed from the interface; it removes all of them
/// otherwise, and Linux by itself does (`promote_secondaries`). Returns whether that had to be changed.
pub(super) fn keep_others(interface: &str) -> io::Result<bool> {
    let setting = |of: &str| setting("ipv4", of, "promote_secondaries");
    if [setting("all"), setting(interface)].iter().any(|setting| is_on(setting)) {
        return Ok(false);
    }
    fs::write(setting(interface), "1")?;
    Ok(true)
}

/// Whether the interface can have no IPv6 address, as IPv6 is switched off there (`disable_ipv6`) or everywhere.
pub(super) fn has_no_ipv6(interface: &str) -> bool {
    let setting = setting("ipv6", interface, "disable_ipv6");
    !setting.exists() || is_on(&setting)
}

fn setting(family: &str, of: &str, key: &str) -> PathBuf {
    Path::new(SETTINGS).join(family).join("conf").join(of).join(key)
}

fn is_on(setting: &Path) -> bool {
    fs::read_to_string(setting).is_ok_and(|value| !matches!(value.trim(), "" | "0"))
}
