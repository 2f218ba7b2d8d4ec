//! One call to the authority for all who present the same new token, whoever of them goes away, and whatever becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use portcullis::http_client::{HttpClient, HttpFuture, Limits};
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{AuthLayer, IntrospectionAuthenticator, Reason};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{AbortHandle, JoinSet};

use super::{
    ACCEPTED, Answer, Authority, Scene, counted, introspection, introspection_by, seconds, settle,
    unavailable, until,
};
use crate::support::{bearer, outcome, send};

/// Many requests with one token in tasks of their own, before a server that holds its answers back.
struct Crowd {
    server: FakeAuthorizationServer,
    layer: AuthLayer<IntrospectionAuthenticator>,
    token: String,
    waiting: Arc<AtomicUsize>,
    requests: JoinSet<u16>,
}

impl Crowd {
    async fn new() -> Self {
        let server = FakeAuthorizationServer::start().await;
        // What is tested is not how fast a full machine is.
        let authenticator = introspection_by(&server).timeout(seconds(60)).build().unwrap();
        Self {
            token: server.opaque_token(server.token()),
            layer: AuthLayer::new(authenticator),
            waiting: Arc::default(),
            requests: JoinSet::new(),
            server,
        }
    }

    fn send(&mut self, requests: usize) -> Vec<AbortHandle> {
        let one = |_| {
            let (layer, request, waiting) = (self.layer.clone(), bearer(&self.token), self.waiting.clone());
            self.requests
                .spawn(async move { counted(send(&layer, request), &waiting).await.status().as_u16() })
        };
        (0..requests).map(one).collect()
    }

    async fn all_wait(&self, requests: usize) {
        until(|| self.waiting.load(Ordering::SeqCst) == requests).await;
    }

