//! `record_uses`.

use portcullis::api_key::{ApiKeyUse, KeyDigest};

use super::{MANY, Store, add, at, at_once, digest, found, key};

/// More than go into one statement of any store.
const MORE: usize = 1200;

fn used(id: &str, millis: u64) -> ApiKeyUse {
    ApiKeyUse::new(id.to_owned(), at(millis))
}

fn swapped(id: &str, old: KeyDigest, new: KeyDigest) -> ApiKeyUse {
    let mut used = used(id, 1);
    used.digest = Some((old, new));
    used
}

pub(super) async fn the_latest_use_is_noted(store: Store) {
    for id in ["a", "b", "c"] {
        add(&store, &key(id)).await;
    }
    let last_used = async |id| found(&store, id).await.record.last_used_at;
    store.record_uses(&[]).await.unwrap();
    store.record_uses(&[used("a", 5), used("b", 5)]).await.unwrap();
    assert_eq!(last_used("a").await, Some(at(5)));
    store.record_uses(&[used("a", 4), used("b", 6)]).await.unwrap();
    assert_eq!((last_used("a").await, last_used("b").await), (Some(at(5)), Some(at(6))));
    store.record_uses(&[used("a", 7), used("a", 9), used("a", 8)]).await.unwrap();
    assert_eq!((last_used("a").await, last_used("c").await), (Some(at(9)), None));
    // It is all that was noted.
    let mut expected = key("a");
    expected.record.last_used_at = Some(at(9));
    assert_eq!(found(&store, "a").await, expected);
}

pub(super) async fn keys_that_are_gone_are_passed_over(store: Store) {
    add(&store, &key("a")).await;
    let mut uses: Vec<_> = (0..MORE).map(|number| used(&format!("gone {number}"), 1)).collect();
    uses.push(used("gone\0", 1));
    uses.push(swapped("gone for good", digest(1, None), digest(2, None)));
    uses.insert(MORE / 2, used("a", 1));
    store.record_uses(&uses).await.unwrap();
    assert_eq!(found(&store, "a").await.record.last_used_at, Some(at(1)));
    assert_eq!(store.find("gone 1").await.unwrap(), None);
}

pub(super) async fn a_digest_is_put_in_place_of_the_one_that_is_there(store: Store) {
    let (plain, may, june) = (digest(1, None), digest(2, Some("May")), digest(3, Some("June")));
    add(&store, &key("a")).await;
    add(&store, &key("b")).await;
    for (old, new) in [(&plain, &may), (&may, &june), (&june, &plain), (&plain, &june)] {
        store.record_uses(&[swapped("a", old.clone(), new.clone())]).await.unwrap();
        assert_eq!(found(&store, "a").await.digest, *new, "{old:?}");
    }
    // Neither the bytes alone nor the name of the pepper alone make it the old one.
    for not_there in [digest(3, None), digest(3, Some("May")), digest(2, Some("June")), plain.clone()] {
        store.record_uses(&[swapped("a", not_there.clone(), may.clone())]).await.unwrap();
        assert_eq!(found(&store, "a").await.digest, june, "{not_there:?}");
    }
    assert_eq!(found(&store, "a").await.record.last_used_at, Some(at(1)), "the use counts nevertheless");
    assert_eq!(found(&store, "b").await, key("b"));
}

pub(super) async fn one_of_many_that_swap_a_digest_wins(store: Store) {
    add(&store, &key("a")).await;
    let swap = async |number, store: Store| {
        let new = digest(u8::try_from(number).unwrap() + 100, Some("new"));
        store.record_uses(&[swapped("a", digest(1, None), new)]).await.unwrap();
        found(&store, "a").await.digest
    };
    let seen = at_once(&store, swap).await;
    assert_ne!(seen[0], digest(1, None));
    assert!(seen.iter().all(|digest| *digest == seen[0]), "swapped more than once");
}

pub(super) async fn many_notes_of_the_same_keys_get_by_each_other(store: Store) {
    let ids: Vec<_> = (0..MORE).map(|number| format!("k{number}")).collect();
    for id in &ids {
        add(&store, &key(id)).await;
    }
    at_once(&store, |number, store| {
        let mut uses: Vec<_> = ids.iter().map(|id| used(id, u64::try_from(number).unwrap())).collect();
        // Each in an order of its own.
        uses.rotate_left(number * 70);
        if number % 2 == 0 {
            uses.reverse();
        }
        async move { store.record_uses(&uses).await.unwrap() }
    })
    .await;
    let last = u64::try_from(MANY).unwrap() - 1;
    for id in ["k0", "k599", "k1199"] {
        assert_eq!(found(&store, id).await.record.last_used_at, Some(at(last)), "{id}");
    }
}
