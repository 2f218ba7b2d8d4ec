//! What is known of a key, and what a store keeps of it.

use std::fmt;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::scope::ScopeSet;

/// What is known of a key. Nothing in it opens anything: it may be shown to the key's owner and to operators.
///
/// Times are exact to a millisecond.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ApiKeyRecord {
    /// Names the key: part of its text, unique in its store.
    pub id: String,
    /// What the key looks like: its prefix and its last four characters.
    pub hint: String,
    /// What its owner calls it.
    pub label: String,
    /// Whose it is: [`Principal::subject`](crate::Principal::subject).
    pub owner: String,
    /// The client that uses it: [`Principal::client_id`](crate::Principal::client_id).
    pub client_id: Option<String>,
    /// What it grants.
    pub scopes: ScopeSet,
    /// A name for the quotas that it gets.
    pub plan: Option<String>,
    /// Whatever the application wants to know of it.
    pub metadata: Map<String, Value>,
    /// When it was issued.
    pub created_at: SystemTime,
    /// From when on it is good.
    pub not_before: Option<SystemTime>,
    /// Until when it is good.
    pub expires_at: Option<SystemTime>,
    /// Since when it is refused until further notice.
    pub disabled_at: Option<SystemTime>,
    /// Since when it is refused for good.
    pub revoked_at: Option<SystemTime>,
    /// The key that took its place.
    pub replaced_by: Option<String>,
    /// When it was last seen, within some seconds.
    pub last_used_at: Option<SystemTime>,
}

impl ApiKeyRecord {
    /// The record of a new key, for stores of your own: what is not named here is `None` or empty.
    #[must_use]
    pub fn new(id: String, hint: String, label: String, owner: String, created_at: SystemTime) -> Self {
        Self {
            id,
            hint,
            label,
            owner,
            client_id: None,
            scopes: ScopeSet::default(),
            plan: None,
            metadata: Map::new(),
            created_at,
            not_before: None,
            expires_at: None,
            disabled_at: None,
            revoked_at: None,
            replaced_by: None,
            last_used_at: None,
        }
    }

    /// What it is good for at that time.
    #[must_use]
    pub fn state(&self, now: SystemTime) -> ApiKeyState {
        if self.revoked_at.is_some() {
            ApiKeyState::Revoked
        } else if self.disabled_at.is_some() {
            ApiKeyState::Disabled
        } else if self.expires_at.is_some_and(|time| time <= now) {
            ApiKeyState::Expired
        } else if self.not_before.is_some_and(|time| now < time) {
            ApiKeyState::NotYetValid
        } else {
            ApiKeyState::Active
        }
    }
}

/// Whether a key is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiKeyState {
    /// It is.
    Active,
    /// Not yet.
    NotYetValid,
    /// No more: its time is over, or another key took its place.
    Expired,
    /// Not until it is enabled again.
    Disabled,
    /// Never again.
    Revoked,
}

impl fmt::Display for ApiKeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::NotYetValid => "not yet valid",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        })
    }
}

/// What a store keeps of a key: its record, and a digest by which its text is recognised.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct StoredApiKey {
    /// What is known of it.
    pub record: ApiKeyRecord,
    /// By what it is recognised.
    pub digest: KeyDigest,
}

impl StoredApiKey {
    /// A record and a digest, as a store read them.
    #[must_use]
    pub const fn new(record: ApiKeyRecord, digest: KeyDigest) -> Self {
        Self { record, digest }
    }
}

/// Shows the record alone.
impl fmt::Debug for StoredApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredApiKey").field("record", &self.record).finish_non_exhaustive()
    }
}

/// The digest of a key's whole text: SHA-256, or HMAC-SHA-256 with a pepper.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyDigest {
    /// 32 bytes.
    pub bytes: [u8; 32],
    /// The name of the pepper, if there is one.
    pub pepper: Option<String>,
}

impl KeyDigest {
    /// A digest, as a store read it.
    #[must_use]
    pub const fn new(bytes: [u8; 32], pepper: Option<String>) -> Self {
        Self { bytes, pepper }
    }
}

/// Shows how, never what.
impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDigest").field("pepper", &self.pepper).finish_non_exhaustive()
    }
}
