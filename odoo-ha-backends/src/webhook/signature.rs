//! What shows the receiver who sent an event: the only place of the backend that knows the cryptography.

use hmac::{Hmac, KeyInit, Mac};
use odoo_ha_core::error::{Error, ErrorKind};
use sha2::Sha256;

use crate::common::secret::Secret;

/// Where it stands.
pub(super) const HEADER: &str = "x-odoo-ha-signature";

/// HMAC-SHA256 (RFC 2104) of the body, as receivers know it from other senders: `sha256=` and hexadecimal digits.
pub(super) fn sign(secret: &Secret, body: &[u8]) -> Result<String, Error> {
    let secret = secret.reveal("the secret of the webhook")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_str().as_bytes()).map_err(|error| {
        Error::new(ErrorKind::Misconfigured, "the secret of the webhook is no key").caused_by(error)
    })?;
    mac.update(body);
    let digits = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(format!("sha256={digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_of_the_standard() {
        // RFC 4231, test case 2.
        let signed = sign(&Secret::new("Jefe"), b"what do ya want for nothing?").expect("a key");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
