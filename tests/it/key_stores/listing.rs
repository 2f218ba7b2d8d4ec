//! `list`.

use std::collections::BTreeSet;

use portcullis::ApiKeyQuery;
use portcullis::api_key::ApiKeyCursor;

use super::{Store, add, at, key_of};

async fn ids(store: &Store, query: ApiKeyQuery) -> Vec<String> {
    store.list(&query).await.unwrap().into_iter().map(|record| record.id).collect()
}

fn behind(millis: u64, id: &str) -> ApiKeyCursor {
    let since = at(millis).duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    format!("{since}.{id}").parse().unwrap()
}

pub(super) async fn the_youngest_come_first(store: Store) {
    for (owner, id, millis) in [("ann", "b", 2), ("ann", "c", 1), ("bob", "a", 3), ("ann", "d", 4)] {
        add(&store, &key_of(owner, id, at(millis))).await;
    }
    assert_eq!(ids(&store, ApiKeyQuery::new()).await, ["d", "a", "b", "c"]);
    assert_eq!(ids(&store, ApiKeyQuery::new().owner("ann")).await, ["d", "b", "c"]);
    assert_eq!(ids(&store, ApiKeyQuery::new().limit(2)).await, ["d", "a"]);
    assert_eq!(ids(&store, ApiKeyQuery::new().owner("ann").limit(2)).await, ["d", "b"]);
    assert_eq!(ids(&store, ApiKeyQuery::new().after(behind(3, "a"))).await, ["b", "c"]);
    assert_eq!(ids(&store, ApiKeyQuery::new().owner("ann").after(behind(4, "d")).limit(1)).await, ["b"]);
    let listed = store.list(&ApiKeyQuery::new().limit(1)).await.unwrap();
    assert_eq!(listed, [key_of("ann", "d", at(4)).record]);
}

pub(super) async fn of_one_millisecond_the_last_id_comes_first_byte_by_byte(store: Store) {
    let ascending = ["", " ", "1", "10", "2", "A", "B", "_", "a", "ab", "b", "é", "中", "🔑"];
    for id in ["b", "é", "2", "", "🔑", "a", "B", "_", "10", " ", "中", "1", "A", "ab"] {
        add(&store, &key_of("ann", id, at(0))).await;
    }
    let mut descending = ascending;
    descending.reverse();
    assert_eq!(ids(&store, ApiKeyQuery::new()).await, descending);
    assert_eq!(ids(&store, ApiKeyQuery::new().owner("ann")).await, descending);
    for (place, id) in descending.iter().enumerate() {
        let query = ApiKeyQuery::new().after(behind(0, id));
        assert_eq!(ids(&store, query).await, descending[place + 1..], "behind {id:?}");
    }
}

pub(super) async fn a_thousand_of_one_millisecond_are_paged_through_once_each(store: Store) {
    for number in 0..1000 {
        let owner = if number % 3 == 0 { "ann" } else { "bob" };
        add(&store, &key_of(owner, &format!("k{number}"), at(0))).await;
    }
    for (owner, all) in [(None, 1000), (Some("ann"), 334)] {
        let mut query = ApiKeyQuery::new().limit(7);
        query.owner = owner.map(str::to_owned);
        let mut seen = BTreeSet::new();
        loop {
            let records = store.list(&query).await.unwrap();
            let Some(last) = records.last() else { break };
            query = query.after(behind(0, &last.id));
            assert!(records.iter().all(|record| seen.insert(record.id.clone())), "{owner:?}: seen twice");
            assert!(records.iter().all(|record| owner.is_none_or(|owner| record.owner == owner)));
        }
        assert_eq!(seen.len(), all, "{owner:?}");
    }
}

pub(super) async fn a_page_begins_behind_a_place_where_nothing_is(store: Store) {
    for (id, millis) in [("b", 2), ("d", 2), ("c", 1)] {
        add(&store, &key_of("ann", id, at(millis))).await;
    }
    let after = async |cursor| ids(&store, ApiKeyQuery::new().after(cursor)).await;
    assert_eq!(after(behind(2, "c")).await, ["b", "c"]);
    assert_eq!(after(behind(3, "")).await, ["d", "b", "c"]);
    assert!(after(behind(1, "")).await.is_empty());
    assert!(after("0.z".parse().unwrap()).await.is_empty());
    assert_eq!(after("18446744073709551615.z".parse().unwrap()).await, ["d", "b", "c"]);
}

pub(super) async fn an_owner_is_compared_exactly(store: Store) {
    let owners = [
        "ann",
        "Ann",
        "ANN",
        "ann ",
        " ann",
        "an",
        "ann\u{301}",
        "a\u{301}nn",
        "ánn",
        "%",
        "_",
        "a%",
        "",
        "'",
        "ann' OR '1'='1",
        "\"ann\"",
        "ann\\",
        "ann;--",
        "$1",
        "NULL",
        "0",
        "0.0",
        "🔑",
        "ſ",
        "s",
        "ß",
    ];
    for (number, owner) in owners.iter().enumerate() {
        add(&store, &key_of(owner, &number.to_string(), at(0))).await;
    }
    for (number, owner) in owners.iter().enumerate() {
        let query = ApiKeyQuery::new().owner(*owner);
        assert_eq!(ids(&store, query).await, [number.to_string()], "{owner:?}");
    }
    for owner in ["aNN", "ann\0", "nobody", "an_", "\0"] {
        assert!(ids(&store, ApiKeyQuery::new().owner(owner)).await.is_empty(), "{owner:?}");
    }
}
