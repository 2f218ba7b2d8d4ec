//! What a refusal offers, and to which caches an answer may go.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{
    ApiKeyAuthenticator, ApiKeyAuthenticatorBuilder, AuthLayer, Authenticator, MemoryApiKeyStore,
    require_scopes,
};
use tower::{Layer as _, ServiceExt as _};

use super::support::{issue, keys, with};
use crate::stub::{challenges, header, offers, request};
use crate::support::send;

type Configure = fn(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder;

fn layer(configure: Configure) -> AuthLayer<ApiKeyAuthenticator> {
    let keys = keys(MemoryApiKeyStore::new());
    AuthLayer::new(configure(ApiKeyAuthenticator::builder(keys)).build().unwrap())
}

#[tokio::test]
async fn a_refusal_offers_what_is_read_here_bearer_first() {
    let cases: [(Configure, &[&str]); 5] = [
        (|builder| builder, &["ApiKey"]),
        (ApiKeyAuthenticatorBuilder::no_header, &["ApiKey"]),
        (ApiKeyAuthenticatorBuilder::accept_bearer, &["Bearer", "ApiKey"]),
        (ApiKeyAuthenticatorBuilder::accept_basic, &["ApiKey", "Basic"]),
        (|builder| builder.accept_basic().accept_bearer(), &["Bearer", "ApiKey", "Basic"]),
    ];
    for (configure, expected) in cases {
        let response = send(&layer(configure), request(&[], Full::default())).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(offers(&response), expected);
        for (scheme, params) in challenges(&response) {
            assert_eq!(params.get("realm").map(String::as_str), Some("api"));
            let charset = params.get("charset").map(String::as_str);
            assert_eq!(charset, (scheme == "Basic").then_some("UTF-8"));
        }
        let named = send(&layer(configure).realm("todo"), request(&[], Full::default())).await;
        assert!(challenges(&named).iter().all(|(_, params)| params["realm"] == "todo"));
        assert_eq!(offers(&named), expected);
    }
}

#[tokio::test]
async fn only_the_scheme_that_was_used_is_told_what_was_wrong() {
    let layer = layer(|builder| builder.accept_basic().accept_bearer());
    for (line, expected) in [
        (("authorization", "ApiKey x"), ["Bearer", "ApiKey invalid_token", "Basic"]),
        (("x-api-key", "x"), ["Bearer", "ApiKey invalid_token", "Basic"]),
        (("authorization", "Bearer x"), ["Bearer invalid_token", "ApiKey", "Basic"]),
        (("authorization", "Basic eDp5"), ["Bearer", "ApiKey", "Basic invalid_token"]),
        (("authorization", "Digest x"), ["Bearer", "ApiKey", "Basic"]),
    ] {
        let response = send(&layer, request(&[line], Full::default())).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(offers(&response), expected, "{line:?}");
    }
}

#[tokio::test]
async fn a_guard_tells_which_scope_is_missing_by_the_scheme_that_was_used() {
    let keys = keys(MemoryApiKeyStore::new());
    let key = issue(&keys).await.key;
    let authenticator = ApiKeyAuthenticator::builder(keys).accept_bearer().accept_basic();
    let layer = AuthLayer::new(authenticator.build().unwrap());
    for (name, value, scheme) in [
        ("x-api-key", key.expose().to_owned(), "ApiKey"),
        ("authorization", format!("apikey {}", key.expose()), "ApiKey"),
        ("authorization", format!("bearer {}", key.expose()), "Bearer"),
    ] {
        let handler = tower::service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        for (scope, status) in [("todo:write", StatusCode::FORBIDDEN), ("todo:read", StatusCode::OK)] {
            let service = layer.layer(require_scopes([scope]).layer(handler));
            let response = service.oneshot(with(name, &value)).await.unwrap();
            assert_eq!(response.status(), status);
            if status == StatusCode::FORBIDDEN {
                assert_eq!(offers(&response), [format!("{scheme} insufficient_scope")]);
                assert_eq!(challenges(&response)[0].1["scope"], "todo:write");
                assert_eq!(header(&response, "cache-control"), Some("no-store"));
            }
        }
    }
}

/// The lines of `Cache-Control` of an answer, if the service says this of caches.
async fn cached<A: Authenticator>(
    layer: &AuthLayer<A>,
    request: Request<Full<Bytes>>,
    says: &'static [&'static str],
) -> Vec<String> {
    let handler = tower::service_fn(move |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        for line in says {
            response.headers_mut().append("cache-control", HeaderValue::from_static(line));
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    let lines = response.headers().get_all("cache-control").iter();
    lines.map(|line| line.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_answer_to_a_key_in_a_header_of_its_own_is_for_its_caller_alone() {
    let keys = keys(MemoryApiKeyStore::new());
    let key = issue(&keys).await.key;
    let build = |configure: Configure| {
        AuthLayer::new(configure(ApiKeyAuthenticator::builder(keys.clone()).accept_bearer()).build().unwrap())
    };
    let layer = build(|builder| builder);
    let renamed = build(|builder| builder.header(HeaderName::from_static("x-auth-token")));
    let cases: [(&[&str], &[&str]); 6] = [
        (&[], &["private"]),
        (&["max-age=60"], &["max-age=60", "private"]),
        (&["public, max-age=60"], &["public, max-age=60"]),
        (&["no-store"], &["no-store"]),
        (&["private"], &["private"]),
        (&["max-age=60", "s-maxage=60"], &["max-age=60", "s-maxage=60"]),
    ];
    for (says, expected) in cases {
        // What is judged now, and what is known.
        for layer in [&layer, &layer, &layer.clone().optional()] {
            assert_eq!(cached(layer, with("x-api-key", key.expose()), says).await, expected, "{says:?}");
        }
        assert_eq!(cached(&renamed, with("x-auth-token", key.expose()), says).await, expected, "{says:?}");
        // Caches know this of `Authorization` (RFC 9111 §3.5).
        for scheme in ["ApiKey", "Bearer"] {
            let value = format!("{scheme} {}", key.expose());
            assert_eq!(cached(&layer, with("authorization", &value), says).await, says, "{says:?}");
        }
        let nobody = cached(&layer.clone().optional(), request(&[], Full::default()), says).await;
        assert_eq!(nobody, says, "for everybody");
    }
    for lines in [&[("x-api-key", "x")][..], &[], &[("authorization", "ApiKey x")]] {
        let refusal = cached(&layer, request(lines, Full::default()), &[]).await;
        assert_eq!(refusal, ["no-store"], "{lines:?}");
    }
}
