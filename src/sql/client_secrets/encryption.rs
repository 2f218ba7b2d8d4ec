//! How secrets are kept that must be had again.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::authenticator::signed_request::secret::ClientSecret;
use crate::error::ConfigError;
use crate::store::StoreError;

/// Bytes of a key for AES-256.
const KEY_LEN: usize = 32;

/// Characters of a key's name, at most.
const MAX_NAME_LEN: usize = 64;

/// What else is sealed with these keys one day must not open as one of these.
const PURPOSE: &str = "portcullis client secret";

/// Keys outside of the database with which the secrets of clients in it are sealed: AES-256-GCM with random nonces.
///
/// ```
/// use portcullis::SealingKeys;
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// # let (new, old) = ([1; 32], [2; 32]);
/// let keys = SealingKeys::new("2026", new)?.older("2025", old)?;
/// # Ok(())
/// # }
/// ```
///
/// # Changing to another key
/// 1. Every process gets the new key as an [`older`](Self::older) one: it opens what others seal with it.
/// 2. Then every process gets it as the first one, and the one before it as an older one.
/// 3. [`reseal`](crate::SqlClientSecrets::reseal), once in any process, and the older one is needed no more.
///
/// # Security
/// Who has a key and a copy of the database has the secrets, also those in a copy from before they were sealed anew or removed. A key
/// that is lost takes the secrets along that it sealed. `Debug` shows names alone; the keys are wiped when this is dropped.
pub struct SealingKeys {
    first: SealingKey,
    older: Vec<SealingKey>,
}

struct SealingKey {
    name: Box<str>,
    key: RandomizedNonceKey,
}

impl SealingKeys {
    /// The key that seals, and a name for it that is kept with what it sealed.
    ///
    /// # Errors
    /// If the name does not have 1 to 64 characters without control characters, or the key is not 32 bytes long. They should come
    /// from the system's random source, never from a password.
    pub fn new(name: &str, key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Ok(Self { first: SealingKey::new(name, key.as_ref())?, older: Vec::new() })
    }

    /// Adds a key that opens what it has sealed, and seals nothing more.
    ///
    /// # Errors
    /// As for [`new`](Self::new), or if there is one of this name already.
    pub fn older(mut self, name: &str, key: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        if self.named(name).is_some() {
            return Err(wrong("two have one name"));
        }
        self.older.push(SealingKey::new(name, key.as_ref())?);
        Ok(self)
    }

    /// The name of the key that seals.
    pub(super) fn current(&self) -> &str {
        &self.first.name
    }

    /// Seals a secret for one place, and for no other: where it stands elsewhere it does not open.
    pub(super) fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Sealed, StoreError> {
        let mut bytes = Zeroizing::new(secret.to_vec());
        let (nonce, tag) = (self.first.key)
            .seal_in_place_separate_tag(place.to_aad(), &mut bytes)
            .map_err(|_| StoreError::new("the secret of a client could not be sealed"))?;
        let bytes = [&nonce.as_ref()[..], &bytes, tag.as_ref()].concat();
        Ok(Sealed { key: self.current().to_owned(), bytes })
    }

    /// What was sealed for this place.
    pub(super) fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<ClientSecret, StoreError> {
        let Some(key) = self.named(&sealed.key) else {
            let text = format!("the sealing key {:?} of client secret {:?} is missing", sealed.key, place.id);
            return Err(StoreError::unreadable(text));
        };
        open(&key.key, place, &sealed.bytes).ok_or_else(|| {
            let text = "does not open: it was changed, or moved, or the sealing key of that name is another";
            StoreError::unreadable(format!("client secret {:?} {text}", place.id))
        })
    }

    fn named(&self, name: &str) -> Option<&SealingKey> {
        std::iter::once(&self.first).chain(&self.older).find(|key| *key.name == *name)
    }
}

impl SealingKey {
    fn new(name: &str, key: &[u8]) -> Result<Self, ConfigError> {
        if name.is_empty() || name.chars().count() > MAX_NAME_LEN || name.chars().any(char::is_control) {
            return Err(wrong("its name has 1 to 64 characters"));
        }
        if key.len() != KEY_LEN {
            return Err(wrong("it has 32 bytes"));
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| wrong("it cannot be used"))?;
        Ok(Self { name: name.into(), key })
    }
}

/// What was sealed: nonce, ciphertext and tag, and the name of the key.
pub(super) struct Sealed {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
}

/// Where a secret stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) client: &'p str,
    pub(super) id: &'p str,
}

