//! A JWK Set, parsed and prepared.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::error::ConfigError;
use crate::jose::algorithm::Algorithm;
use crate::jose::json::{Fault, Members, Repeat, Skip, parse_object};
use crate::jose::jwk::Jwk;
use crate::principal::validity::Lease;

/// How many keys a set may hold. Real ones hold two to five.
pub(crate) const MAX_KEYS: usize = 100;

/// What an RSA key without `alg` is for (RFC 9068 §2.1 asks every server to accept RS256).
pub(crate) const DEFAULT_RSA_ALGORITHM: Algorithm = Algorithm::RS256;

/// An immutable JWK Set (RFC 7517 §5) whose keys are prepared for verification.
///
/// Keys are judged one by one. One that is odd, weak, for another use or that holds private material is left out with a
/// warning; the others are used. A symmetric key is never used. A key verifies one algorithm: what its `alg`, its curve or,
/// for an RSA key without `alg`, the setting says.
///
/// Not checked: certificates (`x5c`, `x5t`), and whether an RSA modulus has structural weaknesses.
///
/// ```
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// use portcullis::KeySet;
/// let keys = KeySet::parse(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// assert_eq!(keys.len(), 1);
/// assert!(KeySet::parse(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#).is_err());
/// # Ok(())
/// # }
/// ```
pub struct KeySet {
    keys: Vec<Key>,
    skipped: usize,
}

/// A key, and for how long verdicts that it brought about may be used again without looking here.
#[derive(Debug)]
pub(crate) struct Key {
    jwk: Jwk,
    /// `None`: it is known once and for all.
    pub(crate) lease: Option<Arc<Lease>>,
}

impl AsRef<Jwk> for Key {
    fn as_ref(&self) -> &Jwk {
        &self.jwk
    }
}

/// Why a document is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SetError {
    #[error("the document is not a JWK Set")]
    Malformed,
    #[error("the document holds more than {MAX_KEYS} keys")]
    TooMany,
    #[error("the document holds no key that can be used")]
    Empty,
}

impl KeySet {
    /// Parses a JWK Set document.
    ///
    /// # Errors
    /// If the document is not a JWK Set, has more than 100 keys, or none that can be used.
    pub fn parse(document: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::parse_with_rsa(document, DEFAULT_RSA_ALGORITHM)
    }

    /// Parses a JWK Set document in which RSA keys that name no `alg` are for `algorithm`, in place of RS256.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with_rsa(document: impl AsRef<[u8]>, algorithm: Algorithm) -> Result<Self, ConfigError> {
        Self::read(document.as_ref(), algorithm).map_err(|error| ConfigError::Keys(error.to_string()))
    }

    pub(crate) fn read(document: &[u8], rsa: Algorithm) -> Result<Self, SetError> {
        let mut listed = Document::default();
        parse_object(document, &mut listed).map_err(|_: Fault| SetError::Malformed)?;
        let listed = listed.keys.ok_or(SetError::Malformed)?;
        if listed.len() > MAX_KEYS {
            return Err(SetError::TooMany);
        }
        let mut set = Self { keys: Vec::with_capacity(listed.len()), skipped: 0 };
        for (index, key) in listed.iter().enumerate() {
            match Jwk::parse(key.get().as_bytes(), rsa) {
                Ok(jwk) => set.keys.push(Key { jwk, lease: None }),
                Err(problem) => {
                    set.skipped = set.skipped.saturating_add(1);
                    tracing::warn!(target: "portcullis", index, %problem, "a key of the set is not used");
                }
            }
        }
        if set.keys.is_empty() { Err(SetError::Empty) } else { Ok(set) }
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set without keys is not made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys of the document were left out.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The keys that may have signed a token with this `kid` and algorithm.
    pub(crate) fn find<'a>(&'a self, kid: Option<&'a str>, algorithm: Algorithm) -> Find<'a> {
        if let Some(first) = self.keys.iter().position(|key| fits(key, kid, algorithm)) {
            Find::Candidates(Candidates { keys: self.keys.get(first..).unwrap_or_default(), kid, algorithm })
        } else if kid.is_some() && self.keys.iter().any(|key| key.jwk.kid() == kid) {
            Find::OtherAlgorithm
        } else {
            Find::Unknown
        }
    }

    /// Takes the place of an older set: the leases of keys that are still here go on, the others end. False if a key was
    /// removed or altered. `lease` makes one for a new key.
    pub(super) fn replace(&mut self, older: Option<&Self>, lease: impl Fn() -> Lease) -> bool {
        let older = older.map(|older| older.keys.as_slice()).unwrap_or_default();
        for key in &mut self.keys {
            let same = older.iter().find(|other| other.jwk.is_same(&key.jwk));
            let held = same.and_then(|other| other.lease.clone());
            key.lease = Some(held.unwrap_or_else(|| Arc::new(lease())));
        }
        let gone = older.iter().filter(|key| !self.keys.iter().any(|newer| newer.jwk.is_same(&key.jwk)));
        let mut kept = true;
        for key in gone {
            kept = false;
            if let Some(lease) = &key.lease {
                lease.end();
            }
        }
        kept
    }

    /// Verdicts may be used again until then; `None`: for ever.
    pub(super) fn extend_leases(&self, until: Option<Instant>) {
        self.keys.iter().filter_map(|key| key.lease.as_ref()).for_each(|lease| lease.extend(until));
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys).field("skipped", &self.skipped).finish()
    }
}

/// The outcome of [`KeySet::find`].
pub(crate) enum Find<'a> {
    Candidates(Candidates<'a>),
    /// The `kid` is known, for another algorithm.
    OtherAlgorithm,
    Unknown,
}

/// Keys of one `kid` and algorithm.
pub(crate) struct Candidates<'a> {
    keys: &'a [Key],
    kid: Option<&'a str>,
    algorithm: Algorithm,
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a Key;

    fn next(&mut self) -> Option<&'a Key> {
        while let Some((key, rest)) = self.keys.split_first() {
            self.keys = rest;
            if fits(key, self.kid, self.algorithm) {
                return Some(key);
            }
        }
        None
    }
}

/// A token without `kid` may have been signed by any key of its algorithm.
fn fits(Key { jwk, .. }: &Key, kid: Option<&str>, algorithm: Algorithm) -> bool {
    (kid.is_none() || jwk.kid() == kid) && jwk.algorithm() == algorithm
}

#[derive(Default)]
struct Document<'de> {
    keys: Option<Vec<&'de RawValue>>,
}

impl<'de> Members<'de> for Document<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        if name == "keys" { skip.once(&mut self.keys, map.next_value()?) } else { skip.over(map) }
    }
}
