//! The text of a key, wherever it stands.

use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::api_key::MAX_KEY_LEN;
use crate::credential::Credential;

/// Names of authentication schemes. `ApiKey` is not registered: the field has no other name for it.
pub(super) mod scheme {
    pub(in crate::authn::api_key) const API_KEY: &str = "ApiKey";
    pub(in crate::authn::api_key) const BASIC: &str = "Basic";
}

/// The user in whose name a key is the password.
const USER: &str = "apikey";

/// Base64 makes four of three.
const MAX_BASIC_LEN: usize = (USER.len() + 1 + MAX_KEY_LEN).div_ceil(3) * 4;

/// The text of a key: as it stands in the request, or out of Basic credentials.
pub(super) enum Text<'a> {
    Plain(&'a str),
    Decoded(Zeroizing<String>),
}

impl Text<'_> {
    /// A copy that outlives the request.
    pub(super) fn into_secret(self) -> Zeroizing<String> {
        match self {
            Text::Plain(text) => Zeroizing::new(text.to_owned()),
            Text::Decoded(text) => text,
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Plain(text) => text,
            Text::Decoded(text) => text,
        }
    }
}

/// What should be a key. `None`: Basic credentials that are not well-formed or somebody's name and password.
pub(super) fn key_of<'a>(credential: &Credential<'a>) -> Option<Text<'a>> {
    let text = credential.expose();
    if credential.presentation().scheme_name() == scheme::BASIC {
        from_basic(text).map(Text::Decoded)
    } else {
        Some(Text::Plain(text))
    }
}

/// RFC 7617 §2: `apikey:KEY`, or `KEY:` with an empty password.
fn from_basic(text: &str) -> Option<Zeroizing<String>> {
    if text.len() > MAX_BASIC_LEN {
        return None;
    }
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    match (user, password) {
        (USER, key) if !key.is_empty() => Some(Zeroizing::new(key.to_owned())),
        (key, "") => Some(Zeroizing::new(key.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_hold_a_key_in_two_ways() {
        let read = |text: &str| from_basic(&STANDARD.encode(text)).map(|key| (*key).clone());
        assert_eq!(read("apikey:k"), Some("k".into()));
        assert_eq!(read("k:"), Some("k".into()));
        for other in ["ann:k", "k", ":k", "ann:"] {
            assert_ne!(read(other), Some("k".into()), "{other}");
        }
        assert_eq!(from_basic("%%%"), None);
        assert_eq!(read(&format!("apikey:{}", "k".repeat(200))), None);
    }
}
