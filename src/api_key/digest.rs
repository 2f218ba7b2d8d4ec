//! How the text of a key is recognised without being kept.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use super::record::KeyDigest;
use crate::error::ConfigError;

/// Bytes of the shortest pepper: as many as the hash has (RFC 7518 §3.2).
const MIN_PEPPER_LEN: usize = 32;

/// Secrets that are kept outside of the store, so that whoever has the store alone cannot even test a guess.
#[derive(Default)]
pub(super) struct Peppers {
    /// Where a first one is there, new keys get that.
    named: Vec<(String, hmac::Key)>,
}

/// A key in the store has a pepper that nobody has named.
#[derive(Debug)]
pub(crate) struct PepperMissing;

impl Peppers {
    pub(super) fn add(&mut self, name: &str, secret: &[u8]) -> Result<(), ConfigError> {
        let refused = |problem| Err(ConfigError::Setting { setting: "pepper", value: None, problem });
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return refused("its name has 1 to 64 characters");
        }
        if secret.len() < MIN_PEPPER_LEN {
            return refused("it has at least 32 bytes");
        }
        if self.named.iter().any(|(other, _)| other == name) {
            return refused("two have one name");
        }
        self.named.push((name.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, secret)));
        Ok(())
    }

    /// The digest of a new key.
    pub(super) fn digest(&self, text: &str) -> KeyDigest {
        match self.named.first() {
            Some((name, pepper)) => KeyDigest::new(hmac_of(pepper, text), Some(name.clone())),
            None => KeyDigest::new(sha256(text), None),
        }
    }

    /// Whether this is the key that was digested; compared in constant time.
    pub(super) fn matches(&self, text: &str, stored: &KeyDigest) -> Result<bool, PepperMissing> {
        let ours = match &stored.pepper {
            None => sha256(text),
            Some(wanted) => {
                let pepper = self.named.iter().find(|(name, _)| name == wanted).ok_or(PepperMissing)?;
                hmac_of(&pepper.1, text)
            }
        };
        Ok(verify_slices_are_equal(&ours, &stored.bytes).is_ok())
    }

    /// Whether a new key would be digested like this.
    pub(super) fn is_current(&self, stored: &KeyDigest) -> bool {
        stored.pepper.as_ref() == self.named.first().map(|(name, _)| name)
    }
}

fn sha256(text: &str) -> [u8; 32] {
    bytes(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hmac_of(pepper: &hmac::Key, text: &str) -> [u8; 32] {
    bytes(hmac::sign(pepper, text.as_bytes()).as_ref())
}

/// Both functions give 32 bytes.
fn bytes(digest: &[u8]) -> [u8; 32] {
    digest.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "todo_live_0123456789";

    fn peppers(names: &[&str]) -> Peppers {
        let mut peppers = Peppers::default();
        for name in names {
            peppers.add(name, name.repeat(32).as_bytes()).unwrap();
        }
        peppers
    }

    #[test]
    fn a_digest_is_recognised_by_the_pepper_that_made_it() {
        let (none, old, both) = (peppers(&[]), peppers(&["2025"]), peppers(&["2026", "2025"]));
        for (made_by, current) in [(&none, false), (&old, false), (&both, true)] {
            let digest = made_by.digest(TEXT);
            assert!(both.matches(TEXT, &digest).unwrap());
            assert!(!both.matches("todo_live_0123456780", &digest).unwrap());
            assert_eq!(both.is_current(&digest), current);
        }
        assert!(old.matches(TEXT, &both.digest(TEXT)).is_err(), "who lost a pepper cannot judge");
        assert_ne!(none.digest(TEXT).bytes, old.digest(TEXT).bytes);
    }

    #[test]
    fn without_a_pepper_it_is_plain_sha256() {
        let text = peppers(&[]).digest("abc").bytes.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "FIPS 180-4");
    }

    #[test]
    fn weak_and_doubled_peppers_are_refused() {
        let mut peppers = peppers(&["a"]);
        assert!(peppers.add("b", &[7; 31]).is_err());
        assert!(peppers.add("a", &[7; 32]).is_err());
        assert!(peppers.add("", &[7; 32]).is_err());
        assert!(peppers.add("b", &[7; 32]).is_ok());
    }
}