    /// How many got which status; nothing of those that went away.
    async fn statuses(&mut self) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        while let Some(status) = self.requests.join_next().await {
            if let Ok(status) = status {
                *statuses.entry(status).or_default() += 1;
            }
        }
        statuses
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_with_a_new_token_cost_one_call_and_another_token_another() {
    let mut crowd = Crowd::new().await;
    let gate = crowd.server.hold_introspection();
    crowd.send(10_000);
    crowd.all_wait(10_000).await;
    // Another token is another call.
    crowd.token = crowd.server.opaque_token(crowd.server.token());
    crowd.send(100);
    crowd.all_wait(10_100).await;
    gate.waiting(2).await;
    gate.open();
    assert_eq!(crowd.statuses().await, BTreeMap::from([(200, 10_100)]));
    assert_eq!(crowd.server.counts().introspection, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_of_them_that_go_away_take_nobody_along() {
    let mut crowd = Crowd::new().await;
    let gate = crowd.server.hold_introspection();
    // The first caller, who caused the call, is among those who go.
    let mut leaving = crowd.send(1);
    gate.waiting(1).await;
    leaving.extend(crowd.send(999));
    crowd.send(9_000);
    crowd.all_wait(10_000).await;
    leaving.iter().for_each(AbortHandle::abort);
    until(|| leaving.iter().all(AbortHandle::is_finished)).await;
    assert_eq!(gate.count(), 1, "the call goes on");
    gate.open();
    assert_eq!(crowd.statuses().await, BTreeMap::from([(200, 9_000)]));
    assert_eq!(crowd.server.counts().introspection, 1);
}

#[tokio::test]
async fn a_call_lands_even_if_nobody_is_left() {
    let scene = Scene::new();
    let gate = scene.authority.gate();
    let only = scene.start(None, "a").await;
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    drop(gate);
    settle().await;
    assert_eq!((scene.plain("a").await, scene.calls()), (ACCEPTED, 1));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_call_that_vanished_with_its_runtime_is_made_again() {
    let scene = Scene::new();
    let _never = scene.authority.gate();
    let first = runtime();
    let lost = first.block_on(scene.start(None, "a"));
    runtime().block_on(async {
        let waiting = scene.start(None, "a").await;
        assert_eq!(scene.calls(), 1, "it waits for the call of the other runtime");
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert_eq!(waiting.await.unwrap(), ACCEPTED);
        assert!(lost.await.unwrap_err().is_cancelled());
    });
    assert_eq!(scene.calls(), 2);
}

#[test]
fn a_call_that_a_guard_made_and_that_vanished_is_made_again_too() {
    let scene = Scene::new();
    runtime().block_on(async { assert_eq!(scene.plain("a").await, ACCEPTED) });
    scene.later();
    let _never = scene.authority.gate();
    let first = runtime();
    drop(first.block_on(scene.start(Some(Duration::ZERO), "a")));
    runtime().block_on(async {
        let waiting = scene.start(Some(seconds(0)), "a").await;
        assert_eq!(scene.calls(), 2, "it waits for the call of the other runtime");
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert_eq!(waiting.await.unwrap(), ACCEPTED);
    });
    assert_eq!(scene.calls(), 3);
}

#[test]
fn a_runtime_that_stands_still_holds_nobody_up() {
    let scene = Scene::with(|builder| builder.timeout(Duration::from_millis(100)));
    let _never = scene.authority.gate();
    // Alive, but nobody drives it any more: its call neither ends nor vanishes.
    let stands_still = runtime();
    drop(stands_still.block_on(scene.start(None, "a")));
    let start = Instant::now();
    runtime().block_on(async {
        assert_eq!(scene.plain("a").await, unavailable(Reason::AuthorityUnavailable));
        assert_eq!(scene.calls(), 1, "it did wait for that call");
        // Twice the time of a call, and a second each for the authority and for a runtime that is late.
        // One that joined it again would come to the third such time.
        assert!((2200..6500).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
        scene.clock.advance(Duration::from_millis(2200));
        assert_eq!(scene.plain("a").await, ACCEPTED);
    });
    assert_eq!(scene.calls(), 2);
    drop(stands_still);
    runtime().block_on(async { assert_eq!(scene.plain("a").await, ACCEPTED) });
    assert_eq!(scene.calls(), 2);
}

/// Panics as long as it is told to: when a request is handed over, or when its future is polled.
#[derive(Clone, Debug, Default)]
struct Panicking {
    authority: Authority,
    at_once: bool,
    panics: Arc<AtomicUsize>,
}

impl HttpClient for Panicking {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let less = self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let answer = self.authority.send(request, limits);
        if self.at_once {
            assert!(less.is_err(), "on purpose");
        }
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert!(less.is_err(), "on purpose");
            answer.await
        })
    }
}

#[tokio::test]
async fn a_client_that_panics_is_an_outage_until_it_stops() {
    for at_once in [true, false] {
        let http = Panicking { at_once, panics: Arc::new(2.into()), ..Panicking::default() };
        let layer = AuthLayer::new(introspection(http.clone()).build().unwrap());
        let both = async || -> [Answer; 2] {
            let (one, other) = tokio::join!(send(&layer, bearer("a")), send(&layer, bearer("a")));
            [outcome(&one), outcome(&other)]
        };
        for calls in 1..=2 {
            assert_eq!(both().await, [unavailable(Reason::AuthorityUnavailable); 2]);
            assert_eq!(http.authority.calls(), calls);
        }
        assert_eq!((both().await, http.authority.calls()), ([ACCEPTED; 2], 3));
    }
}

/// Never answers; counts the exchanges that are under way.
#[derive(Clone, Debug, Default)]
struct Endless(Arc<AtomicUsize>);

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl HttpClient for Endless {
    fn send(&self, _: Request<Bytes>, _: Limits) -> HttpFuture {
        self.0.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay(Arc::clone(&self.0));
        Box::pin(async move {
            let _under_way = under_way;
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn no_call_outlives_its_layer() {
    let http = Endless::default();
    // The application still has the authenticator, and the call has time: what ends it is that the layer goes.
    let authenticator = introspection(http.clone()).timeout(seconds(3600)).build().unwrap();
    let layer = AuthLayer::new(authenticator.clone());
    let clone = layer.clone();
    let request = tokio::spawn(async move { send(&clone, bearer("a")).await });
    until(|| http.0.load(Ordering::SeqCst) == 1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    settle().await;
    assert_eq!(http.0.load(Ordering::SeqCst), 1, "the layer is still there");
    drop(layer);
    until(|| http.0.load(Ordering::SeqCst) == 0).await;
    drop(authenticator);
}
