//! A disk that was full for a while, and other ends of a transaction that nobody meant.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use portcullis::api_key::{ApiKeyChange, ApiKeyUse, StoredApiKey};
use portcullis::{
    ApiKeyAuthenticator, ApiKeyStore as _, ApiKeys, AuthLayer, IssuedApiKey, NewApiKey, SqlStore,
};
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

use super::beside::{Beside, Folder};
use crate::key_stores::{at, key};
use crate::postgres::Postgres;
use crate::support::{outcome, send};

/// More than the connections of a pool.
const OFTEN: usize = 12;

/// A file system in memory with room for 256 KiB, until it is dropped.
struct SmallDisk {
    folder: Folder,
}

impl SmallDisk {
    /// `None` where this process must not mount, said loudly.
    fn mount() -> Option<Self> {
        let folder = Folder::new();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(folder.file(""))
            .env("LC_ALL", "C")
            .output();
        let problem = match mount {
            Ok(output) if output.status.success() => return Some(Self { folder }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).to_lowercase(),
            Err(_) => "permission denied: there is no `mount`".to_owned(),
        };
        let forbidden = ["permission denied", "not permitted", "superuser"];
        let is_forbidden = forbidden.iter().any(|text| problem.contains(text));
        assert!(is_forbidden || std::env::var_os("CI").is_none(), "{problem}");
        eprintln!("SKIPPED: a small disk cannot be mounted here, which takes root: {problem}");
        None
    }

    /// Leaves no room.
    fn fill(&self) -> PathBuf {
        let ballast = self.folder.file("ballast");
        let mut file = File::create(&ballast).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.file("")).status();
    }
}

async fn issue(url: &str, keys: &ApiKeys, count: usize) -> Vec<IssuedApiKey> {
    let mut issued = Vec::new();
    for number in 0..count {
        make_room(url).await;
        issued.push(keys.issue(NewApiKey::new(format!("key {number}"), "ann")).await.unwrap());
    }
    issued
}

