//! Keys in a file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::SqlStore;

use super::Folder;
use crate::key_stores::{Store, keeps_the_contract};

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
