//! Stores that fail, hang or answer late: what becomes of requests then, and that each is counted.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use portcullis::test_util::ManualClock;
use portcullis::{
    AuthError, Charge, MemoryRateLimits, OnStoreFailure, PeerAddr, Quota, Quotas, RateKey, RateLimitLayer,
    RateLimitStore, Reason, Standing, StoreAnswer, StoreError,
};
use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_test::mock;

use super::{TOO_OFTEN, fine, send};
use crate::stub::header;
use crate::support::outcome;

type Said = Result<Standing, StoreError>;

/// Who spends, of what, how much.
type Asked = (RateKey, Vec<(String, Quota)>, u32);

/// Says what the test sends it, one answer for each charge in their order; while nothing is expected it fails at once.
#[derive(Clone, Default)]
struct Scripted {
    gates: Arc<Mutex<Vec<oneshot::Receiver<Said>>>>,
    charges: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    fn gate(&self) -> oneshot::Sender<Said> {
        let (open, gate) = oneshot::channel();
        self.gates.lock().unwrap().insert(0, gate);
        open
    }
}

impl RateLimitStore for Scripted {
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing> {
        let quotas = charge.quotas.iter().map(|named| (named.name().to_owned(), named.quota()));
        self.charges.lock().unwrap().push((charge.key, quotas.collect(), charge.cost));
        match self.gates.lock().unwrap().pop() {
            Some(gate) => StoreAnswer::boxed(async { gate.await.unwrap() }),
            None => StoreAnswer::ready(failed()),
        }
    }
}

fn failed() -> Said {
    Err(StoreError::new("away"))
}

fn admitted() -> Said {
    Ok(Standing::new(1, [Duration::from_secs(1)]))
}

fn refused() -> Said {
    Ok(Standing::new(0, [Duration::from_secs(60)]))
}

/// One a second, sixty at once.
fn limit(store: impl RateLimitStore) -> RateLimitLayer {
    RateLimitLayer::by(Quota::per_minute(60).unwrap(), |_, request| {
        request.peer_addr().map_or_else(RateKey::anonymous, RateKey::address)
    })
    .clock(ManualClock::now())
    .store(store)
}

fn local(processes: u32) -> OnStoreFailure {
    OnStoreFailure::Local { processes: NonZeroU32::new(processes).unwrap() }
}

fn tells<B>(response: &Response<B>) -> bool {
    response.headers().contains_key("ratelimit") || response.headers().contains_key("ratelimit-policy")
}

/// A store that says what the test tells it, at once or from a future.
async fn answered(limit: RateLimitLayer, store: &Scripted, said: Option<Said>) -> Response<()> {
    if let Some(said) = said {
        let _ = store.gate().send(said);
    }
    send(&limit).await
}

#[tokio::test]
async fn without_store_requests_pass_uncounted_unless_told_otherwise() {
    // At once, and from a future.
    for said in [None, Some(failed())] {
        let store = Scripted::default();
        let limit = limit(store.clone());
        for count in 1..=100 {
            let response = answered(limit.clone(), &store, said.clone()).await;
            assert_eq!((response.status(), tells(&response)), (StatusCode::OK, false));
            assert_eq!((limit.status().store_failures, limit.status().refused), (count, 0));
        }
        // A store that answers is believed.
        let response = answered(limit.clone(), &store, Some(admitted())).await;
        assert_eq!((response.status(), tells(&response)), (StatusCode::OK, true));
        let response = answered(limit.clone(), &store, Some(refused())).await;
        assert_eq!((response.status(), tells(&response)), (TOO_OFTEN, true));
        assert_eq!(header(&response, "retry-after"), Some("1"));
        assert_eq!((limit.status().store_failures, limit.status().refused), (100, 1));
    }
}

