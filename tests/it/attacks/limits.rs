//! Row 65: ways round a limit. Each is limited all the same, and another caller is not.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, Request, StatusCode};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeys, AuthLayer, Authenticator, MemoryApiKeyStore, NewApiKey,
    PeerAddr, Quota, RateLimitLayer, Reason, TrustedProxies,
};
use tower::ServiceExt as _;

use super::{Answer, PASSED, bad_request, unauthorized};
use crate::support::{jwt, key, outcome, token};

const EXCEEDED: Answer = (StatusCode::TOO_MANY_REQUESTS, Some(Reason::QuotaExceeded));
const LIMITED: Answer = (StatusCode::TOO_MANY_REQUESTS, Some(Reason::FailuresExceeded));

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

/// One quota over a route and all paths that are none.
fn app(limit: RateLimitLayer, auth: AuthLayer<impl Authenticator>) -> Router {
    Router::new().route("/a", get(async || "")).fallback(async || "").layer(limit).layer(auth)
}

/// A request from an address with these lines of header.
async fn send(app: &Router, from: &str, path: &str, lines: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    let address: IpAddr = from.parse().unwrap();
    request.extensions_mut().insert(PeerAddr(SocketAddr::new(address, 4711)));
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    outcome(&app.clone().oneshot(request).await.unwrap())
}

fn once() -> Quota {
    Quota::per_hour(1).unwrap()
}

const ADDRESS_HEADERS: [&str; 9] = [
    "x-forwarded-for",
    "X-Forwarded-For",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-originating-ip",
];

#[tokio::test]
async fn row_65_no_header_makes_another_address() {
    let signer = key(Algorithm::ES256);
    let by_address = app(RateLimitLayer::per_address(once()), AuthLayer::new(jwt(&[&signer])).optional());
    let layer = AuthLayer::new(jwt(&[&signer])).limit_failures(once());
    let by_failures = app(RateLimitLayer::per_address(Quota::per_hour(1000).unwrap()), layer);
    let good = format!("Bearer {}", token(&signer).build());
    let malformed = unauthorized(Reason::TokenMalformed);
    assert_eq!(send(&by_address, HERE, "/a", &[]).await, PASSED);
    assert_eq!(send(&by_failures, HERE, "/a", &[("authorization", "Bearer bad")]).await, malformed);
    for name in ADDRESS_HEADERS {
        for value in
            ["198.51.100.7", "for=198.51.100.7", "127.0.0.1", "2001:db8::7", "198.51.100.7, 127.0.0.1"]
        {
            let lines = [(name, value), ("authorization", good.as_str())];
            assert_eq!(send(&by_address, HERE, "/a", &lines[..1]).await, EXCEEDED, "{name}: {value}");
            assert_eq!(send(&by_failures, HERE, "/a", &lines).await, LIMITED, "{name}: {value}");
        }
    }
    // Nor does naming somebody who is limited make one limited.
    let lines = [("x-forwarded-for", HERE), ("authorization", good.as_str())];
    assert_eq!(send(&by_address, THERE, "/a", &lines[..1]).await, PASSED);
    assert_eq!(send(&by_failures, THERE, "/a", &lines).await, PASSED);
}

#[tokio::test]
async fn row_65_what_a_caller_writes_before_the_proxy_makes_no_other_address() {
    let signer = key(Algorithm::ES256);
    let proxies = || TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
    let limit = RateLimitLayer::per_address(once()).behind(proxies());
    let by_address = app(limit, AuthLayer::new(jwt(&[&signer])).optional());
    let layer = AuthLayer::new(jwt(&[&signer])).limit_failures(once()).behind(proxies());
    let by_failures = app(RateLimitLayer::per_address(Quota::per_hour(1000).unwrap()), layer);
    let good = format!("Bearer {}", token(&signer).build());
    let honest = [("x-forwarded-for", "203.0.113.1"), ("authorization", "Bearer bad")];
    assert_eq!(send(&by_address, "10.0.0.1", "/a", &honest[..1]).await, PASSED);
    let malformed = unauthorized(Reason::TokenMalformed);
    assert_eq!(send(&by_failures, "10.0.0.1", "/a", &honest).await, malformed);
    for written in ["198.51.100.7", "198.51.100.8, 198.51.100.9", "10.0.0.7", "\"", "unknown", ",,", "::1"] {
        // The proxy appends in the same line, or in one of its own.
        let appended = format!("{written}, 203.0.113.1");
        for lines in [vec![appended.as_str()], vec![written, "203.0.113.1"]] {
            let mut lines: Vec<_> = lines.into_iter().map(|line| ("x-forwarded-for", line)).collect();
            assert_eq!(send(&by_address, "10.0.0.1", "/a", &lines).await, EXCEEDED, "{lines:?}");
            lines.push(("authorization", &good));
            assert_eq!(send(&by_failures, "10.0.0.1", "/a", &lines).await, LIMITED, "{lines:?}");
        }
    }
    let other = [("x-forwarded-for", "203.0.113.1, 203.0.113.2"), ("authorization", good.as_str())];
    assert_eq!(send(&by_address, "10.0.0.1", "/a", &other[..1]).await, PASSED);
    assert_eq!(send(&by_failures, "10.0.0.1", "/a", &other).await, PASSED);
}

