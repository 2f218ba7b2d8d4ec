//! Fetches whose runtime ends, stands still, or was never there; and fetches whose owner goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use portcullis::http_client::{HttpClient, HttpFuture, Limits};
use portcullis::test_util::{FakeAuthorizationServer, ManualClock};
use portcullis::{AuthLayer, Issuer, JwtAuthenticator, Reason, RemoteKeySet};
use tokio::runtime::{Builder, Runtime};

use super::{ACCEPTED, JWKS, Scene, document, es256, seconds, settle, unavailable, until};
use crate::support::{AUDIENCE, ISSUER, judge, token};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_fetch_that_vanished_with_its_runtime_is_sent_again() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    scene.http.hold();
    let first = runtime();
    let lost = first.block_on(scene.start(&token(&key)));
    assert_eq!(scene.fetches(), 1);
    let second = runtime();
    second.block_on(async {
        let waiting = scene.start(&token(&key)).await;
        assert_eq!(scene.fetches(), 1, "it waits for the fetch of the other runtime");
        std::thread::spawn(move || drop(first)).join().unwrap();
        settle().await;
        assert_eq!(scene.fetches(), 2);
        scene.http.release();
        assert_eq!(waiting.await.unwrap(), ACCEPTED);
        assert!(lost.await.is_err());
    });
    assert_eq!(scene.fetches(), 2);
}

#[test]
fn a_fetch_that_vanished_after_failures_is_sent_again_too() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.break_down();
    let first = runtime();
    first.block_on(async {
        assert_eq!(scene.ask(&token(&key)).await, unavailable(Reason::KeysUnavailable));
        scene.clock.advance(seconds(1));
        scene.http.publish(&[&key]);
        scene.http.hold();
        drop(scene.start(&token(&key)).await);
    });
    assert_eq!(scene.fetches(), 2);
    drop(first);
    scene.http.release();
    assert_eq!(runtime().block_on(scene.ask(&token(&key))), ACCEPTED);
    assert_eq!(scene.fetches(), 3);
}

#[test]
fn a_refresh_that_vanished_is_sent_again_when_it_would_have_been_over() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    let first = runtime();
    first.block_on(async {
        scene.keys.warm_up().await.unwrap();
        scene.clock.advance(seconds(500));
        scene.http.hold();
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        settle().await;
    });
    drop(first);
    scene.http.release();
    runtime().block_on(async {
        for (advance, fetches) in [(4, 2), (2, 3)] {
            scene.clock.advance(seconds(advance));
            assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
            settle().await;
            assert_eq!(scene.fetches(), fetches);
        }
        assert_eq!(scene.status().age, Some(Duration::ZERO));
    });
}

#[test]
fn a_runtime_that_stands_still_holds_nobody_up() {
    let key = es256();
    let scene = Scene::new(|builder| builder.timeout(Duration::from_millis(100)));
    scene.http.publish(&[&key]);
    scene.http.hold();
    // Alive, but nobody drives it any more: its fetch neither ends nor vanishes.
    let stands_still = runtime();
    drop(stands_still.block_on(scene.start(&token(&key))));
    assert_eq!(scene.fetches(), 1);
    scene.http.release();
    runtime().block_on(async {
        assert_eq!(scene.ask(&token(&key)).await, unavailable(Reason::KeysUnavailable));
        scene.clock.advance(seconds(10));
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    });
    assert_eq!(scene.fetches(), 2);
    drop(stands_still);
    assert_eq!(scene.status().keys, 1);
}

#[test]
fn outside_of_a_runtime_known_keys_serve_and_others_are_a_misconfiguration() {
    let (known, other) = (es256(), es256());
    let scene = runtime().block_on(Scene::with(&[&known]));
    let ask = |key| poll_without_runtime(scene.ask(&token(key)));
    assert_eq!(ask(&known), ACCEPTED);
    let missing = (StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::RuntimeMissing));
    assert_eq!(ask(&other), missing);
    // Time for a refresh, then run out: the keys at hand serve all the same.
    for advance in [500, 500] {
        scene.clock.advance(seconds(advance));
        assert_eq!(ask(&known), ACCEPTED);
    }
    assert_eq!(scene.fetches(), 1);
    // A fetch of some runtime being under way changes nothing, least of all into a panic.
    scene.http.hold();
    let elsewhere = runtime();
    drop(elsewhere.block_on(scene.start(&token(&other))));
    assert_eq!(ask(&other), missing);
    assert_eq!(ask(&known), ACCEPTED);
    assert_eq!(scene.fetches(), 2);
}

