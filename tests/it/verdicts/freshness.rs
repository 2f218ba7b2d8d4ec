//! How old a verdict may be: what counts is when the authority was asked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use http_body_util::Full;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{AuthLayer, JwtAuthenticator, Principal, Reason};
use tracing_subscriber::filter::LevelFilter;

use super::{
    ACCEPTED, Scene, counted, guarded, introspection_by, misconfigured, refused, seconds, settle, until,
};
use crate::log::Log;
use crate::support::{AUDIENCE, bearer, outcome, send};

const ZERO: Duration = Duration::ZERO;

#[tokio::test]
async fn an_unknown_token_costs_one_call_whatever_the_route_asks_for() {
    for age in [ZERO, seconds(60), Duration::MAX] {
        let scene = Scene::new();
        assert_eq!((scene.within(age, "a").await, scene.calls()), (ACCEPTED, 1), "{age:?}");
    }
}

#[tokio::test]
async fn a_known_token_costs_one_call_more_if_what_is_known_is_too_old() {
    let scene = Scene::with(|builder| builder.reuse_for(seconds(1000)));
    assert_eq!(scene.plain("a").await, ACCEPTED);
    // Which route after how long, and how many calls there were by then.
    for (later, age, calls) in [
        (seconds(1), None, 1),
        (ZERO, Some(seconds(1)), 1),
        (ZERO, Some(ZERO), 2),
        (Duration::from_nanos(1), Some(ZERO), 3),
        // The new verdict took the place of the old one.
        (ZERO, None, 3),
        (seconds(60), Some(seconds(60)), 3),
        (Duration::from_nanos(1), Some(seconds(61)), 3),
        (ZERO, Some(seconds(60)), 4),
        (seconds(60), Some(seconds(60)), 4),
        (seconds(500), None, 4),
    ] {
        scene.clock.advance(later);
        let answer = match age {
            Some(age) => scene.within(age, "a").await,
            None => scene.plain("a").await,
        };
        assert_eq!((answer, scene.calls()), (ACCEPTED, calls), "{later:?} {age:?}");
    }
}

#[tokio::test]
async fn a_token_that_was_called_back_is_refused_at_once_where_that_is_asked_for() {
    let scene = Scene::new();
    assert_eq!(scene.plain("a").await, ACCEPTED);
    scene.clock.advance(seconds(29));
    scene.authority.revoke("a");
    assert_eq!(scene.plain("a").await, ACCEPTED);
    assert_eq!(scene.within(seconds(29), "a").await, ACCEPTED);
    assert_eq!((scene.within(ZERO, "a").await, scene.calls()), (refused(Reason::TokenInactive), 2));
    // What was said last counts everywhere.
    assert_eq!(scene.plain("a").await, refused(Reason::TokenInactive));
    assert_eq!((scene.within(Duration::MAX, "a").await, scene.calls()), (refused(Reason::TokenInactive), 2));
}

#[tokio::test]
async fn elsewhere_it_is_refused_after_the_time_of_a_verdict() {
    for (later, expected) in [(29_999, ACCEPTED), (30_000, refused(Reason::TokenInactive))] {
        let scene = Scene::new();
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.authority.revoke("a");
        scene.clock.advance(Duration::from_millis(later));
        assert_eq!(scene.plain("a").await, expected, "{later}");
    }
}

#[tokio::test]
async fn a_verdict_is_as_old_as_the_question_and_not_as_the_answer() {
    for (age, calls) in [(seconds(6), 1), (seconds(5), 1), (seconds(4), 2)] {
        let scene = Scene::new();
        let gate = scene.authority.gate();
        let asked = {
            use portcullis::Clock as _;
            scene.clock.now()
        };
        let (layer, request) = (scene.layer.clone(), bearer("a"));
        let slow = tokio::spawn(async move { send(&layer, request).await });
        settle().await;
        scene.clock.advance(seconds(5));
        drop(gate);
        let response = slow.await.unwrap();
        assert_eq!(response.extensions().get::<Principal>().unwrap().verified_at(), asked);
        assert_eq!((scene.within(age, "a").await, scene.calls()), (ACCEPTED, calls), "{age:?}");
    }
}

#[tokio::test]
async fn a_request_joins_only_a_call_that_was_sent_late_enough_for_it() {
    let scene = Scene::new();
    assert_eq!(scene.plain("a").await, ACCEPTED);
    scene.clock.advance(seconds(20));
    let gate = scene.authority.gate();
    let first = scene.start(Some(ZERO), "a").await;
    scene.clock.advance(seconds(2));
    let joins = scene.start(Some(seconds(2)), "a").await;
    assert_eq!(scene.calls(), 2);
    for (age, calls) in [(Duration::from_millis(1999), 3), (ZERO, 3)] {
        // Sent for the first of these, at a time at which the second comes too.
        assert_eq!((scene.within(age, "a").await, scene.calls()), (ACCEPTED, calls), "{age:?}");
    }
    assert!(!first.is_finished() && !joins.is_finished());
    drop(gate);
    assert_eq!((first.await.unwrap(), joins.await.unwrap(), scene.calls()), (ACCEPTED, ACCEPTED, 3));
}

