//! The file that SQLite has opened.

use std::path::PathBuf;

use sqlx::SqlitePool;
use tokio::sync::OnceCell;

/// The file of a pool, found at its first use.
#[derive(Default)]
pub(super) struct SqliteFile {
    opened: OnceCell<Option<PathBuf>>,
}

impl SqliteFile {
    /// Whether there is one: what is in memory ends with its last connection.
    pub(super) async fn is_on_disk(&self, pool: &SqlitePool) -> Result<bool, sqlx::Error> {
        Ok(self.opened.get_or_try_init(|| find(pool)).await?.is_some())
    }
}

/// As SQLite names it: how a pool was configured does not say all.
async fn find(pool: &SqlitePool) -> Result<Option<PathBuf>, sqlx::Error> {
    let named = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'";
    let name: Option<Vec<u8>> = sqlx::query_scalar(named).fetch_one(pool).await?;
    let path = to_path(name.unwrap_or_default());
    Ok(path.metadata().is_ok_and(|file| file.is_file()).then_some(path))
}

#[cfg(unix)]
fn to_path(name: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(name).into()
}

#[cfg(not(unix))]
fn to_path(name: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&name).into_owned().into()
}
