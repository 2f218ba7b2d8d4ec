//! The databases, and what is done in all of them.

use std::fmt;
use std::ops::{Deref, DerefMut};
#[cfg(feature = "sqlite")]
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Pool};
#[cfg(feature = "sqlite")]
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

#[cfg(feature = "sqlite")]
use super::sqlite_file::SqliteFile;
use crate::store::StoreError;

/// For how long a connection is waited for, in pools of our own: what is longer is an outage.
pub(super) const CONNECTION: Duration = Duration::from_secs(2);

/// For how long a lock of SQLite is waited for that another process holds.
#[cfg(feature = "sqlite")]
pub(super) const LOCK: Duration = Duration::from_secs(5);

/// How long a look-up may take: somebody waits for it.
pub(super) const LOOK_UP: Duration = Duration::from_secs(3);

/// How long a change may take: for a connection, a lock, and the work.
pub(super) const CHANGE: Duration = Duration::from_secs(8);

/// A pool of connections.
#[derive(Clone)]
pub(super) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite { pool: sqlx::SqlitePool, turn: Arc<Mutex<()>>, file: Arc<SqliteFile> },
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
}

/// Compiles the same code for each database, with its pool.
macro_rules! on {
    ($database:expr, $pool:ident => $code:expr) => {
        match $database {
            #[cfg(feature = "sqlite")]
            $crate::sql::database::Database::Sqlite { pool: $pool, .. } => $code,
            #[cfg(feature = "postgres")]
            $crate::sql::database::Database::Postgres($pool) => $code,
        }
    };
}
pub(super) use on;

impl Database {
    /// How many there are, at most.
    pub(super) fn connections(&self) -> usize {
        let connections = on!(self, pool => pool.options().get_max_connections());
        usize::try_from(connections).unwrap_or(usize::MAX)
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite(pool: sqlx::SqlitePool) -> Self {
        Self::Sqlite { pool, turn: Arc::default(), file: Arc::default() }
    }

    /// How a transaction begins that will write. SQLite's takes the lock at once: two that have read could not both go on.
    /// PostgreSQL's sees what others have done before each of its statements, whatever the application's pool is set to.
    pub(super) const fn begin(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => "BEGIN IMMEDIATE",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        }
    }

    /// Whether it is a server, that has many write at a time: they lock the rows that they mean to change.
    pub(super) const fn locks_rows(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
        }
    }

    /// What comes of some work in the database, if it does so in time and the database is still the
    /// one that was opened.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let work = async {
            self.check_file().await?;
            let result = work.await;
            // What was changed in a file that nobody else sees any more did not happen.
            self.check_file().await?;
            result
        };
        let late = |_| Err(StoreError::new("the database did not answer in time"));
        timeout(limit, work).await.unwrap_or_else(late)
    }

    /// Fails where SQLite's file was replaced since it was opened.
    pub(super) async fn check_file(&self) -> Result<(), StoreError> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { pool, file, .. } => file.check(pool).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(()),
        }
    }

    /// A connection for a transaction, on which there is none.
    pub(super) async fn hold<D: sqlx::Database>(&self, pool: &Pool<D>) -> Result<Held<D>, sqlx::Error> {
        let is_given_up = self.outlives_connections().await?;
        loop {
            let held = Held { connection: pool.acquire().await?, is_given_up };
            // Others who use the pool may have left one there.
            if !is_given_up || !held.is_in_transaction() {
                return Ok(held);
            }
        }
    }

    /// Whether what is in the database stays when its last connection is closed.
    async fn outlives_connections(&self) -> Result<bool, sqlx::Error> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { pool, file, .. } => file.is_on_disk(pool).await,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(true),
        }
    }

    /// The turn of who wants to write, until it is dropped. SQLite lets one write at a time and has the others look again at
    /// intervals; here they queue up, and hold no connection that somebody could read with.
    pub(super) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { turn, .. } => Some(turn.lock().await),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite { .. } => "SQLite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "PostgreSQL",
        })
    }
}

/// A connection that is closed unless it is released, but that of a database in memory. Where
/// nobody waits any more while a transaction begins, sqlx 0.9.0 would give it back to the pool
/// without ending that, and what others did in it later would be seen by nobody, and lost. Where
/// SQLite ends a transaction by itself, since the disk is full or fails or memory runs out, sqlx
/// counts it on, and no other can begin.
pub(super) struct Held<D: sqlx::Database> {
    connection: PoolConnection<D>,
    is_given_up: bool,
}

impl<D: sqlx::Database> Held<D> {
    /// Gives it back: the transaction has ended.
    pub(super) fn release(mut self) {
        self.is_given_up = false;
    }
}

impl<D: sqlx::Database> Deref for Held<D> {
    type Target = D::Connection;

    fn deref(&self) -> &D::Connection {
        &self.connection
    }
}

impl<D: sqlx::Database> DerefMut for Held<D> {
    fn deref_mut(&mut self) -> &mut D::Connection {
        &mut self.connection
    }
}

impl<D: sqlx::Database> Drop for Held<D> {
    fn drop(&mut self) {
        if self.is_given_up {
            self.connection.close_on_drop();
        }
    }
}
