//! Keys in the memory of this process: for tests, and for keys that are read from elsewhere at the start.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::record::{ApiKeyRecord, StoredApiKey};
use super::store::{ApiKeyChange, ApiKeyQuery, ApiKeyStore, ApiKeyUse};
use crate::store::StoreFuture;

/// Keeps keys in memory, all of them; a restart forgets them. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryApiKeyStore {
    keys: Arc<Mutex<HashMap<String, StoredApiKey>>>,
}

impl MemoryApiKeyStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, StoredApiKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ApiKeyStore for MemoryApiKeyStore {
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(async move { Ok(self.keys().get(id).cloned()) })
    }

    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        Box::pin(async move { Ok(insert(&mut self.keys(), key)) })
    }

    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        Box::pin(async move {
            let of_owner =
                |record: &ApiKeyRecord| query.owner.as_ref().is_none_or(|owner| *owner == record.owner);
            let after = query.after.as_ref().map(|cursor| (cursor.created_at, &cursor.id));
            let behind = |record: &ApiKeyRecord| after.is_none_or(|after| place(record) < after);
            let mut records: Vec<_> = self
                .keys()
                .values()
                .map(|key| &key.record)
                .filter(|record| of_owner(record) && behind(record))
                .cloned()
                .collect();
            records.sort_unstable_by(|one, other| place(other).cmp(&place(one)));
            records.truncate(usize::try_from(query.limit.get()).unwrap_or(usize::MAX));
            Ok(records)
        })
    }

    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(async move {
            Ok(self.keys().get_mut(id).map(|key| {
                if key.record.revoked_at.is_none() {
                    apply(&mut key.record, change);
                }
                key.record.clone()
            }))
        })
    }

    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut keys = self.keys();
            let stands = |record: &ApiKeyRecord| {
                record.revoked_at.is_none() && record.disabled_at.is_none() && record.replaced_by.is_none()
            };
            if !keys.get(id).is_some_and(|key| stands(&key.record)) || !insert(&mut keys, by) {
                return Ok(false);
            }
            if let Some(StoredApiKey { record, .. }) = keys.get_mut(id) {
                record.replaced_by = Some(by.record.id.clone());
                record.expires_at = Some(record.expires_at.map_or(ends, |time| time.min(ends)));
            }
            Ok(true)
        })
    }

    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut keys = self.keys();
            for ApiKeyUse { id, at, digest } in uses {
                let Some(key) = keys.get_mut(id) else { continue };
                key.record.last_used_at = key.record.last_used_at.max(Some(*at));
                if let Some((_, new)) = digest.as_ref().filter(|(old, _)| *old == key.digest) {
                    key.digest = new.clone();
                }
            }
            Ok(())
        })
    }
}

fn insert(keys: &mut HashMap<String, StoredApiKey>, key: &StoredApiKey) -> bool {
    let free = !keys.contains_key(&key.record.id);
    if free {
        keys.insert(key.record.id.clone(), key.clone());
    }
    free
}

fn apply(record: &mut ApiKeyRecord, change: ApiKeyChange) {
    match change {
        ApiKeyChange::Revoke(at) => record.revoked_at = Some(at),
        ApiKeyChange::Disable(at) => record.disabled_at = record.disabled_at.or(Some(at)),
        ApiKeyChange::Enable => record.disabled_at = None,
        ApiKeyChange::Expire(at) => {
            let end = record.expires_at.filter(|_| record.replaced_by.is_some());
            record.expires_at = Some(end.map_or(at, |end| end.min(at)));
        }
    }
}

fn place(record: &ApiKeyRecord) -> (SystemTime, &String) {
    (record.created_at, &record.id)
}

impl fmt::Debug for MemoryApiKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryApiKeyStore").field("keys", &self.keys().len()).finish()
    }
}
