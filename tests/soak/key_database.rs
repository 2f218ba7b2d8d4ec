//! Many API keys in a database file: how long a look-up takes, and keys that are rotated and used at the same time through two pools,
//! as two processes have them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::{ApiKeyStore as _, ApiKeys, SqlStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};

use crate::Plan;
use crate::api_keys::{issue, rotate_and_use};

/// Look-ups at once.
const CROWD: usize = 8;

const LOOK_UPS: usize = 20_000;

/// Removed in the end.
struct File(PathBuf);

pub async fn run(plan: &Plan) -> bool {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-keys-{}.db", std::process::id()));
    let file = File(path);
    let ids = Arc::new(fill(&file.0, plan.stored_keys).await);
    let url = format!("sqlite://{}", file.0.display());
    let store = SqlStore::connect(&url).await.unwrap();
    for crowd in [1, CROWD] {
        let (mut times, start) = (look_up(&store, &ids, crowd).await, Instant::now());
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let (half, most) = (at(50), at(99));
        println!(
            "key_database: {} keys in SQLite, {crowd} at once: a look-up takes {half:?}, the slowest of 100 {most:?} ({:?})",
            ids.len(),
            start.elapsed()
        );
    }
    let processes = RefCell::new(vec![store, SqlStore::connect(&url).await.unwrap()]);
    rotate_and_use("SQLite", || processes.borrow_mut().pop().unwrap(), plan.api_keys).await;
    true
}

/// Issues so many keys, without waiting for the disk; gives their ids.
async fn fill(path: &Path, count: usize) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let fast = options.synchronous(SqliteSynchronous::Off).journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(fast).await.unwrap();
    let store = SqlStore::from_sqlite(pool.clone());
    store.migrate().await.unwrap();
    let keys = ApiKeys::builder("todo_live", store).build().unwrap();
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(issue(&keys).await.record.id);
    }
    pool.close().await;
    ids
}

async fn look_up(store: &SqlStore, ids: &Arc<Vec<String>>, crowd: usize) -> Vec<Duration> {
    let members: Vec<_> = (0..crowd)
        .map(|member| {
            let (store, ids) = (store.clone(), Arc::clone(ids));
            tokio::spawn(async move {
                let mut times = Vec::new();
                for number in 0..LOOK_UPS / crowd {
                    let id = &ids[(number * 7919 + member * 104_729) % ids.len()];
                    let start = Instant::now();
                    assert!(store.find(id).await.unwrap().is_some());
                    times.push(start.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for member in members {
        times.extend(member.await.unwrap());
    }
    times
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}
