//! Which quotas a caller has, what a request costs, and how a refusal is told and counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use portcullis::api_key::{ApiKeyChange, ApiKeyQuery, ApiKeyUse, StoredApiKey};
use portcullis::test_util::{ManualClock, TokenBuilder};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeyRecord, ApiKeyStore, ApiKeys, AuthLayer, Authenticator,
    ClientSecret, Clock as _, JwtAuthenticator, MemoryApiKeyStore, MemoryClientSecrets, NewApiKey,
    OnStoreFailure, PeerAddr, Principal, Quota, Quotas, RateKey, RateLimitLayer, Reason, ScopeSet,
    SignedRequestAuthenticator, SigningClient, StoreAnswer, StoreError, StoreFuture, problem_json,
};
use tower::ServiceExt as _;

use super::{TOO_OFTEN, app, parties, statuses};
use crate::stub::{Stub, ask, header, text};
use crate::support::{AUDIENCE, ISSUER, issuer_of, key, outcome};

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
    let quotas = [("few", Quota::per_minute(2)), ("many", Quota::per_hour(10))];
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
    let error = refused.extensions().get::<portcullis::AuthError>().unwrap();
    assert_eq!(error.violated_policies().collect::<Vec<_>>(), ["many"]);
}

#[tokio::test]
async fn a_route_may_cost_more_than_another() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(12));
    let routes = Router::new()
        .route("/dear", get(async || "").layer(limit.clone().cost(5)))
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
    let quotas = [("few", Quota::per_hour(5)), ("many", Quota::per_hour(100))];
    for (cost, status, reason) in [
        (5, StatusCode::OK, None),
        (6, StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::CostTooHigh)),
        (u32::MAX, StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::CostTooHigh)),
    ] {
        let app = app(RateLimitLayer::per_subject(quotas).cost(cost), Stub::new("stub"));
        let response = ask(&app, "GET /a", "ann").await;
        assert_eq!(outcome(&response), (status, reason), "{cost}");
    }
    assert_eq!(Reason::CostTooHigh.code(), "cost_too_high");
}

#[test]
#[should_panic(expected = "a request costs at least one")]
fn no_request_is_free() {
    let _ = RateLimitLayer::per_subject(Quota::per_hour(5)).cost(0);
}

/// One an hour; three for `pro`; without limit for `internal`.
fn planned(limit: fn(Quota) -> RateLimitLayer) -> RateLimitLayer {
    limit(Quota::per_hour(1)).plan("pro", Quota::per_hour(3)).plan("internal", Quotas::unlimited())
}

/// How many of ten requests are admitted.
async fn admitted(app: &Router, secret: &str) -> usize {
    statuses(app, &["GET /a"; 10], secret).await.iter().filter(|status| **status == 200).count()
}

#[tokio::test]
async fn a_plan_comes_from_the_principal_a_claim_or_a_function() {
    let stub = || {
        Stub::judging(|secret| {
            let claims = match secret {
                "number" => serde_json::json!({ "tier": 3 }),
                _ => serde_json::json!({ "tier": secret }),
            };
            Ok(Principal::builder("stub").subject(secret).plan(secret).claims(claims.to_string()).build())
        })
    };
    let by_claim = || planned(RateLimitLayer::per_subject).plan_from_claim("tier");
    for (name, limit) in [
        ("principal", planned(RateLimitLayer::per_subject)),
        ("claim", by_claim()),
        (
            "function",
            planned(RateLimitLayer::per_subject).plan_by(|principal| principal.plan().map(Into::into)),
        ),
    ] {
        let app = app(limit, stub());
        for (plan, expected) in [("pro", 3), ("internal", 10), ("free", 1), ("PRO", 1)] {
            assert_eq!(admitted(&app, plan).await, expected, "{name}: {plan}");
        }
    }
    assert_eq!(admitted(&app(by_claim(), stub()), "number").await, 1);
    assert_eq!(admitted(&app(by_claim().plan_from_claim("none"), stub()), "pro").await, 1);
    // The last of two quotas for one plan counts.
    let changed = planned(RateLimitLayer::per_subject).plan("pro", Quota::per_hour(5));
    assert_eq!(admitted(&app(changed, stub()), "pro").await, 5);
}

/// Keys in memory, each of the plan that was set last.
#[derive(Clone, Default)]
struct Planned {
    memory: Arc<MemoryApiKeyStore>,
    plan: Arc<Mutex<Option<String>>>,
}

