//! Secrets of clients in a file.

use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::{ClientSecret, SqlStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::keeps_secrets;
use super::support::{DOWN, Database, OK, UNKNOWN, answer, client, key, key_bytes, scopes};
use crate::sql::Folder;

/// How many files of a folder hold these bytes.
fn files_with(folder: &Folder, bytes: &[u8]) -> usize {
    let files = folder.file("").read_dir().unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.filter(|file| file.windows(bytes.len()).any(|some| some == bytes)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_keeps_secrets() {
    let (folder, made) = (Folder::new(), AtomicU32::new(0));
    keeps_secrets(async || folder.sqlite(&format!("{}.db", made.fetch_add(1, Ordering::Relaxed)))).await;
}

#[tokio::test]
async fn no_file_holds_a_secret_or_a_sealing_key() {
    let folder = Folder::new();
    let clients = Database::new(folder.sqlite("a.db")).clients().await;
    let secret = client(&clients, "the dashboard").await;
    let own = [0xE7; 40];
    let id = clients.add("the dashboard", &ClientSecret::new(own).unwrap()).await.unwrap();
    for name in ["-wal", ""] {
        assert!(folder.file(&format!("a.db{name}")).exists(), "{name}");
    }
    for (bytes, where_to) in
        [(&b"the dashboard"[..], true), (id.as_bytes(), true), (secret.as_bytes(), false)]
    {
        assert_eq!(files_with(&folder, bytes) > 0, where_to, "{:?}", String::from_utf8_lossy(bytes));
    }
    // No part of any of them, either.
    for some in secret.as_bytes().windows(8).chain([&own[..8], &key_bytes("a")[..8]]) {
        assert_eq!(files_with(&folder, some), 0);
    }
    // A copy of the file, under another key.
    let impostor = Database::new(folder.sqlite("a.db")).clients_with(key("b")).await;
    assert_eq!(answer(&impostor, "the dashboard", &secret).await, DOWN);
    assert_eq!(answer(&clients, "the dashboard", &secret).await, OK);
}

#[tokio::test]
async fn a_store_that_is_closed_refuses_nobody() {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let store = SqlStore::from_sqlite(pool.clone());
    store.migrate().await.unwrap();
    let clients = store.client_secrets(key("a"));
    let secret = client(&clients, "ann").await;
    assert_eq!(answer(&clients, "ann", &secret).await, OK);
    assert_eq!(answer(&clients, "bob", &secret).await, UNKNOWN);
    pool.close().await;
    assert_eq!(answer(&clients, "ann", &secret).await, DOWN);
    assert_eq!(answer(&clients, "bob", &secret).await, DOWN);
    assert!(clients.put("ann", &scopes(), None).await.is_err());
}

#[tokio::test]
async fn a_client_is_removed_with_its_secrets_where_foreign_keys_are_off() {
    let options = SqliteConnectOptions::from_str("sqlite::memory:").unwrap().foreign_keys(false);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let store = SqlStore::from_sqlite(pool);
    store.migrate().await.unwrap();
    let clients = store.client_secrets(key("a"));
    let (ann, bob) = (client(&clients, "ann").await, client(&clients, "bob").await);
    clients.remove("ann").await.unwrap();
    clients.put("ann", &scopes(), None).await.unwrap();
    assert_eq!(answer(&clients, "ann", &ann).await, UNKNOWN);
    assert_eq!(answer(&clients, "bob", &bob).await, OK);
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let folder = Folder::new();
    let clients = Database::new(folder.sqlite("a.db")).clients().await;
    clients.put("ann", &scopes(), None).await.unwrap();
    let issued = clients.issue("ann").await.unwrap();
    let shown = format!("{clients:?} {issued:?} {:?}", clients.record("ann").await.unwrap());
    assert!(
        shown.contains(&issued.id) && shown.contains("SQLite") && shown.contains(r#"first: "a""#),
        "{shown}"
    );
    assert!(
        !shown.contains(issued.expose()) && !shown.contains("97, 97") && !shown.contains(".db"),
        "{shown}"
    );
}