#[tokio::test]
async fn row_65_another_spelling_of_the_path_is_no_other_quota() {
    let signer = key(Algorithm::ES256);
    let variants =
        ["/a", "//a", "/a/", "/A", "/%61", "/a?", "/a?x=1", "/a;x", "/./a", "/b/../a", "/a%20", "/a%00", "/"];
    let bearer = |client: &str| format!("Bearer {}", token(&signer).client(client).subject(client).build());
    let (ann, bob) = (bearer("ann"), bearer("bob"));
    for first in variants {
        let quota = Quota::per_hour(1).unwrap().burst(u32::try_from(variants.len()).unwrap()).unwrap();
        let app = app(RateLimitLayer::per_client(quota), AuthLayer::new(jwt(&[&signer])));
        for _ in variants {
            assert_eq!(send(&app, HERE, first, &[("authorization", &ann)]).await, PASSED, "{first}");
        }
        for path in variants {
            assert_eq!(send(&app, HERE, path, &[("authorization", &ann)]).await, EXCEEDED, "{first} {path}");
            assert_eq!(send(&app, HERE, path, &[("authorization", &bob)]).await, PASSED, "{path}");
        }
    }
    // Failures have no path either.
    let layer = AuthLayer::new(jwt(&[&signer])).limit_failures(once());
    let app = app(RateLimitLayer::per_client(Quota::per_hour(1000).unwrap()), layer);
    let malformed = unauthorized(Reason::TokenMalformed);
    assert_eq!(send(&app, HERE, "/a", &[("authorization", "Bearer bad")]).await, malformed);
    for path in variants {
        assert_eq!(send(&app, HERE, path, &[("authorization", &ann)]).await, LIMITED, "{path}");
        assert_eq!(send(&app, THERE, path, &[("authorization", &ann)]).await, PASSED, "{path}");
    }
}

#[tokio::test]
async fn row_65_a_new_token_is_no_new_quota() {
    let signer = key(Algorithm::ES256);
    for limit in
        [RateLimitLayer::per_client, RateLimitLayer::per_subject, RateLimitLayer::per_client_and_subject]
    {
        let app = app(limit(Quota::per_hour(3).unwrap()), AuthLayer::new(jwt(&[&signer])));
        let bearer = |number: i64, who: &str| {
            let token = token(&signer).client(who).subject(who).scope(&format!("scope{number}"));
            format!("Bearer {}", token.expires_in(60 + number).claim("jti", format!("{number}")).build())
        };
        for number in 0..20 {
            let expected = if number < 3 { PASSED } else { EXCEEDED };
            assert_eq!(send(&app, HERE, "/a", &[("authorization", &bearer(number, "ann"))]).await, expected);
        }
        assert_eq!(send(&app, HERE, "/a", &[("authorization", &bearer(0, "bob"))]).await, PASSED);
    }
}