/// Polls without any runtime.
fn poll_without_runtime<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..100 {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("it waits for something");
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
async fn no_fetch_outlives_its_key_set() {
    let http = Endless::default();
    let keys = RemoteKeySet::builder(JWKS).http_client(http.clone()).build().unwrap();
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys.clone()), AUDIENCE).build().unwrap();
    let layer = AuthLayer::new(jwt);
    let request = tokio::spawn({
        let (layer, token) = (layer.clone(), token(&es256()).build());
        async move { crate::support::send(&layer, crate::support::bearer(&token)).await }
    });
    until(|| http.0.load(Ordering::SeqCst) == 1).await;
    request.abort();
    assert!(request.await.is_err());
    drop(layer);
    settle().await;
    assert_eq!(http.0.load(Ordering::SeqCst), 1, "the application still has the keys");
    drop(keys);
    until(|| http.0.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_share_one_fetch() {
    for _ in 0..20 {
        let (old, new) = (es256(), es256());
        let scene = Scene::new(|builder| builder);
        scene.http.script.answer(JWKS, document(&[&old]));
        scene.http.script.delay(Duration::from_millis(5));
        let ask = |token: String| {
            let layer = scene.layer.clone();
            tokio::spawn(async move {
                crate::support::outcome(&crate::support::send(&layer, crate::support::bearer(&token)).await)
            })
        };
        let requests: Vec<_> = (0..64).map(|_| ask(token(&old).build())).collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), ACCEPTED);
        }
        assert_eq!(scene.fetches(), 1);
        scene.http.publish(&[&old, &new]);
        let requests: Vec<_> = (0..64).map(|_| ask(token(&new).build())).collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), ACCEPTED);
        }
        assert_eq!(scene.fetches(), 2);
    }
}

/// Blocks its thread in the first exchange, until it is told to go on.
#[derive(Clone, Debug)]
struct Blocking {
    http: super::Upstream,
    go_on: Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>,
    first: Arc<AtomicUsize>,
}

impl HttpClient for Blocking {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let answer = self.http.send(request, limits);
        let (go_on, first) = (Arc::clone(&self.go_on), Arc::clone(&self.first));
        Box::pin(async move {
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                go_on.lock().unwrap().recv().unwrap();
                first.fetch_add(100, Ordering::SeqCst);
            }
            answer.await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_was_given_up_brings_no_old_keys_in_the_end() {
    let (old, new) = (es256(), es256());
    let (go_on, blocked) = std::sync::mpsc::channel();
    let http = Blocking {
        http: super::Upstream::new(),
        go_on: Arc::new(std::sync::Mutex::new(blocked)),
        first: Arc::default(),
    };
    let clock = ManualClock::now();
    let keys = RemoteKeySet::builder(JWKS).http_client(http.clone()).clock(clock.clone()).build().unwrap();
    http.http.publish(&[&old]);
    let first = tokio::spawn({
        let keys = keys.clone();
        async move { keys.refresh().await }
    });
    until(|| http.first.load(Ordering::SeqCst) == 1).await;
    clock.advance(seconds(10));
    http.http.publish(&[&new]);
    keys.refresh().await.unwrap();
    go_on.send(()).unwrap();
    until(|| http.first.load(Ordering::SeqCst) > 100).await;
    let _ = first.await.unwrap();
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys.clone()), AUDIENCE).build().unwrap();
    assert!(judge(&jwt, &token(&new).build()).await.is_ok());
    assert_eq!((keys.status().fetches, keys.status().generation), (2, 0));
}

#[test]
fn the_default_client_outlives_the_runtime_that_used_it_first() {
    let home = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = home.block_on(FakeAuthorizationServer::start());
    let keys = RemoteKeySet::builder(server.jwks_uri()).allow_http().build().unwrap();
    for fetches in 1..=3 {
        runtime().block_on(keys.refresh()).unwrap();
        assert_eq!(server.counts().jwks, fetches);
    }
}
