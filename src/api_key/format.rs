//! What a key looks like: `PREFIX_`, then its id, its secret and a checksum, in letters and digits alone.
//!
//! A prefix of the application's own lets scanners of source code tell a key that was committed by mistake, the checksum lets
//! them be sure of it without asking anybody, and a double click takes hold of all of it.

use std::fmt;

use zeroize::Zeroizing;

use super::base62;
use crate::error::ConfigError;

/// Characters of the id: 71 bits, so that a store may hold billions without two alike.
const ID_LEN: usize = 12;

/// Characters of the secret: log2(62) times 27 are 160 bits.
const SECRET_LEN: usize = 27;

/// CRC-32 in base62, filled up with zeros. It finds mistakes, it proves nothing.
const CHECKSUM_LEN: usize = 6;

const BODY_LEN: usize = ID_LEN + SECRET_LEN + CHECKSUM_LEN;

/// Characters of a prefix, at most.
const MAX_PREFIX_LEN: usize = 32;

/// No key is longer.
pub(crate) const MAX_KEY_LEN: usize = MAX_PREFIX_LEN + 1 + BODY_LEN;

/// What keys of an application begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(Box<str>);

impl Prefix {
    pub(super) fn new(prefix: &str) -> Result<Self, ConfigError> {
        let bytes = prefix.as_bytes();
        let of_alphabet =
            bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_');
        let starts = bytes.first().is_some_and(u8::is_ascii_lowercase);
        let ends = bytes.last().is_some_and(|byte| *byte != b'_');
        if of_alphabet && starts && ends && (2..=MAX_PREFIX_LEN).contains(&bytes.len()) {
            Ok(Self(prefix.into()))
        } else {
            let problem = "expected 2 to 32 of a-z, 0-9 and _, a letter first and no _ at the end";
            Err(ConfigError::Setting { setting: "prefix", value: Some(prefix.to_owned()), problem })
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is one of these keys, or begins like one and is none of another prefix: `todo_live_…` may be one of `todo`
    /// that was written wrongly, but not if it is right as it stands.
    pub(crate) fn claims(&self, text: &str) -> bool {
        let text = without_padding(text);
        self.strip(text).is_some_and(|body| !is_key(text) || id_of_body(text, body).is_some())
    }

    /// The id of a key of this prefix; `None` if the text is none.
    pub(crate) fn id<'t>(&self, text: &'t str) -> Option<&'t str> {
        id_of_body(text, self.strip(text)?)
    }

    fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.strip_prefix(&*self.0)?.strip_prefix('_')
    }
}

/// Whether a text has the form of a key, whatever its prefix: one of another application or environment, as it may be. No
/// access token looks like that, but by a chance of one in four billions.
pub(crate) fn is_key(text: &str) -> bool {
    let text = without_padding(text);
    let body = text.rsplit_once('_').map(|(_, body)| body);
    text.len() <= MAX_KEY_LEN && body.is_some_and(|body| id_of_body(text, body).is_some())
}

/// A token68 may end with padding.
fn without_padding(text: &str) -> &str {
    text.trim_end_matches('=')
}

fn id_of_body<'t>(text: &str, body: &'t str) -> Option<&'t str> {
    if body.len() != BODY_LEN || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (covered, checksum) = text.split_at_checked(text.len().checked_sub(CHECKSUM_LEN)?)?;
    if checksum.as_bytes() == checksum_of(covered) { body.get(..ID_LEN) } else { None }
}

fn checksum_of(text: &str) -> [u8; CHECKSUM_LEN] {
    let mut digits = [b'0'; CHECKSUM_LEN];
    let mut rest = crc32fast::hash(text.as_bytes());
    for digit in digits.iter_mut().rev() {
        *digit = base62::digit(rest.checked_rem(62).unwrap_or_default());
        rest = rest.checked_div(62).unwrap_or_default();
    }
    digits
}

/// A key, as its user gets it: once, when it is issued. Wiped when dropped.
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// A new one, out of the system's random source.
    pub(super) fn generate(prefix: &Prefix) -> Result<Self, getrandom::Error> {
        let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_LEN));
        text.push_str(prefix.as_str());
        text.push('_');
        base62::push_random(&mut text, ID_LEN + SECRET_LEN)?;
        let checksum = checksum_of(&text);
        text.extend(checksum.map(char::from));
        Ok(Self(text))
    }

    /// The key itself, to be shown to its user and kept nowhere.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What may be shown afterwards: the prefix and the last four characters.
    #[must_use]
    pub fn hint(&self) -> String {
        let (start, end) = self.0.split_at(self.0.len().saturating_sub(4));
        let prefix = start.rsplit_once('_').map_or("", |(prefix, _)| prefix);
        format!("{prefix}_...{end}")
    }
}

/// Shows the hint alone.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.hint()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        Prefix::new(text).unwrap()
    }

    #[test]
    fn a_key_is_told_by_its_prefix_and_its_checksum() {
        let key = ApiKey::generate(&prefix("todo_live")).unwrap();
        let text = key.expose();
        assert_eq!(text.len(), "todo_live_".len() + 45);
        assert_eq!(prefix("todo_live").id(text), text.get(10..22));
        assert!(is_key(text));
        assert_eq!(prefix("todo_test").id(text), None);
        assert_eq!(prefix("todo").id(text), None);
        assert!(prefix("todo_live").claims(text) && prefix("todo_live").claims("todo_live_x"));
        assert!(prefix("todo").claims("todo_live_x") && !prefix("todo").claims(text));
        assert!(!prefix("tod").claims(text));
        assert!(is_key(&format!("{text}==")));
    }

    #[test]
    fn any_one_character_that_differs_is_noticed() {
        let prefix = prefix("todo_live");
        let key = ApiKey::generate(&prefix).unwrap();
        for place in 0..key.expose().len() {
            for other in *b"0Zz_.-" {
                let mut text = key.expose().as_bytes().to_vec();
                if std::mem::replace(&mut text[place], other) != other {
                    let text = String::from_utf8(text).unwrap();
                    assert_eq!(prefix.id(&text), None, "{place}");
                }
            }
        }
        assert!(prefix.id(key.expose()).is_some());
        for text in ["", "_", "todo_live_", "todo_live", &key.expose()[1..], &format!("{}0", key.expose())] {
            assert!(prefix.id(text).is_none() && !is_key(text), "{text}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        // The check value of CRC-32/ISO-HDLC.
        let value = checksum_of("123456789").iter().fold(0_u64, |value, digit| {
            value * 62 + (0..62).find(|value| base62::digit(*value) == *digit).map(u64::from).unwrap()
        });
        assert_eq!(value, 0xCBF4_3926);
    }

    #[test]
    fn prefixes_are_plain() {
        for good in ["ab", "todo_live", "a1", "a_1"] {
            assert!(Prefix::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "1a", "_a", "a_", "A1", "a-b", "a.b", "ä1", &"a".repeat(33)] {
            assert!(Prefix::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_the_hint_alone() {
        let key = ApiKey::generate(&prefix("todo_live")).unwrap();
        let text = format!("{key:?}");
        assert!(text.contains("todo_live_...") && !text.contains(&key.expose()[10..40]), "{text}");
        assert_eq!(key.hint().len(), "todo_live_...".len() + 4);
    }
}
