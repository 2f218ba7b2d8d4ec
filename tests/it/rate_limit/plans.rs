//! Quotas by plan: of API keys, of clients that sign, by a claim or by a function.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis::api_key::{ApiKeyChange, ApiKeyQuery, ApiKeyUse, StoredApiKey};
use portcullis::test_util::{ManualClock, TokenBuilder};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeyRecord, ApiKeyStore, ApiKeys, AuthLayer, Authenticator,
    ClientSecret, Clock as _, JwtAuthenticator, MemoryApiKeyStore, MemoryClientSecrets, NewApiKey, Principal,
    Quota, Quotas, RateLimitLayer, ScopeSet, SignedRequestAuthenticator, SigningClient, StoreFuture,
};

use super::{TOO_OFTEN, admitted, app};
use crate::stub::{Stub, ask};
use crate::support::{AUDIENCE, ISSUER, issuer_of, key};

const NOW: u64 = 1_800_000_000;

/// One an hour; three for `pro`; without limit for `internal`.
fn planned(limit: fn(Quota) -> RateLimitLayer) -> RateLimitLayer {
    limit(Quota::per_hour(1).unwrap())
        .plan("pro", Quota::per_hour(3).unwrap())
        .plan("internal", Quotas::unlimited())
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
    let changed = planned(RateLimitLayer::per_subject).plan("pro", Quota::per_hour(5).unwrap());
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
    let limit = |name, quota| RateLimitLayer::per_api_key(Quotas::from_static([(name, quota)]));
    let first = limit("first", Quota::per_hour(9).unwrap())
        .plan("pro", Quotas::from_static([("first-pro", Quota::per_hour(2).unwrap())]));
    let second = RateLimitLayer::per_client(Quotas::from_static([("second", Quota::per_hour(3).unwrap())]));
    let authenticator = ApiKeyAuthenticator::builder(keys.keys.clone()).accept_bearer().build().unwrap();
    let app = Router::new()
        .route("/a", get(async || ""))
        .layer(limit("third", Quota::per_hour(8).unwrap()))
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
