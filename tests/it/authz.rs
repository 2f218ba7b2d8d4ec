//! Guards: who may pass, and what those are told who may not.

use std::convert::Infallible;

use axum::Router;
use axum::handler::Handler as _;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::extract::{Scoped, Scopes};
use portcullis::{
    AuthLayer, Principal, Reason, RequireLayer, Scope, ScopePolicy, colon_hierarchy, problem_json,
    require_any_of, require_authenticated, require_scopes,
};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::stub::{Stub, ask, challenges, request};
use crate::support::outcome;

/// What a guard says to a caller beneath a layer: the reason, and the scopes that the challenge names.
async fn judge(guard: &RequireLayer, secret: &str) -> (Option<Reason>, Option<String>) {
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let service = AuthLayer::new(Stub::new("stub")).layer(guard.layer(inner));
    let header = format!("Bearer {secret}");
    let response = service.oneshot(request(&[("authorization", &header)], ())).await.unwrap();
    let (status, reason) = outcome(&response);
    assert_eq!(status, if reason.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK });
    let scope = challenges(&response).first().and_then(|(_, params)| params.get("scope").cloned());
    (reason, scope)
}

#[tokio::test]
async fn guards_let_pass_what_they_say() {
    let root =
        ScopePolicy::all_of(["a", "b"].map(Scope::from_static)).or_all_of([Scope::from_static("root")]);
    // A guard, who passes, who does not, and the scopes that those are told to ask for: all, not only what is missing.
    let rows: &[(_, &[&str], &[&str], &str)] = &[
        (require_scopes(["a"]), &["ann~a", "ann~b~a"], &["ann", "ann~A", "ann~aa", "ann~a.b"], "a"),
        (require_scopes(["a", "b"]), &["ann~a~b", "ann~c~b~a"], &["ann", "ann~a", "ann~b"], "a b"),
        (require_any_of(["a", "b"]), &["ann~a", "ann~b"], &["ann", "ann~c"], "a"),
        (
            require_scopes(["x"]).any_of(["a", "b"]),
            &["ann~x~a", "ann~b~x"],
            &["ann~x", "ann~a~b", "ann"],
            "x a",
        ),
        (RequireLayer::new(root), &["ann~a~b", "ann~root"], &["ann~a"], "a b"),
        (require_authenticated(), &["ann", "ann~a"], &[], ""),
    ];
    for (guard, allowed, denied, needed) in rows {
        for secret in *allowed {
            assert_eq!(judge(guard, secret).await, (None, None), "{guard:?} {secret}");
        }
        for secret in *denied {
            let expected = (Some(Reason::ScopeInsufficient), Some((*needed).to_owned()));
            assert_eq!(judge(guard, secret).await, expected, "{guard:?} {secret}");
        }
    }
}

#[tokio::test]
async fn what_asks_for_nothing_lets_nobody_pass() {
    for policy in [ScopePolicy::deny(), ScopePolicy::default(), ScopePolicy::all_of([])] {
        assert_eq!(judge(&RequireLayer::new(policy), "ann~a").await, (Some(Reason::ScopeInsufficient), None));
    }
}

#[tokio::test]
async fn claims_must_hold_besides() {
    let tenant = require_scopes(["a"]).claim("tenant", |tenant| tenant == "ann");
    let absent = require_authenticated().claim("absent", |_| true);
    let both = require_authenticated().claim("tenant", |_| true).claim("tenant", |tenant| tenant == "ann");
    for (guard, secret, expected) in [
        (&tenant, "ann~a", None),
        (&tenant, "bob~a", Some(Reason::ClaimInsufficient)),
        // No scope could help here, so none is named.
        (&tenant, "ann", Some(Reason::ScopeInsufficient)),
        (&absent, "ann", Some(Reason::ClaimInsufficient)),
        (&both, "ann", None),
        (&both, "bob", Some(Reason::ClaimInsufficient)),
    ] {
        let (reason, scope) = judge(guard, secret).await;
        assert_eq!(reason, expected, "{guard:?} {secret}");
        assert_eq!(scope.as_deref(), (reason == Some(Reason::ScopeInsufficient)).then_some("a"));
    }
}

