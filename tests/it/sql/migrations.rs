//! How the tables come to be.

use std::borrow::Cow;

use portcullis::{ApiKeyStore as _, SqlStore};
use sqlx::SqlStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use tokio::task::JoinSet;

use super::beside::Beside;
use crate::key_stores::key;

/// Of an application, in the table that sqlx uses unless told otherwise.
fn of_the_application() -> Migrator {
    let steps = ["CREATE TABLE todos (id BIGINT)", "CREATE TABLE users (id BIGINT)"];
    let migrations = (1..).zip(steps).map(|(version, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(version, Cow::Borrowed("of the application"), kind, SqlStr::from_static(sql), false)
    });
    Migrator::with_migrations(migrations.collect())
}

async fn works(store: &SqlStore, id: &str) {
    assert!(store.insert(&key(id)).await.unwrap());
    assert!(store.find(id).await.unwrap().is_some());
}

pub(super) async fn the_applications_own_may_come_first(url: &str) {
    let application = Beside::open(url).await;
    application.migrate(&of_the_application()).await.unwrap();
    works(&SqlStore::connect(url).await.unwrap(), "a").await;
    application.migrate(&of_the_application()).await.unwrap();
    works(&SqlStore::connect(url).await.unwrap(), "b").await;
    assert_eq!(application.number("SELECT COUNT(*) FROM _sqlx_migrations").await, 2);
}

pub(super) async fn the_applications_own_may_come_later(url: &str) {
    works(&SqlStore::connect(url).await.unwrap(), "a").await;
    let application = Beside::open(url).await;
    application.migrate(&of_the_application()).await.unwrap();
    works(&SqlStore::connect(url).await.unwrap(), "b").await;
    application.migrate(&of_the_application()).await.unwrap();
    assert_eq!(application.number("SELECT COUNT(*) FROM _sqlx_migrations").await, 2);
}

pub(super) async fn many_that_start_at_once_all_come_up(url: &str) {
    let starts: JoinSet<_> = (0..16)
        .map(|number| {
            let url = url.to_owned();
            async move {
                let store = SqlStore::connect(&url).await.unwrap();
                works(&store, &number.to_string()).await;
            }
        })
        .collect();
    starts.join_all().await;
    let beside = Beside::open(url).await;
    assert_eq!(beside.number("SELECT COUNT(*) FROM portcullis_api_keys").await, 16);
    assert_eq!(
        beside.number("SELECT COUNT(*) FROM portcullis_migrations").await,
        beside.number("SELECT MAX(version) FROM portcullis_migrations").await,
    );
}

pub(super) async fn a_database_of_a_later_version_is_refused(url: &str) {
    works(&SqlStore::connect(url).await.unwrap(), "a").await;
    let beside = Beside::open(url).await;
    let later = "INSERT INTO portcullis_migrations \
                 SELECT 1000, description, installed_on, success, checksum, execution_time \
                 FROM portcullis_migrations WHERE version = 1";
    assert_eq!(beside.run(later).await.unwrap(), 1);
    let error = SqlStore::connect(url).await.unwrap_err();
    assert!(error.to_string().contains("1000"), "{error}");
    assert_eq!(beside.run("DELETE FROM portcullis_migrations WHERE version = 1000").await.unwrap(), 1);
    works(&SqlStore::connect(url).await.unwrap(), "b").await;
}

pub(super) async fn a_pool_of_the_application_serves_once_the_tables_are_there(url: &str) {
    let application = Beside::open(url).await;
    let store = application.store();
    assert!(store.find("a").await.is_err());
    for _ in 0..2 {
        store.migrate().await.unwrap();
    }
    works(&store, "a").await;
    // The lock of a migration does not stay behind in the pool.
    works(&SqlStore::connect(url).await.unwrap(), "b").await;
}

pub(super) async fn what_fails_halfway_leaves_nothing_behind(url: &str) {
    let application = Beside::open(url).await;
    // One of the names is taken: of an index, so that the table comes first.
    application.run("CREATE TABLE portcullis_api_keys_by_age (id BIGINT)").await.unwrap();
    assert!(SqlStore::connect(url).await.is_err());
    assert!(application.store().migrate().await.is_err());
    application.run("SELECT * FROM portcullis_api_keys").await.unwrap_err();
    application.run("DROP TABLE portcullis_api_keys_by_age").await.unwrap();
    application.store().migrate().await.unwrap();
    works(&SqlStore::connect(url).await.unwrap(), "a").await;
}