#[tokio::test]
async fn closed_without_store_nobody_passes() {
    for said in [None, Some(failed())] {
        let store = Scripted::default();
        let limit = limit(store.clone()).on_store_failure(OnStoreFailure::Closed);
        let response = answered(limit.clone(), &store, said).await;
        let expected = (StatusCode::SERVICE_UNAVAILABLE, Some(Reason::LimitsUnavailable));
        assert_eq!(outcome(&response), expected);
        assert_eq!(response.extensions().get::<AuthError>().unwrap().reason().code(), "limits_unavailable");
        assert_eq!((header(&response, "retry-after"), tells(&response)), (Some("1"), false));
        assert_eq!((limit.status().store_failures, limit.status().refused), (1, 0));
        assert_eq!(answered(limit.clone(), &store, Some(admitted())).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn who_only_observes_closes_nothing() {
    let store = Scripted::default();
    let limit = limit(store.clone()).on_store_failure(OnStoreFailure::Closed).observe_only();
    assert_eq!(send(&limit).await.status(), StatusCode::OK);
    assert_eq!(answered(limit.clone(), &store, Some(refused())).await.status(), StatusCode::OK);
    let status = limit.status();
    assert_eq!((status.store_failures, status.would_refuse, status.refused), (1, 1, 0));
}

#[tokio::test]
async fn without_store_a_process_gives_its_share() {
    for said in [None, Some(failed())] {
        let (store, clock) = (Scripted::default(), ManualClock::now());
        let limit = limit(store.clone()).clock(clock.clone()).store(store.clone()).on_store_failure(local(4));
        let mut statuses = Vec::new();
        for _ in 0..16 {
            let response = answered(limit.clone(), &store, said.clone()).await;
            assert!(!tells(&response), "the whole is what callers know");
            statuses.push(response.status());
        }
        // 60 in a minute are 15 in a minute, one every four seconds.
        assert_eq!(statuses[..15], [StatusCode::OK; 15]);
        assert_eq!(statuses[15], TOO_OFTEN);
        let response = answered(limit.clone(), &store, said.clone()).await;
        assert_eq!(header(&response, "retry-after"), Some("4"));
        clock.advance(Duration::from_millis(3_999));
        assert_eq!(answered(limit.clone(), &store, said.clone()).await.status(), TOO_OFTEN);
        clock.advance(Duration::from_millis(1));
        assert_eq!(answered(limit.clone(), &store, said.clone()).await.status(), StatusCode::OK);
        assert_eq!((limit.status().store_failures, limit.status().refused), (19, 3));
    }
}

#[tokio::test]
async fn a_share_has_room_for_one_request_of_the_cost() {
    let limit = limit(Scripted::default()).on_store_failure(local(1_000)).cost(5).unwrap();
    assert_eq!(send(&limit).await.status(), StatusCode::OK);
    let response = send(&limit).await;
    // Five, each of which comes back after a thousand seconds.
    assert_eq!((response.status(), header(&response, "retry-after")), (TOO_OFTEN, Some("5000")));
}

#[tokio::test]
async fn a_share_names_the_quotas_that_had_no_room_and_no_others() {
    let quotas =
        Quotas::from_static([("few", Quota::per_hour(2).unwrap()), ("many", Quota::per_hour(200).unwrap())]);
    let limit = RateLimitLayer::by(quotas, |_, _| RateKey::anonymous())
        .store(Scripted::default())
        .on_store_failure(local(2));
    assert_eq!(send(&limit).await.status(), StatusCode::OK);
    let response = send(&limit).await;
    let error = response.extensions().get::<AuthError>().unwrap();
    assert_eq!(error.violated_policies().collect::<Vec<_>>(), ["few"]);
}

/// How much is remembered in this process is no reason to ask no store any more.
#[tokio::test]
async fn a_capacity_takes_no_store_away() {
    for limit in
        [limit(Scripted::default()).capacity(64), limit(Scripted::default()).clock(ManualClock::now())]
    {
        assert_eq!(send(&limit).await.status(), StatusCode::OK);
        assert_eq!(limit.status().store_failures, 1);
    }
}

#[tokio::test]
async fn a_store_is_told_who_spends_how_much_of_what() {
    let store = Scripted::default();
    let quotas = Quotas::from_static([
        ("burst", Quota::per_second(10).unwrap()),
        ("daily", Quota::per_day(5_000).unwrap()),
    ]);
    let key = RateKey::of(&["ann"]);
    let limit = RateLimitLayer::by(quotas.clone(), move |_, _| key).store(store.clone()).cost(5).unwrap();
    send(&limit).await;
    let told = quotas.as_slice().iter().map(|named| (named.name().to_owned(), named.quota())).collect();
    assert_eq!(*store.charges.lock().unwrap(), [(key, told, 5)]);
}

/// A store of one's own may say that it is of no use to come before.
#[tokio::test]
async fn a_store_may_have_callers_wait_longer() {
    let store = Scripted::default();
    let limit = limit(store.clone());
    let said = refused().map(|standing| standing.not_before(Duration::from_millis(7_300)));
    let response = answered(limit.clone(), &store, Some(said)).await;
    assert_eq!((response.status(), header(&response, "retry-after")), (TOO_OFTEN, Some("8")));
    // Never sooner than the quota has room.
    let said = refused().map(|standing| standing.not_before(Duration::from_millis(3)));
    let response = answered(limit, &store, Some(said)).await;
    assert_eq!((response.status(), header(&response, "retry-after")), (TOO_OFTEN, Some("1")));
}

/// As one does that has taken nothing ahead for a moment: its refusals are counted and told all the same.
#[tokio::test]
async fn a_refusal_names_a_quota_also_where_all_seem_to_have_room() {
    let quotas = Quotas::from_static([
        ("wide", Quota::per_minute(60).unwrap()),
        ("tight", Quota::per_minute(3).unwrap()),
    ]);
    for (tight, wide, names) in [(20, 1, &["tight"][..]), (45, 1, &["tight"]), (45, 60, &["wide", "tight"])] {
        let store = Scripted::default();
        let limit = RateLimitLayer::by(quotas.clone(), |_, _| RateKey::anonymous()).store(store.clone());
        let backlogs = [wide, tight].map(Duration::from_secs);
        let said = Standing::new(0, backlogs).not_before(Duration::from_secs(1));
        let response = answered(limit, &store, Some(Ok(said))).await;
        let error = response.extensions().get::<AuthError>().unwrap();
        assert_eq!(error.violated_policies().collect::<Vec<_>>(), names, "{tight} {wide}");
    }
}

#[tokio::test]
async fn two_layers_on_one_store_have_in_common_what_has_one_name() {
    let daily = ("daily", Quota::per_day(5).unwrap());
    let store = MemoryRateLimits::new(1_000);
    let limit = |quotas: Quotas| RateLimitLayer::by(quotas, |_, _| RateKey::anonymous()).store(store.clone());
    let both = limit(Quotas::from_static([("burst", Quota::per_minute(3).unwrap()), daily]));
    let alone = limit(Quotas::from_static([daily]));
    let mut statuses = Vec::new();
    for limit in [&both, &both, &alone, &both, &alone, &alone, &both] {
        statuses.push(send(limit).await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
}

type Mock = (
    mock::Spawn<portcullis::rate_limit::RateLimit<mock::Mock<Request<String>, Response<String>>>>,
    mock::Handle<Request<String>, Response<String>>,
);

/// The mock panics if it is called without having been ready.
fn mocked(store: &Scripted) -> Mock {
    mock::spawn_layer(limit(store.clone()))
}

fn named(name: &str) -> Request<String> {
    Request::new(name.to_owned())
}

#[tokio::test]
async fn a_store_that_knows_already_has_the_service_called_within_the_call() {
    let (mut service, mut inner) = mock::spawn_layer(limit(MemoryRateLimits::default()));
    inner.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(named("ann")));
    let (called, answer): (Request<String>, mock::SendResponse<Response<String>>) =
        assert_ready!(inner.poll_request()).unwrap();
    assert_eq!(called.body(), "ann");
    answer.send_response(Response::new("fine".into()));
    assert_eq!(assert_ready_ok!(response.poll()).body(), "fine");
}

#[tokio::test]
async fn while_requests_wait_for_the_store_each_keeps_the_service_that_was_ready_for_it() {
    let store = Scripted::default();
    let gates = [store.gate(), store.gate()];
    let (mut service, mut inner) = mocked(&store);
    inner.allow(2);
    assert_ready_ok!(service.poll_ready());
    let mut first = task::spawn(service.call(named("first")));
    assert_ready_ok!(service.poll_ready());
    let mut second = task::spawn(service.call(named("second")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(inner.poll_request());
    // The second is answered first; whether the store admits or fails makes no difference here.
    let [for_first, for_second] = gates;
    for (open, said, response, name) in
        [(for_second, failed(), &mut second, "second"), (for_first, admitted(), &mut first, "first")]
    {
        open.send(said).unwrap();
        assert!(response.is_woken(), "{name}");
        assert_pending!(response.poll());
        let (called, answer) = assert_ready!(inner.poll_request()).unwrap();
        assert_eq!(called.body(), name);
        answer.send_response(Response::new("fine".into()));
        let response = assert_ready_ok!(response.poll());
        assert_eq!((response.status(), tells(&response)), (StatusCode::OK, name == "first"));
    }
}

#[tokio::test]
async fn a_late_refusal_calls_nobody() {
    let store = Scripted::default();
    let open = store.gate();
    let (mut service, mut inner) = mocked(&store);
    inner.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(named("ann")));
    assert_pending!(response.poll());
    open.send(refused()).unwrap();
    assert_eq!(assert_ready_ok!(response.poll()).status(), TOO_OFTEN);
    assert_pending!(inner.poll_request());
}

/// Ready once, and counts how often it is called; a clone is not ready.
#[derive(Default)]
struct Once {
    ready: bool,
    calls: Arc<AtomicUsize>,
    alive: Arc<()>,
}

impl Clone for Once {
    fn clone(&self) -> Self {
        Self { ready: false, calls: Arc::clone(&self.calls), alive: Arc::clone(&self.alive) }
    }
}

impl Service<Request<String>> for Once {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn who_gives_up_while_the_store_hangs_leaves_nothing_behind() {
    let store = Scripted::default();
    let open = store.gate();
    let (calls, alive) = (Arc::default(), Arc::new(()));
    let once = Once { ready: false, calls: Arc::clone(&calls), alive: Arc::clone(&alive) };
    let limit = limit(store.clone()).on_store_failure(OnStoreFailure::Closed);
    let mut service = mock::Spawn::new(limit.layer(once));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(named("ann")));
    assert_pending!(response.poll());
    let before = Arc::strong_count(&alive);
    drop(response);
    assert!(open.is_closed(), "the store's future is dropped with the request");
    assert_eq!(Arc::strong_count(&alive), before - 1);
    assert_eq!((calls.load(Ordering::SeqCst), limit.status().store_failures), (0, 0));
    // The next one is served.
    store.gate().send(admitted()).unwrap();
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(task::spawn(service.call(named("bob"))).poll());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

/// Each of them has a share of his own.
#[tokio::test]
async fn a_share_is_kept_for_each_caller() {
    let limit = limit(Scripted::default()).on_store_failure(local(60));
    let mut statuses = Vec::new();
    for host in [1, 1, 2, 2] {
        let mut request = Request::new(());
        request.extensions_mut().insert(PeerAddr(([192, 0, 2, host], 4711).into()));
        statuses.push(limit.layer(tower::service_fn(fine)).oneshot(request).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200, 429]);
}