struct Email;

impl Scopes for Email {
    const NEEDED: &'static [&'static str] = &["user:email"];
}

struct Nothing;

impl Scopes for Nothing {
    const NEEDED: &'static [&'static str] = &[];
}

/// The same need, said in three ways.
fn email_routes() -> Router {
    Router::new()
        .route("/guard", get((async || "fine").layer(require_scopes(["user:email"]))))
        .route("/require", get(async |caller: Principal| caller.require("user:email").map(|()| "fine")))
        .route("/scoped", get(async |_: Scoped<Email>| "fine"))
}

#[tokio::test]
async fn a_rule_holds_for_guards_handlers_and_extractors_alike() {
    let exact = email_routes().layer(AuthLayer::new(Stub::new("stub")));
    let colon = AuthLayer::new(Stub::new("stub")).scope_rule(colon_hierarchy).on_reject(problem_json);
    let colon = email_routes().layer(colon);
    let admin = |granted: &str, needed: &str| granted == "admin" && needed.starts_with("user:");
    let admin = email_routes().layer(AuthLayer::new(Stub::new("stub")).scope_rule(admin));
    for (secret, by_name, by_colon, by_admin) in [
        ("ann~user.email", true, true, true),
        ("ann~user", false, true, false),
        ("ann~user.email.read", false, false, false),
        ("ann~use", false, false, false),
        ("ann~user.", false, false, false),
        ("ann~admin", false, false, true),
        ("ann", false, false, false),
    ] {
        for (app, allowed) in [(&exact, by_name), (&colon, by_colon), (&admin, by_admin)] {
            for line in ["GET /guard", "GET /require", "GET /scoped"] {
                let response = ask(app, line, secret).await;
                assert_eq!(response.status().is_success(), allowed, "{line} {secret}");
                if !allowed {
                    assert_eq!(outcome(&response), (StatusCode::FORBIDDEN, Some(Reason::ScopeInsufficient)));
                    assert_eq!(challenges(&response)[0].1["scope"], "user:email");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_extractor_without_scopes_lets_nobody_pass() {
    let app =
        Router::new().route("/", get(async |_: Scoped<Nothing>| "")).layer(AuthLayer::new(Stub::new("stub")));
    assert_eq!(outcome(&ask(&app, "GET /", "ann~a").await).1, Some(Reason::ScopeInsufficient));
}

#[tokio::test]
async fn nobody_is_asked_to_sign_in_and_a_missing_layer_is_our_fault() {
    let app = || {
        email_routes()
            .route("/authenticated", get((async || "fine").layer(require_authenticated())))
            .route("/principal", get(async |_: Principal| "fine"))
            .route("/option", get(async |_: Option<Principal>| "fine"))
    };
    let bare = app();
    let covered = app().layer(AuthLayer::new(Stub::new("stub")).optional());
    let missing = (StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::LayerMissing));
    let sign_in = (StatusCode::UNAUTHORIZED, Some(Reason::CredentialMissing));
    for path in ["guard", "require", "scoped", "authenticated", "principal", "option"] {
        let line = format!("GET /{path}");
        // With or without a credential: there is nobody to judge it.
        for secret in [None, Some("ann~user.email")] {
            let response = ask(&bare, &line, secret).await;
            assert_eq!(outcome(&response), missing, "{path}");
            assert!(challenges(&response).is_empty());
        }
        let anonymous = outcome(&ask(&covered, &line, None).await);
        assert_eq!(anonymous, if path == "option" { (StatusCode::OK, None) } else { sign_in }, "{path}");
        assert_eq!(ask(&covered, &line, "ann~user.email").await.status(), StatusCode::OK, "{path}");
    }
}
