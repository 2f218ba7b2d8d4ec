//! `find` and `insert`.

use std::time::Duration;

use portcullis::ScopeSet;
use portcullis::api_key::StoredApiKey;
use serde_json::json;

use super::{Store, add, at, at_once, digest, found, key};

fn full(id: &str) -> StoredApiKey {
    let mut key = key(id);
    key.record.label = "la clé d’Ann \"';--\\\n🔑".into();
    key.record.client_id = Some("client".into());
    key.record.scopes = ScopeSet::parse("todo:read todo:write").unwrap();
    key.record.plan = Some("gold".into());
    key.record.metadata = json!({ "a": [1, 2.5, null], "é": { "nul": "\0" } }).as_object().unwrap().clone();
    key.record.not_before = Some(at(1));
    key.record.expires_at = Some(at(2));
    key.record.disabled_at = Some(at(3));
    key.record.revoked_at = Some(at(4));
    key.record.replaced_by = Some("another".into());
    key.record.last_used_at = Some(at(5));
    key.digest = digest(255, Some("pepper of May"));
    key
}

pub(super) async fn a_key_is_found_as_it_was_inserted(store: Store) {
    assert_eq!(store.find("full").await.unwrap(), None);
    let (full, bare) = (full("full"), key("bare"));
    add(&store, &full).await;
    add(&store, &bare).await;
    assert_eq!(found(&store, "full").await, full);
    assert_eq!(found(&store, "bare").await, bare);
}

pub(super) async fn times_are_kept_to_a_millisecond(store: Store) {
    let (mut finer, millisecond) = (key("a"), Duration::from_millis(1));
    finer.record.created_at = at(7) + Duration::from_nanos(999_999);
    add(&store, &finer).await;
    let kept = found(&store, "a").await.record.created_at;
    assert!(kept >= at(7) && kept < at(7) + millisecond, "{kept:?}");
}

pub(super) async fn an_id_is_compared_exactly(store: Store) {
    let ids = ["Id", "iD", "id", "id ", " id", "id%", "i_", "id'--", "", "1", "01", "1.0", "ıd", "i\u{307}d"];
    for id in ids {
        assert_eq!(store.find(id).await.unwrap(), None, "{id:?}");
        add(&store, &key(id)).await;
    }
    for id in ids {
        assert_eq!(found(&store, id).await.record.id, id);
    }
    for id in ["ID", "id  ", "%", "i%", "i?", "1e0", "id\0", "\0", "id'-- "] {
        assert_eq!(store.find(id).await.unwrap(), None, "{id:?}");
    }
}

pub(super) async fn a_key_that_is_there_stays_as_it_is(store: Store) {
    add(&store, &key("a")).await;
    assert!(!store.insert(&full("a")).await.unwrap());
    assert_eq!(found(&store, "a").await, key("a"));
    add(&store, &full("b")).await;
}

pub(super) async fn one_of_many_that_insert_the_same_id_wins(store: Store) {
    let inserted = at_once(&store, async |number, store| {
        let mut key = key("a");
        key.record.label = number.to_string();
        store.insert(&key).await.unwrap().then_some(key)
    })
    .await;
    let winners: Vec<_> = inserted.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(found(&store, "a").await, winners[0]);
}
