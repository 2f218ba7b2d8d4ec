//! Opens SQLite.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use tokio::time::{sleep, timeout};

use super::database::{CONNECTION, LOCK};
use crate::store::StoreError;

/// Threads that read at once; one at a time writes.
const MAX_CONNECTIONS: u32 = 4;

/// What SQLite's own waiting does not cover is tried again after this.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// `SQLITE_BUSY`, without what its extended codes add.
const BUSY: i32 = 5;

pub(super) async fn open(url: &str) -> Result<SqlitePool, StoreError> {
    // What sqlx says of it repeats it.
    let unread = |_| StoreError::new("the URL of the database cannot be read");
    let options = SqliteConnectOptions::from_str(url)
        .map_err(unread)?
        .busy_timeout(LOCK)
        .foreign_keys(true)
        // A revocation that was told must survive a power cut.
        .synchronous(SqliteSynchronous::Full);
    // A connection here is a thread of this process: there is nothing to test before each use.
    let pool = SqlitePoolOptions::new().acquire_timeout(CONNECTION).test_before_acquire(false);
    if is_in_memory(url) {
        // What is in memory ends with its last connection.
        let one = pool.min_connections(1).max_connections(1).idle_timeout(None).max_lifetime(None);
        return Ok(one.connect_with(options).await?);
    }
    create(options.get_filename())?;
    let pool = pool.max_connections(MAX_CONNECTIONS).connect_with(options).await?;
    timeout(LOCK, write_ahead(&pool))
        .await
        .map_err(|_| StoreError::new("the database file is locked by another process"))??;
    Ok(pool)
}

fn is_in_memory(url: &str) -> bool {
    let (file, parameters) = url.split_once('?').unwrap_or((url, ""));
    let file = file.trim_start_matches("sqlite:").trim_start_matches("//");
    file == ":memory:" || parameters.split('&').any(|parameter| parameter == "mode=memory")
}

/// Makes the file, if there is none. Beforehand, since SQLite would make it readable for everybody; what it makes beside it later
/// (`-wal`, `-shm`) has the mode of the file.
fn create(file: &Path) -> Result<(), StoreError> {
    // SQLite takes these for a file that it removes at the end, and for an address.
    if file.as_os_str().is_empty() || file.to_string_lossy().starts_with("file:") {
        return Err(StoreError::new("the URL of the database must name a file"));
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(StoreError::new(format!("the database file cannot be created: {error}")))
        }
        _ => Ok(()),
    }
}

/// Has the file write ahead, so that who reads never waits for who writes. SQLite does not wait for others that open the file at
/// the same moment.
async fn write_ahead(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").execute(pool).await {
            Err(error) if is_busy(&error) => sleep(TRY_AGAIN).await,
            result => return result.map(|_| ()),
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xFF == BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_writes_ahead_and_each_change_reaches_the_disk() {
        let name = format!("portcullis-{}.db", std::process::id());
        let file = std::env::temp_dir().join(name);
        let pool = open(&format!("sqlite://{}", file.display())).await.unwrap();
        let mut connections = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut connection = pool.acquire().await.unwrap();
            let pragma = "SELECT journal_mode, synchronous, foreign_keys, timeout FROM pragma_journal_mode, \
                          pragma_synchronous, pragma_foreign_keys, pragma_busy_timeout";
            let set: (String, i64, i64, i64) =
                sqlx::query_as(pragma).fetch_one(&mut *connection).await.unwrap();
            assert_eq!(set, ("wal".to_owned(), 2, 1, 5000));
            connections.push(connection);
        }
        drop(connections);
        pool.close().await;
        std::fs::remove_file(file).unwrap();
    }
}
