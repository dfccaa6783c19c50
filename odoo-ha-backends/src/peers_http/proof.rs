//! What proves that a question or a reply is a member's: HMAC-SHA256, the only place that knows the cryptography.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use odoo_ha_core::error::{Error, ErrorKind};
use sha2::Sha256;

/// In front of what is signed, so that no question is ever a reply, and neither is anything that another program signs with the same secret.
const QUESTION: &[u8] = b"odoo-ha peers 1 question\0";
const REPLY: &[u8] = b"odoo-ha peers 1 reply\0";

/// Length of a tag, in bytes.
const TAG_BYTES: usize = 32;

/// Length of a question's random number, in bytes: no two questions ever draw the same.
const NONCE_BYTES: usize = 16;

/// What comes with a question or a reply.
#[derive(Clone, Debug)]
pub(super) struct Tag([u8; TAG_BYTES]);

impl Tag {
    /// As it stands in a header.
    pub(super) fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// As it stood in a header; `None` when that was none.
    pub(super) fn from_text(text: &[u8]) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// A secret, ready to sign. It has no `Debug`.
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    /// A key of these bytes.
    #[expect(clippy::expect_used, reason = "an HMAC takes a key of any length (RFC 2104, section 2)")]
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("any length"))
    }

    /// Signs a question.
    pub(super) fn question(&self, body: &[u8]) -> Tag {
        Tag(self.over(&[QUESTION, body]).finalize().into_bytes().into())
    }

    /// Signs the reply to the question that has this tag.
    pub(super) fn reply(&self, question: &Tag, body: &[u8]) -> Tag {
        Tag(self.over(&[REPLY, &question.0, body]).finalize().into_bytes().into())
    }

    fn proves_question(&self, tag: &Tag, body: &[u8]) -> bool {
        self.over(&[QUESTION, body]).verify_slice(&tag.0).is_ok()
    }

    /// Whether a member gave this reply, and to that question. In constant time.
    pub(super) fn proves_reply(&self, tag: &Tag, question: &Tag, body: &[u8]) -> bool {
        self.over(&[REPLY, &question.0, body]).verify_slice(&tag.0).is_ok()
    }

    /// All but the last part have a fixed length, so no two lists of parts are the same bytes.
    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        parts.iter().fold(self.0.clone(), |mac, part| mac.chain_update(part))
    }
}

/// The keys of a member: one that signs, and all that are accepted.
pub(super) struct Keys(Vec<Key>, Key);

impl Keys {
    /// The first one signs; `None` when there is none.
    pub(super) fn new(all: Vec<Key>) -> Option<Self> {
        let first = Key(all.first()?.0.clone());
        Some(Self(all, first))
    }

    /// What this member signs with.
    pub(super) const fn own(&self) -> &Key {
        &self.1
    }

    /// The key that proves this question to be a member's. In constant time for each key.
    pub(super) fn of_question(&self, tag: &Tag, body: &[u8]) -> Option<&Key> {
        self.0.iter().find(|key| key.proves_question(tag, body))
    }
}

/// A number that nobody can foresee, as text.
pub(super) fn nonce() -> Result<String, Error> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "the kernel gives no random number for a question").caused_by(error)
    })?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text.as_bytes())
    }

    #[test]
    fn a_tag_proves_these_bytes_by_this_secret_and_nothing_else() {
        let (key, other) = (key("0123456789abcdef"), key("0123456789abcdeF"));
        let tag = key.question(b"may I?");
        assert!(key.proves_question(&tag, b"may I?"));
        assert!(!key.proves_question(&tag, b"may I!") && !other.proves_question(&tag, b"may I?"));
        let reply = key.reply(&tag, b"yes");
        assert!(key.proves_reply(&reply, &tag, b"yes"));
        assert!(!key.proves_reply(&reply, &tag, b"yet") && !other.proves_reply(&reply, &tag, b"yes"));
        assert!(!key.proves_reply(&reply, &key.question(b"may I go?"), b"yes"), "it belongs to another question");
        let reflected = [&tag.0[..], b"yes"].concat();
        assert!(!key.proves_question(&reply, &reflected) && !key.proves_reply(&tag, &tag, b"may I?"));
    }

    #[test]
    fn the_tag_is_the_hmac_of_the_standard() {
        // RFC 4231, test case 2.
        let tag = key("Jefe").over(&[b"what do ya want ", b"for nothing?"]).finalize().into_bytes();
        let begins = [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e];
        assert!(tag.starts_with(&begins));
    }

    #[test]
    fn the_first_key_signs_and_all_are_accepted() {
        let keys = Keys::new(vec![key("the new one, new"), key("the old one, old")]).expect("there are some");
        let old = key("the old one, old");
        let tag = old.question(b"may I?");
        let found = keys.of_question(&tag, b"may I?").expect("it is accepted");
        assert!(old.proves_reply(&found.reply(&tag, b"yes"), &tag, b"yes"), "the reply is for whoever asked");
        assert!(!old.proves_question(&keys.own().question(b"x"), b"x"));
        assert!(Keys::new(Vec::new()).is_none());
    }

    #[test]
    fn a_tag_survives_its_header_and_nothing_else_is_one() {
        let tag = key("0123456789abcdef").question(b"may I?");
        assert_eq!(Tag::from_text(tag.to_text().as_bytes()).expect("a tag").0, tag.0);
        for text in ["", "AAAA", "no tag!", &"A".repeat(48), &"A".repeat(9_000)] {
            assert!(Tag::from_text(text.as_bytes()).is_none(), "{text}");
        }
        assert_ne!(nonce().expect("a number"), nonce().expect("another"));
    }
}
