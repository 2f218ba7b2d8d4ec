//! Requests that meet: at a landing, and while what is over serves because the authority is away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use portcullis::{
    AuthFuture, AuthLayer, Authenticator, Clock as _, Credential, IntrospectionAuthenticator, Match,
    Principal, Reason, RequestContext, Verdict, require_authenticated,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _};

use super::super::{ACCEPTED, Answer, Scene, seconds, settle, unavailable, until};
use super::Line;
use crate::support::{bearer, outcome, send};

const ZERO: Duration = Duration::ZERO;

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_that_race_with_a_landing_make_no_second_call() {
    let scene = Scene::new();
    for round in 1..=500 {
        let token: Arc<str> = round.to_string().into();
        let one = |_| {
            let (layer, token) = (scene.layer.clone(), Arc::clone(&token));
            tokio::spawn(async move {
                for _ in 0..3 {
                    let answer = send(&layer, bearer(&token)).await;
                    assert_eq!(outcome(&answer), ACCEPTED);
                }
            })
        };
        let requests: Vec<_> = (0..8).map(one).collect();
        for request in requests {
            request.await.unwrap();
        }
        assert_eq!(scene.calls(), round, "one for each token");
    }
    assert_eq!((scene.plain("another").await, scene.calls()), (ACCEPTED, 501));
}

/// Judges in work that is shared. The first who asks is held up before it begins, as by a scheduler that takes his turn away.
struct Judge {
    held_up: Mutex<Option<mpsc::Receiver<()>>>,
    asked: Arc<AtomicUsize>,
    judged: Arc<AtomicUsize>,
    once: bool,
}

impl Authenticator for Judge {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, _: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        let held_up = self.held_up.lock().unwrap().take();
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(turn) = held_up {
            turn.recv_timeout(seconds(30)).unwrap();
        }
        let (judged, once) = (Arc::clone(&self.judged), self.once);
        AuthFuture::shared(seconds(5), async move {
            judged.fetch_add(1, Ordering::SeqCst);
            let hour = portcullis::SystemClock.now() + seconds(3600);
            let ann = Principal::builder("judge").subject("ann").build();
            Ok(if once { Verdict::once(ann) } else { Verdict::until(ann, hour) })
        })
    }
}

/// The race above, decided: a call is sent and lands while a request that has found nothing is about to send another.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_finds_nothing_and_comes_after_the_landing_sends_nothing() {
    for (once, calls) in [(false, 1), (true, 2)] {
        let (take_turn, turn) = mpsc::channel();
        let (asked, judged) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let held_up = Mutex::new(Some(turn));
        let judge = Judge { held_up, asked: Arc::clone(&asked), judged: Arc::clone(&judged), once };
        let layer = AuthLayer::new(judge);
        let late = layer.clone();
        let late = tokio::spawn(async move { outcome(&send(&late, bearer("a")).await) });
        until(|| asked.load(Ordering::SeqCst) == 1).await;
        assert_eq!(outcome(&send(&layer, bearer("a")).await), ACCEPTED);
        assert_eq!(judged.load(Ordering::SeqCst), 1);
        take_turn.send(()).unwrap();
        assert_eq!(late.await.unwrap(), ACCEPTED);
        assert_eq!(judged.load(Ordering::SeqCst), calls, "{once}");
    }
}

/// A token that is known, whose verdict is over, before a line that is cut or not.
async fn stale(cut: bool) -> (Line, Scene) {
    let line = Line::default();
    let scene = line.scene(|builder| builder.serve_stale(seconds(600)));
    assert_eq!(scene.plain("a").await, ACCEPTED);
    scene.clock.advance(seconds(31));
    line.cut(cut);
    (line, scene)
}

#[tokio::test]
async fn a_plain_request_that_joins_a_guards_call_is_served_what_is_over() {
    for cut in [true, false] {
        let (_line, scene) = stale(cut).await;
        let gates = [scene.authority.gate(), scene.authority.gate()];
        // First in the layer, then in the guard, which was not there when the layer's call was sent.
        let strict = scene.start(Some(ZERO), "a").await;
        let [in_layer, in_guard] = gates;
        scene.later();
        drop(in_layer);
        settle().await;
        if !cut {
            // What the layer asked for is fresh.
            assert_eq!((strict.await.unwrap(), scene.calls()), (ACCEPTED, 2));
            assert_eq!((scene.plain("a").await, scene.calls()), (ACCEPTED, 2));
            continue;
        }
        assert_eq!(scene.calls(), 3, "the guard's call is under way");
        let plain = scene.start(None, "a").await;
        assert!(!plain.is_finished() && scene.calls() == 3, "it joined");
        drop(in_guard);
        assert_eq!((strict.await.unwrap(), plain.await.unwrap()), (DOWN, ACCEPTED));
    }
}

/// A request that is held up between the layer and a guard, until there is a permit.
fn held_up(layer: &AuthLayer<IntrospectionAuthenticator>, permit: &Arc<Semaphore>) -> JoinHandle<Answer> {
    let (layer, permit) = (layer.clone(), Arc::clone(permit));
    let guard = require_authenticated().verified_within(ZERO);
    tokio::spawn(async move {
        let beneath = tower::service_fn(move |request| {
            let (permit, guard) = (Arc::clone(&permit), guard.clone());
            async move {
                permit.acquire().await.unwrap().forget();
                let handler = tower::service_fn(async |_| {
                    let response = http::Response::new(http_body_util::Full::<bytes::Bytes>::default());
                    Ok::<_, std::convert::Infallible>(response)
                });
                guard.layer(handler).oneshot(request).await
            }
        });
        outcome(&layer.layer(beneath).oneshot(bearer("a")).await.unwrap())
    })
}

#[tokio::test]
async fn a_guard_that_joins_a_plain_requests_call_is_not_served_what_is_over() {
    for (cut, expected) in [(true, DOWN), (false, ACCEPTED)] {
        let line = Line::default();
        let scene = line.scene(|builder| builder.serve_stale(seconds(600)));
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.clock.advance(seconds(29));
        let permit = Arc::new(Semaphore::new(0));
        // The layer knows the token and lets it pass.
        let strict = held_up(&scene.layer, &permit);
        settle().await;
        scene.clock.advance(seconds(2));
        line.cut(cut);
        let gate = scene.authority.gate();
        let plain = scene.start(None, "a").await;
        permit.add_permits(1);
        settle().await;
        assert!(!strict.is_finished() && scene.calls() == 2, "it joined");
        drop(gate);
        assert_eq!((strict.await.unwrap(), plain.await.unwrap()), (expected, ACCEPTED));
        assert_eq!(scene.calls(), 2);
    }
}

#[tokio::test]
async fn while_plain_routes_are_served_what_is_over_strict_ones_are_told_to_come_again() {
    for cut in [true, false] {
        let (line, scene) = stale(cut).await;
        for round in 0..30 {
            if round % 3 == 0 {
                scene.later();
            }
            let mut requests = Vec::new();
            for age in [None, Some(ZERO), None, Some(ZERO), Some(seconds(30))] {
                requests.push((age, scene.start(age, "a").await));
            }
            for (age, request) in requests {
                let (status, reason) = request.await.unwrap();
                let refused = cut && age.is_some();
                assert_eq!(status.as_u16(), if refused { 503 } else { 200 }, "{age:?} {reason:?}");
            }
        }
        line.cut(false);
        scene.clock.advance(seconds(4));
        assert_eq!(scene.within(ZERO, "a").await, ACCEPTED);
    }
}
