//! Calling back what is still valid: the list that a layer asks on every request, whatever is cached.

pub(crate) mod memory;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use memory::{MemoryRevocations, RevocationsFull};

use crate::credential::looks_like_jwt;

/// Says whether a credential was called back: see [`AuthLayer::revocations`](crate::AuthLayer::revocations).
///
/// Asked on every request, several times, from within the request's own call: it must answer at once, from memory. A list that
/// lives elsewhere keeps a copy here.
///
/// ```
/// use portcullis::{Mark, Revocations};
/// use std::time::SystemTime;
///
/// /// Refuses everything that was issued before the breach.
/// struct Breach(SystemTime);
///
/// impl Revocations for Breach {
///     fn is_revoked(&self, _: &Mark, issued_at: Option<SystemTime>) -> bool {
///         issued_at.is_none_or(|time| time < self.0)
///     }
/// }
/// ```
pub trait Revocations: Send + Sync + 'static {
    /// Whether the credential that bears this mark is revoked. `issued_at` is what it says of itself (`iat`); one that says
    /// nothing counts as issued before any time.
    fn is_revoked(&self, mark: &Mark, issued_at: Option<SystemTime>) -> bool;
}

/// Something by which credentials can be called back: the SHA-256 of a kind, an authority and a value, each with its length.
///
/// The hash has no key, so that all processes come to the same mark for the same thing, and none needs to keep or to send the
/// thing itself. The authority is [`Principal::issuer`](crate::Principal::issuer), or
/// [`Principal::method`](crate::Principal::method) where there is no issuer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark([u8; 32]);

impl Mark {
    /// One credential, by its own text. Of a JWT the signature does not count: whoever holds a token that was signed with ECDSA can
    /// give it another valid one. Of an API key within HTTP Basic credentials the key is the text:
    /// [`Authenticator::token_mark`](crate::Authenticator::token_mark).
    #[must_use]
    pub fn token(token: &str) -> Self {
        let signed =
            if looks_like_jwt(token) { token.rsplit_once('.').map(|(signed, _)| signed) } else { None };
        Self::of("token", "", signed.unwrap_or(token))
    }

    /// One token, by its `jti`.
    #[must_use]
    pub fn jti(authority: &str, jti: &str) -> Self {
        Self::of("jti", authority, jti)
    }

    /// All tokens of a session, by its `sid`.
    #[must_use]
    pub fn session(authority: &str, sid: &str) -> Self {
        Self::of("sid", authority, sid)
    }

    /// All tokens of a subject.
    #[must_use]
    pub fn subject(authority: &str, subject: &str) -> Self {
        Self::of("sub", authority, subject)
    }

    /// All tokens of a client.
    #[must_use]
    pub fn client(authority: &str, client: &str) -> Self {
        Self::of("client_id", authority, client)
    }

    /// The hash, to be sent to other processes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash that came from another process.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Lengths are 64-bit, big-endian.
    pub(crate) fn of(kind: &str, authority: &str, value: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [kind, authority, value] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// All marks of one credential.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    marks: Vec<Mark>,
    issued_at: Option<SystemTime>,
}

/// What of the claims revocation goes by, read once for each credential. One of an odd type takes nothing from the others.
#[derive(Default, Deserialize)]
struct Names {
    jti: Option<Value>,
    sid: Option<Value>,
    iat: Option<Value>,
}

/// Some providers number their sessions.
fn name(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(name)) => Some(name),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

impl Marks {
    pub(crate) fn new(
        token: Mark,
        authority: &str,
        subject: Option<&str>,
        client: Option<&str>,
        claims: Option<&[u8]>,
    ) -> Self {
        let names: Names = claims.and_then(|claims| serde_json::from_slice(claims).ok()).unwrap_or_default();
        let named = [
            name(names.jti).map(|jti| Mark::jti(authority, &jti)),
            name(names.sid).map(|sid| Mark::session(authority, &sid)),
            subject.map(|subject| Mark::subject(authority, subject)),
            client.map(|client| Mark::client(authority, client)),
        ];
        let marks = std::iter::once(token).chain(named.into_iter().flatten()).collect();
        // A time that is none counts as before any.
        let seconds = names.iat.and_then(|iat| iat.as_f64()).filter(|iat| *iat >= 0.0);
        let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let issued_at = since.and_then(|since| UNIX_EPOCH.checked_add(since));
        Self { marks, issued_at }
    }

    pub(crate) fn are_revoked(&self, list: &dyn Revocations) -> bool {
        self.marks.iter().any(|mark| list.is_revoked(mark, self.issued_at))
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>().saturating_add(size_of::<Mark>().saturating_mul(self.marks.capacity()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Mark::jti("ab", "c"), Mark::jti("a", "bc"));
        assert_ne!(Mark::jti("a", "b"), Mark::session("a", "b"));
        assert_eq!(Mark::jti("a", "b"), Mark::from_bytes(*Mark::jti("a", "b").as_bytes()));
    }
}
