//! What one caller, one request or one odd token may not do to others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use portcullis::http_client::HttpError;
use portcullis::test_util::{ManualClock, ScriptedHttpClient};
use portcullis::{
    Algorithm, AuthLayer, BreakerState, ClientAuth, IntrospectionAuthenticator, Issuer, Reason, RemoteKeySet,
    RequestContext,
};
use serde_json::json;

use super::super::{
    ACCEPTED, Answer, Authority, ENDPOINT, Scene, active, guarded, introspection, seconds, settle,
    unavailable,
};
use super::{Builder, INACTIVE, Line, confirmed};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, key, outcome, send, token};

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);
const PAUSED: Answer = unavailable(Reason::AuthorityPaused);

fn by_method(context: &RequestContext<'_>) -> Vec<(String, String)> {
    vec![("method".into(), context.method().to_string())]
}

/// With these a verdict is for one request, and its call ends with that.
const FOR_ONE_REQUEST: [fn(Builder) -> Builder; 2] =
    [|builder| builder.with_context(by_method), |builder| builder.reuse_for(Duration::ZERO)];

#[tokio::test]
async fn a_probe_whose_caller_goes_away_makes_room_for_the_next() {
    for configure in FOR_ONE_REQUEST {
        for goes_away in [true, false] {
            let line = Line::default();
            let scene = line.scene(configure);
            line.cut(true);
            for _ in 0..5 {
                assert_eq!(scene.plain("a").await, DOWN);
            }
            assert_eq!((scene.plain("a").await, scene.calls()), (PAUSED, 5));
            line.cut(false);
            scene.clock.advance(seconds(1));
            let gate = scene.authority.gate();
            let probe = scene.start(None, "a").await;
            assert_eq!((scene.plain("b").await, scene.calls()), (PAUSED, 6));
            if goes_away {
                probe.abort();
                settle().await;
                assert_eq!((scene.plain("b").await, scene.calls()), (ACCEPTED, 7));
            } else {
                assert_eq!((scene.plain("b").await, scene.calls()), (PAUSED, 6));
                drop(gate);
                assert_eq!(probe.await.unwrap(), ACCEPTED);
                assert_eq!((scene.plain("b").await, scene.calls()), (ACCEPTED, 7));
            }
        }
    }
}

fn json_of(body: impl Into<Bytes>) -> Result<Response<Bytes>, HttpError> {
    Ok(Response::builder().header("content-type", "application/json").body(body.into()).unwrap())
}

fn status(status: u16) -> Result<Response<Bytes>, HttpError> {
    Ok(Response::builder().status(status).body(Bytes::new()).unwrap())
}

