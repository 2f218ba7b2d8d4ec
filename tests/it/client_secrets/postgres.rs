//! Secrets of clients in PostgreSQL.

use super::keeps_secrets;
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_secrets() {
    let Some(postgres) = Postgres::launch() else { return };
    keeps_secrets(async || postgres.database().await).await;
}
