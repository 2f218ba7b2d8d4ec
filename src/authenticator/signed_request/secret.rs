//! The secrets with which clients sign.

use std::fmt;

use zeroize::Zeroizing;

use crate::error::ConfigError;
use crate::jose::hmac::HmacKey;
use crate::scope::ScopeSet;

/// RFC 7518 §3.2: a key at least as long as what the hash gives.
const MIN_LEN: usize = 32;

/// A secret that a client and this server share.
///
/// It is used as it is, as the bytes of an HMAC key: a client that holds it in hex or base64 uses that text, and so must this
/// server.
///
/// ```
/// use portcullis::ClientSecret;
/// assert!(ClientSecret::new("3d844edf-8d35-48ac-975b-e847b4f122b0").is_ok());
/// assert!(ClientSecret::new("hunter2").is_err());
/// ```
///
/// # Security
/// `Debug` does not show it, and it is wiped when it is dropped. Its length is checked, not how it came about: take 32 bytes or
/// more from the system's random source, never a password.
#[derive(Clone)]
pub struct ClientSecret {
    bytes: Zeroizing<Box<[u8]>>,
    key: HmacKey,
}

impl ClientSecret {
    /// A secret of these bytes.
    ///
    /// # Errors
    /// If there are less than 32 of them.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let bytes = secret.as_ref();
        if bytes.len() < MIN_LEN {
            let problem = "must have 32 bytes or more (RFC 7518 §3.2)";
            return Err(ConfigError::Setting { setting: "ClientSecret", value: None, problem });
        }
        Ok(Self { bytes: Zeroizing::new(bytes.into()), key: HmacKey::new(bytes) })
    }

    /// The secret itself, for who writes it into a store.
    ///
    /// # Security
    /// Never log it, never put it into an error.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn key(&self) -> &HmacKey {
        &self.key
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// What is known of a client that signs its requests.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SigningClient {
    /// What it may sign with: the old secret and the new one while it changes from one to the other. The first eight count; with
    /// none it is as unknown as one that is not there.
    pub secrets: Vec<ClientSecret>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// A name for the quotas that it gets.
    pub plan: Option<String>,
}

impl SigningClient {
    /// A client with these secrets and scopes, of no plan.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = ClientSecret>, scopes: ScopeSet) -> Self {
        Self { secrets: secrets.into_iter().collect(), scopes, plan: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let text = "0123456789abcdef0123456789abcdef";
        let client = SigningClient::new([ClientSecret::new(text).unwrap()], ScopeSet::default());
        assert_eq!(client.secrets[0].expose(), text.as_bytes());
        let shown = format!("{client:?}");
        assert!(shown.contains("ClientSecret(..)") && !shown.contains("0123"), "{shown}");
        assert!(!shown.contains("48, 49, 50"), "{shown}");
    }

    #[test]
    fn a_secret_is_at_least_as_long_as_the_hash() {
        assert!(ClientSecret::new([7; 32]).is_ok());
        let error = ClientSecret::new([7; 31]).unwrap_err().to_string();
        assert_eq!(error, "`ClientSecret`: must have 32 bytes or more (RFC 7518 §3.2)");
    }
}