#[tokio::test]
async fn those_who_came_before_a_call_was_sent_share_it() {
    let scene = Scene::new();
    let gates = [scene.authority.gate(), scene.authority.gate()];
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(scene.start(Some(ZERO), "a").await);
        scene.later();
    }
    assert_eq!(scene.calls(), 1);
    let [first, second] = gates;
    drop(first);
    // The first is content; for the others it was asked too early, and then once for all.
    assert_eq!(requests.remove(0).await.unwrap(), ACCEPTED);
    settle().await;
    assert_eq!(scene.calls(), 2);
    drop(second);
    for request in requests {
        assert_eq!(request.await.unwrap(), ACCEPTED);
    }
    assert_eq!(scene.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_who_all_want_it_fresh_get_it_with_few_calls() {
    let server = FakeAuthorizationServer::start().await;
    let token = server.opaque_token(server.token());
    let layer = AuthLayer::new(introspection_by(&server).timeout(seconds(60)).build().unwrap());
    let (waiting, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(BTreeSet::new())));
    let gate = server.hold_introspection();
    let requests: Vec<_> = (0..1000)
        .map(|_| {
            let (layer, request) = (layer.clone(), bearer(&token));
            let (waiting, seen) = (Arc::clone(&waiting), Arc::clone(&seen));
            tokio::spawn(async move {
                let arrival = SystemTime::now();
                let response = counted(guarded(&layer, ZERO, request), &waiting).await;
                assert_eq!(outcome(&response), ACCEPTED);
                let verified_at = response.extensions().get::<Principal>().unwrap().verified_at();
                assert!(verified_at >= arrival, "{:?} too early", arrival.duration_since(verified_at));
                seen.lock().unwrap().insert(verified_at);
            })
        })
        .collect();
    until(|| waiting.load(Ordering::SeqCst) == 1000).await;
    gate.waiting(1).await;
    assert_eq!(server.counts().introspection, 1);
    gate.open();
    for request in requests {
        request.await.unwrap();
    }
    // One for the first of them, and one or a few that were sent when all had come.
    let calls = server.counts().introspection;
    assert!((2..10).contains(&calls), "{calls}");
    assert_eq!(seen.lock().unwrap().len(), calls);
}

#[tokio::test]
async fn a_jwt_needs_an_authority_where_a_fresh_verdict_is_asked_for() {
    let server = FakeAuthorizationServer::start().await;
    let jwt = || JwtAuthenticator::builder(server.issuer(), AUDIENCE);
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let alone = AuthLayer::new(jwt().build().unwrap());
    let token = server.token().build();
    assert_eq!(outcome(&send(&alone, bearer(&token)).await), ACCEPTED, "a route without a guard");
    for age in [ZERO, Duration::MAX] {
        let answer = outcome(&guarded(&alone, age, bearer(&token)).await);
        assert_eq!(answer, misconfigured(Reason::AuthorityMissing), "{age:?}");
    }
    let lines = log.take();
    assert!(lines.contains("ERROR") && lines.contains("with_introspection"), "{lines}");
    assert!(!lines.contains(&token));
    assert_eq!(server.counts().introspection, 0);

    let authority = introspection_by(&server).build().unwrap();
    let confirmed = AuthLayer::new(jwt().with_introspection(authority).build().unwrap());
    assert_eq!(outcome(&guarded(&confirmed, ZERO, bearer(&token)).await), ACCEPTED);
    assert_eq!(server.counts().introspection, 1);
    // It was confirmed a moment ago, and by no means at the moment.
    assert_eq!(outcome(&guarded(&confirmed, seconds(60), bearer(&token)).await), ACCEPTED);
    assert_eq!(server.counts().introspection, 1);
    server.revoke(&token);
    assert_eq!(outcome(&guarded(&confirmed, ZERO, bearer(&token)).await), refused(Reason::TokenInactive));
    assert_eq!(server.counts().introspection, 2);
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn nobody_is_nobody_for_such_a_guard_too() {
    let scene = Scene::new();
    let layer = scene.layer.clone().optional();
    let nobody = Request::new(Full::default());
    assert_eq!(outcome(&guarded(&layer, ZERO, nobody).await), refused(Reason::CredentialMissing));
    assert_eq!(outcome(&guarded(&layer, ZERO, bearer("a")).await), ACCEPTED);
    assert_eq!(scene.calls(), 1);
}

#[tokio::test]
async fn a_clock_on_the_wall_that_jumps_makes_nothing_fresh() {
    let far = seconds(10 * 365 * 24 * 3600);
    for jump in [UNIX_EPOCH, SystemTime::now() - seconds(3600), SystemTime::now(), SystemTime::now() + far] {
        let scene = Scene::with(|builder| builder.reuse_for(seconds(1000)));
        assert_eq!((scene.within(ZERO, "a").await, scene.calls()), (ACCEPTED, 1));
        scene.clock.advance(seconds(61));
        scene.clock.set_wall(jump);
        scene.authority.revoke("a");
        assert_eq!(scene.within(seconds(60), "a").await, refused(Reason::TokenInactive), "{jump:?}");
        assert_eq!(scene.calls(), 2);
    }
}

#[tokio::test]
async fn a_clock_on_the_wall_that_jumps_prolongs_nothing() {
    let (long_ago, ahead) = (UNIX_EPOCH + seconds(1000), SystemTime::now() + seconds(60));
    for (later, jump, calls) in [
        (29, None, 1),
        (29, Some(long_ago), 1),
        (31, None, 2),
        (31, Some(long_ago), 2),
        // A stopwatch stands still while the machine sleeps.
        (0, Some(ahead), 2),
    ] {
        let scene = Scene::new();
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.clock.advance(seconds(later));
        if let Some(jump) = jump {
            scene.clock.set_wall(jump);
        }
        assert_eq!((scene.plain("a").await, scene.calls()), (ACCEPTED, calls), "{later} {jump:?}");
    }
}
