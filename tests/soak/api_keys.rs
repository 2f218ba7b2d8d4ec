//! A million well-formed API keys that nobody issued: memory stays bounded, and the store is asked once about each at most. And keys
//! that many clients rotate and use at the same time, through two processes' worth of [`ApiKeys`] on one store.
//!
//! The first runs in a process of its own, so that it finds no memory that another has left.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::Request;
use portcullis::api_key::{ApiKeyChange, ApiKeyError, ApiKeyQuery, ApiKeyUse, StoredApiKey};
use portcullis::{
    ApiKeyAuthenticator, ApiKeyRecord, ApiKeyStore, ApiKeys, AuthError, AuthLayer, IssuedApiKey,
    MemoryApiKeyStore, NewApiKey, StoreError, StoreFuture,
};
use tokio::sync::Barrier;

use crate::Plan;
use crate::garbage::resident;

const MIB: usize = 1024 * 1024;

/// By how much memory may grow.
const GROWTH: usize = 64 * MIB;

/// Known keys that come once a second beside the others.
const GOOD: usize = 1000;

/// Requests under way at once.
const CROWD: usize = 32;

/// Clients that rotate and use keys. Two of them share a key, each in a process of its own.
const CLIENTS: usize = 50;

/// In which both keys work.
const GRACE: Duration = Duration::from_millis(200);

pub async fn run(plan: &Plan) -> bool {
    let mut process = tokio::process::Command::new(std::env::current_exe().unwrap());
    process.args(["api-keys-of", &plan.unknown_keys.to_string()]);
    let status = process.stdin(Stdio::null()).kill_on_drop(true).status().await.unwrap();
    assert!(status.success(), "api_keys: unknown");
    let store = MemoryApiKeyStore::new();
    rotate_and_use("memory", || store.clone(), plan.api_keys).await;
    true
}

/// A process of its own: `api-keys-of COUNT`.
pub async fn alone(arguments: &[String]) {
    let [count] = arguments else { panic!("{arguments:?}") };
    unknown(count.parse().unwrap()).await;
}

