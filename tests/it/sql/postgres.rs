//! Keys in PostgreSQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::api_key::ApiKeyChange;
use portcullis::{ApiKeyQuery, ApiKeyStore as _, SqlStore};
use sqlx::AssertSqlSafe;

use super::beside::Beside;
use super::{cancelled, migrations, rows};
use crate::key_stores::{Store, at, keeps_the_contract, key};
use crate::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_the_contract() {
    let Some(postgres) = Postgres::launch() else { return };
    keeps_the_contract(async || {
        let url = postgres.database().await;
        Arc::new(SqlStore::connect(&url).await.unwrap()) as Store
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_in_all_databases_is_so_in_postgres() {
    let Some(postgres) = Postgres::launch() else { return };
    macro_rules! check {
        ($($check:path),* $(,)?) => {
            $(
                eprintln!("{}", stringify!($check));
                $check(&postgres.database().await).await;
            )*
        };
    }
    check!(
        migrations::the_applications_own_may_come_first,
        migrations::the_applications_own_may_come_later,
        migrations::many_that_start_at_once_all_come_up,
        migrations::a_database_of_a_later_version_is_refused,
        migrations::a_pool_of_the_application_serves_once_the_tables_are_there,
        migrations::what_fails_halfway_leaves_nothing_behind,
        rows::what_cannot_be_read_is_an_error,
        rows::what_cannot_be_kept_changes_nothing,
        cancelled::what_is_given_up_happens_as_a_whole_or_not_at_all,
        who_uses_the_tables_need_not_be_allowed_to_make_any,
        a_look_up_is_one_statement_by_the_primary_key,
        a_page_is_read_in_the_order_of_an_index,
        a_database_that_hangs_is_told,
    );
}

async fn who_uses_the_tables_need_not_be_allowed_to_make_any(url: &str) {
    let owner = Beside::open(url).await;
    owner.run("CREATE ROLE server LOGIN").await.unwrap();
    owner.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await.unwrap();
    let as_server = url.replace("//portcullis@", "//server@");
    assert!(SqlStore::connect(&as_server).await.is_err());
    owner.store().migrate().await.unwrap();
    owner.run("GRANT SELECT ON portcullis_migrations TO server").await.unwrap();
    owner.run("GRANT SELECT, INSERT, UPDATE ON portcullis_api_keys TO server").await.unwrap();
    let store = SqlStore::connect(&as_server).await.unwrap();
    assert!(store.insert(&key("a")).await.unwrap());
    assert!(store.replace("a", &key("b"), at(1)).await.unwrap());
}

/// The plan for the one statement that a store prepares for a question, among 1000 keys of 10 owners.
async fn plan(url: &str, question: impl AsyncFnOnce(&SqlStore), arguments: &str) -> String {
    SqlStore::connect(url).await.unwrap();
    let beside = Beside::open(url).await;
    let keys = "INSERT INTO portcullis_api_keys \
                (id, hint, label, owner, scopes, metadata, created_at, digest) \
                SELECT 'k' || i, '', '', 'owner ' || i % 10, '', '{}', i / 100, decode(repeat('5e', 32), 'hex') \
                FROM generate_series(0, 999) AS i";
    assert_eq!(beside.run(keys).await.unwrap(), 1000);
    beside.run("VACUUM ANALYZE portcullis_api_keys").await.unwrap();
    question(&beside.store()).await;
    let Beside::Postgres(pool) = &beside else { panic!("{url}") };
    let prepared = "SELECT name, generic_plans + custom_plans FROM pg_prepared_statements";
    let prepared: Vec<(String, i64)> =
        sqlx::query_as(prepared).persistent(false).fetch_all(pool).await.unwrap();
    let [(name, 1)] = &prepared[..] else { panic!("more than one statement, once: {prepared:?}") };
    let explain = format!("EXPLAIN EXECUTE {name}({arguments})");
    let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(pool).await.unwrap();
    lines.join("\n")
}

async fn a_look_up_is_one_statement_by_the_primary_key(url: &str) {
    let find = async |store: &SqlStore| assert!(store.find("k7").await.unwrap().is_some());
    let plan = plan(url, find, "'k7'").await;
    assert!(plan.contains("Index Scan using portcullis_api_keys_pkey"), "{plan}");
}

async fn a_page_is_read_in_the_order_of_an_index(url: &str) {
    let list = async |store: &SqlStore| {
        let query = ApiKeyQuery::new().owner("owner 1").limit(5);
        assert_eq!(store.list(&query).await.unwrap().len(), 5);
    };
    let plan = plan(url, list, "9, 'k', 5, 'owner 1'").await;
    assert!(plan.contains("Index Scan Backward using portcullis_api_keys_of_owner"), "{plan}");
    assert!(!plan.contains("Sort"), "{plan}");
}

/// As one does whose disk does, too.
async fn a_database_that_hangs_is_told(url: &str) {
    let store = SqlStore::connect(url).await.unwrap();
    assert!(store.insert(&key("a")).await.unwrap());
    let other = Beside::open(url).await;
    other.run("BEGIN; LOCK TABLE portcullis_api_keys").await.unwrap();
    is_told(&store).await;
    other.run("COMMIT").await.unwrap();
    assert!(store.find("a").await.unwrap().is_some());
}

/// Within three seconds, and on a busy machine surely within ten.
async fn is_told(store: &SqlStore) {
    let start = Instant::now();
    let error = store.find("a").await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10), "{error} after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_and_over_when_it_is_over() {
    let Some(mut postgres) = Postgres::launch() else { return };
    let store = SqlStore::connect(&postgres.url()).await.unwrap();
    assert!(store.insert(&key("a")).await.unwrap());
    for _ in 0..2 {
        postgres.stop();
        let (insert, revoke) = (key("b"), ApiKeyChange::Revoke(at(1)));
        let told = is_told(&store);
        let (_, inserted, revoked, replaced) = tokio::join!(
            told,
            store.insert(&insert),
            store.change("a", revoke),
            store.replace("a", &insert, at(1)),
        );
        assert!(inserted.is_err() && revoked.is_err() && replaced.is_err());
        postgres.start();
        assert_eq!(store.find("a").await.unwrap(), Some(key("a")));
    }
    assert!(store.change("a", ApiKeyChange::Revoke(at(1))).await.unwrap().is_some());
}