impl ApiKeyStore for Planned {
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(async move {
            let mut found = self.memory.find(id).await?;
            if let (Some(key), Some(plan)) = (&mut found, &*self.plan.lock().unwrap()) {
                key.record.plan = Some(plan.clone());
            }
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

/// A server that takes API keys, whose time moves by hand.
struct Keys {
    clock: ManualClock,
    store: Planned,
    keys: ApiKeys,
}

impl Keys {
    fn new() -> Self {
        let (clock, store) = (ManualClock::at(NOW), Planned::default());
        let keys = ApiKeys::builder("todo_live", store.clone()).clock(clock.clone()).build().unwrap();
        Self { clock, store, keys }
    }

    async fn issue(&self, client: &str, plan: Option<&str>) -> String {
        let new = NewApiKey::new("nightly build", "ann").client_id(client);
        let new = plan.into_iter().fold(new, NewApiKey::plan);
        self.keys.issue(new).await.unwrap().key.expose().to_owned()
    }

    fn app(&self, limit: RateLimitLayer) -> Router {
        let authenticator = ApiKeyAuthenticator::builder(self.keys.clone()).accept_bearer().build().unwrap();
        routes(limit, authenticator)
    }
}

fn routes<A: Authenticator>(limit: RateLimitLayer, authenticator: A) -> Router {
    Router::new().route("/a", get(async || "")).layer(limit).layer(AuthLayer::new(authenticator))
}

#[tokio::test]
async fn a_client_with_keys_of_two_plans_spends_of_each_apart() {
    let keys = Keys::new();
    let [free, pro, more, internal] =
        [("a", None), ("a", Some("pro")), ("a", Some("pro")), ("a", Some("internal"))];
    let app = keys.app(planned(RateLimitLayer::per_client));
    for (issued, expected) in [(pro, 3), (free, 1), (more, 0), (internal, 10), (("b", Some("pro")), 3)] {
        let secret = keys.issue(issued.0, issued.1).await;
        assert_eq!(admitted(&app, &secret).await, expected, "{issued:?}");
    }
    // By key each has its own.
    let app = keys.app(planned(RateLimitLayer::per_api_key));
    for (issued, expected) in [(pro, 3), (more, 3), (free, 1), (free, 1)] {
        let secret = keys.issue(issued.0, issued.1).await;
        assert_eq!(admitted(&app, &secret).await, expected, "{issued:?}");
    }
}

#[tokio::test]
async fn a_key_has_the_quota_of_its_new_plan_when_it_is_looked_up_again() {
    let keys = Keys::new();
    let app = keys.app(planned(RateLimitLayer::per_client));
    let secret = keys.issue("a", None).await;
    assert_eq!(admitted(&app, &secret).await, 1);
    *keys.store.plan.lock().unwrap() = Some("pro".into());
    assert_eq!(admitted(&app, &secret).await, 0, "the verdict holds for ten seconds");
    keys.clock.advance(Duration::from_secs(11));
    assert_eq!(admitted(&app, &secret).await, 3);
}

#[tokio::test]
async fn a_function_is_asked_once_for_a_verdict_that_is_used_again() {
    let keys = Keys::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let limit = planned(RateLimitLayer::per_client).plan_by(move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        Some("pro".into())
    });
    let app = keys.app(limit);
    let secret = keys.issue("a", None).await;
    assert_eq!(admitted(&app, &secret).await, 3);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    keys.clock.advance(Duration::from_secs(11));
    admitted(&app, &secret).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// A verdict remembers what one limit found out; the others find it out again.
#[tokio::test]
async fn several_limits_on_one_caller_are_each_right() {
    let keys = Keys::new();
    let limit = |name, quota| RateLimitLayer::per_api_key([(name, quota)]);
    let first = limit("first", Quota::per_hour(9)).plan("pro", [("first-pro", Quota::per_hour(2))]);
    let second = RateLimitLayer::per_client([("second", Quota::per_hour(3))]);
    let authenticator = ApiKeyAuthenticator::builder(keys.keys.clone()).accept_bearer().build().unwrap();
    let app = Router::new()
        .route("/a", get(async || ""))
        .layer(limit("third", Quota::per_hour(8)))
        .layer(second)
        .layer(first)
        .layer(AuthLayer::new(authenticator));
    let [pro, free] = [keys.issue("a", Some("pro")).await, keys.issue("a", None).await];
    let response = ask(&app, "GET /a", pro.as_str()).await;
    let expected = [("first-pro", 1), ("second", 2), ("third", 7)];
    let lines: Vec<_> = response.headers().get_all("ratelimit").iter().collect();
    assert_eq!(lines.len(), 3);
    for ((name, left), line) in expected.iter().rev().zip(lines) {
        assert!(line.to_str().unwrap().starts_with(&format!("\"{name}\";r={left};")), "{line:?}");
    }
    assert_eq!(admitted(&app, &pro).await, 1, "two for each key of the plan");
    assert_eq!(admitted(&app, &free).await, 1, "three for the client");
    let other = keys.issue("b", None).await;
    assert_eq!(admitted(&app, &other).await, 3);
}

#[tokio::test]
async fn the_plan_of_a_client_that_signs_and_a_claim_of_a_token() {
    let clients = MemoryClientSecrets::new();
    let secret = "3d844edf-8d35-48ac-975b-e847b4f122b0";
    for (name, plan) in [("one", Some("pro")), ("two", None)] {
        let mut client = SigningClient::new([ClientSecret::new(secret).unwrap()], ScopeSet::default());
        client.plan = plan.map(Into::into);
        clients.put(name, client);
    }
    let clock = ManualClock::now();
    let authenticator = SignedRequestAuthenticator::builder(clients).clock(clock.clone()).build().unwrap();
    let app = routes(planned(RateLimitLayer::per_client), authenticator);
    let now = clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (name, expected) in [("one", 3), ("two", 1)] {
        let mut admitted = 0;
        for number in 0..5 {
            let claims = serde_json::json!({ "iss": name, "iat": now, "jti": number.to_string() });
            let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
            let signing = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
            let token = jsonwebtoken::encode(&header, &claims, &signing).unwrap();
            let status = ask(&app, "GET /a", token.as_str()).await.status();
            assert!(status == StatusCode::OK || status == TOO_OFTEN, "{status}");
            admitted += usize::from(status == StatusCode::OK);
        }
        assert_eq!(admitted, expected, "{name}");
    }
    let key = key(Algorithm::ES256);
    let jwt = JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE).build().unwrap();
    let app = routes(planned(RateLimitLayer::per_subject).plan_from_claim("tier"), jwt);
    for (subject, tier, expected) in [("ann", "pro", 3), ("bob", "other", 1)] {
        let token = TokenBuilder::new(Arc::clone(&key), ISSUER, AUDIENCE);
        let token = token.subject(subject).claim("tier", tier).build();
        assert_eq!(admitted(&app, &token).await, expected, "{tier}");
    }
}

#[tokio::test]
async fn by_client_and_subject_each_user_has_one_quota_with_each_client() {
    let app = app(RateLimitLayer::per_client_and_subject(Quota::per_hour(1)), parties("stub"));
    for (secret, expected) in
        [("~c~s", 1), ("~c~s", 0), ("~c~t", 1), ("~d~s", 1), ("~c~", 1), ("~~s", 1), ("~c~", 0), ("~~s", 0)]
    {
        assert_eq!(admitted(&app, secret).await, expected, "{secret}");
    }
}

#[tokio::test]
async fn by_address_it_does_not_matter_who_calls() {
    let app = app(RateLimitLayer::per_address(Quota::per_hour(1)), parties("stub"));
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
        request.extensions_mut().insert(PeerAddr((from.parse::<std::net::IpAddr>().unwrap(), 1).into()));
        let status = app.clone().oneshot(request).await.unwrap().status();
        assert_eq!(status.as_u16(), expected, "{from} {secret}");
    }
}

#[tokio::test]
async fn who_only_observes_counts_and_refuses_nobody() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(2)).observe_only();
    let app = app(limit.clone(), Stub::new("stub"));
    assert_eq!(admitted(&app, "ann").await, 10);
    let status = limit.status();
    assert_eq!((status.would_refuse, status.refused, status.store_failures), (8, 0, 0));
}

#[tokio::test]
async fn a_refusal_has_a_body_that_names_the_quotas() {
    let quotas =
        [("burst", Quota::per_minute(1)), ("wide", Quota::per_hour(9)), ("daily", Quota::per_day(1))];
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
    let quotas = [("few", Quota::per_hour(1)), ("many", Quota::per_hour(3))];
    let limit = || RateLimitLayer::by(quotas, |_, _| RateKey::anonymous());
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
    let processes = std::num::NonZeroU32::MIN;
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

impl portcullis::RateLimitStore for Away {
    fn charge(&self, _: &portcullis::Charge<'_>) -> StoreAnswer<portcullis::Standing> {
        StoreAnswer::ready(Err(StoreError::new("away")))
    }
}