async fn unknown(count: usize) {
    let store = Store::default();
    let keys = ApiKeys::builder("todo_live", store.clone()).build().unwrap();
    // What is counted is what gets lost, and not what is asked again after its time.
    let authenticator = ApiKeyAuthenticator::builder(keys.clone()).reuse_for(Duration::from_secs(3600));
    let layer = AuthLayer::new(authenticator.build().unwrap());
    let mut good = Vec::new();
    for _ in 0..GOOD {
        good.push(issue(&keys).await.key.expose().to_owned());
    }
    touch(&layer, &good).await;
    assert_eq!(store.finds(), [GOOD, 0]);
    let elsewhere = ApiKeys::builder("todo_live", Nowhere).build().unwrap();
    let (start, before, sent) = (Instant::now(), resident(), Arc::new(AtomicUsize::new(0)));
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let (layer, elsewhere, sent) = (layer.clone(), elsewhere.clone(), Arc::clone(&sent));
            tokio::spawn(async move {
                while sent.fetch_add(1, Ordering::Relaxed) < count {
                    let key = issue(&elsewhere).await.key;
                    // At once again, when it is remembered that it is not known.
                    for _ in 0..2 {
                        assert_eq!(ask(&layer, key.expose()).await, Some("api_key_unknown"));
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let (mut touched, mut most) = (0, before);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while !crowd.iter().all(tokio::task::JoinHandle::is_finished) {
        second.tick().await;
        touched += touch(&layer, &good).await;
        most = most.max(resident());
    }
    for member in crowd {
        member.await.unwrap();
    }
    touched += touch(&layer, &good).await;
    let growth = most.max(resident()) - before;
    let [known, unknown] = store.finds();
    println!(
        "api_keys: {count} unknown ones, twice each, in {:?}: {unknown} look-ups; memory grew by {:.1} MiB at most; {GOOD} known \
         ones came {touched} times, and cost {} look-ups more",
        start.elapsed(),
        growth as f64 / MIB as f64,
        known - GOOD,
    );
    assert!(growth < GROWTH);
    assert_eq!(known, GOOD, "no known one is forgotten");
    // Where the machine gave one of the crowd a pause, the others may have driven out what it had learned.
    assert!((count..=count + count / 100).contains(&unknown));
}

/// Rotates and uses keys, and fails if one answer is wrong. `open` gives another handle to the same store, as another process
/// has it.
pub async fn rotate_and_use<S: ApiKeyStore>(name: &str, open: impl Fn() -> S, time: Duration) {
    let processes = [(); 2].map(|()| {
        let keys = ApiKeys::builder("todo_live", open()).build().unwrap();
        // A pause of the machine is no outage of the store.
        let authenticator = ApiKeyAuthenticator::builder(keys.clone()).timeout(Duration::from_secs(20));
        (AuthLayer::new(authenticator.build().unwrap()), keys)
    });
    let end = Instant::now() + time;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS / 2 {
        let [one, other] = &processes;
        let (one, other) = (one.clone(), other.clone());
        clients.push(tokio::spawn(async move {
            let mut tally = Tally::default();
            let mut current = issue(&one.1).await;
            while Instant::now() < end {
                current = round(&one, &other, current, &mut tally).await;
            }
            tally
        }));
    }
    let mut tally = Tally::default();
    for client in clients {
        tally.merge(client.await.unwrap());
    }
    println!("api_keys: {CLIENTS} clients on {name} for {time:?}: {tally}");
    assert!(tally.rotations > 0 && tally.wrong.is_empty());
}

type Process = (AuthLayer<ApiKeyAuthenticator>, ApiKeys);

/// Both clients use the key, rotate it at once, and go on with the key of who won.
async fn round(one: &Process, other: &Process, old: IssuedApiKey, tally: &mut Tally) -> IssuedApiKey {
    for _ in 0..10 {
        let (here, there) = tokio::join!(ask(&one.0, old.key.expose()), ask(&other.0, old.key.expose()));
        tally.expect("the current key", here, &[None]);
        tally.expect("the current key", there, &[None]);
    }
    let barrier = Barrier::new(2);
    let rotate = async |keys: &ApiKeys| {
        barrier.wait().await;
        keys.rotate(&old.record.id, GRACE).await
    };
    let (winner, loser, new) = match tokio::join!(rotate(&one.1), rotate(&other.1)) {
        (Ok(new), Err(ApiKeyError::Replaced)) => (one, other, new),
        (Err(ApiKeyError::Replaced), Ok(new)) => (other, one, new),
        outcomes => panic!("{outcomes:?}"),
    };
    let done = Instant::now();
    tally.rotations += 1;
    let ends = one.1.find(&old.record.id).await.unwrap().expires_at.unwrap();
    for process in [one, other] {
        let (of_old, of_new) =
            tokio::join!(ask(&process.0, old.key.expose()), ask(&process.0, new.key.expose()));
        tally.expect("the new key", of_new, &[None]);
        // On a busy machine the grace may be over.
        let late = SystemTime::now() >= ends;
        let expected = if late { &[None, Some("api_key_expired")][..] } else { &[None] };
        tally.expect("the old key in its grace", of_old, expected);
    }
    while done.elapsed() < GRACE + Duration::from_millis(100) {
        let (here, there) = tokio::join!(ask(&one.0, new.key.expose()), ask(&other.0, new.key.expose()));
        tally.expect("the new key", here, &[None]);
        tally.expect("the new key", there, &[None]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let expired = Some("api_key_expired");
    tally.expect("the old key after its grace", ask(&winner.0, old.key.expose()).await, &[expired]);
    // Elsewhere a verdict from before the rotation lives on for its ten seconds.
    tally.expect(
        "the old key after its grace elsewhere",
        ask(&loser.0, old.key.expose()).await,
        &[None, expired],
    );
    if tally.rotations.is_multiple_of(5) {
        one.1.revoke(&new.record.id).await.unwrap();
        tally.expect(
            "a key that was revoked here",
            ask(&one.0, new.key.expose()).await,
            &[Some("api_key_revoked")],
        );
        return issue(&one.1).await;
    }
    new
}

#[derive(Default)]
struct Tally {
    answers: BTreeMap<Option<&'static str>, usize>,
    wrong: BTreeMap<String, usize>,
    rotations: usize,
}

impl Tally {
    fn expect(&mut self, what: &str, answer: Option<&'static str>, expected: &[Option<&'static str>]) {
        *self.answers.entry(answer).or_default() += 1;
        if !expected.contains(&answer) {
            *self.wrong.entry(format!("{what}: {answer:?}")).or_default() += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        other
            .answers
            .into_iter()
            .for_each(|(answer, times)| *self.answers.entry(answer).or_default() += times);
        other.wrong.into_iter().for_each(|(answer, times)| *self.wrong.entry(answer).or_default() += times);
        self.rotations += other.rotations;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { answers, wrong, rotations } = self;
        write!(f, "{rotations} rotations, refusals {answers:?}, wrong {wrong:?}")
    }
}

pub async fn issue(keys: &ApiKeys) -> IssuedApiKey {
    keys.issue(NewApiKey::new("nightly build", "ann")).await.unwrap()
}

/// Sends each once, and gives how many there are.
async fn touch(layer: &AuthLayer<ApiKeyAuthenticator>, keys: &[String]) -> usize {
    for key in keys {
        assert_eq!(ask(layer, key).await, None);
    }
    keys.len()
}

/// Why it is refused, if it is.
async fn ask(layer: &AuthLayer<ApiKeyAuthenticator>, key: &str) -> Option<&'static str> {
    use tower::{Layer as _, ServiceExt as _};
    let handler = tower::service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(
            http::Response::new(http_body_util::Full::<bytes::Bytes>::default()),
        )
    });
    let request = Request::builder().header("x-api-key", key).body(()).unwrap();
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    response.extensions().get::<AuthError>().map(|error| error.reason().code())
}

/// Keys in memory; counts look-ups.
#[derive(Clone, Default)]
struct Store {
    memory: MemoryApiKeyStore,
    finds: Arc<[AtomicUsize; 2]>,
}

impl Store {
    /// Of keys that it has, and of others.
    fn finds(&self) -> [usize; 2] {
        self.finds.each_ref().map(|finds| finds.load(Ordering::SeqCst))
    }
}

impl ApiKeyStore for Store {
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(async move {
            let found = self.memory.find(id).await?;
            self.finds[usize::from(found.is_none())].fetch_add(1, Ordering::SeqCst);
            Ok(found)
        })
    }

    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        self.memory.insert(key)
    }

    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        self.memory.list(query)
    }

    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        self.memory.change(id, change)
    }

    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool> {
        self.memory.replace(id, by, ends)
    }

    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        self.memory.record_uses(uses)
    }
}

/// Forgets each key at once: for keys that nobody else shall know.
struct Nowhere;

fn nothing<'a, T: Send + 'a>() -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(Err(StoreError::new("nothing is kept here"))))
}

impl ApiKeyStore for Nowhere {
    fn find<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        nothing()
    }

    fn insert<'a>(&'a self, _: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn list<'a>(&'a self, _: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        nothing()
    }

    fn change<'a>(&'a self, _: &'a str, _: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        nothing()
    }

    fn replace<'a>(&'a self, _: &'a str, _: &'a StoredApiKey, _: SystemTime) -> StoreFuture<'a, bool> {
        nothing()
    }

    fn record_uses<'a>(&'a self, _: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        nothing()
    }
}
