//! `replace`.

use portcullis::api_key::ApiKeyChange::{Disable, Enable, Expire, Revoke};
use portcullis::api_key::StoredApiKey;

use super::{Store, add, at, at_once, digest, found, key, key_of};

/// The key that comes in the place of another.
fn successor(id: &str) -> StoredApiKey {
    let mut key = key_of("ann", id, at(1));
    key.digest = digest(2, Some("pepper"));
    key.record.plan = Some("gold".into());
    key
}

pub(super) async fn another_takes_the_place_of_one(store: Store) {
    add(&store, &key("a")).await;
    add(&store, &key("other")).await;
    assert!(store.replace("a", &successor("b"), at(10)).await.unwrap());
    let mut old = key("a");
    old.record.replaced_by = Some("b".into());
    old.record.expires_at = Some(at(10));
    assert_eq!(found(&store, "a").await, old);
    assert_eq!(found(&store, "b").await, successor("b"));
    assert_eq!(found(&store, "other").await, key("other"));
    // And so on.
    assert!(store.replace("b", &successor("c"), at(20)).await.unwrap());
    assert_eq!(found(&store, "b").await.record.replaced_by.as_deref(), Some("c"));
}

pub(super) async fn an_end_is_never_put_off(store: Store) {
    for (id, end, expected) in [("a", Some(5), 5), ("b", Some(15), 10), ("c", Some(10), 10), ("d", None, 10)]
    {
        let mut old = key(id);
        old.record.expires_at = end.map(at);
        add(&store, &old).await;
        assert!(store.replace(id, &successor(&format!("{id}2")), at(10)).await.unwrap());
        assert_eq!(found(&store, id).await.record.expires_at, Some(at(expected)), "{id}");
    }
}

pub(super) async fn what_is_revoked_disabled_or_replaced_is_not_replaced(store: Store) {
    assert!(!store.replace("unknown", &successor("x"), at(10)).await.unwrap());
    assert!(!store.replace("unknown\0", &successor("x"), at(10)).await.unwrap());
    for (id, change) in [("r", Revoke(at(1))), ("d", Disable(at(1)))] {
        add(&store, &key(id)).await;
        let before = store.change(id, change).await.unwrap().unwrap();
        assert!(!store.replace(id, &successor("x"), at(10)).await.unwrap(), "{change:?}");
        assert_eq!(found(&store, id).await.record, before);
    }
    assert_eq!(store.find("x").await.unwrap(), None);
    store.change("d", Enable).await.unwrap();
    assert!(store.replace("d", &successor("x"), at(10)).await.unwrap());
    let before = found(&store, "d").await;
    assert!(!store.replace("d", &successor("y"), at(5)).await.unwrap());
    assert_eq!(found(&store, "d").await, before);
    assert_eq!(store.find("y").await.unwrap(), None);
    // One that has run out, or will, is none of these.
    add(&store, &key("e")).await;
    store.change("e", Expire(at(1))).await.unwrap();
    assert!(store.replace("e", &successor("z"), at(10)).await.unwrap());
}

pub(super) async fn nothing_happens_if_the_new_id_is_taken(store: Store) {
    for id in ["a", "b"] {
        add(&store, &key(id)).await;
    }
    for taken in ["b", "a"] {
        assert!(!store.replace("a", &successor(taken), at(10)).await.unwrap(), "{taken}");
        assert_eq!(found(&store, "a").await, key("a"));
        assert_eq!(found(&store, "b").await, key("b"));
    }
    assert!(store.replace("a", &successor("c"), at(10)).await.unwrap());
}

pub(super) async fn one_of_many_that_replace_the_same_key_wins(store: Store) {
    for round in 0..4 {
        let old = format!("old {round}");
        add(&store, &key(&old)).await;
        let said = at_once(&store, |number, store| {
            let (old, new) = (old.clone(), format!("new {round} {number}"));
            async move { (store.replace(&old, &successor(&new), at(10)).await.unwrap(), new) }
        })
        .await;
        let winners: Vec<_> = said.iter().filter(|(won, _)| *won).collect();
        assert_eq!(winners.len(), 1, "{said:?}");
        assert_eq!(found(&store, &old).await.record.replaced_by.as_ref(), Some(&winners[0].1));
        for (won, new) in &said {
            assert_eq!(store.find(new).await.unwrap().is_some(), *won, "{new}");
        }
    }
}

pub(super) async fn a_key_is_either_replaced_or_revoked_first(store: Store) {
    for round in 0..4 {
        let old = format!("old {round}");
        add(&store, &key(&old)).await;
        let said = at_once(&store, |number, store| {
            let (old, new) = (old.clone(), format!("new {round} {number}"));
            async move {
                if number % 2 == 0 {
                    store.replace(&old, &successor(&new), at(10)).await.unwrap().then_some(Some(new))
                } else {
                    Some(store.change(&old, Revoke(at(5))).await.unwrap().unwrap().replaced_by)
                }
            }
        })
        .await;
        // What the first revocation saw stays: nothing takes the place of a key that is revoked.
        let replaced_by = found(&store, &old).await.record.replaced_by;
        assert!(said.iter().flatten().all(|said| *said == replaced_by), "{said:?}");
        if let Some(new) = replaced_by {
            assert_eq!(found(&store, &new).await, successor(&new));
        }
    }
}
