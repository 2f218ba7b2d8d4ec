//! The life of keys.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;

use super::digest::{PepperMissing, Peppers};
use super::error::ApiKeyError;
use super::format::{ApiKey, Prefix};
use super::invalidation::Leases;
use super::last_used::Uses;
use super::new_key::{NewApiKey, to_millis};
use super::record::{ApiKeyRecord, ApiKeyState, StoredApiKey};
use super::store::{ApiKeyChange, ApiKeyPage, ApiKeyQuery, ApiKeyStore};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::principal::validity::Lease;
use crate::store::StoreError;

/// Two ids alike are a matter of chance that will not happen; three times in a row it is something else.
const MAX_ATTEMPTS: u32 = 3;

/// The API keys of an application: issues them, changes them, and knows them again.
///
/// A key is shown once, when it is issued. The store has a digest of it, from which it cannot be made again: 160 random bits
/// cannot be guessed, so a fast hash will do, and a pepper keeps whoever has the store alone from even trying.
///
/// What is changed here counts at once in this process, whatever is cached. Elsewhere on the same store it counts when the
/// verdict is over that was cached there ([`reuse_for`](crate::ApiKeyAuthenticatorBuilder::reuse_for), 10 seconds).
///
/// Clones are the same keys.
///
/// ```
/// use portcullis::{ApiKeyAuthenticator, ApiKeys, AuthLayer, MemoryApiKeyStore, NewApiKey, ScopeSet};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build()?;
/// let auth = AuthLayer::new(ApiKeyAuthenticator::new(keys.clone()));
///
/// let issued = keys.issue(NewApiKey::new("nightly build", "ann").scopes(ScopeSet::parse("todo:read")?)).await?;
/// println!("{}", issued.key.expose()); // the one time that it can be seen
/// keys.revoke(&issued.record.id).await?;
/// // What is gone cannot be rotated:
/// assert!(keys.rotate(&issued.record.id, std::time::Duration::ZERO).await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiKeys {
    inner: Arc<Inner>,
}

struct Inner {
    prefix: Prefix,
    store: Arc<dyn ApiKeyStore>,
    peppers: Peppers,
    leases: Leases,
    uses: Arc<Uses>,
    own_clock: Option<Arc<dyn Clock>>,
}

/// A key that was issued.
#[derive(Debug)]
#[non_exhaustive]
pub struct IssuedApiKey {
    /// The key: show it to its user, and forget it.
    pub key: ApiKey,
    /// What is known of it.
    pub record: ApiKeyRecord,
}

impl ApiKeys {
    /// Starts with the prefix of all keys, such as `todo_live`, and with where they are kept.
    pub fn builder(prefix: &str, store: impl ApiKeyStore) -> ApiKeysBuilder {
        ApiKeysBuilder {
            prefix: prefix.to_owned(),
            store: Arc::new(store),
            peppers: Vec::new(),
            own_clock: None,
        }
    }

    /// Issues a key.
    ///
    /// # Errors
    /// If what it is to be makes no sense, or the store fails: then it may have been kept, but nobody has seen it.
    pub async fn issue(&self, new: NewApiKey) -> Result<IssuedApiKey, ApiKeyError> {
        new.check(self.now())?;
        for _ in 0..MAX_ATTEMPTS {
            let (key, stored) = self.make(new.clone())?;
            if self.inner.store.insert(&stored).await? {
                return Ok(IssuedApiKey { key, record: stored.record });
            }
        }
        Err(ApiKeyError::Random)
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// If there is none of this id, or the store fails.
    pub async fn find(&self, id: &str) -> Result<ApiKeyRecord, ApiKeyError> {
        self.inner.store.find(id).await?.map(|stored| stored.record).ok_or(ApiKeyError::NotFound)
    }

    /// A page of what is known of all keys, or of those of one owner; the youngest first.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, query: &ApiKeyQuery) -> Result<ApiKeyPage, ApiKeyError> {
        let records = self.inner.store.list(query).await?;
        Ok(ApiKeyPage::of(records, query.limit))
    }

