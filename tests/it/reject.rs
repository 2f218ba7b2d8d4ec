//! What a refusal looks like: status, challenges, `Retry-After`, `Cache-Control` and body, whoever refused.

use std::time::Duration;

use axum::body::Body;
use axum::handler::Handler as _;
use axum::middleware::map_response;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use portcullis::extract::{Scoped, Scopes};
use portcullis::{
    AuthError, AuthLayer, Authenticator, Challenge, Presentation, Principal, Quota, RateLimitLayer, Reason,
    problem_json, require_scopes,
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::stub::{Stub, ask, challenges, header, offers, request, text};
use crate::support::{outcome, send};

/// The challenge of keys is named first on purpose: Bearer must come first nevertheless.
fn both() -> AuthLayer<impl Authenticator> {
    AuthLayer::new(Stub::new("key").api_key().or(Stub::new("bearer")))
}

async fn refused<A: Authenticator>(
    layer: &AuthLayer<A>,
    lines: &[(&'static str, &str)],
) -> Response<Full<Bytes>> {
    let response = send(layer, request(lines, Full::default())).await;
    assert_ne!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(outcome(&response).1.map(|reason| AuthError::from(reason).status()), Some(response.status()));
    response
}

#[tokio::test]
async fn only_the_scheme_that_was_used_hears_what_was_wrong() {
    type Lines<'a> = &'a [(&'static str, &'a str)];
    let rows: &[(Lines<'_>, u16, &[&str])] = &[
        // RFC 6750 §3.1: no error where nothing was sent, or a method that is not supported.
        (&[], 401, &["Bearer", "ApiKey"]),
        (&[("authorization", "Basic YTpi")], 401, &["Bearer", "ApiKey"]),
        (&[("authorization", "Negotiate")], 401, &["Bearer", "ApiKey"]),
        (&[("authorization", "Bearer bad")], 401, &["Bearer invalid_token", "ApiKey"]),
        (&[("authorization", "bearer bad")], 401, &["Bearer invalid_token", "ApiKey"]),
        (&[("x-api-key", "bad")], 401, &["Bearer", "ApiKey invalid_token"]),
        (&[("authorization", "Bearer a b")], 400, &["Bearer invalid_request", "ApiKey invalid_request"]),
        // Not judged: there is no better credential to ask for.
        (&[("authorization", "Bearer busy")], 503, &[]),
    ];
    for (lines, status, expected) in rows {
        let response = refused(&both(), lines).await;
        assert_eq!(response.status().as_u16(), *status, "{lines:?}");
        assert_eq!(offers(&response), *expected, "{lines:?}");
        assert!(response.body().clone().into_inner().unwrap_or_default().is_empty(), "no body by default");
    }
}

#[tokio::test]
async fn a_single_scheme_hears_it_wherever_the_credential_stood() {
    let layer = AuthLayer::new(Stub::new("key").api_key());
    assert_eq!(offers(&refused(&layer, &[]).await), ["ApiKey"]);
    assert_eq!(offers(&refused(&layer, &[("x-api-key", "bad")]).await), ["ApiKey invalid_token"]);
    let signed = Stub::new("signed").reads(Presentation::scheme("Signed"), Challenge::new("Signed"));
    let layer = AuthLayer::new(signed.or(Stub::new("bearer")));
    let response = refused(&layer, &[("authorization", "signed bad")]).await;
    assert_eq!(offers(&response), ["Bearer", "Signed invalid_token"]);
}

#[tokio::test]
async fn what_is_said_is_fit_for_a_header_and_repeats_nothing() {
    let response = refused(&both(), &[("authorization", "Bearer bad")]).await;
    let (_, params) = &challenges(&response)[0];
    assert_eq!(params["error_description"], Reason::Custom("bad").description());
    assert_eq!(params.keys().collect::<Vec<_>>(), ["error", "error_description", "realm"]);
}

#[tokio::test]
async fn who_cannot_be_judged_is_told_when_to_come_again() {
    let response = refused(&both(), &[("authorization", "Bearer busy")]).await;
    assert_eq!(header(&response, "retry-after"), Some("5"));
    let response = refused(&both(), &[("authorization", "Bearer bad")]).await;
    assert_eq!(header(&response, "retry-after"), None);
}

struct Write;

impl Scopes for Write {
    const NEEDED: &'static [&'static str] = &["todo:write"];
}

/// One route for each kind of refusal beneath a layer, and the middle layer of somebody else.
fn routes() -> Router {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(1).unwrap());
    let busy = async || Err::<(), _>(AuthError::unavailable(Duration::from_millis(1500)));
    let disguised =
        async || (StatusCode::OK, [("www-authenticate", "Basic")], AuthError::invalid_token("own"));
    Router::new()
        .route("/", get(async || "fine"))
        .route("/guard", get((async || "").layer(require_scopes(["todo:write"]))))
        .route("/limit", get((async || "").layer(limit)))
        .route("/extractor", get(async |_: Scoped<Write>| ""))
        .route("/principal", get(async |_: Principal| ""))
        .route("/handler", get(async |caller: Principal| caller.require("todo:write")))
        .route("/busy", get(busy))
        .route("/disguised", get(disguised))
        .layer(map_response(async |mut response: Response<Body>| {
            response.headers_mut().insert("x-request-id", HeaderValue::from_static("7"));
            response.headers_mut().insert("content-encoding", HeaderValue::from_static("middle"));
            response
        }))
}

/// Path, secret, status, offers, `Retry-After`.
type Row = (&'static str, Option<&'static str>, u16, &'static [&'static str], Option<&'static str>);

const ROWS: [Row; 11] = [
    ("GET /", Some("bad"), 401, &["Bearer invalid_token"], None),
    ("GET /", Some("busy"), 503, &[], Some("5")),
    ("GET /", Some("a b"), 400, &["Bearer invalid_request"], None),
    ("GET /principal", None, 401, &["Bearer"], None),
    ("GET /guard", None, 401, &["Bearer"], None),
    ("GET /guard", Some("ann"), 403, &["Bearer insufficient_scope"], None),
    ("GET /extractor", Some("ann"), 403, &["Bearer insufficient_scope"], None),
    ("GET /handler", Some("ann"), 403, &["Bearer insufficient_scope"], None),
    ("GET /limit", Some("ann"), 429, &[], Some("3600")),
    ("GET /busy", Some("ann"), 503, &[], Some("2")),
    ("GET /disguised", Some("ann"), 401, &["Bearer invalid_token"], None),
];

async fn refusals(app: &Router) -> Vec<Response<Body>> {
    // Spends what there is; the clock of the limit is the machine's, and an hour is long.
    assert_eq!(ask(app, "GET /limit", "ann").await.status(), StatusCode::OK);
    let mut refusals = Vec::new();
    for (line, secret, status, expected, retry_after) in ROWS {
        let response = ask(app, line, secret).await;
        assert_eq!(response.status().as_u16(), status, "{line} {secret:?}");
        assert_eq!(offers(&response), expected, "{line} {secret:?}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"), "{line}");
        assert_eq!(header(&response, "retry-after"), retry_after, "{line} {secret:?}");
        // The reason stays with the response, for whoever logs outside.
        assert_eq!(response.extensions().get::<AuthError>().unwrap().status(), response.status());
        refusals.push(response);
    }
    refusals
}

#[tokio::test]
async fn a_refusal_is_complete_whoever_refused() {
    let app = routes().layer(AuthLayer::new(Stub::new("stub")).optional());
    for response in refusals(&app).await {
        assert_eq!(text(response).await, "");
    }
    assert_eq!(text(ask(&app, "GET /", "ann").await).await, "fine");
}

#[tokio::test]
async fn problems_are_json() {
    let app = routes().layer(AuthLayer::new(Stub::new("stub")).optional().on_reject(problem_json));
    for response in refusals(&app).await {
        let (status, error) = (response.status(), response.extensions().get::<AuthError>().cloned().unwrap());
        assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
        let problem: Value = serde_json::from_str(&text(response).await).unwrap();
        let mut expected = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": error.reason().description(),
            "reason": error.reason().code(),
        });
        if error.reason() == Reason::QuotaExceeded {
            expected["type"] = "https://iana.org/assignments/http-problem-types#quota-exceeded".into();
            expected["title"] = "Quota exceeded".into();
            expected["violated-policies"] = json!(["default"]);
        }
        assert_eq!(problem, expected);
    }
    // Still optional.
    let fine = ask(&app, "GET /", None).await;
    assert_eq!(header(&fine, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(text(fine).await, "fine");
}

/// Tries to turn every refusal into its opposite.
fn forger(error: &AuthError) -> Response<Body> {
    let headers = [
        ("www-authenticate", "Basic realm=\"x\""),
        ("retry-after", "9999"),
        ("cache-control", "public, max-age=60"),
        ("x-help", "https://help.example"),
    ];
    (StatusCode::OK, headers, Json(json!({ "code": error.reason().code() }))).into_response()
}

#[tokio::test]
async fn a_closure_makes_the_body_and_can_lose_nothing() {
    let app = routes().layer(AuthLayer::new(Stub::new("stub")).optional().on_reject(forger));
    for response in refusals(&app).await {
        let reason = outcome(&response).1.unwrap();
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "x-help"), Some("https://help.example"));
        assert_eq!(text(response).await, json!({ "code": reason.code() }).to_string());
    }
}

