//! Makes the tables, and keeps in one of our own which of them were made.

use std::borrow::Cow;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};
use sqlx::{AssertSqlSafe, Connection as _, SqlStr};

use super::database::{Database, on};
use crate::store::StoreError;

/// Never the application's `_sqlx_migrations`.
const TABLE: &str = "portcullis_migrations";

/// What was made, one after the other. What has been released stays as it is to the last byte.
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

/// In one transaction: what was begun by a process that is killed never was. It also ends the turn, where a lock of the
/// connection would go back to the pool with it.
pub(super) async fn run(database: &Database) -> Result<(), StoreError> {
    database.check_file().await?;
    let migrations = migrations(database);
    if is_done(database, &migrations).await {
        return Ok(());
    }
    let _turn = database.turn().await;
    on!(database, pool => {
        let mut held = database.hold(pool).await?;
        let mut work = held.begin_with(database.begin()).await?;
        if database.locks_rows() {
            sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(TURN).execute(&mut *work).await?;
        }
        apply(&mut *work, &migrations).await.map_err(sqlx::Error::from)?;
        work.commit().await?;
        held.release();
        Ok(())
    })
}

fn migrations(database: &Database) -> Vec<Migration> {
    let steps = match database {
        #[cfg(feature = "sqlite")]
        Database::Sqlite { .. } => SQLITE,
        #[cfg(feature = "postgres")]
        Database::Postgres(_) => POSTGRES,
    };
    let migration = |(version, sql)| {
        let (name, kind) = (Cow::Borrowed("portcullis"), MigrationType::Simple);
        Migration::new(version, name, kind, SqlStr::from_static(sql), false)
    };
    (1..).zip(steps).map(migration).collect()
}

/// Looks before anything is written: who only uses the tables need not be allowed to make any.
async fn is_done(database: &Database, migrations: &[Migration]) -> bool {
    let last = migrations.last().map(|migration| migration.version);
    let made = AssertSqlSafe(format!("SELECT MAX(version) FROM {TABLE}"));
    let found = on!(database, pool => sqlx::query_scalar(made).fetch_one(pool).await);
    found.is_ok_and(|found: Option<i64>| found == last)
}

/// What a `Migrator` of sqlx does, whose future can be sent to no other thread, nor could that of who connects.
async fn apply(connection: &mut impl Migrate, migrations: &[Migration]) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(TABLE).await?;
    let made = connection.list_applied_migrations(TABLE).await?;
    for made in &made {
        match migrations.iter().find(|migration| migration.version == made.version) {
            None => return Err(MigrateError::VersionMissing(made.version)),
            Some(migration) if migration.checksum != made.checksum => {
                return Err(MigrateError::VersionMismatch(made.version));
            }
            Some(_) => {}
        }
    }
    for migration in migrations {
        if !made.iter().any(|made| made.version == migration.version) {
            connection.apply(TABLE, migration).await?;
        }
    }
    Ok(())
}
