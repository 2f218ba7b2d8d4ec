//! Keys in PostgreSQL.

use std::sync::Arc;

use portcullis::SqlStore;

use crate::key_stores::{Store, keeps_the_contract};
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let Some(postgres) = Postgres::launch() else { return };
    keeps_the_contract(async || {
        let url = postgres.database().await;
        Arc::new(SqlStore::connect(&url).await.unwrap()) as Store
    })
    .await;
}