#[tokio::test]
async fn headers_of_middle_layers_survive_but_those_of_the_lost_body_do_not() {
    let app = routes().layer(AuthLayer::new(Stub::new("stub")).on_reject(forger));
    let response = ask(&app, "GET /guard", "ann").await;
    assert_eq!(header(&response, "x-request-id"), Some("7"));
    // The new body is in no encoding: to say so would make it unreadable.
    assert_eq!(header(&response, "content-encoding"), None);
    // What the layer refuses itself never came by the middle layer.
    assert_eq!(header(&ask(&app, "GET /guard", "bad").await, "x-request-id"), None);
    let accepted = ask(&app, "GET /guard", "ann~todo.write").await;
    assert_eq!((accepted.status(), header(&accepted, "content-encoding")), (StatusCode::OK, Some("middle")));
}

#[tokio::test]
async fn a_closure_may_send_a_header_twice_and_leave_a_note() {
    #[derive(Clone)]
    struct Note;
    let app = routes().layer(AuthLayer::new(Stub::new("stub")).on_reject(|_: &AuthError| {
        let links = ["<a>", "<b>"].map(|link| ("link", link));
        (axum::response::AppendHeaders(links), Extension(Note)).into_response()
    }));
    for secret in ["bad", "ann"] {
        let response = ask(&app, "GET /guard", secret).await;
        assert_eq!(response.headers().get_all("link").iter().count(), 2, "{secret}");
        assert!(response.extensions().get::<Note>().is_some(), "{secret}");
    }
}

