//! What counts as a failed attempt, what is turned away, and for how long.

use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use metrics::{Key, KeyName, Metadata, SharedString, Unit};
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{
    AuthLayer, Authenticator as _, IntrospectionAuthenticator, Quota, RateLimitLayer, Reason,
    require_authenticated,
};
use tracing_subscriber::filter::LevelFilter;

use super::{HERE, LIMITED, PASSED, REFUSED, Scene, THERE, answer, seconds, send, send_to};
use crate::attacks::at_once;
use crate::introspection::basic;
use crate::log::Log;
use crate::stub::{Stub, challenges, header};
use crate::support::{AUDIENCE, outcome};

const BEARER: &str = "authorization";

/// Lines of a request's header.
type Lines<'a> = &'a [(&'static str, &'a str)];

#[tokio::test]
async fn what_is_refused_counts_and_nothing_else() {
    let long = format!("Bearer {}", "a".repeat(70_000));
    let rows: [(&str, Lines<'_>, u16, bool); 14] = [
        ("/", &[(BEARER, "Bearer bad")], 401, true),
        ("/nowhere", &[(BEARER, "Bearer bad")], 401, true),
        ("/", &[(BEARER, "Bearer a b")], 400, true),
        ("/", &[(BEARER, "")], 400, true),
        ("/", &[(BEARER, &long)], 400, true),
        ("/", &[(BEARER, "Bearer ann"), (BEARER, "Bearer ann")], 400, true),
        ("/", &[(BEARER, "Basic YTpi")], 401, true),
        ("/", &[], 401, false),
        ("/", &[("x-api-key", "bad")], 401, false),
        ("/", &[(BEARER, "Bearer ann")], 200, false),
        ("/nowhere", &[(BEARER, "Bearer ann")], 404, false),
        ("/forbidden", &[(BEARER, "Bearer ann")], 403, false),
        ("/", &[(BEARER, "Bearer busy")], 503, false),
        ("/", &[(BEARER, "Bearer misfit")], 500, false),
    ];
    for (path, lines, status, counts) in rows {
        let app = Scene::new(Quota::per_hour(1).unwrap()).app();
        // The quota is that of one failure: whatever counts, counts once and at once.
        for times in 0..3 {
            let first = send_to(&app, path, HERE, lines).await.status().as_u16();
            let expected = if counts && times > 0 { 429 } else { status };
            assert_eq!(first, expected, "{path} {lines:.40?}");
        }
        let expected = if counts { LIMITED } else { PASSED };
        assert_eq!(answer(&app, HERE, "ann").await, expected, "{path} {lines:.40?}");
        assert_eq!(answer(&app, THERE, "ann").await, PASSED, "{path} {lines:.40?}");
    }
}

#[tokio::test]
async fn once_the_quota_is_spent_nothing_is_judged() {
    let presented: [Lines<'_>; 6] = [
        &[(BEARER, "Bearer ann")],
        &[(BEARER, "Bearer bad")],
        &[(BEARER, "Bearer busy")],
        &[(BEARER, "Bearer a b")],
        &[(BEARER, "Basic YTpi")],
        &[(BEARER, "Bearer ann"), (BEARER, "Bearer ann")],
    ];
    for optional in [false, true] {
        let scene = Scene::new(Quota::per_hour(2).unwrap());
        let app = if optional { super::app().layer(scene.layer.clone().optional()) } else { scene.app() };
        // Known to the cache, if that were looked at.
        assert_eq!(answer(&app, HERE, "ann").await, PASSED);
        for _ in 0..2 {
            assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
        }
        let asked = scene.asked.times();
        for lines in presented {
            let response = send(&app, HERE, lines).await;
            assert_eq!(outcome(&response), LIMITED, "{lines:?}");
            assert_eq!(header(&response, "retry-after"), Some("1800"));
            assert_eq!(header(&response, "cache-control"), Some("no-store"));
            assert!(challenges(&response).is_empty(), "no other credential would help");
        }
        assert_eq!(scene.asked.times(), asked, "something was judged");
        // Who presents nothing is treated as ever, and so is another address.
        let nothing = send(&app, HERE, &[]).await.status();
        assert_eq!(nothing, if optional { StatusCode::OK } else { StatusCode::UNAUTHORIZED });
        assert_eq!(answer(&app, THERE, "bad").await, REFUSED);
        assert_eq!(scene.asked.times(), asked + 1);
    }
}

#[tokio::test]
async fn who_waits_as_told_has_exactly_one_more_attempt() {
    let scene = Scene::new(Quota::per_hour(2).unwrap());
    let app = scene.app();
    for _ in 0..2 {
        assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
    }
    for attempt in ["bad", "bad", "ann"] {
        // Asking on costs nothing.
        for _ in 0..20 {
            assert_eq!(answer(&app, HERE, "bad").await, LIMITED);
        }
        scene.clock.advance(seconds(1799));
        let early = send(&app, HERE, &[(BEARER, "Bearer bad")]).await;
        assert_eq!((outcome(&early), header(&early, "retry-after")), (LIMITED, Some("1")));
        scene.clock.advance(seconds(1));
        let expected = if attempt == "bad" { REFUSED } else { PASSED };
        assert_eq!(answer(&app, HERE, attempt).await, expected);
    }
    // The last one was right, and spent nothing.
    for _ in 0..5 {
        assert_eq!(answer(&app, HERE, "ann").await, PASSED);
    }
    assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
    assert_eq!(answer(&app, HERE, "ann").await, LIMITED);
}

/// Even where both quotas are of the same address.
#[tokio::test]
async fn failures_and_requests_spend_different_quotas() {
    let scene = Scene::new(Quota::per_hour(3).unwrap());
    let exceeded = (StatusCode::TOO_MANY_REQUESTS, Some(Reason::QuotaExceeded));
    for limit in [RateLimitLayer::per_client, RateLimitLayer::per_address] {
        let app = Router::new().route("/", get(async || ""));
        let layer = scene.layer.clone().limit_failures(Quota::per_hour(3).unwrap());
        let app = app.layer(limit(Quota::per_hour(1).unwrap())).layer(layer);
        assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
        assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
        assert_eq!(answer(&app, HERE, "ann").await, PASSED, "failures spent the quota beneath");
        for _ in 0..5 {
            assert_eq!(answer(&app, HERE, "ann").await, exceeded, "refusals from beneath count as failures");
        }
        assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
        assert_eq!(answer(&app, HERE, "ann").await, LIMITED);
    }
}

#[tokio::test]
async fn an_authority_is_not_asked_for_who_has_failed_too_often() {
    let server = FakeAuthorizationServer::start().await;
    let opaque =
        IntrospectionAuthenticator::builder(server.issuer(), basic()).audience(AUDIENCE).build().unwrap();
    let guarded = get(async || "").layer(require_authenticated().verified_within(Duration::ZERO));
    let app = Router::new().route("/", get(async || "")).route("/now", guarded);
    let layer =
        AuthLayer::new(opaque.or(Stub::new("stub").api_key())).limit_failures(Quota::per_hour(1).unwrap());
    let app = app.layer(layer);
    let [ann, bob] = [(); 2].map(|()| server.opaque_token(server.token()));
    let now = async |token: &str| {
        let line = format!("Bearer {token}");
        outcome(&send_to(&app, "/now", HERE, &[(BEARER, line.as_str())]).await)
    };
    assert_eq!(answer(&app, HERE, &ann).await, PASSED);
    assert_eq!(answer(&app, HERE, &bob).await, PASSED);
    server.revoke(&ann);
    // This layer let it pass, and a guard beneath did not: no failure of the layer's own.
    let inactive = (StatusCode::UNAUTHORIZED, Some(Reason::TokenInactive));
    assert_eq!(now(&ann).await, inactive);
    assert_eq!(now(&bob).await, PASSED);
    assert_eq!(answer(&app, HERE, &ann).await, inactive, "now the layer refuses it itself");
    let calls = server.counts().introspection;
    for token in [&ann, &bob, "never-seen", "never-seen-either"] {
        assert_eq!(answer(&app, HERE, token).await, LIMITED);
        assert_eq!(now(token).await, LIMITED);
    }
    let key = send(&app, HERE, &[("x-api-key", "ann")]).await;
    assert_eq!(outcome(&key), LIMITED, "another way in is no way round");
    assert_eq!(server.counts().introspection, calls);
    assert_eq!(answer(&app, THERE, "never-seen").await, inactive);
    assert_eq!(server.counts().introspection, calls + 1);
}

#[tokio::test]
async fn operators_are_told() {
    let app = Scene::new(Quota::per_hour(1).unwrap()).app();
    let count = Counter::default();
    let (log, _guard) = Log::capture(LevelFilter::DEBUG);
    let ask = |secret| {
        let (app, count) = (&app, &count);
        let ask = || at_once(answer(app, HERE, secret)).unwrap();
        metrics::with_local_recorder(count, ask)
    };
    assert_eq!(ask("bad"), REFUSED);
    assert_eq!(count.names(), [""; 0]);
    log.take();
    assert_eq!(ask("sesame"), LIMITED);
    let line = log.take();
    assert!(line.contains("DEBUG") && line.contains("failures_exceeded") && line.contains("429"), "{line}");
    assert!(!line.contains("sesame") && !line.contains(HERE), "{line}");
    assert_eq!(count.names(), ["portcullis_failures_limited_total"]);
}

/// Remembers the name of each counter that was used.
#[derive(Default)]
struct Counter(Mutex<Vec<String>>);

impl Counter {
    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl metrics::Recorder for Counter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        self.0.lock().unwrap().push(key.name().to_owned());
        metrics::Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}
