//! Where an authority is asked, and where it is not.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use portcullis::test_util::{FakeAuthorizationServer, Fault, ScriptedHttpClient};
use portcullis::{
    Algorithm, AuthLayer, ConfigError, IntrospectionAuthenticator, Issuer, Reason, RemoteKeySet,
};
use serde_json::json;

use super::{ACCEPTED, Answer, ENDPOINT, Scene, active, basic, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, key, outcome, send};

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

#[tokio::test]
async fn the_endpoint_is_discovered_once_or_given() {
    let discovering = Scene::start().await;
    for _ in 0..3 {
        assert_eq!(discovering.ask(&discovering.token()).await, ACCEPTED);
    }
    let counts = discovering.server.counts();
    assert_eq!((counts.discovery, counts.introspection, counts.jwks), (1, 3, 0));

    let server = Arc::new(FakeAuthorizationServer::start().await);
    server.set_metadata("introspection_endpoint", "http://127.0.0.1:9/elsewhere");
    let given = Scene::of(&server, |builder| builder.endpoint(server.introspection_endpoint()));
    assert_eq!(given.ask(&given.token()).await, ACCEPTED);
    assert_eq!((server.counts().discovery, given.calls()), (0, 1));
}

#[tokio::test]
async fn an_endpoint_that_has_moved_is_found_again() {
    let scene = Scene::start().await;
    let (there, away) = (scene.server.introspection_endpoint(), format!("{}/away", scene.server.issuer_id()));
    scene.server.set_metadata("introspection_endpoint", away);
    let token = scene.token();
    assert_eq!(scene.ask(&token).await, DOWN);
    assert!(
        scene.last_error().ends_with("/away` answered with status 404 Not Found"),
        "{}",
        scene.last_error()
    );
    scene.server.set_metadata("introspection_endpoint", there);
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    assert_eq!(scene.server.counts().discovery, 2);
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let (scene, other) = (Scene::start().await, FakeAuthorizationServer::start().await);
    let token = scene.token();
    other.set_answer(&token, active());
    for target in
        [other.introspection_endpoint(), scene.server.introspection_endpoint(), "/introspect".into()]
    {
        let scene = Scene::of(&scene.server, |builder| builder);
        let before = scene.calls();
        scene.server.set_introspection_fault(Fault::Redirect(target.clone()));
        assert_eq!(scene.ask(&token).await, DOWN, "{target}");
        assert_eq!((scene.calls(), other.counts().introspection), (before + 1, 0), "{target}");
        scene.server.set_introspection_fault(None);
        assert_eq!(scene.ask(&token).await, ACCEPTED);
    }
}

fn built(
    issuer: &Issuer,
    endpoint: &str,
    allow_http: bool,
) -> Result<IntrospectionAuthenticator, ConfigError> {
    let builder = IntrospectionAuthenticator::builder(issuer.clone(), basic()).endpoint(endpoint);
    if allow_http { builder.allow_http() } else { builder }.build()
}

#[test]
fn a_given_endpoint_is_asked_by_https_alone_unless_http_is_allowed() {
    let issuer = issuer_of(&[&key(Algorithm::ES256)]);
    let discovered = Issuer::discover(ISSUER);
    for issuer in [&issuer, &discovered] {
        assert!(built(issuer, ENDPOINT, false).is_ok());
        let plain = "http://id.example/introspect";
        let error = built(issuer, plain, false).unwrap_err();
        assert!(matches!(&error, ConfigError::Url { url, .. } if url == plain), "{error}");
        assert!(built(issuer, plain, true).is_ok());
        for bad in ["", "/introspect", "id.example/introspect", "ftp://id.example/", "file:///etc/passwd"] {
            assert!(matches!(built(issuer, bad, true), Err(ConfigError::Url { .. })), "{bad}");
        }
    }
}

#[test]
fn http_of_given_keys_is_decided_by_their_own_setting() {
    let plain = "http://id.example/introspect";
    let keys = || RemoteKeySet::discover(ISSUER);
    let strict = Issuer::new(ISSUER, keys().build().unwrap());
    let lax = Issuer::new(ISSUER, keys().allow_http().build().unwrap());
    for (issuer, allowed) in [
        (&strict, false),
        (&strict.clone().allow_http(), false),
        (&lax, true),
        (&Issuer::discover(ISSUER), false),
        (&Issuer::discover(ISSUER).allow_http(), true),
    ] {
        assert_eq!(built(issuer, plain, false).is_ok(), allowed, "{issuer:?}");
    }
}