    /// Ends a key for good. Of one that is revoked already nothing changes.
    ///
    /// # Errors
    /// If there is none of this id, or the store fails: then ask again.
    pub async fn revoke(&self, id: &str) -> Result<ApiKeyRecord, ApiKeyError> {
        self.change(id, ApiKeyChange::Revoke(to_millis(self.now()))).await
    }

    /// Refuses a key until it is enabled again.
    ///
    /// # Errors
    /// If there is none of this id, it is revoked, or the store fails.
    pub async fn disable(&self, id: &str) -> Result<ApiKeyRecord, ApiKeyError> {
        self.change(id, ApiKeyChange::Disable(to_millis(self.now()))).await.and_then(unless_revoked)
    }

    /// Accepts a key again that was disabled. That it was refused may be remembered for
    /// [`refuse_for`](crate::ApiKeyAuthenticatorBuilder::refuse_for).
    ///
    /// # Errors
    /// If there is none of this id, it is revoked, or the store fails.
    pub async fn enable(&self, id: &str) -> Result<ApiKeyRecord, ApiKeyError> {
        self.change(id, ApiKeyChange::Enable).await.and_then(unless_revoked)
    }

    /// Sets when a key expires, whatever was said before; but one whose place another took can only expire earlier than it would.
    ///
    /// # Errors
    /// If there is none of this id, it is revoked, or the store fails.
    pub async fn expire(&self, id: &str, time: SystemTime) -> Result<ApiKeyRecord, ApiKeyError> {
        self.change(id, ApiKeyChange::Expire(to_millis(time))).await.and_then(unless_revoked)
    }

    /// Issues a key that takes another's place: it grants the same, to the same, and ends when the other would have; more time
    /// is a decision of its own ([`expire`](Self::expire)). The other one is good for `grace` yet, up to a millisecond less, or
    /// until it expires. Of several who do this at once with one key, one gets a key.
    ///
    /// # Errors
    /// If there is none of this id, it is not active, another took its place already, or the store fails.
    pub async fn rotate(&self, id: &str, grace: Duration) -> Result<IssuedApiKey, ApiKeyError> {
        let now = self.now();
        let old = self.find(id).await?;
        match old.state(now) {
            _ if old.replaced_by.is_some() => return Err(ApiKeyError::Replaced),
            ApiKeyState::Active => {}
            state => return Err(ApiKeyError::State(state)),
        }
        let ends =
            now.checked_add(grace).ok_or(ApiKeyError::Invalid { field: "grace", problem: "is too long" })?;
        let (key, stored) = self.make(NewApiKey::like(old))?;
        let (inner, of, by) = (Arc::clone(&self.inner), id.to_owned(), stored.clone());
        let replaced = to_its_end(async move {
            // The old one ends earlier than its verdicts say.
            let _ending = inner.leases.ending(&of);
            inner.store.replace(&of, &by, to_millis(ends)).await
        });
        if replaced.await? {
            return Ok(IssuedApiKey { key, record: stored.record });
        }
        // Somebody was faster: what did they do?
        Err(match self.find(id).await?.state(now) {
            state @ (ApiKeyState::Revoked | ApiKeyState::Disabled) => ApiKeyError::State(state),
            _ => ApiKeyError::Replaced,
        })
    }

