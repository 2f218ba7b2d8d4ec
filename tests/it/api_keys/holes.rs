//! Holes that the first version of API keys had.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::api_key::{ApiKeyChange, ApiKeyUse, StoredApiKey};
use portcullis::{
    ApiKeyAuthenticator, ApiKeyClaims, ApiKeyQuery, ApiKeyRecord, ApiKeyStore, ApiKeys, AuthFuture,
    AuthLayer, Authenticator, Credential, Match, MemoryApiKeyStore, NewApiKey, Presentation, Principal,
    RequestContext, SqlStore, StoreError, StoreFuture, Verdict,
};
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use super::support::{answer, issue, keys, layer, new_key, send_key, with};
use crate::log::Log;
use crate::support::{outcome, send};

const OK: (StatusCode, Option<&str>) = (StatusCode::OK, None);

/// A store that can be taken away, or fails for one id alone, or never ends to note uses.
#[derive(Clone, Default)]
struct Faulty {
    keys: MemoryApiKeyStore,
    away: Arc<AtomicBool>,
    unreadable: Arc<Mutex<String>>,
    hangs: Arc<AtomicBool>,
    noted: Arc<AtomicUsize>,
}

impl ApiKeyStore for Faulty {
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        if self.away.load(Ordering::SeqCst) || *self.unreadable.lock().unwrap() == id {
            return Box::pin(async { Err(StoreError::unreadable("the scopes of a key cannot be read")) });
        }
        self.keys.find(id)
    }

    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        self.keys.insert(key)
    }

    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        self.keys.list(query)
    }

    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        self.keys.change(id, change)
    }

    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool> {
        self.keys.replace(id, by, ends)
    }

    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            if self.hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            self.noted.fetch_add(uses.len(), Ordering::SeqCst);
            self.keys.record_uses(uses).await
        })
    }
}

fn patient(keys: &ApiKeys) -> AuthLayer<ApiKeyAuthenticator> {
    let builder = ApiKeyAuthenticator::builder(keys.clone());
    AuthLayer::new(builder.serve_stale(Duration::from_secs(600)).build().unwrap())
}

