//! What a request costs in allocations, counted.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use portcullis::test_util::{SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeys, Auth, AuthLayer, ClientSecret, Issuer, JwtAuthenticator, KeySet,
    MemoryApiKeyStore, MemoryClientSecrets, NewApiKey, Principal, Quota, RateLimitHeaders, RateLimitLayer,
    ScopeSet, SignedRequestAuthenticator, SigningClient, TrustedProxies, require_scopes,
};
use tower::{Layer, Service};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";

/// Without a map of extensions, and with one.
const WAYS: [fn(&str) -> Request<()>; 2] = [request, with_extensions];

type Layered = Auth<Inner, JwtAuthenticator>;

/// Answers at once and allocates nothing.
#[derive(Clone)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(request.extensions().get::<Principal>().is_some());
        ready(Ok(Response::new(Empty::new())))
    }
}

fn request(token: &str) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    request
}

/// Allocations of one call, the second of its kind; the future must be ready at once.
fn count<S: Service<Request<()>, Response = Response<Empty<Bytes>>>>(
    mut service: S,
    requests: [Request<()>; 2],
) -> u64 {
    let mut allocations = 0;
    for request in requests {
        let counted = allocation_counter::measure(|| {
            let mut future = std::pin::pin!(service.call(request));
            let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Ok(answer)) = answer else { panic!("not ready at once") };
            assert_eq!(answer.status(), 200);
        });
        allocations = counted.count_total;
    }
    allocations
}

fn authenticator(algorithm: Algorithm) -> (JwtAuthenticator, String) {
    let key = Arc::new(SigningKey::generate(algorithm));
    let keys = KeySet::parse(serde_json::json!({"keys": [key.jwk()]}).to_string()).unwrap();
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
    (jwt, TokenBuilder::new(key, ISSUER, AUDIENCE).build())
}

/// What it takes to insert the principal: three where there is no map of extensions yet, one where there is, as inside of an
/// axum router.
#[test]
fn a_known_credential_allocates_nothing_but_the_insert() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        let (jwt, token) = authenticator(algorithm);
        let service = AuthLayer::new(jwt).layer(Inner);
        assert_eq!(count(service.clone(), [request(&token), request(&token)]), 3, "{algorithm}");
        assert_eq!(count(service, [with_extensions(&token), with_extensions(&token)]), 1, "{algorithm}");
    }
}

/// Besides the insert: the claims and what their names share, the scopes, and the principal around them.
#[test]
fn a_new_token_allocates_four_times_besides_the_insert() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        let (jwt, token) = authenticator(algorithm);
        let service = AuthLayer::new(jwt).verdict_cache(0).layer(Inner);
        assert_eq!(count(service.clone(), [request(&token), request(&token)]), 7, "{algorithm}");
        assert_eq!(count(service, [with_extensions(&token), with_extensions(&token)]), 5, "{algorithm}");
    }
}

/// What is remembered is what was made for the request already. The tables of the cache grow now and then: not in most requests.
#[test]
fn to_remember_a_token_allocates_nothing_more() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        let key = Arc::new(SigningKey::generate(algorithm));
        let keys = KeySet::parse(serde_json::json!({"keys": [key.jwk()]}).to_string()).unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
        let new = || TokenBuilder::new(Arc::clone(&key), ISSUER, AUDIENCE).build();
        let median = |service: Layered, request: fn(&str) -> Request<()>| {
            let mut counts: Vec<u64> =
                (0..101).map(|_| count(service.clone(), [request(&new()), request(&new())])).collect();
            counts.sort_unstable();
            counts[50]
        };
        let remembers = AuthLayer::new(jwt.clone()).layer(Inner);
        let forgets = AuthLayer::new(jwt).verdict_cache(0).layer(Inner);
        for request in WAYS {
            assert_eq!(median(remembers.clone(), request), median(forgets.clone(), request), "{algorithm}");
        }
        let token = new();
        count(remembers.clone(), [request(&token), request(&token)]);
        assert_eq!(count(remembers, [request(&token), request(&token)]), 3, "it was remembered");
    }
}

#[test]
fn a_known_api_key_allocates_nothing_but_the_insert() {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let key = runtime.block_on(keys.issue(NewApiKey::new("a label", "ann"))).unwrap().key;
    let authenticator =
        ApiKeyAuthenticator::builder(keys).reuse_for(Duration::from_secs(60)).build().unwrap();
    let mut service = AuthLayer::new(authenticator).layer(Inner);
    let field = HeaderValue::try_from(format!("ApiKey {}", key.expose())).unwrap();
    let request = || {
        let mut request = Request::new(());
        request.headers_mut().insert("authorization", field.clone());
        request
    };
    // The store is asked in a task.
    let answer = runtime.block_on(async { service.call(request()).await });
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(count(service.clone(), [request(), request()]), 3);
    let with_extensions = || {
        let mut request = request();
        request.extensions_mut().insert("as a router does");
        request
    };
    assert_eq!(count(service, [with_extensions(), with_extensions()]), 1);
}