#[test]
fn an_endpoint_with_a_password_is_refused_and_not_repeated() {
    let issuer = issuer_of(&[&key(Algorithm::ES256)]);
    for endpoint in
        ["https://user:sesame@id.example/", "https://sesame@id.example/", "http://:sesame@id.example/"]
    {
        let builder = IntrospectionAuthenticator::builder(issuer.clone(), basic()).endpoint(endpoint);
        let debug = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        let text = format!("{error} {error:?} {debug}");
        assert!(text.contains("id.example") && !text.contains("sesame"), "{text}");
    }
    assert!(built(&issuer, "https://id.example/?key=sesame", false).is_ok());
}

const METADATA: &str = "https://id.example/.well-known/oauth-authorization-server";

/// What becomes of a request when https metadata names this endpoint; how often that was asked; what the operator is told.
async fn named(endpoint: &str) -> (Answer, usize, String) {
    let http = ScriptedHttpClient::new();
    let metadata =
        json!({"issuer": ISSUER, "jwks_uri": "https://id.example/keys", "introspection_endpoint": endpoint});
    http.answer(METADATA, metadata.to_string());
    let answer = Response::builder().header("content-type", "application/json");
    http.answer_with(endpoint, answer.body(Bytes::from(active().to_string())).unwrap());
    let keys = RemoteKeySet::discover(ISSUER).http_client(http.clone()).build().unwrap();
    let opaque = IntrospectionAuthenticator::builder(Issuer::new(ISSUER, keys), basic()).audience(AUDIENCE);
    let opaque = opaque.build().unwrap();
    let answer = outcome(&send(&AuthLayer::new(opaque.clone()), bearer("token")).await);
    assert_eq!(http.count(METADATA), 1);
    (answer, http.total() - 1, opaque.status().last_error.unwrap_or_default())
}

#[tokio::test]
async fn metadata_lead_to_https_alone() {
    assert_eq!(named(ENDPOINT).await, (ACCEPTED, 1, String::new()));
    for (bad, problem) in [
        ("http://id.example/introspect", "plain http needs `allow_http()`"),
        ("https://user:sesame@id.example/introspect", "holds credentials"),
        ("ftp://id.example/introspect", "not an https URL"),
        ("/introspect", "not an absolute URL"),
    ] {
        let (answer, calls, error) = named(bad).await;
        assert_eq!((answer, calls), (DOWN, 0), "{bad}");
        assert!(error.contains(problem) && !error.contains("sesame"), "{error}");
    }
}

#[tokio::test]
async fn the_metadata_of_another_issuer_lead_nowhere() {
    let scene = Scene::start().await;
    let (token, id) = (scene.token(), scene.server.issuer_id());
    scene.server.set_issuer_id("https://other.example");
    assert_eq!((scene.ask(&token).await, scene.calls()), (DOWN, 0));
    assert!(scene.last_error().contains("of another issuer"), "{}", scene.last_error());
    scene.server.set_issuer_id(id);
    assert_eq!((scene.ask(&token).await, scene.calls()), (ACCEPTED, 1));
}

#[tokio::test]
async fn metadata_that_did_not_name_the_endpoint_are_read_again() {
    let scene = Scene::start().await;
    let (token, endpoint) = (scene.token(), scene.server.introspection_endpoint());
    scene.server.set_metadata("introspection_endpoint", serde_json::Value::Null);
    assert_eq!(scene.ask(&token).await, DOWN);
    assert!(scene.last_error().ends_with("names no `introspection_endpoint`"), "{}", scene.last_error());
    scene.server.set_metadata("introspection_endpoint", endpoint);
    assert_eq!(scene.ask(&token).await, ACCEPTED);
}

/// Whoever sends garbage must not cause more calls than an honest caller.
#[tokio::test]
async fn an_odd_token_does_not_have_the_metadata_read_again() {
    let scene = Scene::start().await;
    scene.server.set_introspection_fault(Fault::Status(http::StatusCode::BAD_REQUEST));
    for index in 0..5 {
        assert_eq!(scene.ask(&format!("odd-{index}")).await, DOWN);
    }
    assert_eq!((scene.calls(), scene.server.counts().discovery), (5, 1));
}
