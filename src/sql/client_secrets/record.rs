//! What may be seen of clients and their secrets.

use std::fmt;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::scope::ScopeSet;

/// What is known of a client that signs its requests. Nothing in it opens anything.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SigningClientRecord {
    /// The client's name: the `iss` of its tokens.
    pub client: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// A name for the quotas that it gets.
    pub plan: Option<String>,
    /// When it was put here first, to a millisecond.
    pub created_at: SystemTime,
    /// Its secrets, the youngest first.
    pub secrets: Vec<ClientSecretRecord>,
}

/// What is known of a secret without opening it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClientSecretRecord {
    /// Names it among those of its client.
    pub id: String,
    /// When it was put here, to a millisecond.
    pub created_at: SystemTime,
    /// The name of the key that sealed it.
    pub sealing_key: String,
}

/// A secret that was issued. Wiped when dropped.
#[non_exhaustive]
pub struct IssuedClientSecret {
    /// Names it among those of its client.
    pub id: String,
    pub(super) text: Zeroizing<String>,
}

impl IssuedClientSecret {
    /// The secret itself, to be shown to its client and kept nowhere: 36 letters and digits.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// Shows the id alone.
impl fmt::Debug for IssuedClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedClientSecret").field("id", &self.id).finish_non_exhaustive()
    }
}