#[test]
fn guards_and_limits_allocate_nothing() {
    let (jwt, token) = authenticator(Algorithm::ES256);
    let auth = AuthLayer::new(jwt);
    let bare = count(auth.layer(Inner), [request(&token), request(&token)]);
    let limit = RateLimitLayer::per_client(Quota::per_minute(600).unwrap());
    let guarded = |limit: RateLimitLayer| auth.layer(limit.layer(require_scopes(["todo:read"]).layer(Inner)));
    let quiet = guarded(limit.clone().headers(RateLimitHeaders::none()));
    assert_eq!(count(quiet, [request(&token), request(&token)]), bare);
    // The map of the response's header fields, its index, and the value of one of the two fields.
    assert_eq!(count(guarded(limit), [request(&token), request(&token)]), bare + 3);
}

/// Answers with a field, so that the response has its map as in an axum router.
#[derive(Clone)]
struct InnerWithField;

impl Service<Request<()>> for InnerWithField {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        response.headers_mut().insert("content-type", const { HeaderValue::from_static("text/plain") });
        ready(Ok(response))
    }
}

/// The insert of the principal, and the value of `RateLimit`: that of `RateLimit-Policy` is shared.
#[test]
fn a_cached_token_with_limit_fields_allocates_twice() {
    let (jwt, token) = authenticator(Algorithm::ES256);
    let layers = |inner| {
        let limit = RateLimitLayer::per_client(Quota::per_minute(600).unwrap());
        AuthLayer::new(jwt.clone()).layer(limit.layer(require_scopes(["todo:read"]).layer(inner)))
    };
    let requests = || [with_extensions(&token), with_extensions(&token)];
    let inner = count(InnerWithField, requests());
    assert_eq!(count(layers(InnerWithField), requests()) - inner, 2);
}

/// Its verdict is made anew each time, without a wait and without a box.
#[test]
fn a_signed_request_allocates_three_times_besides_the_insert() {
    let secret = "3d844edf-8d35-48ac-975b-e847b4f122b0";
    let client = SigningClient::new([ClientSecret::new(secret).unwrap()], ScopeSet::parse("a").unwrap());
    let clients = || MemoryClientSecrets::from_iter([("app", client.clone())]);
    let sign = |jti: &str| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let claims = format!(r#"{{"iss":"app","iat":{now},"jti":"{jti}"}}"#);
        let message = format!("{}.{}", encode(br#"{"typ":"JWT","alg":"HS256"}"#), encode(claims.as_bytes()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), message.as_bytes());
        with_extensions(&format!("{message}.{}", encode(tag.as_ref())))
    };
    let plain = AuthLayer::new(SignedRequestAuthenticator::new(clients())).layer(Inner);
    assert_eq!(count(plain, [sign("1"), sign("2")]), 4);
    let single = SignedRequestAuthenticator::builder(clients()).single_use().build().unwrap();
    // The store of used tokens makes room now and then, for the tokens of the next second too.
    assert!(count(AuthLayer::new(single).layer(Inner), [sign("1"), sign("2")]) <= 8);
}

/// Every request asks for it. Escapes, which no proxy needs in an address, are taken out in a copy.
#[test]
fn the_address_of_a_caller_behind_proxies_allocates_nothing() {
    let count = |proxies: TrustedProxies, name: &'static str, value: &'static str| {
        let headers: HeaderMap =
            [(name.parse().unwrap(), HeaderValue::from_static(value))].into_iter().collect();
        let counted = allocation_counter::measure(|| {
            let address = proxies.client_addr([10, 0, 0, 1].into(), &headers);
            assert_eq!(address, std::net::IpAddr::from([192, 0, 2, 1]));
        });
        counted.count_total
    };
    let listed = TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
    assert_eq!(count(listed, "x-forwarded-for", "192.0.2.66, 192.0.2.1:80, 10.0.0.2"), 0);
    let forwarded = TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
    let plain = "for=192.0.2.66, for=\"192.0.2.1:80\";host=\"a,\\\"b\", for=10.0.0.2;proto=https";
    assert_eq!(count(forwarded.clone(), "forwarded", plain), 0);
    assert_ne!(count(forwarded, "forwarded", "for=\"192.0.2.\\1\", for=10.0.0.2"), 0);
}

fn with_extensions(token: &str) -> Request<()> {
    let mut request = request(token);
    request.extensions_mut().insert("as a router does");
    request
}
