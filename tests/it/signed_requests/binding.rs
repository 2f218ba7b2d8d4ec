//! Tokens that are made for one request and open no other.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::StatusCode;
use portcullis::{AuthError, AuthLayer, Reason, SignedRequestAuthenticator};
use tower::ServiceExt as _;
use tracing_subscriber::filter::LevelFilter;

use super::{
    ACCEPTED, Answer, OTHER_SECRET, SECRET, Scene, Token, answer, client, misconfigured, refused, request,
};
use crate::log::Log;

const ELSEWHERE: Answer = refused(Reason::BindingMismatch);

async fn ask(scene: &Scene, line: &str, token: &Token) -> Answer {
    answer(&scene.layer, request(line, &token.build())).await
}

const OTHER_LINES: [&str; 12] = [
    "DELETE /b",
    "GET /b",
    "POST /a",
    "HEAD /a",
    "GET /a?x=1",
    "GET /a?",
    "GET /a/",
    "GET //a",
    "GET /A",
    "GET /%61",
    "GET /a/../a",
    "GET /",
];

#[tokio::test]
async fn a_token_that_is_bound_to_one_request_opens_no_other() {
    for required in [false, true] {
        let scene = Scene::with(|builder| if required { builder.require_request_binding() } else { builder });
        let token = scene.token().bound_to("GET /a");
        assert_eq!(ask(&scene, "GET /a", &token).await, ACCEPTED);
        for line in OTHER_LINES {
            assert_eq!(ask(&scene, line, &token).await, ELSEWHERE, "{line}");
            assert_eq!(ask(&scene, line, &scene.token().bound_to(line)).await, ACCEPTED, "{line}");
        }
    }
}

#[tokio::test]
async fn the_query_counts_as_it_is_sent() {
    let scene = Scene::new();
    let token = scene.token().bound_to("GET /a?x=1&y=%C3%A9");
    assert_eq!(ask(&scene, "GET /a?x=1&y=%C3%A9", &token).await, ACCEPTED);
    for line in ["GET /a", "GET /a?y=%C3%A9&x=1", "GET /a?x=1&y=%c3%a9", "GET /a?x=1&y=%C3%A9&x=1"] {
        assert_eq!(ask(&scene, line, &token).await, ELSEWHERE, "{line}");
    }
}

/// To a proxy a client sends the whole address: what it is bound to is the path all the same, and the host is not looked at.
#[tokio::test]
async fn the_absolute_form_of_an_address_is_its_path() {
    let scene = Scene::new();
    let token = scene.token().bound_to("GET /a?x=1");
    assert_eq!(ask(&scene, "GET http://api.example/a?x=1", &token).await, ACCEPTED);
    assert_eq!(ask(&scene, "GET http://api.example/b?x=1", &token).await, ELSEWHERE);
    assert_eq!(ask(&scene, "OPTIONS *", &scene.token().bound_to("OPTIONS *")).await, ACCEPTED);
}

#[tokio::test]
async fn a_token_that_is_not_bound_is_refused_where_that_is_required() {
    let (lax, strict) = (Scene::new(), Scene::with(super::Builder::require_request_binding));
    for (token, expected) in [
        (lax.token(), refused(Reason::BindingMissing)),
        (lax.token().around(""), refused(Reason::BindingMissing)),
        (lax.token().bound_to("GET /a"), ACCEPTED),
    ] {
        assert_eq!(ask(&strict, "GET /a", &token).await, expected);
    }
    assert_eq!(ask(&lax, "GET /a", &lax.token()).await, ACCEPTED);
}

#[tokio::test]
async fn the_binding_is_made_with_the_secret_that_signed() {
    let scene = Scene::new();
    scene.clients.put("app", client([SECRET, OTHER_SECRET]));
    let bound = |secret: &str| scene.token().signed_by(secret).bound_to("GET /a");
    for (bound_by, signed_by, expected) in [
        (SECRET, SECRET, ACCEPTED),
        (OTHER_SECRET, OTHER_SECRET, ACCEPTED),
        (SECRET, OTHER_SECRET, ELSEWHERE),
        (OTHER_SECRET, SECRET, ELSEWHERE),
    ] {
        assert_eq!(ask(&scene, "GET /a", &bound(bound_by).signed_by(signed_by)).await, expected);
    }
}

