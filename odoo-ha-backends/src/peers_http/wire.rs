//! The bytes of a question and of a reply.

use odoo_ha_core::error::{Error, ErrorKind};
use odoo_ha_core::failsafe::{Question, Reply};
use serde::{Deserialize, Serialize};

use super::proof::{self, Key, Tag};

/// Where questions are asked; the number changes with the meaning of the bytes.
pub(super) const PATH: &str = "/odoo-ha/peers/1";

/// The header with the tag.
pub(super) const TAG: &str = "odoo-ha-tag";

/// Longest body of a question or a reply, in bytes. A question has some 400.
pub const MOST_BODY_BYTES: usize = 8 * 1024;

/// Longest text of a refusal, in bytes; what is longer is cut. As JSON it is at most six times as long.
pub const MOST_REFUSAL_BYTES: usize = 1024;

#[derive(Serialize, Deserialize)]
struct QuestionBody {
    /// Makes each question's tag one of its own. Nobody looks at it.
    nonce: String,
    question: Question,
}

#[derive(Serialize, Deserialize)]
struct ReplyBody {
    reply: Reply,
}

/// A question, ready to be sent.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) body: Vec<u8>,
    pub(super) tag: Tag,
}

impl Signed {
    /// A question with a number of its own.
    pub(super) fn question(question: &Question, key: &Key) -> Result<Self, Error> {
        let body = QuestionBody { nonce: proof::nonce()?, question: question.clone() };
        let body = written(&body)?;
        Ok(Self { tag: key.question(&body), body })
    }

    /// The reply to the question that has this tag.
    pub(super) fn reply(mut reply: Reply, question: &Tag, key: &Key) -> Result<Self, Error> {
        if let Reply::Refused(why) = &mut reply {
            why.truncate(why.floor_char_boundary(MOST_REFUSAL_BYTES));
        }
        let body = written(&ReplyBody { reply })?;
        Ok(Self { tag: key.reply(question, &body), body })
    }
}

/// The question in a body that was proved.
pub(super) fn read_question(body: &[u8]) -> Option<Question> {
    serde_json::from_slice::<QuestionBody>(body).ok().map(|body| body.question)
}

/// The reply in a body that was proved.
pub(super) fn read_reply(body: &[u8]) -> Option<Reply> {
    serde_json::from_slice::<ReplyBody>(body).ok().map(|body| body.reply)
}

fn written(body: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(body)
        .map_err(|error| Error::new(ErrorKind::Malformed, "a question or reply is no JSON").caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_refusal_is_longer_than_what_is_read() {
        let key = Key::new(b"0123456789abcdef");
        let question = key.question(b"");
        for text in ["\u{1}".repeat(5_000), "ä".repeat(5_000), "x".repeat(1_024)] {
            let signed = Signed::reply(Reply::Refused(text.clone()), &question, &key).expect("it can be written");
            assert!(signed.body.len() <= MOST_BODY_BYTES);
            let Some(Reply::Refused(kept)) = read_reply(&signed.body) else { panic!("it was a refusal") };
            assert!(text.starts_with(&kept) && kept.len() == MOST_REFUSAL_BYTES, "{}", kept.len());
        }
    }

    #[test]
    fn other_bytes_are_neither() {
        for body in ["", "{}", "[]", "null", "{\"reply\":\"yes\"}", "{\"question\":{}}", &"[".repeat(8_000)] {
            assert!(read_question(body.as_bytes()).is_none() && read_reply(body.as_bytes()).is_none(), "{body}");
        }
        assert_eq!(
            read_reply(b"{\"reply\":\"accepted\",\"later\":1}"),
            Some(Reply::Accepted),
            "newer members may say more"
        );
    }
}