#[tokio::test]
async fn row_65_hopping_within_a_network_makes_no_other_address() {
    let signer = key(Algorithm::ES256);
    let by_address = app(RateLimitLayer::per_address(once()), AuthLayer::new(jwt(&[&signer])).optional());
    let layer = AuthLayer::new(jwt(&[&signer])).limit_failures(once());
    let by_failures = app(RateLimitLayer::per_address(Quota::per_hour(1000).unwrap()), layer);
    let good = format!("Bearer {}", token(&signer).build());
    let home = "2001:db8:1:2::1";
    let malformed = unauthorized(Reason::TokenMalformed);
    assert_eq!(send(&by_address, home, "/a", &[]).await, PASSED);
    assert_eq!(send(&by_failures, home, "/a", &[("authorization", "Bearer bad")]).await, malformed);
    for hop in 2..200_u64 {
        let from = format!("2001:db8:1:2:{:x}::{hop:x}", hop * 300);
        assert_eq!(send(&by_address, &from, "/a", &[]).await, EXCEEDED, "{from}");
        assert_eq!(send(&by_failures, &from, "/a", &[("authorization", &good)]).await, LIMITED, "{from}");
    }
    let neighbour = "2001:db8:1:3::1";
    assert_eq!(send(&by_address, neighbour, "/a", &[]).await, PASSED);
    assert_eq!(send(&by_failures, neighbour, "/a", &[("authorization", &good)]).await, PASSED);
}

#[tokio::test]
async fn row_65_another_spelling_of_the_header_is_no_other_caller() {
    let signer = key(Algorithm::ES256);
    let [ann, bob] = ["ann", "bob"].map(|who| token(&signer).client(who).subject(who).build());
    let spellings = |token: &str| {
        [
            ("authorization", format!("Bearer {token}")),
            ("Authorization", format!("bearer {token}")),
            ("AUTHORIZATION", format!("BEARER {token}")),
            ("aUTHORIZATION", format!("bEaReR     {token}")),
        ]
    };
    for (first, _) in spellings(&ann).iter().enumerate() {
        let layer = AuthLayer::new(jwt(&[&signer])).limit_failures(Quota::per_hour(2).unwrap());
        let app = app(RateLimitLayer::per_client(Quota::per_hour(1).unwrap()), layer);
        let (name, value) = &spellings(&ann)[first];
        assert_eq!(send(&app, HERE, "/a", &[(name, value)]).await, PASSED);
        for (name, value) in spellings(&ann) {
            assert_eq!(send(&app, HERE, "/a", &[(name, &value)]).await, EXCEEDED, "{name}: {value:.12}");
        }
        let (name, value) = &spellings(&bob)[first];
        assert_eq!(send(&app, HERE, "/a", &[(name, value)]).await, PASSED);
        // Twice is no way round: neither the one nor the other counts as the caller, and it is a failure.
        let several = bad_request(Reason::SeveralCredentials);
        for (second, expected) in [(&ann, several), (&bob, several), (&bob, LIMITED)] {
            let second = format!("Bearer {second}");
            let lines = [(*name, value.as_str()), ("AUTHORIZATION", second.as_str())];
            assert_eq!(send(&app, HERE, "/a", &lines).await, expected);
        }
        let carol = format!("Bearer {}", token(&signer).client("carol").subject("carol").build());
        assert_eq!(send(&app, THERE, "/a", &[("authorization", &carol)]).await, PASSED);
    }
}

#[tokio::test]
async fn row_65_a_key_in_another_place_is_the_same_caller() {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    let issue = async |owner: &str| keys.issue(NewApiKey::new("a key", owner)).await.unwrap().key;
    let (ann, bob) = (issue("ann").await, issue("bob").await);
    let places = |key: &str| {
        [
            ("x-api-key", key.to_owned()),
            ("X-API-KEY", key.to_owned()),
            ("authorization", format!("ApiKey {key}")),
            ("Authorization", format!("APIKEY  {key}")),
            ("authorization", format!("Bearer {key}")),
            ("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:")))),
        ]
    };
    for limit in [RateLimitLayer::per_client, RateLimitLayer::per_subject, RateLimitLayer::per_api_key] {
        for (first, _) in places(ann.expose()).iter().enumerate() {
            let authenticator =
                ApiKeyAuthenticator::builder(keys.clone()).accept_bearer().accept_basic().build().unwrap();
            let app = app(limit(once()), AuthLayer::new(authenticator));
            let (name, value) = &places(ann.expose())[first];
            assert_eq!(send(&app, HERE, "/a", &[(name, value)]).await, PASSED, "{name}");
            for (name, value) in places(ann.expose()) {
                assert_eq!(send(&app, HERE, "/a", &[(name, &value)]).await, EXCEEDED, "{name}: {value:.8}");
                assert_eq!(send(&app, THERE, "/a", &[(name, &value)]).await, EXCEEDED, "{name}: {value:.8}");
            }
            let (name, value) = &places(bob.expose())[first];
            assert_eq!(send(&app, HERE, "/a", &[(name, value)]).await, PASSED, "{name}");
        }
    }
}