impl Place<'_> {
    /// Each part behind its length, so that no other place gives the same bytes.
    fn to_aad(self) -> Aad<Vec<u8>> {
        let mut bytes = Vec::new();
        for part in [PURPOSE, self.client, self.id] {
            bytes.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        Aad::from(bytes)
    }
}

fn open(key: &RandomizedNonceKey, place: Place<'_>, sealed: &[u8]) -> Option<ClientSecret> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let secret = key.open_in_place(nonce, place.to_aad(), &mut text).ok()?;
    ClientSecret::new(secret).ok()
}

const fn wrong(problem: &'static str) -> ConfigError {
    ConfigError::Setting { setting: "sealing key", value: None, problem }
}

/// Shows names alone.
impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let older: Vec<_> = self.older.iter().map(|key| &key.name).collect();
        f.debug_struct("SealingKeys").field("first", &self.first.name).field("older", &older).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"3d844edf-8d35-48ac-975b-e847b4f122b0";
    const PLACE: Place<'_> = Place { client: "dashboard", id: "one" };

    fn keys(name: &str, byte: u8) -> SealingKeys {
        SealingKeys::new(name, [byte; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_alone() {
        let keys = keys("a", 1);
        let sealed = keys.seal(PLACE, SECRET).unwrap();
        assert_eq!(keys.open(PLACE, &sealed).unwrap().expose(), SECRET);
        for place in [
            Place { client: "dashboarD", ..PLACE },
            Place { id: "two", ..PLACE },
            // The same letters, divided elsewhere.
            Place { client: "dashboardo", id: "ne" },
        ] {
            assert!(keys.open(place, &sealed).is_err());
        }
    }

    #[test]
    fn whatever_byte_is_changed_it_does_not_open() {
        let keys = keys("a", 1);
        let sealed = keys.seal(PLACE, SECRET).unwrap();
        assert_eq!(sealed.bytes.len(), NONCE_LEN + SECRET.len() + 16);
        assert!(!sealed.bytes.windows(4).any(|some| some == &SECRET[..4]));
        for place in 0..sealed.bytes.len() {
            let mut bytes = sealed.bytes.clone();
            bytes[place] ^= 1;
            assert!(keys.open(PLACE, &Sealed { key: "a".to_owned(), bytes }).is_err(), "{place}");
        }
        for len in [0, 11, 12, 27, sealed.bytes.len() - 1] {
            let bytes = sealed.bytes[..len].to_vec();
            assert!(keys.open(PLACE, &Sealed { key: "a".to_owned(), bytes }).is_err(), "{len}");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_the_same_way() {
        let keys = keys("a", 1);
        let (one, other) = (keys.seal(PLACE, SECRET).unwrap(), keys.seal(PLACE, SECRET).unwrap());
        assert_ne!(one.bytes[..NONCE_LEN], other.bytes[..NONCE_LEN]);
        assert_ne!(one.bytes[NONCE_LEN..], other.bytes[NONCE_LEN..]);
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let both = keys("b", 2).older("a", [1; 32]).unwrap();
        let (old, new) = (keys("a", 1).seal(PLACE, SECRET).unwrap(), both.seal(PLACE, SECRET).unwrap());
        assert_eq!((&*old.key, &*new.key), ("a", "b"));
        assert!(both.open(PLACE, &old).is_ok() && both.open(PLACE, &new).is_ok());
        let error = keys("a", 1).open(PLACE, &new).unwrap_err().to_string();
        assert_eq!(error, r#"the sealing key "b" of client secret "one" is missing"#);
        let error = keys("b", 3).open(PLACE, &new).unwrap_err().to_string();
        assert!(error.contains(r#""one" does not open"#), "{error}");
    }

    #[test]
    fn weak_and_doubled_keys_are_refused() {
        assert!(SealingKeys::new("a", [1; 31]).is_err());
        assert!(SealingKeys::new("a", [1; 33]).is_err());
        assert!(SealingKeys::new("", [1; 32]).is_err());
        assert!(SealingKeys::new("a\n", [1; 32]).is_err());
        assert!(SealingKeys::new(&"a".repeat(65), [1; 32]).is_err());
        assert!(keys("a", 1).older("a", [2; 32]).is_err());
        let keys = keys("a", 1).older("b", [2; 32]).unwrap();
        assert!(keys.older("b", [3; 32]).is_err());
        assert!(SealingKeys::new(&"a".repeat(64), [1; 32]).is_ok());
    }

    #[test]
    fn debug_shows_names_alone() {
        let keys = keys("new", 77).older("old", [78; 32]).unwrap();
        assert_eq!(format!("{keys:?}"), r#"SealingKeys { first: "new", older: ["old"] }"#);
    }
}
