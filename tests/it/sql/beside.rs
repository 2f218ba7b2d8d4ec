//! What is there beside a store: a folder, and a connection of somebody else.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis::SqlStore;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

/// A folder that is removed in the end.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sql-{}-{number}", std::process::id()));
        // One that a test left behind that was killed.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The URL of a database in it.
    pub fn sqlite(&self, name: &str) -> String {
        format!("sqlite://{}", self.file(name).display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One connection to a database, as an application or an operator has one.
pub(super) enum Beside {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Beside {
    pub(super) async fn open(url: &str) -> Self {
        if url.starts_with("sqlite") {
            let url = format!("{url}?mode=rwc");
            Self::Sqlite(SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap())
        } else {
            Self::Postgres(PgPoolOptions::new().max_connections(1).connect(url).await.unwrap())
        }
    }

    /// A store that has this connection alone.
    pub(super) fn store(&self) -> SqlStore {
        match self {
            Self::Sqlite(pool) => SqlStore::from_sqlite(pool.clone()),
            Self::Postgres(pool) => SqlStore::from_postgres(pool.clone()),
        }
    }

    /// How many rows it was about.
    pub(super) async fn run(&self, statements: &str) -> Result<u64, sqlx::Error> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
        Ok(match self {
            Self::Sqlite(pool) => statements.execute(pool).await?.rows_affected(),
            Self::Postgres(pool) => statements.execute(pool).await?.rows_affected(),
        })
    }

    pub(super) async fn number(&self, query: &str) -> i64 {
        let query = AssertSqlSafe(query.to_owned());
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
            Self::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
        }
        .unwrap()
    }

    pub(super) async fn migrate(&self, migrator: &Migrator) -> Result<(), MigrateError> {
        match self {
            Self::Sqlite(pool) => migrator.run(pool).await,
            Self::Postgres(pool) => migrator.run(pool).await,
        }
    }
}
