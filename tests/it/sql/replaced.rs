//! The file of a database is replaced while a server has it open.

use std::path::Path;
use std::time::{Duration, Instant};

use http::StatusCode;
use portcullis::api_key::{ApiKeyChange, ApiKeyUse};
use portcullis::{
    ApiKeyAuthenticator, ApiKeyQuery, ApiKeyStore as _, ApiKeys, AuthLayer, NewApiKey, SealingKeys, SqlStore,
    StoreError,
};
use sqlx::sqlite::SqlitePoolOptions;
use tracing_subscriber::filter::LevelFilter;

use super::beside::{Beside, Folder};
use crate::key_stores::{at, key};
use crate::log::Log;
use crate::support::{outcome, send};

/// A file with the same tables and keys, and nothing besides.
async fn copy(from: &str, to: &Path) {
    let beside = Beside::open(from).await;
    beside.run(&format!("VACUUM INTO '{}'", to.display())).await.unwrap();
}

/// What every method of a store says.
async fn answers(store: &SqlStore) -> Vec<Result<(), StoreError>> {
    let new = key("new");
    let clients = store.client_secrets(SealingKeys::new("a", [1; 32]).unwrap());
    let put = clients.put("ann", &portcullis::ScopeSet::default(), None).await;
    vec![
        store.find("a").await.map(drop),
        store.insert(&key("a")).await.map(drop),
        store.list(&ApiKeyQuery::new()).await.map(drop),
        store.change("a", ApiKeyChange::Enable).await.map(drop),
        store.replace("a", &new, at(1)).await.map(drop),
        store.record_uses(&[ApiKeyUse::new("a".into(), at(1))]).await,
        portcullis::ClientSecrets::find(&clients, "ann").answer().await.map(drop),
        put.map_err(|error| StoreError::new(error.to_string())),
        store.migrate().await,
    ]
}

async fn check(store: &SqlStore, works: bool) {
    for (number, answer) in answers(store).await.iter().enumerate() {
        assert_eq!(answer.is_ok(), works, "{number}: {answer:?}");
    }
    if !works {
        let error = store.find("a").await.unwrap_err().to_string();
        assert!(error.contains("restart"), "{error}");
        assert!(!error.contains(env!("CARGO_TARGET_TMPDIR")), "{error}");
    }
}

#[tokio::test]
async fn file_that_is_gone_or_replaced_is_an_error() {
    let folder = Folder::new();
    let (url, file) = (folder.sqlite("keys.db"), folder.file("keys.db"));
    let store = SqlStore::connect(&url).await.unwrap();
    let pool = SqlitePoolOptions::new().connect(&url).await.unwrap();
    let lazy = SqlitePoolOptions::new().connect_lazy(&url).unwrap();
    let (of_pool, of_lazy) = (SqlStore::from_sqlite(pool), SqlStore::from_sqlite(lazy));
    assert!(store.insert(&key("a")).await.unwrap());
    copy(&url, &folder.file("other.db")).await;
    // A copy beside it, and what is written into the file itself, change nothing.
    Beside::open(&url).await.run("PRAGMA user_version = 7; VACUUM").await.unwrap();
    for store in [&store, &of_pool, &of_lazy, &store.clone()] {
        check(store, true).await;
    }
    std::fs::rename(&file, folder.file("aside.db")).unwrap();
    for store in [&store, &of_pool, &of_lazy] {
        check(store, false).await;
    }
    std::fs::rename(folder.file("aside.db"), &file).unwrap();
    for store in [&store, &of_pool, &of_lazy] {
        check(store, true).await;
    }
    std::fs::rename(&file, folder.file("aside.db")).unwrap();
    std::fs::copy(folder.file("other.db"), &file).unwrap();
    for store in [&store, &of_pool, &of_lazy] {
        check(store, false).await;
    }
    assert!(SqlStore::connect(&url).await.unwrap().find("a").await.unwrap().is_some());
    // A connection may have been opened to the other file meanwhile.
    std::fs::rename(folder.file("aside.db"), &file).unwrap();
    for store in [&store, &of_pool, &of_lazy] {
        check(store, false).await;
    }
    check(&SqlStore::connect(&url).await.unwrap(), true).await;
}

#[tokio::test]
async fn database_in_memory_has_no_file_to_be_replaced() {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite://?mode=memory"] {
        check(&SqlStore::connect(url).await.unwrap(), true).await;
    }
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let store = SqlStore::from_sqlite(pool);
    store.migrate().await.unwrap();
    check(&store, true).await;
}

/// The command that revokes opens the new file; the server must not go on with the old one.
#[tokio::test]
async fn key_is_not_accepted_from_a_file_that_was_replaced() {
    let folder = Folder::new();
    let (url, file) = (folder.sqlite("keys.db"), folder.file("keys.db"));
    let open =
        async || ApiKeys::builder("todo_live", SqlStore::connect(&url).await.unwrap()).build().unwrap();
    let server = open().await;
    let layer = AuthLayer::new(ApiKeyAuthenticator::new(server.clone())).verdict_cache(0);
    let issued = server.issue(NewApiKey::new("label", "ann")).await.unwrap();
    let status = async || {
        let request = http::Request::builder().header("x-api-key", issued.key.expose());
        outcome(&send(&layer, request.body(http_body_util::Full::default()).unwrap()).await).0
    };
    assert_eq!(status().await, StatusCode::OK);
    copy(&url, &folder.file("other.db")).await;
    std::fs::rename(folder.file("other.db"), &file).unwrap();
    for leftover in ["keys.db-wal", "keys.db-shm"] {
        let _ = std::fs::remove_file(folder.file(leftover));
    }
    open().await.revoke(&issued.record.id).await.unwrap();
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(status().await, StatusCode::SERVICE_UNAVAILABLE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (lines, seconds) = (log.take(), start.elapsed().as_secs());
    let lines: Vec<_> = lines.lines().filter(|line| line.contains("ERROR")).collect();
    assert!((1..=seconds + 2).contains(&(lines.len() as u64)), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains("restart")), "{lines:?}");
    assert!(server.revoke(&issued.record.id).await.is_err(), "nothing is revoked in the old file");
}
