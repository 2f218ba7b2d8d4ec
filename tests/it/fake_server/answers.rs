//! What tokens introspect as.

use http::StatusCode;
use portcullis::Algorithm;
use portcullis::test_util::{FakeAuthorizationServer, SigningKey};
use serde_json::{Value, json};

use super::{BASIC, Scene, basic, send};
use crate::support::key;

#[tokio::test]
async fn an_opaque_token_introspects_as_the_claims_of_its_jwt() {
    let scene = Scene::start().await;
    let whole = scene.server.token().claim("acr", "high");
    let mut expected = whole.claims();
    expected["active"] = true.into();
    expected["token_type"] = "Bearer".into();
    let token = scene.server.opaque_token(whole.clone());
    assert_eq!(scene.introspect(&token).await, expected);
    assert!(!token.contains('.'), "{token}");
    assert_ne!(scene.server.opaque_token(whole.clone()), token);

    let token = scene.server.opaque_token(whole.without("aud").claim("token_type", "DPoP"));
    expected.as_object_mut().unwrap().remove("aud");
    expected["token_type"] = "DPoP".into();
    assert_eq!(scene.introspect(&token).await, expected);
}

#[tokio::test]
async fn a_token_is_inactive_from_its_exp_on() {
    let scene = Scene::start().await;
    for (seconds, active) in [(60, true), (0, false), (-60, false)] {
        let token = scene.server.token().expires_in(seconds);
        assert_eq!(scene.is_active(&token.build()).await, active, "JWT {seconds}");
        assert_eq!(scene.is_active(&scene.server.opaque_token(token)).await, active, "opaque {seconds}");
    }
    let endless = scene.server.token().without("exp");
    assert!(scene.is_active(&endless.build()).await);
    assert!(scene.is_active(&scene.server.opaque_token(endless)).await);
}

#[tokio::test]
async fn a_jwt_is_active_if_a_present_key_signed_it() {
    let scene = Scene::start().await;
    let token = scene.server.token();
    let mut expected = token.claims();
    expected["active"] = true.into();
    expected["token_type"] = "Bearer".into();
    assert_eq!(scene.introspect(&token.build()).await, expected);

    let other = key(Algorithm::ES256);
    assert!(!scene.is_active(&token.clone().forged_by(&other).build()).await, "another key");
    assert!(!scene.is_active(&token.clone().header("alg", "RS256").build()).await, "another algorithm");
    assert!(!scene.is_active(&token.build_with_signature(b"")).await, "no signature");
    assert!(!scene.is_active("unknown").await);
    assert!(!scene.is_active("not.a.jwt").await);

    let before = token.build();
    scene.server.rotate();
    assert!(!scene.is_active(&before).await, "a key that is gone");
    assert!(scene.is_active(&scene.server.token().build()).await);
}

#[tokio::test]
async fn jwts_of_all_algorithms_are_known() {
    for algorithm in [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::Ed25519,
    ] {
        let server = FakeAuthorizationServer::start_with([SigningKey::generate(algorithm)]).await;
        let scene = Scene::with(server);
        let token = scene.server.token();
        assert!(scene.is_active(&token.build()).await, "{algorithm}");
        assert!(!scene.is_active(&token.build_with_signature(&[1; 64])).await, "{algorithm}");
    }
}

#[tokio::test]
async fn what_was_set_is_answered_for_any_token_whatever_its_exp() {
    let scene = Scene::start().await;
    let expired = scene.server.token().expires_in(-60);
    for token in [expired.build(), scene.server.opaque_token(expired.clone()), "anything".into()] {
        assert!(!scene.is_active(&token).await);
        let answer = json!({"active": true, "exp": 1, "sub": ["odd"]});
        scene.server.set_answer(&token, answer.clone());
        assert_eq!(scene.introspect(&token).await, answer);
        let raw = "{\"active\": true,\n\"active\":false,";
        scene.server.set_raw_answer(&token, raw);
        let expected = (StatusCode::OK, "application/json".to_owned(), raw.to_owned());
        assert_eq!(send(scene.question(&token)).await, expected);
    }
    assert!(!scene.is_active("anything else").await);
}

#[tokio::test]
async fn what_was_asked_is_kept_as_it_came() {
    let scene = Scene::start().await;
    let endpoint = scene.server.introspection_endpoint();
    scene.server.set_answer("a+b/c=~% é", json!({"active": true}));
    let form = "token=a%2Bb%2Fc%3D~%25+%C3%A9&token_type_hint=access_token";
    let request = scene.post(&endpoint, form).header("authorization", basic(BASIC));
    let (_, _, body) = send(request.header("accept", "application/json")).await;
    assert_eq!(body, r#"{"active":true}"#);
    send(scene.post(&endpoint, "token=refused")).await;

    let asked = scene.server.asked();
    let (first, second) = (&asked[0], &asked[1]);
    assert_eq!(asked.len(), 2);
    assert_eq!(first.body, form);
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(first.form, [field("token", "a+b/c=~% é"), field("token_type_hint", "access_token")]);
    assert_eq!(first.field("token_type_hint"), Some("access_token"));
    assert_eq!(first.headers["accept"], "application/json");
    assert_eq!(first.headers["authorization"], basic(BASIC));
    assert_eq!(first.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(second.field("token"), Some("refused"));
    assert!(!second.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_thousand_requests_are_kept_and_all_are_counted() {
    let scene = Scene::start().await;
    for token in 0..1002 {
        scene.is_active(&token.to_string()).await;
    }
    let asked = scene.server.asked();
    let tokens = |at: usize| asked[at].field("token").unwrap();
    assert_eq!((asked.len(), tokens(0), tokens(999)), (1000, "2", "1001"));
    let counts = scene.server.counts();
    assert_eq!((counts.introspection, counts.revocation, counts.discovery), (1002, 0, 0));
}

#[tokio::test]
async fn the_metadata_name_the_endpoints_or_what_was_set() {
    let scene = Scene::start().await;
    let metadata = async || -> Value {
        let url = format!("{}/.well-known/oauth-authorization-server", scene.server.issuer_id());
        scene.http.get(url).send().await.unwrap().json().await.unwrap()
    };
    let before = metadata().await;
    assert_eq!(before["introspection_endpoint"], scene.server.introspection_endpoint());
    assert_eq!(before["revocation_endpoint"], scene.server.revocation_endpoint());
    assert_eq!(before["jwks_uri"], scene.server.jwks_uri());

    scene.server.set_metadata("introspection_endpoint", Value::Null);
    scene.server.set_metadata("revocation_endpoint", "https://elsewhere.example/");
    let mut expected = before;
    expected.as_object_mut().unwrap().remove("introspection_endpoint");
    expected["revocation_endpoint"] = "https://elsewhere.example/".into();
    assert_eq!(metadata().await, expected);
    assert_eq!(scene.server.counts().discovery, 2);
}
