//! Stores in SQL databases: one text of SQL for all of them, where that can be.

pub(crate) mod api_key_rows;
pub(crate) mod api_keys;
#[cfg(feature = "jwt")]
pub(crate) mod client_secrets;
pub(crate) mod database;
pub(crate) mod error;
pub(crate) mod migrations;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite_file;

use std::fmt;

#[cfg(feature = "jwt")]
pub use client_secrets::SqlClientSecrets;
#[cfg(feature = "jwt")]
pub use client_secrets::encryption::SealingKeys;
#[cfg(feature = "jwt")]
pub use client_secrets::error::ClientSecretsError;
#[cfg(feature = "jwt")]
pub use client_secrets::record::{ClientSecretRecord, IssuedClientSecret, SigningClientRecord};

use crate::store::StoreError;
use database::Database;

/// Keys in SQLite or PostgreSQL, and the secrets of clients (`client_secrets`, with the feature `jwt`). A clone is the same store.
///
/// ```no_run
/// # async fn connect() -> Result<(), portcullis::StoreError> {
/// use portcullis::SqlStore;
///
/// let embedded = SqlStore::connect("sqlite:///var/lib/todo/keys.db").await?;
/// let shared = SqlStore::connect("postgres://todo@db.example.com/todo?sslmode=verify-full").await?;
/// # Ok(())
/// # }
/// ```
///
/// It has tables of its own in that database, whose names begin with `portcullis_`. `portcullis_migrations` says which of them
/// were made, so that the application's own migrations are none of its business, and the other way round.
///
/// An answer that does not come in time is a [`StoreError`]: a look-up waits three seconds at most, a change eight.
///
/// SQLite's file must stay in its place while a process has it open. Where another file takes its
/// place, every call is a [`StoreError`] until the process restarts, so that no key is accepted
/// that was revoked in the new file; where the file is gone, until it is back. Each call compares
/// device and inode. Nothing of that is checked on other systems than Unix, and there is no file to
/// check of a database in memory. That ends with its last connection: where it is full
/// (`max_page_count`), keys can no longer be rotated in it.
///
/// # Security
/// Whoever can write to these tables can make keys. What is in them opens nothing: keys are digested, secrets of clients sealed.
#[derive(Clone)]
pub struct SqlStore {
    database: Database,
}

impl SqlStore {
    /// Opens a database and makes the tables that it lacks.
    ///
    /// - `sqlite://FILE` (`sqlite:///FILE` from the root) makes the file where there is none, for its user alone (mode 0600), and
    ///   has it write ahead (WAL). Each change is on the disk before it is told. `sqlite::memory:` ends with the store.
    /// - `postgres://USER:PASSWORD@HOST/DATABASE` or `postgresql://…`, with `sslmode` and what else
    ///   `sqlx` knows. Its encoding should be `UTF8`. In another encoding a name that it has no
    ///   characters for is that of nobody, and a text that it has none for cannot be kept: the
    ///   hints of API keys hold `…`, which `LATIN1` lacks.
    ///
    /// # Errors
    /// If the database cannot be opened, is not the one that is meant, or if the feature for it is off. No part of the URL is in
    /// the text.
    ///
    /// # Security
    /// Without `sslmode=verify-full` nothing proves to whom PostgreSQL's password and the keys' digests go.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let database = match url.split_once(':').map_or("", |(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            "sqlite" => Database::sqlite(sqlite::open(url).await?),
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => return Err(StoreError::new("SQLite needs the feature `sqlite` of portcullis")),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Database::Postgres(postgres::open(url).await?),
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => {
                return Err(StoreError::new("PostgreSQL needs the feature `postgres` of portcullis"));
            }
            _ => {
                let schemes = "the URL of a database begins with `sqlite:`, `postgres:` or `postgresql:`";
                return Err(StoreError::new(schemes));
            }
        };
        let store = Self { database };
        store.migrate().await?;
        Ok(store)
    }

    /// In a database that the application has opened. Its tables must be there: see [`migrate`](Self::migrate).
    ///
    /// The pool decides how long an outage takes to be told, and whether a change that was told survives a power cut
    /// (`synchronous = FULL`).
    #[cfg(feature = "sqlite")]
    #[must_use]
    pub fn from_sqlite(pool: sqlx::SqlitePool) -> Self {
        Self { database: Database::sqlite(pool) }
    }

    /// In a database that the application has opened. Its tables must be there: see [`migrate`](Self::migrate).
    ///
    /// They are looked for where the `search_path` of its connections says. The pool decides how long an outage takes to be told.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn from_postgres(pool: sqlx::PgPool) -> Self {
        Self { database: Database::Postgres(pool) }
    }

    /// Makes the tables that are lacking. All of it happens or nothing, and once, however many processes ask at the same time.
    /// Where nothing is lacking nothing is written, and no privilege to make tables is needed.
    ///
    /// # Errors
    /// If that fails, or if a later version of this crate was here before.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrations::run(&self.database).await
    }
}

/// Shows which database it is, never where.
impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlStore").field(&self.database).finish()
    }
}
