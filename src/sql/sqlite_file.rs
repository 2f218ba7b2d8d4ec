//! The file that SQLite has opened.

use std::path::PathBuf;
#[cfg(unix)]
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::SqlitePool;
use tokio::sync::OnceCell;

use crate::store::StoreError;

/// The file of a pool, found at its first use.
#[derive(Default)]
pub(super) struct SqliteFile {
    opened: OnceCell<Option<Opened>>,
}

/// A file, and what tells it from all others on this machine.
struct Opened {
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing tells one file from another here"))]
    path: PathBuf,
    #[cfg(unix)]
    inode: Inode,
    /// Another file was seen in its place. From then on a connection of the pool may be to that
    /// one.
    #[cfg(unix)]
    is_replaced: AtomicBool,
}

/// Device and inode.
#[cfg(unix)]
#[derive(PartialEq, Eq)]
struct Inode(u64, u64);

impl SqliteFile {
    /// Whether there is one: what is in memory ends with its last connection.
    pub(super) async fn is_on_disk(&self, pool: &SqlitePool) -> Result<bool, sqlx::Error> {
        Ok(self.opened(pool).await?.is_some())
    }

    /// Fails where the file has another one in its place, or none: a process that opens it now sees
    /// nothing of what is changed in this one, and the other way round. One call of the system,
    /// which takes about a microsecond.
    pub(super) async fn check(&self, pool: &SqlitePool) -> Result<(), StoreError> {
        match self.opened(pool).await? {
            Some(opened) => opened.check(),
            None => Ok(()),
        }
    }

    async fn opened(&self, pool: &SqlitePool) -> Result<Option<&Opened>, sqlx::Error> {
        Ok(self.opened.get_or_try_init(|| find(pool)).await?.as_ref())
    }
}

impl Opened {
    fn of(path: PathBuf) -> Option<Self> {
        let file = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            path,
            #[cfg(unix)]
            inode: Inode::of(&file),
            #[cfg(unix)]
            is_replaced: AtomicBool::new(false),
        })
    }

    #[cfg(unix)]
    fn check(&self) -> Result<(), StoreError> {
        let file = self.path.metadata().map_err(|error| {
            let remedy = "put it back, or restart this process";
            StoreError::new(format!("the database file cannot be found ({error}): {remedy}"))
        })?;
        if Inode::of(&file) != self.inode {
            self.is_replaced.store(true, Ordering::Relaxed);
        }
        if self.is_replaced.load(Ordering::Relaxed) {
            let remedy = "restart this process to open the one that is there";
            return Err(StoreError::new(format!("the database file was replaced by another one: {remedy}")));
        }
        Ok(())
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as on Unix")]
    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(unix)]
impl Inode {
    fn of(file: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(file.dev(), file.ino())
    }
}

/// As SQLite names it: how a pool was configured does not say all.
async fn find(pool: &SqlitePool) -> Result<Option<Opened>, sqlx::Error> {
    let named = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'";
    let name: Option<Vec<u8>> = sqlx::query_scalar(named).fetch_one(pool).await?;
    Ok(Opened::of(to_path(name.unwrap_or_default())))
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
