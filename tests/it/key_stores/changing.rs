//! `change`.

use portcullis::ApiKeyRecord;
use portcullis::api_key::ApiKeyChange::{self, Disable, Enable, Expire, Revoke};

use super::{Store, add, at, at_once, found, key};

/// Makes a change of a key that is there; it is as the answer says, also for who asks next.
async fn changed(store: &Store, id: &str, change: ApiKeyChange) -> ApiKeyRecord {
    let record = store.change(id, change).await.unwrap().unwrap_or_else(|| panic!("{id:?} is gone"));
    assert_eq!(found(store, id).await.record, record, "{change:?}");
    record
}

pub(super) async fn each_change_does_what_it_says_and_is_seen_at_once(store: Store) {
    add(&store, &key("a")).await;
    let mut expected = key("a").record;
    expected.disabled_at = Some(at(1));
    assert_eq!(changed(&store, "a", Disable(at(1))).await, expected);
    expected.disabled_at = None;
    assert_eq!(changed(&store, "a", Enable).await, expected);
    assert_eq!(changed(&store, "a", Enable).await, expected);
    for end in [9, 2, 5] {
        expected.expires_at = Some(at(end));
        assert_eq!(changed(&store, "a", Expire(at(end))).await, expected);
    }
    expected.revoked_at = Some(at(3));
    assert_eq!(changed(&store, "a", Revoke(at(3))).await, expected);
}

pub(super) async fn a_change_of_one_leaves_others_alone(store: Store) {
    for id in ["a", "A", "a "] {
        add(&store, &key(id)).await;
    }
    for change in [Disable(at(1)), Enable, Expire(at(2)), Revoke(at(3))] {
        changed(&store, "a", change).await;
        for id in ["b", "%", "a\0"] {
            assert_eq!(store.change(id, change).await.unwrap(), None, "{id:?}");
        }
    }
    for id in ["A", "a "] {
        assert_eq!(found(&store, id).await, key(id));
    }
}

pub(super) async fn what_is_revoked_stays_as_it_is(store: Store) {
    for (id, disabled) in [("a", None), ("b", Some(at(1)))] {
        let mut key = key(id);
        key.record.disabled_at = disabled;
        key.record.expires_at = Some(at(50));
        add(&store, &key).await;
        let revoked = changed(&store, id, Revoke(at(2))).await;
        assert_eq!((revoked.revoked_at, revoked.disabled_at), (Some(at(2)), disabled));
        for change in [Revoke(at(1)), Revoke(at(3)), Disable(at(0)), Enable, Expire(at(1)), Expire(at(99))] {
            assert_eq!(changed(&store, id, change).await, revoked, "{change:?}");
        }
    }
}

pub(super) async fn a_time_at_which_something_happened_stays(store: Store) {
    add(&store, &key("a")).await;
    for millis in [5, 4, 6] {
        assert_eq!(changed(&store, "a", Disable(at(millis))).await.disabled_at, Some(at(5)));
    }
    changed(&store, "a", Enable).await;
    assert_eq!(changed(&store, "a", Disable(at(7))).await.disabled_at, Some(at(7)));
}

pub(super) async fn a_revocation_beats_what_happens_beside_it(store: Store) {
    let mut disabled = key("a");
    disabled.record.disabled_at = Some(at(0));
    add(&store, &disabled).await;
    let seen = at_once(&store, async |number, store| {
        let millis = u64::try_from(number).unwrap();
        let change = match number % 4 {
            0 => Revoke(at(millis)),
            1 => Enable,
            2 => Expire(at(100)),
            _ => Disable(at(millis)),
        };
        store.change("a", change).await.unwrap().unwrap()
    })
    .await;
    let last = found(&store, "a").await.record;
    assert!(last.revoked_at.is_some());
    // Whoever saw the revocation saw what has stayed since.
    let after: Vec<_> = seen.into_iter().filter(|record| record.revoked_at.is_some()).collect();
    assert!(after.len() >= 4 && after.iter().all(|record| *record == last), "{after:?}");
}
