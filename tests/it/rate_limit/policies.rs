//! Several quotas at once, what a request costs, who spends, and how a refusal is told and counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use portcullis::test_util::ManualClock;
use portcullis::{
    AuthError, AuthLayer, Charge, OnStoreFailure, PeerAddr, Quota, Quotas, RateKey, RateLimitLayer,
    RateLimitStore, Reason, Standing, StoreAnswer, StoreError, problem_json,
};
use tower::ServiceExt as _;

use super::{TOO_OFTEN, admitted, app, parties, statuses};
use crate::stub::{Stub, ask, header, text};
use crate::support::outcome;

const NOW: u64 = 1_800_000_000;

/// What is left of each quota.
fn left(response: &Response<Body>) -> BTreeMap<String, u32> {
    let Some(field) = header(response, "ratelimit") else { return BTreeMap::new() };
    let left = |member: &str| {
        let (name, rest) = member.split_once(";r=").unwrap();
        (name.trim_matches('"').to_owned(), rest.split(';').next().unwrap().parse().unwrap())
    };
    field.split(", ").map(left).collect()
}

#[tokio::test]
async fn no_quota_is_spent_by_what_another_refuses() {
    let clock = ManualClock::at(NOW);
    let quotas =
        Quotas::from_static([("few", Quota::per_minute(2).unwrap()), ("many", Quota::per_hour(10).unwrap())]);
    let app = app(RateLimitLayer::per_subject(quotas).clock(clock.clone()), Stub::new("stub"));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let response = ask(&app, "GET /a", "ann").await;
        let left = left(&response);
        seen.push((response.status().as_u16(), left["few"], left["many"]));
    }
    assert_eq!(seen, [(200, 1, 9), (200, 0, 8), (429, 0, 8), (429, 0, 8), (429, 0, 8)]);
    // And the other way about.
    for _ in 0..8 {
        clock.advance(Duration::from_secs(30));
        assert_eq!(ask(&app, "GET /a", "ann").await.status(), StatusCode::OK);
    }
    clock.advance(Duration::from_secs(30));
    let refused = ask(&app, "GET /a", "ann").await;
    // Of ten an hour four and a half minutes brought less than one back.
    assert_eq!((refused.status(), left(&refused)["few"], left(&refused)["many"]), (TOO_OFTEN, 1, 0));
    let error = refused.extensions().get::<AuthError>().unwrap();
    assert_eq!(error.violated_policies().collect::<Vec<_>>(), ["many"]);
}

#[tokio::test]
async fn a_route_may_cost_more_than_another() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(12).unwrap());
    let routes = Router::new()
        .route("/dear", get(async || "").layer(limit.clone().cost(5).unwrap()))
        .route("/cheap", get(async || "").layer(limit));
    let app = routes.layer(AuthLayer::new(Stub::new("stub")));
    let mut seen = Vec::new();
    for path in ["dear", "cheap", "dear", "dear", "cheap", "cheap"] {
        let response = ask(&app, &format!("GET /{path}"), "ann").await;
        seen.push((response.status().as_u16(), left(&response)["default"]));
        if response.status() == TOO_OFTEN && path == "dear" {
            // One is left, so four have to come back, each in five minutes.
            assert_eq!(header(&response, "retry-after"), Some("1200"));
        }
    }
    assert_eq!(seen, [(200, 7), (200, 6), (200, 1), (429, 1), (200, 0), (429, 0)]);
}

#[tokio::test]
async fn a_cost_that_nobody_can_ever_pay_is_our_fault() {
    let quotas =
        Quotas::from_static([("few", Quota::per_hour(5).unwrap()), ("many", Quota::per_hour(100).unwrap())]);
    for (cost, status, reason) in [
        (5, StatusCode::OK, None),
        (6, StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::CostTooHigh)),
        (u32::MAX, StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::CostTooHigh)),
    ] {
        let limit = || RateLimitLayer::per_subject(quotas.clone()).cost(cost).unwrap();
        let response = ask(&app(limit(), Stub::new("stub")), "GET /a", "ann").await;
        assert_eq!(outcome(&response), (status, reason), "{cost}");
        // In a trial nobody is refused, for this reason neither.
        let trial = limit().observe_only();
        let response = ask(&app(trial.clone(), Stub::new("stub")), "GET /a", "ann").await;
        assert_eq!(outcome(&response), (StatusCode::OK, None), "{cost}");
        assert_eq!(trial.status().would_refuse, u64::from(reason.is_some()), "{cost}");
    }
    assert_eq!(Reason::CostTooHigh.code(), "cost_too_high");
}

#[tokio::test]
async fn who_only_observes_lets_pass_what_nobody_can_ever_pay() {
    for (observes, status, would_refuse) in [(true, 200, 1), (false, 500, 0)] {
        let limit = RateLimitLayer::per_subject(Quota::per_hour(5).unwrap()).cost(6).unwrap();
        let limit = if observes { limit.observe_only() } else { limit };
        let response = ask(&app(limit.clone(), Stub::new("stub")), "GET /a", "ann").await;
        assert_eq!((response.status().as_u16(), limit.status().would_refuse), (status, would_refuse));
    }
}

