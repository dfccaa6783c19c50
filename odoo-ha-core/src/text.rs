//! Short text that is compared, copied and looked up all the time: names and keys.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Deserializer;
use serde::de::Visitor;

use crate::error::Error;

/// So many bytes are kept in place. Names are rarely longer, and two such are compared as two numbers.
const SHORT: usize = 16;

/// Text that never changes. A short one is copied without the heap, a long one is shared.
#[derive(Clone)]
pub(crate) enum Text {
    /// Filled up with zeros. No text of up to [`SHORT`] bytes is kept otherwise.
    Short {
        len: u8,
        bytes: [u8; SHORT],
    },
    Long(Arc<str>),
}

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Self::Short { len: text.len() as u8, bytes }
            }
            None => Self::Long(text.into()),
        }
    }

    #[inline]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            // It was made from text, so it is text.
            Self::Short { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Self::Long(text) => text,
        }
    }

    /// Apart, so that what is done nearly always is small enough to stand wherever it is asked for.
    #[cold]
    fn cmp_long(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Ord for Text {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Short { len, bytes }, Self::Short { len: other_len, bytes: other_bytes }) => {
                // The first byte counts most, as in the order of text; and what goes on comes after what has ended.
                let number = u128::from_be_bytes(*bytes).cmp(&u128::from_be_bytes(*other_bytes));
                number.then(len.cmp(other_len))
            }
            _ => self.cmp_long(other),
        }
    }
}

impl PartialOrd for Text {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Short { len, bytes }, Self::Short { len: other_len, bytes: other_bytes }) => {
                (len, bytes) == (other_len, other_bytes)
            }
            (Self::Long(text), Self::Long(other)) => text == other,
            (Self::Short { .. }, Self::Long(_)) | (Self::Long(_), Self::Short { .. }) => false,
        }
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads what is written as a string, without a copy of the string.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, Error>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Parsed(parse))
}

struct Parsed<P>(P);

impl<T, P: FnOnce(&str) -> Result<T, Error>> Visitor<'_> for Parsed<P> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        self.0(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::DefaultHasher;

    use super::*;

    const TEXTS: [&str; 10] =
        ["", "a", "a\0", "ab", "b", "members/a", "sixteen_is_short", "sixteen_is_shorter", "sixteen_is_shot", "é"];

    #[test]
    fn is_ordered_compared_and_hashed_as_its_text_is() {
        let hash = |value: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            value(&mut hasher);
            hasher.finish()
        };
        for one in TEXTS {
            let text = Text::new(one);
            assert_eq!((text.as_str(), text.to_string()), (one, one.to_owned()));
            assert_eq!(hash(&|state| text.hash(state)), hash(&|state| one.hash(state)), "{one:?}");
            for other in TEXTS {
                assert_eq!(text.cmp(&Text::new(other)), one.cmp(other), "{one:?} and {other:?}");
                assert_eq!(text == Text::new(other), one == other, "{one:?} and {other:?}");
            }
        }
    }
}