/// Moves what SQLite wrote ahead into the file, and gives the room for it back.
async fn make_room(url: &str) {
    let beside = Beside::open(url).await;
    beside.run("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn file_on_a_disk_that_was_full_works_again() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = disk.folder.sqlite("keys.db");
    let keys = ApiKeys::builder("todo_live", SqlStore::connect(&url).await.unwrap()).build().unwrap();
    let layer = AuthLayer::new(ApiKeyAuthenticator::new(keys.clone()));
    let issued = issue(&url, &keys, OFTEN).await;
    make_room(&url).await;
    let ballast = disk.fill();
    for one in &issued {
        let request = http::Request::builder().header("x-api-key", one.key.expose());
        let answer = send(&layer, request.body(http_body_util::Full::default()).unwrap()).await;
        assert_eq!(outcome(&answer).0, 200, "reading takes no room");
        keys.rotate(&one.record.id, Duration::ZERO).await.expect_err("the disk is full");
        keys.flush().await.expect_err("the disk is full");
        keys.revoke(&one.record.id).await.expect_err("the disk is full");
    }
    std::fs::remove_file(ballast).unwrap();
    keys.flush().await.unwrap();
    for one in &issued {
        make_room(&url).await;
        let record = keys.find(&one.record.id).await.unwrap();
        assert!(record.last_used_at.is_some() && record.revoked_at.is_none() && record.replaced_by.is_none());
        let new = keys.rotate(&one.record.id, Duration::from_secs(60)).await.unwrap();
        assert!(keys.revoke(&one.record.id).await.unwrap().revoked_at.is_some());
        assert!(keys.find(&new.record.id).await.unwrap().revoked_at.is_none());
    }
}

/// A key that takes more room than there is.
fn long(id: &str) -> StoredApiKey {
    let mut key = key(id);
    key.record.label = "x".repeat(200_000);
    key
}

/// The pool of an application, with the store in it, where no more than these pages have room.
async fn limited(url: &str) -> (SqlitePool, SqlStore) {
    let pool = SqlitePoolOptions::new().max_connections(1).connect(url).await.unwrap();
    let store = SqlStore::from_sqlite(pool.clone());
    store.migrate().await.unwrap();
    assert!(store.insert(&key("a")).await.unwrap());
    limit(&pool).await;
    (pool, store)
}

/// The limit is that of one connection, and no less than what is used already.
async fn limit(pool: &SqlitePool) {
    sqlx::query("PRAGMA max_page_count = 1").execute(pool).await.unwrap();
}

#[tokio::test]
async fn transaction_that_sqlite_ended_is_left_on_no_connection() {
    let folder = Folder::new();
    let (pool, store) = limited(&format!("{}?mode=rwc", folder.sqlite("keys.db"))).await;
    store.replace("a", &long("b"), at(9)).await.expect_err("there is no room");
    assert!(store.replace("a", &long("b"), at(9)).await.unwrap(), "on another connection");
    sqlx::query("CREATE TABLE filling (bytes BLOB)").execute(&pool).await.unwrap();
    limit(&pool).await;
    let mut work = pool.begin().await.unwrap();
    let fill = "INSERT INTO filling VALUES (zeroblob(200000))";
    sqlx::query(fill).execute(&mut *work).await.expect_err("there is no room");
    drop(work);
    assert!(store.replace("b", &key("c"), at(9)).await.unwrap(), "nor by the application");
}

/// One connection, that holds all there is: it must not be closed.
#[tokio::test]
async fn memory_that_was_full_is_not_lost() {
    let (pool, store) = limited("sqlite::memory:").await;
    store.replace("a", &long("b"), at(9)).await.expect_err("there is no room");
    sqlx::query("PRAGMA max_page_count = 1000").execute(&pool).await.unwrap();
    assert_eq!(store.find("a").await.unwrap(), Some(key("a")));
    assert!(store.insert(&long("b")).await.unwrap());
    assert!(store.change("a", ApiKeyChange::Revoke(at(1))).await.unwrap().is_some());
}

/// In the middle of a transaction, while it waits for a row that somebody else has locked.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_backend_that_is_terminated_leaves_nothing_behind() {
    let Some(postgres) = Postgres::launch() else { return };
    let url = postgres.database().await;
    let store = SqlStore::connect(&url).await.unwrap();
    for number in 0..OFTEN {
        assert!(store.insert(&key(&format!("{number}"))).await.unwrap());
    }
    let (locker, beside) = (Beside::open(&url).await, Beside::open(&url).await);
    for number in 0..OFTEN {
        let id = format!("{number}");
        let lock = format!("BEGIN; SELECT 1 FROM portcullis_api_keys WHERE id = '{id}' FOR UPDATE");
        locker.run(&lock).await.unwrap();
        let new = key(&format!("new {number}"));
        let (revoke, uses) = (ApiKeyChange::Revoke(at(1)), [ApiKeyUse::new(id.clone(), at(1))]);
        let (replaced, changed, noted, ()) = tokio::join!(
            store.replace(&id, &new, at(9)),
            store.change(&id, revoke),
            store.record_uses(&uses),
            terminate(&beside, 3),
        );
        assert!(
            replaced.is_err() && changed.is_err() && noted.is_err(),
            "{replaced:?} {changed:?} {noted:?}"
        );
        locker.run("COMMIT").await.unwrap();
    }
    for number in 0..OFTEN {
        let (id, new) = (format!("{number}"), key(&format!("new {number}")));
        let record = store.find(&id).await.unwrap().unwrap().record;
        assert!(record.replaced_by.is_none() && record.revoked_at.is_none() && record.last_used_at.is_none());
        assert!(store.replace(&id, &new, at(9)).await.unwrap(), "{id}");
        assert!(store.change(&id, ApiKeyChange::Revoke(at(1))).await.unwrap().is_some(), "{id}");
    }
    let held = "SELECT COUNT(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    assert_eq!(beside.number(held).await, 0);
}

/// Terminates those who wait for a lock, as soon as there are so many.
async fn terminate(beside: &Beside, count: i64) {
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while beside.number(waiting).await < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    assert_eq!(beside.run(end).await.unwrap(), count.unsigned_abs());
}