#[test]
fn cost_of_zero_is_an_error() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(5).unwrap());
    let error = limit.clone().cost(0).unwrap_err();
    assert_eq!(error.to_string(), "`cost` is `0`: must be at least 1");
    assert!(limit.cost(1).is_ok());
}

#[tokio::test]
async fn by_client_and_subject_each_user_has_one_quota_with_each_client() {
    let app = app(RateLimitLayer::per_client_and_subject(Quota::per_hour(1).unwrap()), parties("stub"));
    for (secret, expected) in
        [("~c~s", 1), ("~c~s", 0), ("~c~t", 1), ("~d~s", 1), ("~c~", 1), ("~~s", 1), ("~c~", 0), ("~~s", 0)]
    {
        assert_eq!(admitted(&app, secret).await, expected, "{secret}");
    }
}

#[tokio::test]
async fn by_address_it_does_not_matter_who_calls() {
    let app = app(RateLimitLayer::per_address(Quota::per_hour(1).unwrap()), parties("stub"));
    for (from, secret, expected) in [
        ("192.0.2.1", "~c~s", 200),
        ("192.0.2.1", "~d~t", 429),
        ("192.0.2.2", "~c~s", 200),
        ("2001:db8::1", "~c~s", 200),
        ("2001:db8::2", "~c~s", 429),
        ("2001:db8:0:1::2", "~c~s", 200),
    ] {
        let mut request = Request::get("/a")
            .header("authorization", format!("Bearer {secret}"))
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(PeerAddr((from.parse::<IpAddr>().unwrap(), 1).into()));
        let status = app.clone().oneshot(request).await.unwrap().status();
        assert_eq!(status.as_u16(), expected, "{from} {secret}");
    }
}

#[tokio::test]
async fn who_only_observes_counts_and_refuses_nobody() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(2).unwrap()).observe_only();
    let app = app(limit.clone(), Stub::new("stub"));
    assert_eq!(admitted(&app, "ann").await, 10);
    let status = limit.status();
    assert_eq!((status.would_refuse, status.refused, status.store_failures), (8, 0, 0));
}

#[tokio::test]
async fn a_refusal_has_a_body_that_names_the_quotas() {
    let quotas = Quotas::from_static([
        ("burst", Quota::per_minute(1).unwrap()),
        ("wide", Quota::per_hour(9).unwrap()),
        ("daily", Quota::per_day(1).unwrap()),
    ]);
    let routes = Router::new().route("/a", get(async || "")).layer(RateLimitLayer::per_subject(quotas));
    let app = routes.layer(AuthLayer::new(Stub::new("stub")).on_reject(problem_json::<Body>));
    assert_eq!(ask(&app, "GET /a", "ann").await.status(), StatusCode::OK);
    let response = ask(&app, "GET /a", "ann").await;
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    assert!(header(&response, "ratelimit").is_some() && header(&response, "retry-after") == Some("86400"));
    let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let expected = serde_json::json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Quota exceeded",
        "status": 429,
        "detail": body["detail"],
        "reason": "quota_exceeded",
        "violated-policies": ["burst", "daily"],
    });
    assert_eq!(body, expected);
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

/// Counters by name and labels.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<BTreeMap<String, u64>>>);

struct One(Counters, String);

impl CounterFn for One {
    fn increment(&self, value: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }

    fn absolute(&self, _: u64) {
        panic!("counters count");
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: String =
            key.labels().map(|label| format!(" {}={}", label.key(), label.value())).collect();
        Counter::from_arc(Arc::new(One(self.clone(), format!("{}{labels}", key.name()))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn what_happens_is_counted_as_metrics() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let quotas =
        Quotas::from_static([("few", Quota::per_hour(1).unwrap()), ("many", Quota::per_hour(3).unwrap())]);
    let limit = || RateLimitLayer::by(quotas.clone(), |_, _| RateKey::anonymous());
    let seen = || std::mem::take(&mut *counters.0.lock().unwrap());
    let counted = |rows: &[(&str, u64)]| -> BTreeMap<String, u64> {
        rows.iter().map(|(name, count)| (format!("portcullis_rate_limit_{name}"), *count)).collect()
    };
    for (limit, name) in [(limit(), "refused"), (limit().observe_only(), "would_refuse")] {
        let app = app(limit, Stub::new("stub"));
        assert!(seen().is_empty());
        statuses(&app, &["GET /a"; 3], "ann").await;
        assert_eq!(seen(), counted(&[(&format!("{name}_total policy=few"), 2)]));
    }
    let processes = NonZeroU32::MIN;
    for (then, outcome) in [
        (OnStoreFailure::Open, "open"),
        (OnStoreFailure::Closed, "closed"),
        (OnStoreFailure::Local { processes }, "local"),
    ] {
        let app = app(limit().store(Away).on_store_failure(then), Stub::new("stub"));
        statuses(&app, &["GET /a"; 2], "ann").await;
        let mut rows = vec![(format!("store_failures_total outcome={outcome}"), 2)];
        rows.extend((outcome == "local").then(|| ("refused_total policy=few".to_owned(), 1)));
        let rows: Vec<_> = rows.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(seen(), counted(&rows));
    }
}

struct Away;

impl RateLimitStore for Away {
    fn charge(&self, _: &Charge<'_>) -> StoreAnswer<Standing> {
        StoreAnswer::ready(Err(StoreError::new("away")))
    }
}
