//! The text of a key, wherever it stands.

use std::ops::Deref;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine as _, alphabet};
use zeroize::Zeroizing;

use crate::api_key::format::MAX_KEY_LEN;
use crate::credential::Credential;
use crate::credential::location::Presentation;

/// Names of authentication schemes. `ApiKey` is not registered: the field has no other name for it.
pub(super) mod scheme {
    pub(crate) const API_KEY: &str = "ApiKey";
    pub(crate) const BASIC: &str = "Basic";
}

/// The user in whose name a key is the password.
const USER: &str = "apikey";

/// Base64 makes four of three. Another user's name may be somewhat longer than ours.
const MAX_BASIC_LEN: usize = (256 + 1 + MAX_KEY_LEN).div_ceil(3) * 4;

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

/// Whether it stands in HTTP Basic credentials, however an authenticator spells that.
fn is_basic(credential: &Credential<'_>) -> bool {
    *credential.presentation() == Presentation::scheme(scheme::BASIC)
}

/// What should be a key. `None`: Basic credentials that are not well-formed or somebody's name and password.
pub(super) fn key_of<'a>(credential: &Credential<'a>) -> Option<Text<'a>> {
    read(credential, &STANDARD)
}

/// The text by which a credential is revoked: the key in it, also where the base64 around that is
/// not accepted.
pub(super) fn canonical<'a>(credential: &Credential<'a>) -> Text<'a> {
    read(credential, &LENIENT).unwrap_or_else(|| Text::Plain(credential.expose()))
}

fn read<'a>(credential: &Credential<'a>, engine: &GeneralPurpose) -> Option<Text<'a>> {
    let text = credential.expose();
    if !is_basic(credential) {
        return Some(Text::Plain(text));
    }
    let decoded = decoded(text, engine)?;
    // RFC 7617 §2: `apikey:KEY`, or `KEY:` with an empty password.
    let key = match decoded.split_once(':')? {
        (USER, key) if !key.is_empty() => key,
        (key, "") => key,
        _ => return None,
    };
    Some(Text::Decoded(Zeroizing::new(key.to_owned())))
}

/// Whether any part of a credential passes the test, wherever a key could stand in it.
pub(super) fn has(credential: &Credential<'_>, test: impl Fn(&str) -> bool) -> bool {
    let text = credential.expose();
    if !is_basic(credential) {
        return test(text);
    }
    decoded(text, &LENIENT).is_some_and(|decoded| decoded.split(':').any(test))
}

/// For what decides nothing about acceptance: whether there is a key in it, and which.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn decoded(text: &str, engine: &GeneralPurpose) -> Option<Zeroizing<String>> {
    if text.len() > MAX_BASIC_LEN {
        return None;
    }
    // What is no text may hold a key all the same, so it is wiped too.
    let mut bytes = Zeroizing::new(engine.decode(text).ok()?);
    std::str::from_utf8(&bytes).ok()?;
    String::from_utf8(std::mem::take(&mut *bytes)).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_hold_a_key_in_two_ways() {
        let basic = Presentation::scheme("basic");
        let read = |text: &str| {
            let text = STANDARD.encode(text);
            key_of(&Credential::new(&basic, &text)).map(|key| key.to_owned())
        };
        assert_eq!(read("apikey:k"), Some("k".into()));
        assert_eq!(read("k:"), Some("k".into()));
        for other in ["ann:k", "k", ":k", "ann:"] {
            assert_ne!(read(other), Some("k".into()), "{other}");
        }
        assert!(key_of(&Credential::new(&basic, "%%%")).is_none());
        assert_eq!(read(&format!("apikey:{}", "k".repeat(1000))), None);
    }

    #[test]
    fn a_key_is_noticed_wherever_it_stands_in_basic_credentials() {
        let basic = Presentation::scheme("Basic");
        for text in ["apikey:k", "k:", "ann:k", ":k", "k", "a:k:b"] {
            for encoded in [STANDARD.encode(text), STANDARD.encode(text).trim_end_matches('=').to_owned()] {
                assert!(has(&Credential::new(&basic, &encoded), |part| part == "k"), "{text}");
            }
        }
        assert!(!has(&Credential::new(&basic, &STANDARD.encode("ann:pw")), |part| part == "k"));
    }
}
