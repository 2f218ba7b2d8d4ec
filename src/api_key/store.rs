//! Where keys are kept.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

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

    /// How many look-ups it can do at once; 64 by default, and never more. Those beyond it wait in line outside, where they cannot be
    /// taken for a store that is slow.
    fn at_once(&self) -> usize {
        64
    }

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
    /// It expires at that time, whatever was said before; one that was replaced, only if that is earlier.
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
#[must_use]
pub struct ApiKeyQuery {
    /// Those of this owner; `None`: everybody's.
    pub owner: Option<String>,
    /// Those behind this one.
    pub after: Option<ApiKeyCursor>,
    /// So many at most.
    pub limit: NonZeroU32,
}

/// Records on a page, unless more or fewer are asked for.
const LIMIT: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// Records on a page, at most.
const MAX_LIMIT: NonZeroU32 = NonZeroU32::new(1000).unwrap();

impl ApiKeyQuery {
    /// The first page of everybody's, with 100 records.
    pub const fn new() -> Self {
        Self { owner: None, after: None, limit: LIMIT }
    }

    /// Only those of this owner.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = Some(owner.into());
        self
    }

    /// The page that begins there.
    pub fn after(mut self, cursor: ApiKeyCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// So many records at most: 1 to 1000, whatever is asked for.
    pub fn limit(mut self, records: u32) -> Self {
        self.limit = NonZeroU32::new(records).unwrap_or(NonZeroU32::MIN).min(MAX_LIMIT);
        self
    }
}

impl Default for ApiKeyQuery {
    fn default() -> Self {
        Self::new()
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ApiKeyPage {
    /// What is on it.
    pub records: Vec<ApiKeyRecord>,
    /// Where the next one begins; `None` if there is none.
    pub next: Option<ApiKeyCursor>,
}

impl ApiKeyPage {
    pub(super) fn of(records: Vec<ApiKeyRecord>, limit: NonZeroU32) -> Self {
        let is_full = u32::try_from(records.len()).is_ok_and(|len| len >= limit.get());
        let last = records.last().filter(|_| is_full);
        let next = last.map(|record| ApiKeyCursor { created_at: record.created_at, id: record.id.clone() });
        Self { records, next }
    }
}

/// A place in a list: behind this record. As text it fits into a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiKeyCursor {
    /// When that was issued.
    pub created_at: SystemTime,
    /// Its id.
    pub id: String,
}

impl fmt::Display for ApiKeyCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.created_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        write!(f, "{}.{}", since.as_millis(), self.id)
    }
}

impl FromStr for ApiKeyCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (millis, id) = text.split_once('.').ok_or(InvalidCursor)?;
        let millis = millis.parse().map_err(|_| InvalidCursor)?;
        let created_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        Ok(Self { created_at: created_at.ok_or(InvalidCursor)?, id: id.to_owned() })
    }
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of a list of API keys")]
#[non_exhaustive]
pub struct InvalidCursor;
