//! What cannot be kept, and what cannot be read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::api_key::{ApiKeyChange, ApiKeyUse, StoredApiKey};
use portcullis::{ApiKeyQuery, ApiKeyRecord, ApiKeyStore as _, SqlStore};
use serde_json::Value;

use super::beside::Beside;
use crate::key_stores::{at, key};

/// Of a key that somebody has laid hands on.
pub(super) async fn what_cannot_be_read_is_an_error(url: &str) {
    let (store, beside) = (SqlStore::connect(url).await.unwrap(), Beside::open(url).await);
    for id in ["broken", "whole"] {
        assert!(store.insert(&key(id)).await.unwrap());
    }
    // The database itself keeps digests of another length out.
    let (unlock, bytes) = match beside {
        Beside::Sqlite(_) => ("PRAGMA ignore_check_constraints = ON", "X'5e5e'"),
        Beside::Postgres(_) => {
            ("ALTER TABLE portcullis_api_keys DROP CONSTRAINT portcullis_api_keys_digest_check", "'\\x5e5e'")
        }
    };
    let short = format!("digest = {bytes}");
    beside.run(&format!("UPDATE portcullis_api_keys SET {short}")).await.unwrap_err();
    beside.run(unlock).await.unwrap();
    let set = async |values: &str| {
        let update = format!("UPDATE portcullis_api_keys SET {values} WHERE id = 'broken'");
        assert_eq!(beside.run(&update).await.unwrap(), 1, "{values}");
    };
    for (broken, whole) in [
        ("scopes = 'with a\u{a0}space'", "scopes = 'with spaces'"),
        ("metadata = '{'", "metadata = '{}'"),
        ("metadata = '[]'", "metadata = '{\"a\":1}'"),
        ("created_at = -1", "created_at = 0"),
        ("expires_at = -1", "expires_at = NULL"),
        ("last_used_at = -9223372036854775808", "last_used_at = 9223372036854775806"),
    ] {
        set(broken).await;
        let error = store.find("broken").await.unwrap_err().to_string();
        assert!(error.ends_with("of a key cannot be read"), "{broken}: {error}");
        assert!(store.list(&ApiKeyQuery::new()).await.is_err(), "{broken}");
        assert!(store.find("whole").await.unwrap().is_some());
        set(whole).await;
        assert!(store.find("broken").await.unwrap().is_some(), "{whole}");
        assert_eq!(store.list(&ApiKeyQuery::new()).await.unwrap().len(), 2, "{whole}");
    }
    set(&short).await;
    let error = store.find("broken").await.unwrap_err();
    assert_eq!(error.to_string(), "the digest of a key cannot be read");
    assert_eq!(store.list(&ApiKeyQuery::new()).await.unwrap().len(), 2, "a list shows no digests");
}

pub(super) async fn what_cannot_be_kept_changes_nothing(url: &str) {
    let store = SqlStore::connect(url).await.unwrap();
    assert!(store.insert(&key("there")).await.unwrap());
    let there = store.find("there").await.unwrap();
    let before = UNIX_EPOCH - Duration::from_millis(1);
    let Some(beyond) = UNIX_EPOCH.checked_add(Duration::from_millis(i64::MAX.unsigned_abs())) else { return };
    for time in [before, beyond] {
        let setters: [fn(&mut ApiKeyRecord, SystemTime); 6] = [
            |record, time| record.created_at = time,
            |record, time| record.not_before = Some(time),
            |record, time| record.expires_at = Some(time),
            |record, time| record.disabled_at = Some(time),
            |record, time| record.revoked_at = Some(time),
            |record, time| record.last_used_at = Some(time),
        ];
        for set in setters {
            refused(&store, |key| set(&mut key.record, time)).await;
        }
        for change in [ApiKeyChange::Revoke(time), ApiKeyChange::Disable(time), ApiKeyChange::Expire(time)] {
            store.change("there", change).await.unwrap_err();
        }
        store.replace("there", &key("new"), time).await.unwrap_err();
        let uses = [ApiKeyUse::new("there".into(), at(1)), ApiKeyUse::new("there".into(), time)];
        store.record_uses(&uses).await.unwrap_err();
    }
    refused(&store, |key| key.record.id.push('\0')).await;
    refused(&store, |key| key.record.owner.push('\0')).await;
    let deep = (0..200).fold(Value::Null, |value, _| Value::Array(vec![value]));
    refused(&store, |key| drop(key.record.metadata.insert("deep".into(), deep.clone()))).await;
    assert_eq!(store.find("there").await.unwrap(), there);
    assert_eq!(store.find("new").await.unwrap(), None);
    // What is there, and what is new, were refused for these reasons alone.
    assert!(store.replace("there", &key("new"), at(9)).await.unwrap());
}

/// A new key, once it is changed like this: added or put in the place of another.
async fn refused(store: &SqlStore, change: impl Fn(&mut StoredApiKey)) {
    let mut new = key("new");
    change(&mut new);
    store.insert(&new).await.unwrap_err();
    store.replace("there", &new, at(9)).await.unwrap_err();
}
