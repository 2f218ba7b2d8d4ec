//! Opens PostgreSQL.

use std::str::FromStr as _;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::database::CONNECTION;
use crate::store::StoreError;

/// Enough for thousands of look-ups in a second; a server of many processes has some hundred in all.
const MAX_CONNECTIONS: u32 = 8;

pub(super) async fn open(url: &str) -> Result<PgPool, StoreError> {
    let options = PgConnectOptions::from_str(url)?;
    let pool = PgPoolOptions::new().acquire_timeout(CONNECTION).max_connections(MAX_CONNECTIONS);
    Ok(pool.connect_with(options).await?)
}