async fn ended(end: impl AsyncFnOnce(&ApiKeys, &str)) -> [(StatusCode, Option<&'static str>); 2] {
    let store = Faulty::default();
    let keys = keys(store.clone());
    let (layer, ended, other) = (patient(&keys), issue(&keys).await, issue(&keys).await);
    for key in [&ended, &other] {
        assert_eq!(answer(&layer, key.key.expose()).await, OK);
    }
    end(&keys, &ended.record.id).await;
    store.away.store(true, Ordering::SeqCst);
    [answer(&layer, ended.key.expose()).await, answer(&layer, other.key.expose()).await]
}

#[tokio::test]
async fn a_key_that_was_revoked_here_does_not_serve_while_the_store_is_away() {
    let answers = ended(async |keys, id| drop(keys.revoke(id).await.unwrap())).await;
    assert_eq!(answers[1], OK, "another one serves");
    assert_ne!(answers[0], OK);
}

#[tokio::test]
async fn a_key_that_was_disabled_here_does_not_serve_while_the_store_is_away() {
    let answers = ended(async |keys, id| drop(keys.disable(id).await.unwrap())).await;
    assert_ne!(answers[0], OK);
}

#[tokio::test]
async fn a_key_that_was_rotated_away_here_does_not_serve_while_the_store_is_away() {
    let answers = ended(async |keys, id| drop(keys.rotate(id, Duration::ZERO).await.unwrap())).await;
    assert_ne!(answers[0], OK);
}

#[tokio::test]
async fn a_key_that_was_made_to_expire_here_does_not_serve_while_the_store_is_away() {
    let answers = ended(async |keys, id| drop(keys.expire(id, SystemTime::now()).await.unwrap())).await;
    assert_ne!(answers[0], OK);
}

#[tokio::test]
async fn two_families_of_keys_stand_side_by_side() {
    let of = |prefix: &str| ApiKeys::builder(prefix, MemoryApiKeyStore::new()).build().unwrap();
    let (live, admin) = (of("todo_live"), of("todo_admin"));
    let layer =
        AuthLayer::new(ApiKeyAuthenticator::new(live.clone()).or(ApiKeyAuthenticator::new(admin.clone())));
    assert_eq!(answer(&layer, issue(&live).await.key.expose()).await, OK);
    assert_eq!(answer(&layer, issue(&admin).await.key.expose()).await, OK);
}

#[tokio::test]
async fn one_row_that_cannot_be_read_is_no_outage_for_all_others() {
    let store = Faulty::default();
    let keys = keys(store.clone());
    let (layer, bad, good) = (layer(&keys), issue(&keys).await, issue(&keys).await);
    *store.unreadable.lock().unwrap() = bad.record.id;
    for _ in 0..6 {
        assert_eq!(answer(&layer, bad.key.expose()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(answer(&layer, good.key.expose()).await, OK);
}

/// Two releases beside each other know each other's pepper, at every step.
#[tokio::test]
async fn a_pepper_is_changed_as_the_cookbook_says_without_an_outage() {
    let store = MemoryApiKeyStore::new();
    let with = |peppers: &[(&str, u8)]| {
        let builder = ApiKeys::builder("todo_live", store.clone());
        peppers.iter().fold(builder, |keys, (name, byte)| keys.pepper(name, [*byte; 32])).build().unwrap()
    };
    let (old, new) = (("2025", 1), ("2026", 2));
    let steps = [with(&[old]), with(&[old, new]), with(&[new, old]), with(&[new])];
    let mut issued = vec![issue(&steps[0]).await];
    for releases in steps.windows(2) {
        for release in releases {
            issued.push(issue(release).await);
            for key in &issued {
                for release in releases {
                    assert_eq!(answer(&layer(release), key.key.expose()).await, OK);
                    release.flush().await.unwrap();
                }
            }
        }
    }
    assert_eq!(issued.len(), 7);
}

/// Somebody else's user names and passwords.
#[derive(Clone)]
struct Users(&'static str, Arc<Mutex<Vec<String>>>);

impl Authenticator for Users {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, credential: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        self.1.lock().unwrap().push(credential.expose().to_owned());
        AuthFuture::ready(Ok(Verdict::once(Principal::builder("users").subject("ann").build())))
    }

    fn presentations(&self) -> Vec<Presentation> {
        vec![Presentation::scheme(self.0)]
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

async fn given_to_users(scheme: &'static str, accept: bool, line: impl FnOnce(&str) -> String) -> usize {
    let keys = keys(MemoryApiKeyStore::new());
    let issued = issue(&keys).await;
    let users = Users(scheme, Arc::default());
    let seen = Arc::clone(&users.1);
    let mut builder = ApiKeyAuthenticator::builder(keys);
    if accept {
        builder = builder.accept_basic();
    }
    let layer = AuthLayer::new(users.or(builder.build().unwrap()));
    send(&layer, with("authorization", &line(issued.key.expose()))).await;
    seen.lock().unwrap().len()
}

#[tokio::test]
async fn a_key_in_basic_credentials_is_given_to_nobody_else() {
    assert_eq!(given_to_users("Basic", false, |key| basic("apikey", key)).await, 0);
    assert_eq!(given_to_users("Basic", true, |key| basic("apikey", key)).await, 0);
}

#[tokio::test]
async fn a_key_in_basic_credentials_is_given_to_nobody_else_however_the_scheme_is_spelled() {
    assert_eq!(given_to_users("basic", true, |key| basic("apikey", key)).await, 0);
}

#[tokio::test]
async fn a_key_under_another_user_is_given_to_nobody_else() {
    assert_eq!(given_to_users("Basic", true, |key| basic("api", key)).await, 0);
}

#[test]
fn without_a_runtime_a_key_is_refused_and_nothing_panics() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let keys = keys(MemoryApiKeyStore::new());
    let issued = runtime.block_on(issue(&keys));
    for layer in [layer(&keys), layer(&keys).verdict_cache(0)] {
        let mut call = tokio_test::task::spawn(answer(&layer, issued.key.expose()));
        assert!(call.poll().is_ready());
    }
}

#[tokio::test]
async fn no_part_of_the_url_is_in_the_error() {
    let sqlite = SqlStore::connect("sqlite://x.db?mode=hunter2").await.unwrap_err().to_string();
    assert!(!sqlite.contains("hunter2"), "{sqlite}");
    let postgres = SqlStore::connect("postgres://u@127.0.0.1:1/db?sslmode=hunter2").await.unwrap_err();
    assert!(!postgres.to_string().contains("hunter2"), "{postgres}");
}

#[tokio::test]
async fn no_part_of_the_url_is_in_the_log() {
    let (log, _guard) = Log::capture(LevelFilter::WARN);
    let _ = SqlStore::connect("postgres://u@127.0.0.1:1/db?pasword=hunter2").await;
    let log = log.take();
    assert!(!log.contains("hunter2"), "{log}");
}

async fn cache_control(said: &'static str) -> String {
    let keys = keys(MemoryApiKeyStore::new());
    let issued = issue(&keys).await;
    let inner = tower::service_fn(move |_: Request<Full<Bytes>>| async move {
        let response = Response::builder().header("cache-control", said).body(Full::<Bytes>::default());
        Ok::<_, Infallible>(response.unwrap())
    });
    let response = layer(&keys).layer(inner).oneshot(with("x-api-key", issued.key.expose())).await.unwrap();
    let lines = response.headers().get_all("cache-control").iter().map(|line| line.to_str().unwrap());
    lines.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn only_who_has_thought_of_shared_caches_has_answers_shared() {
    assert!(cache_control("max-age=300").await.ends_with("private"));
    assert_eq!(cache_control("public, max-age=300").await, "public, max-age=300");
    // About one field alone (RFC 9111 §5.2.2.7): everything else may be stored.
    let one_field = cache_control("private=\"set-cookie\", max-age=300").await;
    assert!(one_field.ends_with(", private"), "{one_field}");
}

#[tokio::test]
async fn what_must_be_revalidated_is_not_thereby_shared() {
    let said = cache_control("max-age=300, must-revalidate").await;
    assert!(said.ends_with(", private"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_flush_covers_what_is_being_written() {
    let store = Faulty::default();
    store.hangs.store(true, Ordering::SeqCst);
    let keys = keys(store.clone());
    let issued = issue(&keys).await;
    assert_eq!(answer(&layer(&keys), issued.key.expose()).await, OK);
    tokio::time::sleep(Duration::from_secs(6)).await; // the writer is at it, and the store slow
    store.hangs.store(false, Ordering::SeqCst);
    let flushed = tokio::time::timeout(Duration::from_secs(60), keys.flush()).await;
    assert!(
        !matches!(flushed, Ok(Ok(()))) || store.noted.load(Ordering::SeqCst) == 1,
        "said done, and is not"
    );
}

#[tokio::test]
async fn what_a_key_was_issued_with_can_be_read_again() {
    for depth in [100, 126, 127, 200] {
        let value = (0..depth).fold(serde_json::Value::Null, |value, _| serde_json::json!([value]));
        for keys in
            [keys(MemoryApiKeyStore::new()), keys(SqlStore::connect("sqlite::memory:").await.unwrap())]
        {
            let Ok(issued) = keys.issue(NewApiKey::new("a", "ann").metadata("deep", value.clone())).await
            else {
                continue;
            };
            let response = send_key(&layer(&keys), issued.key.expose()).await;
            assert_eq!(outcome(&response).0, StatusCode::OK);
            let claims = response.extensions().get::<Principal>().unwrap().claims::<ApiKeyClaims>();
            assert!(claims.is_ok(), "{depth}");
        }
    }
}

/// A caller of `revoke` went away, as axum does with a handler whose client hangs up, and the database did it all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_nobody_waits_for_any_more_counts_here_as_soon_as_it_is_made() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("review-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let url = format!("sqlite://{}", path.display());
    let keys = keys(SqlStore::connect(&url).await.unwrap());
    let (layer, issued) = (layer(&keys), issue(&keys).await);
    assert_eq!(answer(&layer, issued.key.expose()).await, OK);
    // Another process writes.
    let other = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let work = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let revoke = {
        let (keys, id) = (keys.clone(), issued.record.id.clone());
        tokio::spawn(async move { keys.revoke(&id).await })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    revoke.abort();
    let _ = revoke.await;
    assert_eq!(answer(&layer, issued.key.expose()).await, OK, "not revoked yet");
    work.rollback().await.unwrap();
    let mut revoked = false;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        revoked |= keys.find(&issued.record.id).await.unwrap().revoked_at.is_some();
    }
    let answer = answer(&layer, issued.key.expose()).await;
    let _ = std::fs::remove_file(&path);
    assert!(!revoked || answer != OK, "revoked in the database, and open here");
}

#[tokio::test]
async fn a_pepper_name_and_a_wrong_secret_do_not_tell_that_an_id_exists() {
    let store = MemoryApiKeyStore::new();
    let builder = || ApiKeys::builder("todo_live", store.clone());
    let old = builder().pepper("2025", [1; 32]).build().unwrap();
    let issued = old.issue(new_key()).await.unwrap();
    let without = builder().build().unwrap();
    assert_eq!(
        answer(&layer(&without), issued.key.expose()).await.0,
        StatusCode::INTERNAL_SERVER_ERROR,
        "as documented"
    );
}

/// A store with as many connections as `SqlStore` opens to PostgreSQL, and 300 ms from here.
#[derive(Clone)]
struct Far(MemoryApiKeyStore, Arc<tokio::sync::Semaphore>);

impl ApiKeyStore for Far {
    fn at_once(&self) -> usize {
        8
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(async move {
            let _connection = self.1.acquire().await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.0.find(id).await
        })
    }

    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        self.0.insert(key)
    }

    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        self.0.list(query)
    }

    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        self.0.change(id, change)
    }

    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool> {
        self.0.replace(id, by, ends)
    }

    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        self.0.record_uses(uses)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_cannot_have_the_store_taken_for_broken() {
    let store = Far(MemoryApiKeyStore::new(), Arc::new(tokio::sync::Semaphore::new(8)));
    let (forger, keys) = (keys(MemoryApiKeyStore::new()), keys(store));
    let (layer, good) = (layer(&keys), issue(&keys).await);
    assert_eq!(answer(&layer, good.key.expose()).await, OK);
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (layer, key) = (layer.clone(), issue(&forger).await);
        flood.spawn(async move { answer(&layer, key.key.expose()).await });
    }
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    while let Some(said) = flood.join_next().await {
        *counts.entry(format!("{:?}", said.unwrap())).or_default() += 1;
    }
    eprintln!("{counts:?}");
    let another = issue(&keys).await;
    assert_eq!(answer(&layer, another.key.expose()).await, OK, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_does_not_wait_for_the_last_uses_of_others() {
    let path =
        std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("uses-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let store = SqlStore::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let keys = keys(store.clone());
    let issued = issue(&keys).await;
    let digest = |byte| portcullis::api_key::KeyDigest::new([byte; 32], Some("p".into()));
    let uses: Vec<_> = (0..100_000)
        .map(|number| {
            let mut used = ApiKeyUse::new(format!("{number:012}"), SystemTime::now());
            used.digest = Some((digest(1), digest(2)));
            used
        })
        .collect();
    let (written, mut batches) = tokio::sync::watch::channel(0);
    let writing = tokio::spawn(async move {
        // As they come: in batches of 500.
        for uses in uses.chunks(500) {
            store.record_uses(uses).await?;
            written.send_modify(|written| *written += 1);
        }
        Ok::<_, StoreError>(())
    });
    let before = *batches.wait_for(|written| *written >= 3).await.unwrap();
    keys.revoke(&issued.record.id).await.unwrap();
    let after = *batches.borrow();
    writing.await.unwrap().unwrap();
    let _ = std::fs::remove_file(&path);
    assert!(after - before <= 10, "{before} of 200 batches were written before it, and {after} after it");
}

#[tokio::test]
async fn a_key_that_was_rotated_away_stays_away() {
    let keys = keys(MemoryApiKeyStore::new());
    let (layer, old) = (layer(&keys), issue(&keys).await);
    keys.rotate(&old.record.id, Duration::ZERO).await.unwrap();
    let _ = keys.expire(&old.record.id, SystemTime::now() + Duration::from_secs(3600)).await;
    assert_ne!(answer(&layer, old.key.expose()).await, OK);
}

#[tokio::test]
async fn a_key_whose_end_was_hurried_has_no_successor_that_outlives_it() {
    let keys = keys(MemoryApiKeyStore::new());
    let issued = issue(&keys).await;
    let ends = SystemTime::now() + Duration::from_secs(60);
    keys.expire(&issued.record.id, ends).await.unwrap();
    let new = keys.rotate(&issued.record.id, Duration::ZERO).await.unwrap();
    assert!(new.record.expires_at.is_some(), "issued without an end, as the doc says");
}

#[tokio::test]
async fn a_foreign_key_with_padding_stays_here() {
    let (ours, theirs) = (keys(MemoryApiKeyStore::new()), {
        ApiKeys::builder("todo_test", MemoryApiKeyStore::new()).build().unwrap()
    });
    let issued = issue(&theirs).await;
    for padding in ["", "=", "=="] {
        let bearer = Users("Bearer", Arc::default());
        let seen = Arc::clone(&bearer.1);
        let layer = AuthLayer::new(bearer.or(ApiKeyAuthenticator::new(ours.clone())));
        send(&layer, with("authorization", &format!("Bearer {}{padding}", issued.key.expose()))).await;
        assert_eq!(seen.lock().unwrap().len(), 0, "{padding:?}");
    }
}

/// What 50 administrators do at once must not make callers fail: leases are shared by strangers.
#[tokio::test(flavor = "multi_thread")]
async fn joiners_are_answered_while_others_change_their_keys() {
    let keys = keys(Far(MemoryApiKeyStore::new(), Arc::new(tokio::sync::Semaphore::new(8))));
    let (layer, good) = (layer(&keys), issue(&keys).await);
    let stop = Arc::new(AtomicBool::new(false));
    let churn = {
        let (keys, stop) = (keys.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                for number in 0..20_000 {
                    let _ = keys.disable(&format!("{number:012}")).await;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (layer, key) = (layer.clone(), good.key.expose().to_owned());
        calls.spawn(async move { answer(&layer, &key).await });
    }
    let mut answers = Vec::new();
    while let Some(said) = calls.join_next().await {
        answers.push(said.unwrap());
    }
    stop.store(true, Ordering::SeqCst);
    churn.await.unwrap();
    assert!(answers.iter().all(|answer| *answer == OK), "{answers:?}");
}

/// The holder of a revoked key brings the outage about that lets it serve.
#[tokio::test(flavor = "multi_thread")]
async fn the_holder_of_a_revoked_key_cannot_bring_it_back_with_a_flood() {
    let store = Far(MemoryApiKeyStore::new(), Arc::new(tokio::sync::Semaphore::new(8)));
    let (forger, keys) = (keys(MemoryApiKeyStore::new()), keys(store));
    let (layer, stolen) = (patient(&keys), issue(&keys).await);
    assert_eq!(answer(&layer, stolen.key.expose()).await, OK);
    keys.revoke(&stolen.record.id).await.unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (layer, key) = (layer.clone(), issue(&forger).await);
        flood.spawn(async move { answer(&layer, key.key.expose()).await });
    }
    let mut said = Vec::new();
    while let Some(other) = flood.join_next().await {
        assert_ne!(other.unwrap().1, Some("authority_paused"), "a flood is no outage");
        if said.len() < 5 {
            said.push(answer(&layer, stolen.key.expose()).await);
        }
    }
    assert!(said.len() == 5 && !said.contains(&OK), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_the_url_is_in_the_error_of_a_server() {
    let Some(postgres) = crate::postgres::Postgres::launch() else { return };
    let url = postgres.url();
    let (_, rest) = url.split_once('@').unwrap_or(("", url.trim_start_matches("postgres://")));
    let error =
        SqlStore::connect(&format!("postgres://hunter2:secret@{rest}")).await.unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_of_whatever_name_is_made_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("review-mode");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("x:memory:");
    std::fs::File::create(folder.join("probe")).unwrap();
    let made = SqlStore::connect(&format!("sqlite://{}?mode=rwc", file.display())).await;
    let mode = std::fs::metadata(&file).map(|data| data.permissions().mode() & 0o777);
    let _ = std::fs::remove_dir_all(&folder);
    assert!(made.is_err() || mode.as_ref().is_ok_and(|mode| *mode == 0o600), "{mode:?} (384 is right)");
}