/// Whoever does not know the secret learns nothing of the binding.
#[tokio::test]
async fn the_signature_is_judged_first() {
    let scene = Scene::new();
    let forged = scene.token().bound_to("GET /a").signed_by(OTHER_SECRET);
    for line in ["GET /a", "GET /b"] {
        assert_eq!(ask(&scene, line, &forged).await, refused(Reason::ClientUnknown));
    }
}

async fn routed(router: &Router, line: &str, token: &Token) -> Answer {
    let request = request(line, &token.build()).map(Body::new);
    let response = router.clone().oneshot(request).await.unwrap();
    (response.status(), response.extensions().get::<AuthError>().map(AuthError::reason))
}

/// The layer around the routes, inside of a nest, and inside of two.
fn routers(layer: &AuthLayer<SignedRequestAuthenticator>) -> [Router; 3] {
    let routes = || Router::new().route("/a", any(async || "a")).route("/b", any(async || "b"));
    let guarded = || routes().layer(layer.clone());
    [
        Router::new().nest("/v1/x", routes()).layer(layer.clone()),
        Router::new().nest("/v1/x", guarded()),
        Router::new().nest("/v1", Router::new().nest("/x", guarded())),
    ]
}

#[tokio::test]
async fn inside_of_a_nest_the_whole_path_counts() {
    let scene = Scene::with(super::Builder::require_request_binding);
    for (number, router) in routers(&scene.layer).iter().enumerate() {
        let token = scene.token().bound_to("GET /v1/x/a");
        assert_eq!(routed(router, "GET /v1/x/a", &token).await, ACCEPTED, "{number}");
        for line in ["GET /v1/x/b", "DELETE /v1/x/b", "POST /v1/x/a", "GET /v1/x/a?x=1"] {
            assert_eq!(routed(router, line, &token).await, ELSEWHERE, "{number} {line}");
            let own = scene.token().bound_to(line);
            assert_eq!(routed(router, line, &own).await, ACCEPTED, "{number} {line}");
        }
        // As a layer inside of it sees the path.
        for short in ["GET /a", "GET /x/a"] {
            let token = scene.token().bound_to(short);
            assert_eq!(routed(router, "GET /v1/x/a", &token).await, ELSEWHERE, "{number} {short}");
        }
    }
}

/// A layer that does not read bodies cannot judge such a token, and says so: never the other way round.
#[tokio::test]
async fn a_binding_to_the_body_is_never_passed_over() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let needed = misconfigured(Reason::BodyNeeded);
    for required in [false, true] {
        let scene = Scene::with(|builder| if required { builder.require_body_binding() } else { builder });
        for token in
            [scene.token().around(""), scene.token().around("x"), scene.token().bound_to("GET /a").around("")]
        {
            assert_eq!(ask(&scene, "GET /a", &token).await, needed, "{required}");
        }
        let without = if required { refused(Reason::BindingMissing) } else { ACCEPTED };
        assert_eq!(ask(&scene, "GET /a", &scene.token()).await, without);
        // Only when all else is right.
        let astray = scene.token().bound_to("GET /b").around("");
        assert_eq!(ask(&scene, "GET /a", &astray).await, ELSEWHERE);
        assert_eq!(
            ask(&scene, "GET /a", &astray.signed_by(OTHER_SECRET)).await,
            refused(Reason::ClientUnknown)
        );
    }
    assert!(log.take().contains("make it with `read_body`"));
}

/// Neither a required binding nor one to the body is a challenge to come again with another credential.
#[tokio::test]
async fn a_missing_body_is_our_mistake() {
    let scene = Scene::new();
    let response = super::send(&scene.layer, request("GET /", &scene.token().around("").build())).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!response.headers().contains_key("www-authenticate"));
}
