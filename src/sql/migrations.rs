//! Makes the tables, and says in one of our own which of them were made.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlStr};

use super::database::{Database, on};
use crate::store::StoreError;

/// Never the application's `_sqlx_migrations`.
const TABLE: &str = "portcullis_migrations";

/// What was made, one after the other. What has been released once stays as it is to the last byte.
#[cfg(feature = "sqlite")]
const SQLITE: [&str; 2] = [
    include_str!("migrations/sqlite/0001_api_keys.sql"),
    include_str!("migrations/sqlite/0002_client_secrets.sql"),
];
#[cfg(feature = "postgres")]
const POSTGRES: [&str; 2] = [
    include_str!("migrations/postgres/0001_api_keys.sql"),
    include_str!("migrations/postgres/0002_client_secrets.sql"),
];

/// By this number those take turns who make these tables in one database of PostgreSQL: `portcull` in ASCII.
const TURN: i64 = 0x706f_7274_6375_6c6c;

/// In one transaction: what a process has begun that is killed never was. It also ends the turn, where a lock of the connection
/// would go back to the pool with it.
pub(super) async fn run(database: &Database) -> Result<(), StoreError> {
    let migrator = migrator(database);
    if is_done(database, &migrator).await {
        return Ok(());
    }
    let _turn = database.turn().await;
    on!(database, pool => {
        let mut work = pool.begin_with(database.begin()).await?;
        if database.locks_rows() {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *work).await?;
        }
        migrator.run(&mut *work).await.map_err(sqlx::Error::from)?;
        Ok(work.commit().await?)
    })
}

fn migrator(database: &Database) -> Migrator {
    let steps = match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { .. } => SQLITE,
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => POSTGRES,
    };
    let migrations = (1..).zip(steps).map(|(version, sql)| {
        let (name, kind) = (Cow::Borrowed("portcullis"), MigrationType::Simple);
        Migration::new(version, name, kind, SqlStr::from_static(sql), false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(TABLE);
    // The locks are ours.
    migrator.set_locking(false);
    migrator
}

/// Looks before it writes: who only uses the tables need not be allowed to make any.
async fn is_done(database: &Database, migrator: &Migrator) -> bool {
    let latest = migrator.iter().map(|migration| migration.version).max();
    let made = AssertSqlSafe(format!("SELECT MAX(version) FROM {TABLE}"));
    let found = on!(database, pool => sqlx::query_scalar(made).fetch_one(pool).await);
    found.is_ok_and(|found: Option<i64>| found == latest)
}