/// A layer in between that hides a refusal has to take its reason out; otherwise it is written over.
#[tokio::test]
async fn who_wants_to_hide_a_refusal_removes_its_reason() {
    let hide = |mut response: Response<Body>, remove: bool| {
        if response.status() == StatusCode::FORBIDDEN {
            *response.status_mut() = StatusCode::NOT_FOUND;
            if remove {
                response.extensions_mut().remove::<AuthError>();
            }
        }
        std::future::ready(response)
    };
    for (remove, status) in [(false, StatusCode::FORBIDDEN), (true, StatusCode::NOT_FOUND)] {
        let hidden = routes().layer(map_response(move |response| hide(response, remove)));
        let app = hidden.layer(AuthLayer::new(Stub::new("stub")));
        assert_eq!(ask(&app, "GET /guard", "ann").await.status(), status);
    }
}

/// A caller who is known needs no other ways in, only to hear what this way lacks.
#[tokio::test]
async fn a_missing_scope_is_told_in_the_scheme_that_was_used_alone() {
    let stubs = [("key", "ApiKey"), ("signed", "Signed")]
        .map(|(name, scheme)| Stub::new(name).reads(Presentation::scheme(scheme), Challenge::new(scheme)));
    let [key, signed] = stubs;
    let app = routes().layer(AuthLayer::new(key.or(signed).or(Stub::new("bearer"))));
    for scheme in ["Bearer", "ApiKey", "Signed"] {
        let header = format!("{scheme} ann");
        let mut request = request(&[("authorization", header.as_str())], Body::empty());
        *request.uri_mut() = http::Uri::from_static("/guard");
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(offers(&response), [format!("{scheme} insufficient_scope")]);
        assert_eq!(challenges(&response)[0].1["scope"], "todo:write");
    }
}

/// A key in a header of its own belongs to a scheme too: RFC 6750 §3 wants a challenge with every 403.
#[tokio::test]
async fn a_missing_scope_of_a_key_in_a_header_is_told_in_its_scheme() {
    let app = routes().layer(both());
    for (name, value, scheme) in [("x-api-key", "ann", "ApiKey"), ("authorization", "Bearer ann", "Bearer")] {
        let mut request = request(&[(name, value)], Body::empty());
        *request.uri_mut() = http::Uri::from_static("/guard");
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(offers(&response), [format!("{scheme} insufficient_scope")]);
        assert_eq!(challenges(&response)[0].1["scope"], "todo:write");
    }
}

/// Where no layer stands above, the answer of a handler is complete by itself.
#[tokio::test]
async fn an_error_of_a_handler_without_a_layer_is_a_correct_answer() {
    for (error, status, expected) in [
        (AuthError::from(Reason::CredentialMissing), 401, &["Bearer"][..]),
        (AuthError::invalid_token("own"), 401, &["Bearer invalid_token"]),
        (AuthError::insufficient_scope("a b"), 403, &["Bearer insufficient_scope"]),
        (AuthError::unavailable(Duration::ZERO), 503, &[]),
    ] {
        let app = Router::new().route("/", get(async move || error.clone()));
        let response = ask(&app, "GET /", None).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(offers(&response), expected);
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert_eq!(header(&response, "retry-after"), (status == 503).then_some("1"));
    }
}
