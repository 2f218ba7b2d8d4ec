//! Keys in a file, or in memory.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portcullis::api_key::ApiKeyChange;
use portcullis::{ApiKeyQuery, ApiKeyStore as _, ScopeSet, SealingKeys, SqlStore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::beside::{Beside, Folder};
use super::{cancelled, migrations, rows};
use crate::key_stores::{Store, at, keeps_the_contract, key};

/// What is so in all databases.
macro_rules! in_a_file {
    ($($module:ident::$check:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                $module::$check(&Folder::new().sqlite("keys.db")).await;
            }
        )*
    };
}

in_a_file!(
    migrations::the_applications_own_may_come_first,
    migrations::the_applications_own_may_come_later,
    migrations::many_that_start_at_once_all_come_up,
    migrations::a_database_of_a_later_version_is_refused,
    migrations::a_pool_of_the_application_serves_once_the_tables_are_there,
    migrations::what_fails_halfway_leaves_nothing_behind,
    rows::what_cannot_be_read_is_an_error,
    rows::what_cannot_be_kept_changes_nothing,
    cancelled::what_is_given_up_happens_as_a_whole_or_not_at_all,
);

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_the_contract() {
    let (folder, made) = (Folder::new(), AtomicU32::new(0));
    keeps_the_contract(async || {
        let url = folder.sqlite(&format!("{}.db", made.fetch_add(1, Ordering::Relaxed)));
        Arc::new(SqlStore::connect(&url).await.unwrap()) as Store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_memory_keeps_the_contract() {
    keeps_the_contract(async || Arc::new(SqlStore::connect("sqlite::memory:").await.unwrap()) as Store).await;
}

#[tokio::test]
async fn what_is_in_memory_is_of_one_store_and_its_clones() {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite://?mode=memory"] {
        let store = SqlStore::connect(url).await.unwrap();
        assert!(store.insert(&key("a")).await.unwrap());
        assert!(store.clone().find("a").await.unwrap().is_some(), "{url}");
    }
    let other = SqlStore::connect("sqlite::memory:").await.unwrap();
    assert!(other.find("a").await.unwrap().is_none());
}

#[tokio::test]
async fn keys_are_still_there_when_the_file_is_opened_again() {
    let folder = Folder::new();
    for round in 0..3 {
        let store = SqlStore::connect(&folder.sqlite("keys.db")).await.unwrap();
        assert_eq!(store.list(&ApiKeyQuery::new()).await.unwrap().len(), round);
        assert!(store.insert(&key(&round.to_string())).await.unwrap());
        let revoked = store.change(&round.to_string(), ApiKeyChange::Revoke(at(7))).await.unwrap();
        assert!(revoked.unwrap().revoked_at.is_some());
    }
    let store = SqlStore::connect(&folder.sqlite("keys.db")).await.unwrap();
    let all = store.list(&ApiKeyQuery::new()).await.unwrap();
    assert!(all.iter().all(|record| record.revoked_at == Some(at(7))), "{all:?}");
}

#[tokio::test]
async fn a_new_file_is_for_its_user_alone_and_one_that_was_there_stays_as_it_was() {
    let folder = Folder::new();
    std::fs::write(folder.file("old.db"), "").unwrap();
    let mode = |name: &str| folder.file(name).metadata().unwrap().permissions().mode() & 0o777;
    let before = mode("old.db");
    assert_ne!(before, 0o600, "the test needs a usual umask");
    for (name, expected) in [("new.db", 0o600), ("old.db", before)] {
        let store = SqlStore::connect(&folder.sqlite(name)).await.unwrap();
        assert!(store.insert(&key("a")).await.unwrap());
        for name in [name.to_owned(), format!("{name}-wal"), format!("{name}-shm")] {
            assert_eq!(mode(&name), expected, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_up_does_not_wait_for_many_who_wait_to_write() {
    let folder = Folder::new();
    let store = SqlStore::connect(&folder.sqlite("keys.db")).await.unwrap();
    assert!(store.insert(&key("a")).await.unwrap());
    let other = Beside::open(&folder.sqlite("keys.db")).await;
    other.run("BEGIN IMMEDIATE").await.unwrap();
    let changes: JoinSet<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            async move { store.change("a", ApiKeyChange::Expire(at(number))).await.unwrap() }
        })
        .collect();
    let look_ups = async {
        for _ in 0..20 {
            assert_eq!(store.find("a").await.unwrap().unwrap().record.expires_at, None);
        }
    };
    timeout(Duration::from_secs(2), look_ups).await.expect("look-ups wait");
    other.run("COMMIT").await.unwrap();
    assert!(changes.join_all().await.iter().all(Option::is_some));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_writes_to_is_waited_for() {
    let folder = Folder::new();
    let (url, other) = (folder.sqlite("keys.db"), Beside::open(&folder.sqlite("keys.db")).await);
    other.run("CREATE TABLE todos (id INTEGER); BEGIN IMMEDIATE").await.unwrap();
    let mut start = std::pin::pin!(SqlStore::connect(&url));
    assert!(timeout(Duration::from_millis(300), &mut start).await.is_err());
    other.run("COMMIT").await.unwrap();
    assert!(start.await.unwrap().insert(&key("a")).await.unwrap());
}

/// Each of them stands for a process: none knows of the others.
#[tokio::test(flavor = "multi_thread")]
async fn stores_that_read_before_they_write_get_by_each_other() {
    let (folder, mut stores) = (Folder::new(), Vec::new());
    for _ in 0..8 {
        let store = SqlStore::connect(&folder.sqlite("keys.db")).await.unwrap();
        stores.push(store.client_secrets(SealingKeys::new("a", [1; 32]).unwrap()));
    }
    for round in 0..20 {
        let client = format!("client {round}");
        stores[0].put(&client, &ScopeSet::default(), None).await.unwrap();
        let issued: JoinSet<_> = stores
            .iter()
            .map(|store| {
                let (store, client) = (store.clone(), client.clone());
                async move { store.issue(&client).await.unwrap() }
            })
            .collect();
        issued.join_all().await;
        assert_eq!(stores[0].record(&client).await.unwrap().secrets.len(), 8);
    }
}

#[tokio::test]
async fn a_lock_that_is_never_given_back_is_told() {
    let folder = Folder::new();
    let store = SqlStore::connect(&folder.sqlite("keys.db")).await.unwrap();
    assert!(store.insert(&key("a")).await.unwrap());
    let other = Beside::open(&folder.sqlite("keys.db")).await;
    other.run("BEGIN IMMEDIATE").await.unwrap();
    let (insert, replace) = (key("b"), key("c"));
    let told = tokio::join!(store.insert(&insert), store.replace("a", &replace, at(1)));
    assert!(told.0.is_err() && told.1.is_err(), "{told:?}");
    other.run("COMMIT").await.unwrap();
    assert!(store.insert(&insert).await.unwrap() && store.replace("a", &replace, at(1)).await.unwrap());
}
