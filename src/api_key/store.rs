//! Where keys are kept.

use std::num::NonZeroU32;
use std::time::SystemTime;

use super::record::{ApiKeyRecord, KeyDigest, StoredApiKey};
use crate::store::StoreFuture;

/// Keeps keys. Whoever can write to it can make keys: guard it as you guard passwords.
///
/// Each method is one change that happens as a whole or not at all, also beside others that happen at the same time, and what one
/// of them has changed the next one sees, in every process. Times are kept to a millisecond; `id` is compared exactly.
pub trait ApiKeyStore: Send + Sync + 'static {
    /// The key of this id. One look-up by an index: it is made for every new key that somebody sends, and for each one in use once
    /// in ten seconds.
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>>;

    /// Adds a key. False if there is one of this id already, which stays as it is.
    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool>;

    /// Some records, the youngest first; those of one millisecond by descending id. Compares owners exactly.
    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>>;

    /// Changes a record and gives what it is then; `None` if there is none of this id. One that is revoked stays as it is, and so
    /// does a time at which something had happened already.
    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>>;

    /// Puts another key in the place of one that is neither revoked nor disabled nor replaced already: adds `by`, names it as
    /// `replaced_by` of the old one, and has that expire at `ends`, if it does not do so before. True if it did all that; else it
    /// did nothing.
    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool>;

    /// Notes when keys were used, where that is later than what is noted, and puts the new digest in place of the old one where
    /// there is one and the old one is still there. Keys that are gone are passed over.
    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()>;
}

/// A change of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiKeyChange {
    /// It was revoked at that time.
    Revoke(SystemTime),
    /// It was disabled at that time.
    Disable(SystemTime),
    /// It is disabled no more.
    Enable,
    /// It expires at that time, whatever was said before.
    Expire(SystemTime),
}

/// That a key was used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeyUse {
    /// The key's id.
    pub id: String,
    /// When.
    pub at: SystemTime,
    /// The digest under which it was found, and the one under the current pepper, where that is another.
    pub digest: Option<(KeyDigest, KeyDigest)>,
}

impl ApiKeyUse {
    /// A use that changes no digest.
    #[must_use]
    pub const fn new(id: String, at: SystemTime) -> Self {
        Self { id, at, digest: None }
    }
}

/// Which records to list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeyQuery {
    /// Those of this owner; `None`: everybody's.
    pub owner: Option<String>,
    /// Those behind this one.
    pub after: Option<ApiKeyCursor>,
    /// So many at most.
    pub limit: NonZeroU32,
}

/// A place in a list: behind this record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeyCursor {
    /// When that was issued.
    pub created_at: SystemTime,
    /// Its id.
    pub id: String,
}