    /// Writes when keys were last used, which is written every few seconds otherwise: for a server that ends.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn flush(&self) -> Result<(), ApiKeyError> {
        Ok(self.inner.uses.write().await?)
    }

    async fn change(&self, id: &str, change: ApiKeyChange) -> Result<ApiKeyRecord, ApiKeyError> {
        let (inner, id) = (Arc::clone(&self.inner), id.to_owned());
        let changed = to_its_end(async move {
            let _ending = inner.leases.ending(&id);
            inner.store.change(&id, change).await
        });
        changed.await?.ok_or(ApiKeyError::NotFound)
    }

    fn make(&self, new: NewApiKey) -> Result<(ApiKey, StoredApiKey), ApiKeyError> {
        let key = ApiKey::generate(&self.inner.prefix).map_err(|_| ApiKeyError::Random)?;
        let id = self.inner.prefix.id(key.expose()).ok_or(ApiKeyError::Random)?;
        let record = new.into_record(id, key.hint(), self.now());
        let stored = StoredApiKey::new(record, self.inner.peppers.digest(key.expose()));
        Ok((key, stored))
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.inner.own_clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    pub(crate) fn own_clock(&self) -> Option<Arc<dyn Clock>> {
        self.inner.own_clock.clone()
    }

    pub(crate) fn prefix(&self) -> &Prefix {
        &self.inner.prefix
    }

    pub(crate) fn lease(&self, id: &str) -> Arc<Lease> {
        self.inner.leases.of(id)
    }

    pub(crate) fn at_once(&self) -> usize {
        self.inner.store.at_once()
    }

    /// The key in the store that has this id, and whether this is its text.
    pub(crate) async fn look_up(&self, id: &str) -> Result<Option<StoredApiKey>, StoreError> {
        self.inner.store.find(id).await
    }

    /// Whether this is the text of that key.
    pub(crate) fn is_text_of(&self, text: &str, stored: &StoredApiKey) -> Result<bool, PepperMissing> {
        self.inner.peppers.matches(text, &stored.digest)
    }

    /// Notes that a key was used.
    pub(crate) fn used(&self, text: &str, stored: &StoredApiKey, at: SystemTime) {
        let peppers = &self.inner.peppers;
        let digest =
            (!peppers.is_current(&stored.digest)).then(|| (stored.digest.clone(), peppers.digest(text)));
        self.inner.uses.note(&stored.record.id, to_millis(at), digest);
    }
}

/// Does it, whether or not somebody still waits for it: a database may do what it was told to whose caller has gone, and the verdicts
/// of this process must end after that, not before.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let runtime = Handle::try_current()
        .map_err(|_| StoreError::new("API keys are changed within a runtime of tokio"))?;
    runtime.spawn(work).await.unwrap_or_else(|error| Err(StoreError::new(error)))
}

fn unless_revoked(record: ApiKeyRecord) -> Result<ApiKeyRecord, ApiKeyError> {
    if record.revoked_at.is_some() { Err(ApiKeyError::State(ApiKeyState::Revoked)) } else { Ok(record) }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("prefix", &self.inner.prefix.as_str()).finish_non_exhaustive()
    }
}

/// Builds [`ApiKeys`].
#[must_use]
pub struct ApiKeysBuilder {
    prefix: String,
    store: Arc<dyn ApiKeyStore>,
    peppers: Vec<(String, zeroize::Zeroizing<Vec<u8>>)>,
    own_clock: Option<Arc<dyn Clock>>,
}

impl ApiKeysBuilder {
    /// Adds a pepper: a secret of 32 bytes or more that is kept outside of the store, with which keys are digested by HMAC-SHA-256.
    /// The first one is for new keys, the others are for those that were digested with them; those get the first one when they are
    /// used next, and so do keys that were digested without any. The name is kept with each key.
    ///
    /// Where several processes share a store, all of them must know a pepper before one of them has it first.
    ///
    /// # Security
    /// A key whose pepper is lost cannot be judged any more, and is answered 500.
    pub fn pepper(mut self, name: &str, secret: impl AsRef<[u8]>) -> Self {
        self.peppers.push((name.to_owned(), secret.as_ref().to_vec().into()));
        self
    }

    /// Brings a clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.own_clock = Some(Arc::new(clock));
        self
    }

    /// The keys.
    ///
    /// # Errors
    /// If the prefix is not made of 2 to 32 characters of `a-z`, `0-9` and `_`, with a letter first and no `_` at the end, or a
    /// pepper is too short or named twice.
    pub fn build(self) -> Result<ApiKeys, ConfigError> {
        let mut peppers = Peppers::default();
        for (name, secret) in &self.peppers {
            peppers.add(name, secret)?;
        }
        let inner = Inner {
            prefix: Prefix::new(&self.prefix)?,
            uses: Uses::new(Arc::clone(&self.store)),
            store: self.store,
            peppers,
            leases: Leases::default(),
            own_clock: self.own_clock,
        };
        Ok(ApiKeys { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for ApiKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeysBuilder").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
