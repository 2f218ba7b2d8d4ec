//! Rows 45 to 50: what comes back from an issuer, and where a fetch may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::LOCATION;
use axum::http::{StatusCode, Uri};
use portcullis::http_client::HttpError;
use portcullis::test_util::{FakeAuthorizationServer, ManualClock, ScriptedHttpClient, SigningKey};
use portcullis::{Algorithm, Issuer, JwtAuthenticator, Reason, RemoteKeySet};
use serde_json::json;

use super::{Answer, JWKS_URI, PASSED, answer, jwks, remote, unauthorized, unavailable};
use crate::support::{AUDIENCE, ISSUER, key, token};

const CLOSED: Answer = unavailable(Reason::KeysUnavailable);

const METADATA: [&str; 2] = [
    "https://id.example/.well-known/oauth-authorization-server",
    "https://id.example/.well-known/openid-configuration",
];

/// Scripts one way in which a fetch goes wrong.
type Failure = (&'static str, Box<dyn Fn(&ScriptedHttpClient)>);

/// Every way in which a fetch brings no keys.
fn failures() -> Vec<Failure> {
    let status = |code: u16| -> Box<dyn Fn(&ScriptedHttpClient)> {
        Box::new(move |http| http.answer_status(JWKS_URI, StatusCode::from_u16(code).unwrap()))
    };
    let body = |text: String| -> Box<dyn Fn(&ScriptedHttpClient)> {
        Box::new(move |http| http.answer(JWKS_URI, text.clone()))
    };
    let fail = |error: HttpError| -> Box<dyn Fn(&ScriptedHttpClient)> {
        Box::new(move |http| http.fail(JWKS_URI, error.clone()))
    };
    let oct = json!({"kty": "oct", "k": "AAAA"});
    vec![
        ("204", status(204)),
        ("302", status(302)),
        ("401", status(401)),
        ("404", status(404)),
        ("500", status(500)),
        ("nothing", body(String::new())),
        ("a page", body("<html>".into())),
        ("an empty object", body("{}".into())),
        ("a list of keys", body("[]".into())),
        ("keys that are none", body(r#"{"keys":{}}"#.into())),
        ("keys twice", body(r#"{"keys":[],"keys":[]}"#.into())),
        ("an empty set", body(r#"{"keys":[]}"#.into())),
        ("no usable key", body(jwks([oct]))),
        ("a connection that breaks", fail(HttpError::Transport("reset".into()))),
        ("a timeout", fail(HttpError::Timeout)),
        ("too much", fail(HttpError::TooLarge)),
    ]
}

#[tokio::test]
async fn row_45_without_keys_nobody_passes() {
    let (signer, mallory) = (key(Algorithm::ES256), key(Algorithm::ES256));
    for (case, script) in failures() {
        let (http, clock) = (ScriptedHttpClient::new(), ManualClock::now());
        script(&http);
        let keys = RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).clock(clock.clone());
        let layer = remote(ISSUER, keys);
        let forged = token(&signer).forged_by(&mallory).build();
        for token in [token(&signer).build(), forged.clone()] {
            assert_eq!(answer(&layer, &token).await, CLOSED, "{case}");
        }
        // What needs no key is still refused as what it is.
        let expired = token(&signer).expires_in(-60).build();
        assert_eq!(answer(&layer, &expired).await, unauthorized(Reason::TokenExpired), "{case}");
        assert_eq!(http.total(), 1, "{case}");
        http.answer(JWKS_URI, jwks([signer.jwk()]));
        clock.advance(Duration::from_secs(1));
        assert_eq!(answer(&layer, &token(&signer).build()).await, PASSED, "{case}");
        assert_eq!(answer(&layer, &forged).await, unauthorized(Reason::SignatureInvalid), "{case}");
    }
}

#[tokio::test]
async fn row_46_a_failed_refresh_keeps_good_keys_for_a_while() {
    let signer = key(Algorithm::ES256);
    let good = || token(&signer).build();
    for (case, script) in failures() {
        let (http, clock) = (ScriptedHttpClient::new(), ManualClock::now());
        let set = jwks([signer.jwk()]);
        http.answer(JWKS_URI, set.clone());
        let keys = RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).clock(clock.clone());
        let keys = keys.fresh_for(Duration::from_secs(600)).stale_for(Duration::from_secs(3600));
        let layer = remote(ISSUER, keys);
        assert_eq!(answer(&layer, &good()).await, PASSED);
        script(&http);
        clock.advance(Duration::from_secs(600));
        assert_eq!(answer(&layer, &good()).await, PASSED, "{case}: they ran out");
        assert_eq!(http.total(), 2, "{case}: and a refresh was tried");
        clock.advance(Duration::from_secs(3599));
        assert_eq!(answer(&layer, &good()).await, PASSED, "{case}: almost an hour later");
        clock.advance(Duration::from_secs(1));
        assert_eq!(answer(&layer, &good()).await, CLOSED, "{case}: an hour is the bound");
        http.answer(JWKS_URI, set);
        clock.advance(Duration::from_secs(8));
        assert_eq!(answer(&layer, &good()).await, PASSED, "{case}: the issuer is back");
    }
}

#[tokio::test]
async fn row_47_an_empty_set_is_a_failure_and_a_smaller_one_is_not() {
    let (one, two) = (key(Algorithm::ES256), key(Algorithm::ES256));
    for (document, two_answer) in [
        (jwks([]), PASSED),
        (jwks([json!({"kty": "oct", "k": "AAAA"})]), PASSED),
        (jwks([one.jwk()]), unauthorized(Reason::KeyUnknown)),
    ] {
        let (http, clock) = (ScriptedHttpClient::new(), ManualClock::now());
        http.answer(JWKS_URI, jwks([one.jwk(), two.jwk()]));
        let keys = RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).clock(clock.clone());
        let layer = remote(ISSUER, keys);
        assert_eq!(answer(&layer, &token(&two).build()).await, PASSED);
        http.answer(JWKS_URI, document.clone());
        clock.advance(Duration::from_secs(600));
        assert_eq!(answer(&layer, &token(&two).build()).await, two_answer, "{document}");
        assert_eq!(answer(&layer, &token(&one).build()).await, PASSED, "{document}");
        assert_eq!(http.total(), 2, "{document}");
    }
}

/// A server that sends everybody on to the same path of another one, and counts how often.
async fn redirecting(status: StatusCode, to: String) -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let app = Router::new().fallback(async move |uri: Uri| {
        counted.fetch_add(1, Ordering::SeqCst);
        (status, [(LOCATION, format!("{to}{}", uri.path()))])
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, count)
}

#[tokio::test]
async fn row_48_no_redirect_is_followed() {
    let evil = FakeAuthorizationServer::start().await;
    for code in [301, 302, 303, 307, 308] {
        let status = StatusCode::from_u16(code).unwrap();
        let (url, asked) = redirecting(status, evil.issuer_id()).await;
        evil.set_issuer_id(url.clone());
        let token = evil.token().claim("iss", url.as_str()).build();
        let pinned = remote(&url, RemoteKeySet::builder(format!("{url}/jwks")).allow_http());
        let discovered = remote(&url, RemoteKeySet::discover(url.clone()).allow_http());
        assert_eq!(answer(&pinned, &token).await, CLOSED, "{code}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{code}");
        assert_eq!(answer(&discovered, &token).await, CLOSED, "{code}");
        assert_eq!(asked.load(Ordering::SeqCst), 3, "both places of metadata, {code}");
        assert_eq!((evil.counts().jwks, evil.counts().discovery), (0, 0), "{code}");
        evil.set_issuer_id(format!("http://{}", evil.jwks_uri().split('/').nth(2).unwrap()));
    }
    // Asked directly, that server has keys.
    let direct = remote(&evil.issuer_id(), RemoteKeySet::builder(evil.jwks_uri()).allow_http());
    assert_eq!(answer(&direct, &evil.token().build()).await, PASSED);
    assert_eq!(evil.counts().jwks, 1);
}

/// Discovery whose metadata names this `jwks_uri`, where the keys of a signer lie.
async fn discovered(
    jwks_uri: &str,
    issuer_in_metadata: &str,
    signer: &Arc<SigningKey>,
) -> (Answer, ScriptedHttpClient) {
    let http = ScriptedHttpClient::new();
    for url in METADATA {
        http.answer(url, json!({"issuer": issuer_in_metadata, "jwks_uri": jwks_uri}).to_string());
    }
    http.answer(jwks_uri, jwks([signer.jwk()]));
    let layer = remote(ISSUER, RemoteKeySet::discover(ISSUER).http_client(http.clone()));
    (answer(&layer, &token(signer).build()).await, http)
}

#[tokio::test]
async fn row_49_metadata_leads_to_https_alone() {
    let signer = key(Algorithm::ES256);
    for jwks_uri in [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost/jwks",
        "http://id.example/jwks",
        "file:///etc/passwd",
        "ftp://id.example/jwks",
        "gopher://id.example/jwks",
        "data:application/json,{}",
        "unix:///run/docker.sock",
        "https://user:secret@id.example/jwks",
        "//id.example/jwks",
        "/jwks",
        "",
    ] {
        let (answer, http) = discovered(jwks_uri, ISSUER, &signer).await;
        assert_eq!(answer, CLOSED, "{jwks_uri}");
        assert_eq!((http.count(jwks_uri), http.total()), (0, 2), "{jwks_uri}");
    }
    let (answer, http) = discovered(JWKS_URI, ISSUER, &signer).await;
    assert_eq!(answer, PASSED);
    assert_eq!((http.count(METADATA[0]), http.count(JWKS_URI), http.total()), (1, 1, 2));
}

#[tokio::test]
async fn row_49_metadata_of_another_issuer_leads_nowhere() {
    let signer = key(Algorithm::ES256);
    for issuer in ["https://evil.test", "https://id.example/", "https://ID.example", "http://id.example", ""]
    {
        let (answer, http) = discovered(JWKS_URI, issuer, &signer).await;
        assert_eq!(answer, CLOSED, "{issuer}");
        assert_eq!((http.count(JWKS_URI), http.total()), (0, 2), "{issuer}");
    }
    assert_eq!(discovered(JWKS_URI, ISSUER, &signer).await.0, PASSED);
}

#[test]
fn row_50_plain_http_must_be_allowed_by_name() {
    let issuer = |id: &str| JwtAuthenticator::builder(Issuer::discover(id), AUDIENCE).build().is_ok();
    for (url, plain, allowed) in [
        ("https://id.example", true, true),
        ("http://id.example", false, true),
        ("http://127.0.0.1:8080", false, true),
        ("http://localhost", false, true),
        ("HTTP://id.example", false, true),
        ("https://user:secret@id.example", false, false),
        ("ws://id.example", false, false),
        ("id.example", false, false),
    ] {
        assert_eq!(issuer(url), plain, "{url}");
        assert_eq!(RemoteKeySet::builder(url).build().is_ok(), plain, "{url}");
        assert_eq!(RemoteKeySet::discover(url).build().is_ok(), plain, "{url}");
        assert_eq!(RemoteKeySet::builder(url).allow_http().build().is_ok(), allowed, "{url}");
        assert_eq!(RemoteKeySet::discover(url).allow_http().build().is_ok(), allowed, "{url}");
    }
}