#[tokio::test]
async fn what_is_due_to_one_odd_token_stops_nobody_from_asking_about_others() {
    type Odd = fn() -> Result<Response<Bytes>, HttpError>;
    let nested: Odd = || json_of(r#"{"active":true,"sub":"a","act":{"sub":1,"sub":2}}"#);
    let twice: Odd = || json_of(r#"{"active":true,"active":true}"#);
    let oversize: Odd = || json_of(format!(r#"{{"active":true,"sub":"{}"}}"#, "a".repeat(1 << 20)));
    let rows: [(&str, Odd, bool); 8] = [
        ("nested members twice", nested, false),
        ("members twice", twice, false),
        ("oversize", oversize, false),
        ("bad request", || status(400), false),
        ("too large", || status(413), false),
        ("no JSON", || json_of("{"), true),
        ("server error", || status(500), true),
        ("our credentials", || status(401), true),
    ];
    for (case, odd, general) in rows {
        let (http, clock) = (ScriptedHttpClient::new(), ManualClock::now());
        http.answer_by(ENDPOINT, move |request| {
            let is_odd = request.body().starts_with(b"token=odd");
            if is_odd { odd() } else { json_of(active("good").to_string()) }
        });
        let opaque = introspection(http).clock(clock).build().unwrap();
        let layer = AuthLayer::new(opaque.clone());
        let ask = async |token: &str| outcome(&send(&layer, bearer(token)).await);
        for _ in 0..5 {
            assert_eq!(ask("odd").await, DOWN, "{case}");
        }
        let (expected, breaker) =
            if general { (PAUSED, BreakerState::Open) } else { (ACCEPTED, BreakerState::Closed) };
        assert_eq!((ask("good").await, opaque.status().breaker), (expected, breaker), "{case}");
    }
}

#[tokio::test]
async fn a_probe_with_an_odd_token_leaves_the_place_to_the_next() {
    for (odd, expected) in [(400, ACCEPTED), (500, PAUSED)] {
        let (http, clock) = (ScriptedHttpClient::new(), ManualClock::now());
        http.answer_status(ENDPOINT, StatusCode::BAD_GATEWAY);
        let layer = AuthLayer::new(introspection(http.clone()).clock(clock.clone()).build().unwrap());
        let ask = async |token: &str| outcome(&send(&layer, bearer(token)).await);
        for _ in 0..5 {
            assert_eq!(ask("good").await, DOWN);
        }
        clock.advance(seconds(1));
        http.answer_by(ENDPOINT, move |request| {
            let is_odd = request.body().starts_with(b"token=odd");
            if is_odd { status(odd) } else { json_of(active("good").to_string()) }
        });
        assert_eq!(ask("odd").await, DOWN);
        assert_eq!(ask("good").await, expected, "{odd}");
    }
}

#[tokio::test]
async fn a_refusal_of_one_request_is_not_the_next_ones() {
    let default: fn(Builder) -> Builder = |builder| builder;
    for (configure, again) in
        [(FOR_ONE_REQUEST[0], (ACCEPTED, 2)), (FOR_ONE_REQUEST[1], (ACCEPTED, 2)), (default, (INACTIVE, 1))]
    {
        let scene = Scene::with(configure);
        scene.authority.revoke("a");
        assert_eq!((scene.plain("a").await, scene.calls()), (INACTIVE, 1));
        scene.authority.0.revoked.lock().unwrap().clear();
        assert_eq!((scene.plain("a").await, scene.calls()), again);
    }
}

#[tokio::test]
async fn what_a_guard_is_told_about_one_request_is_no_verdict_on_a_jwt() {
    for (configure, expected) in
        [(FOR_ONE_REQUEST[0], ACCEPTED), ((|builder| builder) as fn(Builder) -> Builder, INACTIVE)]
    {
        let (key, clock, authority) = (key(Algorithm::Ed25519), ManualClock::now(), Authority::default());
        let layer = confirmed(&key, &clock, authority.clone(), configure);
        let token = token(&key).build();
        authority.revoke(&token);
        let mut request = bearer(&token);
        *request.method_mut() = Method::DELETE;
        assert_eq!(outcome(&send(&layer, bearer(&token)).await), ACCEPTED);
        assert_eq!(outcome(&guarded(&layer, Duration::ZERO, request).await), INACTIVE);
        assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected);
    }
}

const METADATA: &str = "https://id.example/.well-known/oauth-authorization-server";
const OF_OPENID: &str = "https://id.example/.well-known/openid-configuration";

/// Metadata that names the endpoint of introspection or does not.
fn metadata(http: &ScriptedHttpClient, names_it: bool) {
    let mut document = json!({"issuer": ISSUER, "jwks_uri": "https://id.example/keys"});
    if names_it {
        document["introspection_endpoint"] = ENDPOINT.into();
    }
    for location in [METADATA, OF_OPENID] {
        http.answer_with(location, json_of(document.to_string()).unwrap());
    }
}

fn discovering(http: &ScriptedHttpClient) -> AuthLayer<IntrospectionAuthenticator> {
    let keys = RemoteKeySet::discover(ISSUER).http_client(http.clone()).build().unwrap();
    let opaque =
        IntrospectionAuthenticator::builder(Issuer::new(ISSUER, keys), ClientAuth::basic("app", "s3cret"));
    AuthLayer::new(opaque.audience(AUDIENCE).clock(ManualClock::now()).build().unwrap())
}

#[tokio::test]
async fn metadata_that_names_no_endpoint_is_read_again_and_what_names_one_is_not() {
    for named_at_first in [true, false] {
        let http = ScriptedHttpClient::new();
        http.answer_with(ENDPOINT, json_of(active("ann").to_string()).unwrap());
        metadata(&http, named_at_first);
        let layer = discovering(&http);
        let ask = async |token: &str| outcome(&send(&layer, bearer(token)).await);
        let first = if named_at_first { ACCEPTED } else { DOWN };
        assert_eq!((ask("a").await, http.count(METADATA)), (first, 1));
        metadata(&http, true);
        let read = if named_at_first { 1 } else { 2 };
        for token in ["b", "c", "d"] {
            assert_eq!((ask(token).await, http.count(METADATA)), (ACCEPTED, read));
        }
    }
}

#[tokio::test]
async fn tokens_that_the_authority_does_not_like_cause_no_reading_of_metadata() {
    for (status, read) in [(400, 1), (404, 4)] {
        let http = ScriptedHttpClient::new();
        http.answer_status(ENDPOINT, StatusCode::from_u16(status).unwrap());
        metadata(&http, true);
        let layer = discovering(&http);
        for token in ["a", "b", "c", "d"] {
            assert_eq!(outcome(&send(&layer, bearer(token)).await), DOWN);
        }
        assert_eq!((http.count(ENDPOINT), http.count(METADATA)), (4, read), "{status}");
    }
}

#[tokio::test]
async fn facts_about_the_request_replace_no_part_of_the_question() {
    let facts = |_: &RequestContext<'_>| {
        let reserved = [
            "token",
            "token_type_hint",
            "client_id",
            "client_secret",
            "client_assertion",
            "client_assertion_type",
        ];
        let mut facts: Vec<_> =
            reserved.iter().map(|name| ((*name).to_owned(), "another".to_owned())).collect();
        facts.push(("resource".into(), "todo".into()));
        facts
    };
    let (http, asked) = (ScriptedHttpClient::new(), Arc::new(Mutex::new(Vec::new())));
    let forms = Arc::clone(&asked);
    http.answer_by(ENDPOINT, move |request| {
        forms.lock().unwrap().push(String::from_utf8(request.body().to_vec()).unwrap());
        json_of(active("ann").to_string())
    });
    let issuer = issuer_of(&[&key(Algorithm::Ed25519)]);
    let opaque = IntrospectionAuthenticator::builder(issuer, ClientAuth::post("app", "s3cret"))
        .endpoint(ENDPOINT)
        .audience(AUDIENCE)
        .http_client(http)
        .with_context(facts);
    let layer = AuthLayer::new(opaque.build().unwrap());
    assert_eq!(outcome(&send(&layer, bearer("mine")).await), ACCEPTED);
    assert_eq!(*asked.lock().unwrap(), ["token=mine&resource=todo&client_id=app&client_secret=s3cret"]);
}
