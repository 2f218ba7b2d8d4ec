//! What of an answer the handler learns.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use portcullis::Reason;
use portcullis::test_util::FakeAuthorizationServer;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACCEPTED, NOW, Scene, Script, active, principal, refused, seconds, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, send};

#[derive(Debug, Deserialize, PartialEq)]
struct Claims {
    sub: String,
    tenant: Tenant,
    amr: Vec<String>,
    auth_time: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Tenant {
    name: String,
    level: f64,
}

#[tokio::test]
async fn everything_that_the_authority_said_arrives() {
    let script = Script::new(|builder| builder.slow_after(seconds(60)));
    script.says(&json!({
        "active": true, "iss": ISSUER, "sub": "ann", "client_id": "app", "azp": "other", "aud": ["x", AUDIENCE],
        "scope": "todo:write todo:read", "exp": NOW + 3600, "iat": NOW, "token_type": "Bearer", "username": "Ann",
        "tenant": {"name": "acm\u{e9}", "level": 1.5}, "amr": ["pwd", "otp"], "jti": "1",
    }));
    script.http.hold();
    let (layer, request) = (script.layer.clone(), bearer("token"));
    let response = tokio::spawn(async move { send(&layer, request).await });
    super::settle().await;
    script.clock.advance(seconds(7));
    script.http.release();
    let response = response.await.unwrap();
    let principal = principal(&response);
    assert_eq!(principal.method(), "introspection");
    assert_eq!(principal.issuer(), Some(ISSUER));
    assert_eq!((principal.subject(), principal.client_id()), (Some("ann"), Some("app")));
    assert_eq!(principal.scopes().as_str(), "todo:read todo:write");
    assert_eq!(principal.expires_at(), Some(UNIX_EPOCH + seconds(NOW + 3600)));
    assert_eq!(principal.verified_at(), UNIX_EPOCH + seconds(NOW), "when it was asked");
    assert_eq!(principal.id().unwrap().name(), "ann");
    let expected = Claims {
        sub: "ann".into(),
        tenant: Tenant { name: "acm\u{e9}".into(), level: 1.5 },
        amr: vec!["pwd".into(), "otp".into()],
        auth_time: None,
    };
    assert_eq!(principal.claims::<Claims>().unwrap(), expected);
    assert_eq!(principal.claims::<Value>().unwrap()["username"], "Ann");
    assert_eq!(principal.claims::<Vec<u8>>().unwrap_err().reason(), Reason::ClaimsMismatch);

    // The same from the cache, and no younger.
    script.clock.advance(seconds(3));
    let again = script.response("token").await;
    assert_eq!(script.calls(), 1);
    assert_eq!(super::principal(&again).verified_at(), UNIX_EPOCH + seconds(NOW));
    assert_eq!(super::principal(&again).claims::<Claims>().unwrap(), expected);
}

#[tokio::test]
async fn what_the_authority_does_not_say_is_not_there() {
    let script = Script::new(|builder| builder);
    for absent in
        [json!({}), json!({"sub": null, "client_id": null, "azp": null, "scope": null, "exp": null})]
            .into_iter()
            .chain([json!({"sub": "", "client_id": "", "azp": "", "scope": ""})])
    {
        let mut answer = json!({"active": true, "aud": AUDIENCE});
        answer.as_object_mut().unwrap().extend(absent.as_object().unwrap().clone());
        script.says(&answer);
        let response = script.response(&format!("token-{}", script.calls())).await;
        let principal = principal(&response);
        assert_eq!(
            (principal.subject(), principal.client_id(), principal.id()),
            (None, None, None),
            "{answer}"
        );
        assert!(principal.scopes().is_empty() && principal.expires_at().is_none(), "{answer}");
        assert_eq!(principal.require_subject().unwrap_err().status(), StatusCode::FORBIDDEN);
        // Our own word for it, whether the answer says it or not.
        assert_eq!(principal.issuer(), Some(ISSUER));
    }
    let mut answer = active();
    answer["client_id"] = Value::Null;
    answer["azp"] = "party".into();
    script.says(&answer);
    assert_eq!(principal(&script.response("azp").await).client_id(), Some("party"));
    for name in ["sub", "client_id", "azp", "scope"] {
        let script = Script::new(|builder| builder);
        let mut answer = active();
        answer[name] = 7.into();
        script.says(&answer);
        assert_eq!(script.ask("token").await, unavailable(Reason::AuthorityUnavailable), "{name}");
    }
}

#[tokio::test]
async fn scopes_are_a_string_or_a_list_of_scope_tokens() {
    let script = Script::new(|builder| builder);
    let mut answer = active();
    for (scope, expected) in [
        (json!("b a"), "a b"),
        (json!(["b", "a", "b"]), "a b"),
        (json!("  b   a "), "a b"),
        (json!([]), ""),
        (json!("todo:read https://api.example/x#!~"), "https://api.example/x#!~ todo:read"),
    ] {
        answer["scope"] = scope;
        script.says(&answer);
        let response = script.response(&format!("token-{}", script.calls())).await;
        assert_eq!(principal(&response).scopes().as_str(), expected, "{answer}");
    }
    for bad in
        [json!("a\tb"), json!("a\nadmin"), json!("\u{e9}"), json!("a\"b"), json!("a\\b"), json!(["a b"])]
            .into_iter()
            .chain([json!([""]), json!(["a", "b\u{a0}c"]), json!("a\u{0}")])
    {
        answer["scope"] = bad;
        script.says(&answer);
        let token = format!("token-{}", script.calls());
        assert_eq!(script.ask(&token).await, unavailable(Reason::AuthorityUnavailable), "{answer}");
    }
    for wrong in [json!(1), json!({"a": true}), json!(true), json!(["a", 1]), json!([["a"]])] {
        let script = Script::new(|builder| builder);
        answer["scope"] = wrong;
        script.says(&answer);
        assert_eq!(script.ask("token").await, unavailable(Reason::AuthorityUnavailable), "{answer}");
    }
    // `scp` is a word of JWTs, not of introspection.
    script.says(&json!({"active": true, "aud": AUDIENCE, "scp": "admin"}));
    assert!(principal(&script.response("scp").await).scopes().is_empty());
}

#[tokio::test]
async fn fractions_of_a_second_are_kept() {
    let script = Script::new(|builder| builder);
    let mut answer = active();
    answer["exp"] = json!(1_800_000_060.25);
    script.says(&answer);
    let response = script.response("token").await;
    let end = UNIX_EPOCH + seconds(NOW + 60) + Duration::from_millis(250);
    assert_eq!(principal(&response).expires_at(), Some(end));
}

#[tokio::test]
async fn a_token_of_a_real_server_arrives_as_well() {
    let scene = Scene::start().await;
    let before = SystemTime::now();
    let token = scene.server.token().subject("bob").client("cli").scope("a b").claim("tenant", "acme");
    let response = scene.response(&scene.server.opaque_token(token)).await;
    let after = SystemTime::now();
    let principal = principal(&response);
    assert_eq!((principal.subject(), principal.client_id()), (Some("bob"), Some("cli")));
    assert_eq!(principal.issuer(), Some(&*scene.server.issuer_id()));
    assert_eq!(principal.claims::<Value>().unwrap()["tenant"], "acme");
    assert!((before..=after).contains(&principal.verified_at()));
    assert_eq!(scene.ask("unknown").await, refused(Reason::TokenInactive));
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
    assert_eq!(FakeAuthorizationServer::AUDIENCE, AUDIENCE);
}
